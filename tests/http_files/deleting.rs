//! Files that are deleted.

use super::*;

fn deletes() -> Site {
    let options = FilesOptions { delete: true, ..FilesOptions::default() };
    site_with(options, |disk| {
        disk.put_file("/secret", b"secret", OLD);
        disk.put_file("/www/dir/a", b"a", OLD);
        disk.put_file("/www/index.html", b"index", OLD);
        disk.put_file("/www/.hidden", b"hidden", OLD);
        disk.put_fifo("/www/fifo");
        disk.put_symlink("/www/link", "dir/a");
        disk.put_symlink("/www/broken", "nowhere");
        disk.put_symlink("/www/out", "../secret");
    })
}

#[test]
fn row_23_delete_is_allowed_only_if_it_was_asked_for() {
    let mut site = site(|disk| disk.put_file("/www/a", b"a", OLD));
    let answer = ask(&mut site, "DELETE /a", "");
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(get(&mut site, "/a").status, 200);
    let answer = ask(&mut deletes(), "OPTIONS /dir/a", "");
    assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS, DELETE"));
}

#[test]
fn a_deleted_file_is_gone_at_once() {
    let mut site = deletes();
    for (path, then) in [("/dir/a", 404), ("/index.html", 404)] {
        assert_eq!(get(&mut site, path).status, 200);
        get(&mut site, "/");
        let answer = ask(&mut site, &format!("DELETE {path}"), "");
        assert_eq!((answer.status, answer.text()), (204, ""));
        assert_eq!(get(&mut site, path).status, then);
        assert_eq!(ask(&mut site, &format!("DELETE {path}"), "").status, 404);
    }
    // The index file of the directory has been forgotten, too.
    assert!(get(&mut site, "/").text().contains("Index of /"));
}

#[test]
fn a_worker_frees_the_space_of_a_large_file_whether_it_is_cached_or_not() {
    let large = 1 << 20;
    for (len, is_cached, jobs) in [(large, false, 1), (large, true, 1), (large - 1, true, 0)] {
        let mut site = deletes();
        site.files().put_file("/www/large", &vec![b'x'; len], OLD);
        if is_cached {
            get(&mut site, "/large");
        }
        site.hold_disk();
        assert_eq!(ask(&mut site, "DELETE /large", "").status, 204);
        // The end of the job wakes the reactor.
        let before = site.ledger().turns;
        site.release_disk();
        assert_eq!(site.ledger().turns - before, jobs, "{len} bytes, cached: {is_cached}");
    }
}

#[test]
fn a_link_is_deleted_and_not_the_file_it_leads_to() {
    let mut site = deletes();
    assert_eq!(ask(&mut site, "DELETE /link", "").status, 204);
    assert_eq!(get(&mut site, "/link").status, 404);
    assert_eq!(get(&mut site, "/dir/a").text(), "a");
}

#[test]
fn what_is_no_file_is_not_deleted() {
    let mut site = deletes();
    for (path, status) in [
        ("/", 405),
        ("/dir", 405),
        ("/dir/", 405),
        ("/nowhere", 404),
        ("/nowhere/a", 404),
        ("/dir/a/b", 404),
        ("/broken", 404),
        ("/fifo", 403),
        ("/out", 403),
        ("/.hidden", 403),
        ("/../secret", 400),
        ("/%00", 400),
    ] {
        let answer = ask(&mut site, &format!("DELETE {path}"), "");
        assert_eq!(answer.status, status, "{path}");
        let allow = (status == 405).then_some("GET, HEAD, OPTIONS");
        assert_eq!(answer.field("Allow"), allow, "{path}");
    }
    assert_eq!(site.files().content("/secret"), Some(&b"secret"[..]));
    assert_eq!(site.files().content("/www/.hidden"), Some(&b"hidden"[..]));
}

#[test]
fn row_26_conditions_protect_a_file_from_deletion() {
    let mut site = deletes();
    let etag = get(&mut site, "/dir/a").field("ETag").expect("one").to_owned();
    let before = "Thu, 01 Jan 1970 00:00:00 GMT";
    for (field, status) in [
        ("If-Match: \"other\"".to_owned(), 412),
        (format!("If-None-Match: {etag}"), 412),
        (format!("If-Unmodified-Since: {before}"), 412),
        (format!("If-Match: {etag}"), 204),
    ] {
        let answer = ask(&mut site, "DELETE /dir/a", &format!("{field}\r\n"));
        assert_eq!(answer.status, status, "{field}");
    }
}
