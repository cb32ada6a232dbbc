//! What PUT makes of symbolic links.

use sluicegate_reactor::fs::CreateOptions;

use super::*;

fn site_with_links() -> Site {
    let options =
        FilesOptions { upload: Some(CreateOptions::default()), ..FilesOptions::default() };
    site_with(options, |disk| {
        disk.put_file("/www/file", b"what was there", OLD);
        disk.put_file("/secret", b"secret", OLD);
        disk.make_dir("/www/dir");
        for (link, target) in [
            ("to_file", "file"),
            ("to_link", "to_file"),
            ("absolute", "/www/file"),
            ("absolute_dir", "/www/dir"),
            ("absolute_and_dangling", "/www/nowhere"),
            ("dangling", "nowhere"),
            ("to_dangling", "dangling"),
            ("into_nowhere", "nowhere/file"),
            ("into_a_file", "file/file"),
            ("to_itself", "to_itself"),
            ("to_dir", "dir"),
            ("outside", "../secret"),
            ("outside_and_dangling", "../nowhere"),
        ] {
            disk.put_symlink(format!("/www/{link}"), target);
        }
    })
}

/// For each path: the answer to GET; those to PUT, without a condition, with `If-None-Match: *` and
/// with `If-Match: *`.
#[test]
fn row_45_a_put_creates_what_get_did_not_find_and_replaces_what_it_did() {
    for (path, got, put, if_none, if_match) in [
        ("/file", 200, 204, 412, 204),
        ("/to_file", 200, 204, 412, 204),
        ("/to_link", 200, 204, 412, 204),
        ("/absolute", 200, 204, 412, 204),
        ("/absolute_dir/new", 404, 201, 201, 412),
        ("/absolute_and_dangling", 404, 201, 201, 412),
        ("/new", 404, 201, 201, 412),
        ("/dangling", 404, 201, 201, 412),
        ("/to_dangling", 404, 201, 201, 412),
        ("/into_nowhere", 404, 201, 201, 412),
        ("/into_a_file", 404, 201, 201, 412),
        ("/to_itself", 403, 403, 403, 403),
        ("/to_dir/", 200, 405, 405, 405),
        ("/outside", 403, 403, 403, 403),
        ("/outside_and_dangling", 403, 403, 403, 403),
        ("/file/file", 404, 409, 409, 409),
        ("/nowhere/file", 404, 409, 409, 409),
        ("/dangling/file", 404, 409, 409, 409),
    ] {
        assert_eq!(get(&mut site_with_links(), path).status, got, "{path}");
        for (condition, expected) in
            [("", put), ("If-None-Match: *\r\n", if_none), ("If-Match: *\r\n", if_match)]
        {
            let mut site = site_with_links();
            let client = site.open();
            let length = "Content-Length: 3\r\n\r\nnew";
            let head = format!("PUT {path} HTTP/1.1\r\nHost: x\r\n{condition}");
            site.feed(client, head + length);
            let status = Answer::parse(&site.sent(client)).status;
            assert_eq!(status, expected, "{path} {condition}");
            if matches!(status, 201 | 204) {
                assert_eq!(get(&mut site, path).text(), "new", "{path}");
            }
            let replaced = path == "/file" && status == 204;
            let old = if replaced { &b"new"[..] } else { b"what was there" };
            assert_eq!(site.files().content("/www/file"), Some(old), "links are not followed");
            assert_eq!(site.files().content("/secret"), Some(&b"secret"[..]));
            assert_eq!(site.files().content("/www/nowhere"), None, "{path}");
            assert_eq!(site.files().temporary(), 0);
        }
    }
}
