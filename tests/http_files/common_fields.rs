//! The header fields that all responses have.

use sluicegate_protocols::files::Cors;
use sluicegate_reactor::fs::CreateOptions;

use super::*;

fn site_of(options: FilesOptions) -> Site {
    let options = FilesOptions { upload: Some(CreateOptions::default()), ..options };
    site_with(options, |disk| {
        disk.put_file("/www/a", b"content", OLD);
        disk.put_file("/www/dir/b", b"", OLD);
        disk.put_symlink("/www/out", "/secret");
    })
}

/// A request for each kind of response, with its status.
const REQUESTS: [(&str, &str, u16); 13] = [
    ("GET /a", "", 200),
    ("HEAD /a", "", 200),
    ("GET /a", "Range: bytes=0-1\r\n", 206),
    ("GET /a", "Range: bytes=0-1,3-4\r\n", 206),
    ("GET /a", "If-None-Match: *\r\n", 304),
    ("GET /a", "If-Match: \"x\"\r\n", 412),
    ("GET /dir/", "", 200),
    ("GET /dir", "", 301),
    ("GET /out", "", 403),
    ("GET /none", "Accept: text/html\r\n", 404),
    ("POST /a", "", 405),
    ("OPTIONS /a", "", 204),
    ("PUT /a", "", 204),
];

#[test]
fn row_37_every_response_has_the_fields_of_the_options() {
    let headers = [("Cross-Origin-Opener-Policy", "same-origin"), ("X-A", "b, c")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut site = site_of(FilesOptions { headers, ..FilesOptions::default() });
    for (line, fields, status) in REQUESTS {
        let answer = ask(&mut site, line, fields);
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.field("Cross-Origin-Opener-Policy"), Some("same-origin"), "{line}");
        assert_eq!(answer.field("X-A"), Some("b, c"), "{line}");
    }
}

#[test]
fn a_refusal_has_the_fields_of_the_options_and_of_cors_for_all_origins() {
    let headers = vec![("X-A".to_owned(), "b".to_owned())];
    let cors = Some(Cors::AnyOrigin);
    let mut site = site_of(FilesOptions { headers, cors, ..FilesOptions::default() });
    for fields in ["Content-Length: 99999999999\r\n", "Transfer-Encoding: x\r\n", "A : b\r\n"] {
        let client = site.open();
        site.feed(client, format!("PUT /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        let answer = Answer::parse(&site.sent(client));
        assert!([400, 413, 501].contains(&answer.status), "{fields}");
        assert_eq!(answer.field("X-A"), Some("b"), "{fields}");
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"), "{fields}");
    }
}

#[test]
fn an_option_that_is_invalid_is_named_in_the_error() {
    let headers = vec![("X A".to_owned(), "b".to_owned())];
    let with_headers = FilesOptions { headers, ..FilesOptions::default() };
    let cors = Some(Cors::Origins(vec!["example.org".to_owned()]));
    let with_cors = FilesOptions { cors, ..FilesOptions::default() };
    let with_prefix = FilesOptions { prefix: "/a/../b".to_owned(), ..FilesOptions::default() };
    for (options, name) in
        [(with_headers, "\"X A\""), (with_cors, "\"example.org\""), (with_prefix, "\"/a/../b\"")]
    {
        let mut reactor = sluicegate_reactor::Reactor::new().expect("a reactor");
        let error = Files::new(&mut reactor, ".", options).err().expect("an error");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn pages_of_all_origins_can_read_every_response_if_that_is_allowed() {
    let cors = Some(Cors::AnyOrigin);
    let mut site = site_of(FilesOptions { cors, ..FilesOptions::default() });
    for (line, fields, status) in REQUESTS {
        let answer = ask(&mut site, line, &format!("Origin: https://a.example\r\n{fields}"));
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"), "{line}");
        assert_eq!(answer.field("Access-Control-Expose-Headers"), Some("*"), "{line}");
        assert_eq!(answer.field("Access-Control-Allow-Credentials"), None);
    }
}

#[test]
fn pages_of_the_listed_origins_can_read_responses_and_others_cannot() {
    let origins = ["https://a.example", "http://localhost:8080"].map(str::to_owned).to_vec();
    let cors = Some(Cors::Origins(origins));
    let mut site = site_of(FilesOptions { cors, ..FilesOptions::default() });
    for (origin, allowed) in [
        ("Origin: https://a.example\r\n", Some("https://a.example")),
        ("Origin: http://localhost:8080\r\n", Some("http://localhost:8080")),
        ("Origin: http://a.example\r\n", None),
        ("Origin: https://a.example.org\r\n", None),
        ("Origin: null\r\n", None),
        ("Origin: \r\n", None),
        ("", None),
    ] {
        for line in ["GET /a", "GET /dir/", "OPTIONS /a", "PUT /a"] {
            let answer = ask(&mut site, line, origin);
            assert_eq!(answer.field("Access-Control-Allow-Origin"), allowed, "{origin} {line}");
            let varies = answer.head.lines().any(|field| field == "Vary: Origin");
            assert!(varies, "{origin} {line}");
        }
    }
}

#[test]
fn a_browser_that_asks_what_it_may_send_is_told_so() {
    let ask_first = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let cors = Some(Cors::AnyOrigin);
    let mut site = site_of(FilesOptions { cors, delete: true, ..FilesOptions::default() });
    let answer = ask(&mut site, "OPTIONS /a", ask_first);
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS, PUT, DELETE"));
    assert_eq!(answer.field("Access-Control-Allow-Methods"), Some("GET, HEAD"));
    assert_eq!(answer.field("Access-Control-Allow-Headers"), Some("*, Authorization"));
    assert_eq!(answer.field("Access-Control-Max-Age"), Some("86400"));
    let answer = ask(&mut site, "OPTIONS /a", "Origin: https://a.example\r\n");
    assert_eq!(answer.field("Access-Control-Allow-Methods"), None, "it has not asked");
    let answer = ask(&mut site_of(FilesOptions::default()), "OPTIONS /a", ask_first);
    assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
}
