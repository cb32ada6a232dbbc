//! What clients get for paths that lead to nothing: error pages and the pages of applications.

use sluicegate_reactor::testing::Step;

use super::*;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

fn site_of(not_found: Option<&str>, spa: Option<&str>) -> Site {
    let [not_found, spa] = [not_found, spa].map(|page| page.map(str::to_owned));
    let options = FilesOptions { not_found, spa, ..FilesOptions::default() };
    site_with(options, |disk| {
        disk.put_file("/www/404.html", b"<h1>Gone fishing", OLD);
        disk.put_file("/www/app.html", b"<h1>App", OLD);
        disk.put_file("/www/dir/file.txt", b"content", OLD);
        disk.put_file("/www/.env", b"secret", OLD);
        disk.put_symlink("/www/out", "/secret");
        disk.put_fifo("/www/fifo");
    })
}

const MISSING: [&str; 6] = ["/none", "/none/", "/dir/none", "/404.html/x", "/fifo", "/.env"];

#[test]
fn row_37_a_missing_file_gets_the_page_of_the_site_with_404() {
    // A slash before the name makes no difference.
    for page in ["404.html", "/404.html"] {
        let mut site = site_of(Some(page), None);
        for path in MISSING {
            for fields in ["", BROWSER, "Range: bytes=0-1\r\n", "If-None-Match: *\r\n"] {
                let answer = ask(&mut site, &format!("GET {path}"), fields);
                assert_eq!((answer.status, answer.text()), (404, "<h1>Gone fishing"), "{path}");
                assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
                for name in ["ETag", "Last-Modified", "Accept-Ranges", "Content-Range"] {
                    assert_eq!(answer.field(name), None, "{name}");
                }
                let head = ask(&mut site, &format!("HEAD {path}"), fields);
                assert_eq!((head.head, head.body), (answer.head, Vec::new()));
            }
        }
        assert_eq!(get(&mut site, "/404.html").status, 200);
        assert_eq!(get(&mut site, "/out").status, 403);
        assert_eq!(get(&mut site, "/dir/file.txt").text(), "content");
        assert_eq!(ask(&mut site, "POST /none", "").status, 405);
    }
}

#[test]
fn the_page_for_missing_files_is_kept_and_checked_like_a_file() {
    let mut site = site_of(Some("404.html"), None);
    get(&mut site, "/none");
    let before = site.calls();
    get(&mut site, "/none");
    let after = site.calls();
    assert_eq!((after.open, after.read_at), (before.open + 1, before.read_at));
    site.files().put_file("/www/404.html", b"new", OLD);
    site.advance(LATER);
    let answer = get(&mut site, "/none");
    assert_eq!((answer.status, answer.text()), (404, "new"));
    site.files().remove("/www/404.html");
    site.advance(LATER);
    let answer = get(&mut site, "/none");
    assert_eq!((answer.status, answer.text()), (404, "404 Not Found\n"));
}

#[test]
fn a_page_for_missing_files_that_was_removed_is_closed_when_it_is_missed() {
    let options =
        FilesOptions { not_found: Some("404.html".to_owned()), ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/404.html", &noise(100_000), OLD);
    });
    let root = site.open_descriptors().files;
    assert!(get(&mut site, "/none").body == noise(100_000));
    assert_eq!(site.open_descriptors().files, root + 1);
    site.files().remove("/www/404.html");
    site.advance(LATER);
    assert_eq!(get(&mut site, "/none").text(), "404 Not Found\n");
    assert_eq!(site.open_descriptors().files, root);
}

