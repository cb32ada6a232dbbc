//! Index files, listings and redirects.

use serde_json::{Value, json};

use super::*;

#[test]
fn row_35_a_directory_is_listed() {
    let mut site = site(|disk| {
        disk.put_file("/secret", b"secret", OLD);
        disk.put_file("/www/dir/a:b<i>&.txt", &noise(2048), 951_782_400);
        disk.put_file("/www/dir/Z", &noise(10), OLD);
        disk.put_file("/www/dir/.hidden", b"", OLD);
        disk.put_file("/www/dir/sub/x", b"", OLD);
        disk.put_symlink("/www/dir/link", "../other");
        disk.put_file("/www/other", b"12345", OLD);
        disk.put_symlink("/www/dir/broken", "nowhere");
        disk.put_symlink("/www/dir/out", "../../secret");
        disk.put_fifo("/www/dir/fifo");
    });
    let answer = get(&mut site, "/dir/");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    assert!(answer.field("Content-Security-Policy").unwrap().starts_with("default-src 'none'"));
    let references = |answer: &Answer| -> Vec<String> {
        let parts = answer.text().split("href=\"").skip(1);
        let all = parts.map(|part| part.split('"').next().unwrap().to_owned());
        all.filter(|reference| !reference.starts_with('?')).collect()
    };
    let expected = ["../", "../", "./sub/", "./a:b%3Ci%3E%26.txt", "./link", "./Z"];
    assert_eq!(references(&answer), expected);
    assert!(answer.text().contains("a:b&lt;i&gt;&amp;.txt"));
    assert!(
        answer.text().contains("2.0 KiB")
            && answer.text().contains("2000-02-29<span> 00:00</span>")
    );
    let answer = get(&mut site, "/dir/?sort=size&order=desc");
    let expected = ["../", "../", "./sub/", "./a:b%3Ci%3E%26.txt", "./Z", "./link"];
    assert_eq!(references(&answer), expected);
    assert_eq!(get(&mut site, "/dir/a:b%3Ci%3E%26.txt").body.len(), 2048);
}

#[test]
fn row_35_a_listing_is_json_for_those_who_accept_that() {
    let mut site = site(|disk| {
        disk.put_file("/www/dir/a", b"12345", OLD);
        disk.make_dir("/www/dir/sub");
    });
    let answer = ask(&mut site, "GET /dir/?sort=size", "Accept: application/json\r\n");
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    assert_eq!(answer.field("Vary"), Some("Accept"));
    let expected = json!({
        "path": "/dir/", "page": 1, "pages": 1, "cut": false,
        "entries": [
            {"name": "sub", "href": "./sub/", "type": "directory", "modified": 0},
            {"name": "a", "href": "./a", "type": "file", "size": 5, "modified": 100_000_000},
        ],
    });
    assert_eq!(serde_json::from_str::<Value>(answer.text()).expect("JSON"), expected);
    let page = ask(&mut site, "GET /dir/", "Accept: text/html, */*\r\n");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.field("Vary"), Some("Accept"));
}

#[test]
fn a_long_listing_is_cut_and_says_so() {
    let options = FilesOptions { listing_names: 5, ..FilesOptions::default() };
    for (count, is_cut) in [(5, false), (6, true)] {
        let mut site = site_with(options.clone(), |disk| {
            (0..count).for_each(|i| disk.put_file(format!("/www/{i}"), b"", OLD));
        });
        let answer = get(&mut site, "/");
        assert_eq!(answer.text().matches("href=\"./").count(), 5);
        assert_eq!(answer.text().contains("is truncated"), is_cut);
    }
}

#[test]
fn directories_are_not_listed_if_that_is_off() {
    let options = FilesOptions { listing: false, ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/dir/a", b"a", OLD);
    });
    assert_eq!(get(&mut site, "/").status, 403);
    assert_eq!(get(&mut site, "/dir").status, 301);
    assert_eq!(get(&mut site, "/dir/").status, 403);
    assert_eq!(get(&mut site, "/dir/a").status, 200);
}

