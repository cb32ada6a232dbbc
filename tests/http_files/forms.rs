//! Files of forms that browsers send.

use sluicegate_protocols::http::HttpLimits;
use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::fs::CreateOptions;

use super::*;

fn site_of(options: FilesOptions) -> Site {
    let disk = |disk: &mut Disk| {
        disk.make_dir("/www/dir/sub");
        disk.put_file("/www/dir/there", b"what was there", OLD);
        disk.put_fifo("/www/dir/fifo");
    };
    Harness::build(&Listen::default(), disk, |reactor| {
        let files = Files::new(reactor, "/www", options).expect("the root is there");
        reactor.register(Http::with(files, HttpLimits::default()))
    })
}

fn options() -> FilesOptions {
    FilesOptions { upload: Some(CreateOptions::default()), ..FilesOptions::default() }
}

fn uploads() -> Site {
    site_of(options())
}

/// A form with these files, as browsers send it.
fn post(path: &str, files: &[(&str, &str)], fields: &str) -> String {
    let mut body = String::new();
    for (name, data) in files {
        let disposition = format!("form-data; name=\"files\"; filename=\"{name}\"");
        body += &format!(
            "------b\r\nContent-Disposition: {disposition}\r\n\
             Content-Type: application/octet-stream\r\n\r\n{data}\r\n"
        );
    }
    body += "------b--\r\n";
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: example.org\r\n{fields}\
         Content-Type: multipart/form-data; boundary=----b\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

fn send(site: &mut Site, request: impl AsRef<[u8]>) -> Answer {
    let client = site.open();
    site.feed(client, request);
    Answer::parse(&site.sent(client))
}

fn content(site: &mut Site, path: &str) -> Option<Vec<u8>> {
    site.files().content(format!("/www{path}")).map(<[u8]>::to_vec)
}

#[test]
fn row_51_a_form_saves_its_files_and_leads_back_to_the_directory() {
    let files = [("a.txt", "one"), ("../../there", "two"), ("C:\\x\\b c.txt", "")];
    let request = post("/dir/", &files, "");
    let outcome = same_at_every_split(uploads, &request);
    let answer = Answer::parse(&outcome.sent);
    assert_eq!((answer.status, answer.field("Location")), (303, Some("./")));
    assert_eq!(outcome.state, State::Open);
    let mut site = uploads();
    send(&mut site, &request);
    for (path, expected) in [("/dir/a.txt", "one"), ("/dir/there", "two"), ("/dir/b c.txt", "")] {
        assert_eq!(content(&mut site, path).as_deref(), Some(expected.as_bytes()), "{path}");
    }
    assert_eq!(site.files().temporary(), 0);
    // A form of which the user has chosen no file.
    for files in [&[][..], &[("", "")]] {
        assert_eq!(send(&mut site, post("/", files, "")).status, 303);
    }
}

#[test]
fn row_51_what_was_cached_is_forgotten_when_a_form_replaces_it() {
    let mut site = uploads();
    for name in ["there", "index.html"] {
        let path = if name == "there" { "/dir/there" } else { "/dir/" };
        for data in ["one", "two", "three"] {
            assert_eq!(send(&mut site, post("/dir/", &[(name, data)], "")).status, 303);
            assert_eq!(get(&mut site, path).text(), data);
        }
    }
}

#[test]
fn row_51_a_file_that_cannot_be_saved_is_refused_and_those_before_it_stay() {
    let long = "a".repeat(256);
    for (name, status) in [
        ("sub", 409),
        ("fifo", 403),
        (".hidden", 403),
        ("..", 403),
        (".0123456789abcdef.part", 403),
        ("a/", 400),
        ("a\tb", 400),
        (&long, 400),
    ] {
        let mut site = uploads();
        let request = post("/dir/", &[("first", "one"), (name, "two"), ("third", "")], "");
        assert_eq!(send(&mut site, request).status, status, "{name}");
        assert_eq!(content(&mut site, "/dir/first").as_deref(), Some(&b"one"[..]));
        assert_eq!(content(&mut site, "/dir/third"), None);
        assert_eq!(site.files().temporary(), 0);
    }
    let mut site = site_of(FilesOptions { hidden: true, ..options() });
    assert_eq!(send(&mut site, post("/", &[(".hidden", "x")], "")).status, 303);
    assert!(content(&mut site, "/.hidden").is_some());
}

#[test]
fn row_51_a_form_whose_directory_disappears_is_refused_and_the_server_goes_on() {
    let request = post("/dir/", &[("first", "one"), ("second", "two")], "");
    let heads: Vec<_> = request.match_indices("------b").map(|(at, _)| at).collect();
    // Before the form, before the second part has a head, and once its file exists.
    for at in [heads[0], heads[1], heads[2] - 2] {
        let mut site = uploads();
        let client = site.open();
        site.feed(client, &request[..at]);
        site.files().remove("/www/dir");
        site.feed(client, &request[at..]);
        assert_eq!(Answer::parse(&site.sent(client)).status, 409, "{at}");
        assert_eq!(site.files().temporary(), 0, "{at}");
        assert_eq!(send(&mut site, post("/", &[("first", "one")], "")).status, 303, "{at}");
    }
}

#[test]
fn row_51_a_form_goes_to_a_directory_of_the_site() {
    let mut site = uploads();
    for (path, status) in [
        ("/dir", 405),
        ("/dir/there", 405),
        ("/nowhere/", 404),
        ("/dir/there/", 404),
        ("/dir/fifo/", 404),
        ("/.hidden/", 403),
        ("/%00/", 400),
    ] {
        let answer = send(&mut site, post(path, &[("a", "x")], ""));
        assert_eq!(answer.status, status, "{path}");
        let allow = (status == 405).then_some("GET, HEAD, OPTIONS, PUT");
        assert_eq!(answer.field("Allow"), allow, "{path}");
    }
    let answer = send(&mut site_of(FilesOptions::default()), post("/", &[("a", "x")], ""));
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
    let answer = ask(&mut site, "OPTIONS /dir/", "");
    assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS, POST"));
}

#[test]
fn a_form_of_a_page_of_another_site_is_refused() {
    for (fields, status) in [
        ("", 303),
        ("Origin: http://example.org\r\n", 303),
        ("Origin: https://EXAMPLE.org\r\n", 303),
        ("Origin: http://example.org:8080\r\n", 403),
        ("Origin: http://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Sec-Fetch-Site: same-origin\r\nOrigin: http://behind.proxy\r\n", 303),
        ("Sec-Fetch-Site: none\r\n", 303),
        ("Sec-Fetch-Site: same-site\r\nOrigin: http://example.org\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
    ] {
        let mut site = uploads();
        assert_eq!(send(&mut site, post("/", &[("a", "x")], fields)).status, status, "{fields}");
        assert_eq!(content(&mut site, "/a").is_some(), status == 303, "{fields}");
    }
}

#[test]
fn the_page_of_a_directory_has_a_form_if_files_can_be_uploaded() {
    for (options, has_form) in [(options(), true), (FilesOptions::default(), false)] {
        let answer = get(&mut site_of(options), "/dir/");
        assert_eq!(answer.text().contains("<form method=\"post\""), has_form);
        let policy = answer.field("Content-Security-Policy").expect("one");
        assert_eq!(policy.contains("form-action 'self'"), has_form);
        assert_eq!(policy.contains("script-src 'sha256-"), has_form);
        assert!(!policy.contains("unsafe"));
    }
}
