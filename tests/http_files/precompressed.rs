//! Compressed files that lie beside the one that is requested.

use sluicegate_reactor::fs::CreateOptions;

use super::*;

const GZIP: &str = "Accept-Encoding: gzip\r\n";
const ALL: &str = "Accept-Encoding: gzip, deflate, br, zstd\r\n";

fn options() -> FilesOptions {
    FilesOptions { precompressed: true, ..FilesOptions::default() }
}

fn site_with_siblings(small_file: u64) -> Site {
    site_sending(small_file, options(), |disk| {
        disk.put_file("/www/a.css", b"the original", OLD);
        disk.put_file("/www/a.css.gz", b"gzip", OLD);
        disk.put_file("/www/a.css.br", b"brotli!", OLD + 5);
        disk.put_file("/www/large.js", &noise(200_000), OLD);
        disk.put_file("/www/large.js.zst", &noise(100_000), OLD);
        disk.put_file("/www/index.html", b"index", OLD);
        disk.put_file("/www/index.html.gz", b"small index", OLD);
        disk.put_file("/www/plain.txt", b"plain", OLD);
        disk.put_file("/www/plain.txt.gz", b"", OLD);
        disk.make_dir("/www/plain.txt.br");
        disk.put_file("/www/alone.txt.gz", b"alone", OLD);
    })
}

#[test]
fn row_37_a_client_gets_the_compressed_file_that_it_prefers() {
    for small_file in SMALL_FILES {
        let mut site = site_with_siblings(small_file);
        // From the disk, and then from the cache.
        for _ in 0..2 {
            for (path, accept, coding, body) in [
                ("/a.css", "", None, &b"the original"[..]),
                ("/a.css", GZIP, Some("gzip"), b"gzip"),
                ("/a.css", ALL, Some("br"), b"brotli!"),
                ("/a.css", "Accept-Encoding: br;q=0.1, gzip\r\n", Some("gzip"), b"gzip"),
                ("/a.css", "Accept-Encoding: zstd\r\n", None, b"the original"),
                ("/a.css", "Accept-Encoding: gzip;q=0.1, identity\r\n", None, b"the original"),
                ("/large.js", ALL, Some("zstd"), &noise(100_000)),
                ("/large.js", GZIP, None, &noise(200_000)),
                ("/", GZIP, Some("gzip"), b"small index"),
            ] {
                for method in ["GET", "HEAD"] {
                    let answer = ask(&mut site, &format!("{method} {path}"), accept);
                    assert_eq!(answer.status, 200);
                    assert_eq!(answer.field("Content-Encoding"), coding, "{path} {accept}");
                    assert_eq!(answer.field("Vary"), Some("Accept-Encoding"), "{path} {accept}");
                    assert_eq!(answer.field("Content-Length"), Some(&*body.len().to_string()));
                    assert!(method == "HEAD" || answer.body == body, "{path} {accept}");
                }
            }
        }
        let answer = ask(&mut site, "GET /a.css", GZIP);
        assert_eq!(answer.field("Content-Type"), Some("text/css; charset=utf-8"));
        // What is no file or empty is not the same file compressed.
        let answer = ask(&mut site, "GET /plain.txt", ALL);
        assert_eq!((answer.text(), answer.field("Vary")), ("plain", None));
        assert_eq!(ask(&mut site, "GET /alone.txt", GZIP).status, 404);
        let answer = ask(&mut site, "GET /a.css.gz", GZIP);
        assert_eq!((answer.text(), answer.field("Content-Encoding")), ("gzip", None));
    }
}

#[test]
fn row_37_a_compressed_file_that_is_older_than_the_original_is_not_sent() {
    let options = FilesOptions { upload: Some(CreateOptions::default()), ..options() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/a.css", b"old", OLD);
        disk.put_file("/www/a.css.gz", b"old gzip", OLD);
        disk.put_file("/www/b.css", b"new", OLD);
        disk.put_file("/www/b.css.gz", b"old gzip", OLD - 1);
        disk.put_file("/www/b.css.br", b"new brotli", OLD + 1);
    });
    let gzip = |site: &mut Site, path: &str| {
        let answer = ask(site, &format!("GET {path}"), GZIP);
        (answer.text().to_owned(), answer.field("Content-Encoding") == Some("gzip"))
    };
    assert_eq!(gzip(&mut site, "/a.css"), ("old gzip".to_owned(), true));
    assert_eq!(gzip(&mut site, "/b.css"), ("new".to_owned(), false));
    assert_eq!(ask(&mut site, "GET /b.css", ALL).text(), "new brotli");
    assert_eq!(ask(&mut site, "PUT /a.css", "").status, 204);
    assert_eq!(gzip(&mut site, "/a.css"), (String::new(), false));
    assert_eq!(ask(&mut site, "PUT /a.css.gz", "").status, 204);
    site.files().put_file("/www/a.css.gz", b"new gzip", START);
    site.advance(LATER);
    assert_eq!(gzip(&mut site, "/a.css"), ("new gzip".to_owned(), true));
}

