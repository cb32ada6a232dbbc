//! Which paths lead to a file, and which must not.

use super::*;

#[test]
fn row_34_nothing_outside_of_the_root_is_served() {
    let mut site = site(|disk| {
        disk.put_file("/secret", b"secret", OLD);
        disk.put_file("/www/a", b"a", OLD);
        disk.put_symlink("/www/up", "../secret");
        disk.put_symlink("/www/far", "/secret");
        disk.put_symlink("/www/far_and_up", "/www/../secret");
        disk.put_symlink("/www/far_and_in", "/www/root/www/a");
        disk.put_symlink("/www/root", "..");
    });
    let table = [
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/a/../../secret", 400),
        ("/a/../secret", 404),
        ("/..%2fsecret", 404),
        ("/%252e%252e/secret", 404),
        ("//secret", 404),
        ("//../secret", 400),
        ("/up", 403),
        ("/far", 403),
        ("/far_and_up", 403),
        ("/far_and_in", 403),
        ("/root/secret", 403),
        ("/root/", 403),
        ("/%00", 400),
        ("/a%00.html", 400),
    ];
    for (path, status) in table {
        let answer = get(&mut site, path);
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.text().contains("secret"), "{path}");
    }
    for path in ["/%", "/%zz", "/\u{e9}"] {
        let client = site.open();
        site.feed(client, format!("GET {path} HTTP/1.1\r\nHost: example.org\r\n\r\n"));
        assert_eq!(Answer::parse(&site.sent(client)).status, 400, "{path}");
        assert_eq!(site.state(client), State::Shut, "{path}: refused before a file is looked for");
    }
}

#[test]
fn row_34_links_that_stay_inside_work() {
    let mut site = site(|disk| {
        disk.put_file("/www/deep/er/file.txt", b"content", OLD);
        disk.put_symlink("/www/deep/link", "../deep/er/file.txt");
        disk.put_symlink("/www/dir", "deep/er");
        disk.put_symlink("/www/absolute", "/www/deep/er/file.txt");
        disk.put_symlink("/www/absolute_dir", "/alias/deep");
        disk.put_symlink("/alias", "www");
    });
    assert_eq!(get(&mut site, "/absolute").text(), "content");
    assert_eq!(get(&mut site, "/absolute_dir/er/file.txt").text(), "content");
    assert!(get(&mut site, "/").text().contains("\"./absolute\""));
    assert_eq!(get(&mut site, "/deep/link").text(), "content");
    assert_eq!(get(&mut site, "/dir/file.txt").text(), "content");
    assert_eq!(get(&mut site, "/dir").field("Location"), Some("/dir/"));
}

#[test]
fn row_34_dot_segments_are_resolved_before_a_file_is_opened() {
    let mut site = site(|disk| {
        disk.put_file("/www/dir/a", b"content", OLD);
        disk.put_file("/www/dir/index.html", b"index", OLD);
    });
    for path in ["/dir/./a", "//dir/a", "/none/../dir/a", "/dir/%2e%2e/dir/%2e/a", "/.git/../dir/a"]
    {
        assert_eq!(get(&mut site, path).text(), "content", "{path}");
    }
    for path in ["/dir/.", "/dir/none/..", "/dir/a/../"] {
        assert_eq!(get(&mut site, path).text(), "index", "{path}");
    }
    let before = site.calls().open;
    assert_eq!(get(&mut site, "/dir/../dir//a").text(), "content");
    assert_eq!(site.calls().open, before, "it is the same file in the cache");
}

#[test]
fn row_34_what_is_no_file_is_refused() {
    let mut site = site(|disk| {
        disk.put_fifo("/www/fifo");
        disk.put_file("/www/file", b"", OLD);
        disk.put_file("/www/.env", b"", OLD);
        disk.put_file("/www/.well-known/x", b"", OLD);
    });
    let long = format!("/{}", "x".repeat(300));
    for path in ["/fifo", "/fifo/", "/file/", "/file/x", "/none", "/none/", "/.env", &long] {
        assert_eq!(get(&mut site, path).status, 404, "{path}");
    }
    assert_eq!(get(&mut site, "/.well-known/x").status, 200);
}

#[test]
fn hidden_names_are_served_when_asked_for() {
    let options = FilesOptions { hidden: true, ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/.env", b"x", OLD);
    });
    assert_eq!(get(&mut site, "/.env").status, 200);
    assert!(get(&mut site, "/").text().contains("href=\"./.env\""));
}

#[test]
fn row_37_a_file_says_what_it_is() {
    let mut site = site(|disk| {
        disk.put_file("/www/a.css", b"", OLD);
        disk.put_file("/www/b.png", b"", OLD);
        disk.put_file("/www/c", b"", OLD);
    });
    let types = [
        ("/a.css", "text/css; charset=utf-8"),
        ("/b.png", "image/png"),
        ("/c", "application/octet-stream"),
    ];
    for (path, content_type) in types {
        let answer = get(&mut site, path);
        assert_eq!(answer.field("Content-Type"), Some(content_type));
        assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
        assert_eq!(answer.field("Last-Modified"), Some("Sat, 03 Mar 1973 09:46:40 GMT"));
    }
}