#[test]
fn row_36_a_directory_is_redirected_to_its_slash() {
    let mut site = site(|disk| {
        disk.make_dir("/www/dir");
        disk.make_dir("/www/a b/\u{e4}");
        disk.make_dir("/www/c\r\nSet-Cookie: x");
        disk.make_dir("/www/\\evil.example");
        disk.make_dir("/www/evil.example");
    });
    let table = [
        ("/dir", "/dir/"),
        ("/dir?a=b&c", "/dir/?a=b&c"),
        ("/dir?", "/dir/?"),
        ("/dir?x=%0d%0aSet-Cookie:y", "/dir/?x=%0d%0aSet-Cookie:y"),
        ("/a%20b/%C3%A4", "/a%20b/%C3%A4/"),
        ("/c%0d%0aSet-Cookie:%20x", "/c%0D%0ASet-Cookie:%20x/"),
        ("//evil.example", "/evil.example/"),
        ("///evil.example", "/evil.example/"),
        ("/%5Cevil.example", "/%5Cevil.example/"),
        ("http://other.example//dir", "/dir/"),
    ];
    for (path, location) in table {
        let answer = get(&mut site, path);
        assert_eq!(answer.status, 301, "{path}");
        assert_eq!(answer.field("Location"), Some(location), "{path}");
        assert_eq!(answer.field("Set-Cookie"), None, "{path}");
    }
}

#[test]
fn row_36_a_redirect_keeps_the_route_prefix() {
    let prefix = "/st/a b".to_owned();
    let options = FilesOptions { prefix, delete: true, ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/dir/file", b"content", OLD);
    });
    for (path, location) in [
        ("/st/a%20b", "/st/a%20b/"),
        ("/st/a%20b?x=y", "/st/a%20b/?x=y"),
        ("/st/a%20b/dir", "/st/a%20b/dir/"),
        ("//st/./a%20b//dir", "/st/a%20b/dir/"),
    ] {
        let answer = get(&mut site, path);
        assert_eq!((answer.status, answer.field("Location")), (301, Some(location)), "{path}");
    }
    let answer = ask(&mut site, "DELETE /st/a%20b", "");
    assert_eq!((answer.status, answer.field("Location")), (301, Some("/st/a%20b/")));
    assert_eq!(get(&mut site, "/st/a%20b/dir/file").text(), "content");
    assert!(!get(&mut site, "/st/a%20b/").text().contains("\"../\""), "nothing is above it");
    assert!(get(&mut site, "/st/a%20b/dir/").text().contains("\"./file\""));
    for path in ["/", "/dir/file", "/st/", "/st/a%20bc/", "/st/a%20b/../dir/file"] {
        assert_eq!(get(&mut site, path).status, 404, "{path}");
    }
}

#[test]
fn row_37_the_first_index_file_that_exists_is_served_for_its_directory() {
    let index = ["index.html", "index.txt"].map(String::from).to_vec();
    let options = FilesOptions { index, ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/index.html", b"<p>root", OLD);
        disk.put_file("/www/index.txt", b"no", OLD);
        disk.put_file("/www/a/index.txt", b"text", OLD);
        disk.make_dir("/www/b/index.html");
    });
    let root = get(&mut site, "/?sort=size");
    assert_eq!(root.text(), "<p>root");
    assert_eq!(root.field("Content-Type"), Some("text/html; charset=utf-8"));
    let text = get(&mut site, "/a/");
    assert_eq!(
        (text.text(), text.field("Content-Type")),
        ("text", Some("text/plain; charset=utf-8"))
    );
    assert!(get(&mut site, "/b/").text().contains("Index of /b/"));
    // It comes, and goes, while the directory is in use.
    site.files().put_file("/www/a/index.html", b"html", OLD);
    site.advance(LATER);
    assert_eq!(get(&mut site, "/a/").text(), "html");
    site.files().remove("/www/a/index.html");
    site.files().remove("/www/a/index.txt");
    site.advance(LATER);
    assert!(get(&mut site, "/a/").text().contains("Index of /a/"));
}

#[test]
fn row_22_head_of_a_directory_does_not_make_its_listing() {
    let mut site = site(|disk| {
        (0..100).for_each(|i| disk.put_file(format!("/www/dir/{i}"), b"", OLD));
    });
    for accept in ["", "Accept: application/json\r\n"] {
        let whole = ask(&mut site, "GET /dir/", accept);
        let before = site.calls();
        let head = ask(&mut site, "HEAD /dir/", accept);
        assert!(site.calls().metadata < before.metadata + 10);
        let fields = whole.head.lines().filter(|line| !line.starts_with("Content-Length: "));
        assert!(fields.eq(head.head.lines()));
        assert_eq!(head.body, b"");
    }
}