#[test]
fn row_37_conditions_and_ranges_are_those_of_the_file_that_is_sent() {
    let mut site = site_with_siblings(SMALL_FILES[0]);
    let tag = |site: &mut Site, accept| {
        ask(site, "GET /a.css", accept).field("ETag").expect("a tag").to_owned()
    };
    let tags = [tag(&mut site, ""), tag(&mut site, GZIP), tag(&mut site, ALL)];
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    for (at, accept) in ["", GZIP, ALL].into_iter().enumerate() {
        for (other, tag) in tags.iter().enumerate() {
            let fields = format!("{accept}If-None-Match: {tag}\r\n");
            let answer = ask(&mut site, "GET /a.css", &fields);
            assert_eq!(answer.status, if at == other { 304 } else { 200 });
            assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
        }
    }
    let answer = ask(&mut site, "GET /a.css", &format!("{ALL}Range: bytes=-3\r\n"));
    assert_eq!((answer.status, answer.text()), (206, "li!"));
    assert_eq!(answer.field("Content-Range"), Some("bytes 4-6/7"));
    assert_eq!(answer.field("Content-Encoding"), Some("br"));
    let answer = ask(&mut site, "GET /a.css", &format!("{ALL}Range: bytes=0-0,2-2\r\n"));
    assert_eq!((answer.status, answer.text()), (200, "brotli!"));
}

#[test]
fn compressed_files_are_looked_for_when_the_original_is_checked_and_only_then() {
    let mut site = site_with_siblings(SMALL_FILES[0]);
    for path in ["/a.css", "/plain.txt", "/large.js"] {
        let line = format!("GET {path}");
        ask(&mut site, &line, ALL);
        let before = site.calls();
        for accept in ["", GZIP, ALL] {
            ask(&mut site, &line, accept);
        }
        let after = site.calls();
        assert_eq!((after.open, after.metadata), (before.open, before.metadata), "{path}");
        site.advance(LATER);
        ask(&mut site, &line, ALL);
        let later = site.calls();
        assert_eq!(later.open, after.open + 4, "{path}");
        assert_eq!(later.read_at, after.read_at, "an unchanged file is not read again");
    }
}

#[test]
fn a_compressed_file_that_comes_changes_or_goes_is_seen_in_time() {
    let mut site = site_with_siblings(SMALL_FILES[0]);
    let text = |site: &mut Site| ask(site, "GET /plain.txt", GZIP).text().to_owned();
    assert_eq!(text(&mut site), "plain");
    for (content, expected) in [(Some("one"), "one"), (Some("two"), "two"), (None, "plain")] {
        match content {
            Some(content) => {
                site.files().put_file("/www/plain.txt.gz", content.as_bytes(), OLD);
            }
            None => site.files().remove("/www/plain.txt.gz"),
        }
        site.advance(LATER);
        assert_eq!(text(&mut site), expected);
    }
    site.files().remove("/www/a.css");
    assert_eq!(ask(&mut site, "GET /a.css", GZIP).status, 404, "it is not sent alone");
}

#[test]
fn a_compressed_file_that_was_uploaded_is_served_at_once() {
    let options = FilesOptions { upload: Some(CreateOptions::default()), ..options() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/dir/index.html", b"plain", OLD);
    });
    for path in ["/dir/index.html", "/dir/"] {
        assert_eq!(ask(&mut site, &format!("GET {path}"), GZIP).text(), "plain");
    }
    let client = site.open();
    let head = "PUT /dir/index.html.gz HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n";
    site.feed(client, format!("{head}gzip"));
    assert_eq!(Answer::parse(&site.sent(client)).status, 201);
    for path in ["/dir/index.html", "/dir/"] {
        assert_eq!(ask(&mut site, &format!("GET {path}"), GZIP).text(), "gzip");
    }
}

#[test]
fn without_the_option_compressed_files_are_files_like_others() {
    let mut site = site(|disk| {
        disk.put_file("/www/a.css", b"the original", OLD);
        disk.put_file("/www/a.css.gz", b"gzip", OLD);
    });
    let before = site.calls().open;
    let answer = ask(&mut site, "GET /a.css", ALL);
    assert_eq!((answer.text(), answer.field("Vary")), ("the original", None));
    assert_eq!(site.calls().open, before + 1);
}