#[test]
fn a_page_for_missing_files_that_cannot_be_read_is_not_tried_again() {
    for (code, status) in [(libc::ENOENT, 404), (libc::EIO, 500)] {
        let mut site = site_of(Some("404.html"), Some("404.html"));
        site.files().script_read("/www/404.html", [Step::Errno(code), Step::Errno(code)]);
        let answer = get(&mut site, "/none");
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn a_page_for_missing_files_that_is_missing_or_outside_is_not_sent() {
    for page in ["none.html", "dir", "out", "../secret", "", "fifo"] {
        let mut site = site_of(Some(page), Some(page));
        let answer = get(&mut site, "/none");
        assert_eq!((answer.status, answer.text()), (404, "404 Not Found\n"), "{page}");
    }
}

#[test]
fn row_37_an_application_gets_its_routes_and_missing_files_stay_missing() {
    for not_found in [None, Some("404.html")] {
        let mut site = site_of(not_found, Some("app.html"));
        for (path, fields, status) in [
            ("/none", "", 200),
            ("/none/", "", 200),
            ("/user/42?tab=1", "", 200),
            ("/404.html/x", "", 200),
            ("/none.js", "", 404),
            ("/none.js", "Accept: */*\r\n", 404),
            ("/none.js", "Accept: text/html;q=0, */*\r\n", 404),
            ("/user/jane.doe", BROWSER, 200),
            ("/user.d/jane", "", 200),
            ("/.env", BROWSER, 404),
            ("/out", "", 403),
        ] {
            let answer = ask(&mut site, &format!("GET {path}"), fields);
            assert_eq!(answer.status, status, "{path} {fields}");
            assert_eq!(answer.text() == "<h1>App", status == 200, "{path} {fields}");
            assert_eq!(answer.text() == "<h1>Gone fishing", status == 404 && not_found.is_some());
            assert_eq!(answer.field("Vary"), Some("Accept"), "{path} {fields}");
            let head = ask(&mut site, &format!("HEAD {path}"), fields);
            assert_eq!((head.head, head.body), (answer.head, Vec::new()));
        }
        assert_eq!(get(&mut site, "/dir/file.txt").text(), "content");
        assert_eq!(get(&mut site, "/dir").status, 301);
        let etag = get(&mut site, "/none").field("ETag").expect("a tag").to_owned();
        let condition = format!("If-None-Match: {etag}\r\n");
        assert_eq!(ask(&mut site, "GET /other", &condition).status, 304);
    }
}

#[test]
fn browsers_get_errors_as_pages_and_other_clients_as_text() {
    let options = FilesOptions { listing: false, delete: true, ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        disk.make_dir("/www/dir");
        disk.put_symlink("/www/out", "/secret");
    });
    for (line, status) in [
        ("GET /none", "404 Not Found"),
        ("GET /a/../..", "400 Bad Request"),
        ("GET /out", "403 Forbidden"),
        ("GET /dir/", "403 Forbidden"),
        ("POST /dir/", "405 Method Not Allowed"),
        ("DELETE /none", "404 Not Found"),
        ("DELETE /.env", "403 Forbidden"),
        ("BREW /pot", "501 Not Implemented"),
    ] {
        let page = ask(&mut site, line, BROWSER);
        assert!(page.text().contains(&format!("<h1>{status}</h1>")), "{}", page.text());
        let path = line.split_once(' ').expect("a path").1;
        assert!(page.text().contains(&format!("<code>{path}</code>")), "{}", page.text());
        assert!(page.text().contains("<a href=\"."), "{}", page.text());
        assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
        let policy = page.field("Content-Security-Policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("script"));
        for accept in ["", "Accept: */*\r\n", "Accept: application/json, text/html;q=0.0\r\n"] {
            let text = ask(&mut site, line, accept);
            assert_eq!(text.text(), format!("{status}\n"), "{accept}");
            assert_eq!(text.field("Vary"), Some("Accept"));
        }
    }
    let page = ask(&mut site, "GET /<script>'\"", BROWSER);
    assert!(page.text().contains("<code>/&lt;script&gt;&#39;&quot;</code>"), "{}", page.text());
    let head = ask(&mut site, "HEAD /none", BROWSER);
    assert_eq!(head.head, ask(&mut site, "GET /none", BROWSER).head);
}
