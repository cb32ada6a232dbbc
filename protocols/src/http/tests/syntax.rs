//! Rows 9 to 15 and 40: the syntax of a head.

use super::{Closes, Stays, check, check_bytes};
use crate::http::limits::MAX_HEADERS;

#[test]
fn row_9_malformed_header_fields() {
    for line in [
        "A : b",
        "A\t: b",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A b",
        "A\": b",
        "A(): b",
        "A/B: c",
        "A: b\r\n c",
        "A: b\r\n\tc",
        "\u{e9}: b",
        "A\0: b",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n");
        check(&[(&request, &["400"], Closes)]);
        let request = format!("GET / HTTP/1.1\r\n{line}\r\nHost: h\r\n\r\n");
        check(&[(&request, &["400"], Closes)]);
    }
}

#[test]
fn rows_10_and_11_controls_in_a_value() {
    for value in ["a\rb", "a\r", "\rb", "a\0b", "a\u{1}b", "a\u{7f}b", "\u{b}", "a\u{1b}[0m"] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {value}\r\n\r\n");
        check(&[(&request, &["400"], Closes)]);
    }
    for value in ["", "a\tb", "a b", "\u{e9}", "\"", "\\"] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {value}\r\n\r\n");
        check(&[(&request, &["200 Get / h"], Stays)]);
    }
}

#[test]
fn row_10_a_bare_line_feed_anywhere() {
    check(&[
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", &["400"], Closes),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", &["400"], Closes),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", &["400"], Closes),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n", &["400"], Closes),
        ("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n\nGET /b HTTP/1.1", &["200 Get / h", "400"], Closes),
        // The search ends at the first fault: no head can be hidden behind it.
        ("GET / HTTP/1.1\n\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
    ]);
}

#[test]
fn row_10_a_bare_carriage_return_anywhere() {
    check(&[
        ("GET / HTTP/1.1\rHost: h\r\n\r\n", &["400"], Closes),
        ("GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
        ("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", &["400"], Closes),
        ("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", &["400"], Closes),
        ("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
    ]);
}

#[test]
fn row_11_what_has_no_place_in_a_target() {
    for target in ["/a b", "/a\tb", "/a\0b", "/a\u{1}", "/a\u{7f}", "/a#b", "/#", "/a?b#c", ""] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        check(&[(&request, &["400"], Closes)]);
    }
}

#[test]
fn row_40_bytes_that_a_target_may_have() {
    let get = |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    for target in ["/\\|{}^`\"<>[]", "/?\\|{}^`\"<>[]", "/%7c?%7C"] {
        let answer = format!("200 Get {target} h");
        check_bytes(&get(target.as_bytes()), &[&answer], Stays);
    }
    for target in [
        &b"/\xc3\xa9"[..],
        b"/?\xc3\xa9",
        b"/\xe9",
        b"/?\xe9",
        b"/a\x80b",
        b"/\xff",
        b"/\xf0\x9f\x98\x80",
        b"/%",
        b"/%4",
        b"/%zz",
        b"/?%",
        b"/?a=100%&b",
        b"http://h/%",
        b"http://h\xc3\xa9/",
        b"http://h%/",
    ] {
        check_bytes(&get(target), &["400"], Closes);
    }
}

#[test]
fn row_12_some_empty_lines_before_a_request_are_ignored() {
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let after = |lines: usize| format!("{}{request}", "\r\n".repeat(lines));
    let twice = format!("{}{}", after(4), after(4));
    check(&[
        (&after(1), &["200 Get / h"], Stays),
        (&twice, &["200 Get / h", "200 Get / h"], Stays),
        (&after(5), &["400"], Closes),
        ("\r\n\r\n", &[], Stays),
    ]);
}

#[test]
fn row_13_versions() {
    for (version, status) in [
        ("HTTP/2.0", "505"),
        ("HTTP/3.0", "505"),
        ("HTTP/0.9", "505"),
        ("HTTP/9.9", "505"),
        ("HTTP/2", "400"),
        ("HTTP/1", "400"),
        ("HTTP/1.", "400"),
        ("HTTP/1.10", "400"),
        ("HTTP/11.1", "400"),
        ("HTTP/01.1", "400"),
        ("http/1.1", "400"),
        ("HTTP /1.1", "400"),
        ("HTTP/1.1 ", "400"),
        ("HTTP/1.1 x", "400"),
        ("HTTP/1.x", "400"),
        ("HTTP/ 1.1", "400"),
        ("HTTPS/1.1", "400"),
        ("", "400"),
    ] {
        let request = format!("GET / {version}\r\nHost: h\r\n\r\n");
        check(&[(&request, &[status], Closes)]);
    }
    check(&[
        ("GET /\r\n\r\n", &["400"], Closes),
        ("GET /a b HTTP/2.0\r\nHost: h\r\n\r\n", &["400"], Closes),
        ("GET /a b HTTP/1.5\r\nHost: h\r\n\r\n", &["400"], Closes),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
        (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
        ("G@T / HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
        // The preface of an HTTP/2 connection.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &["505"], Closes),
    ]);
}

#[test]
fn row_13_a_later_minor_version_is_taken_as_1_1() {
    check(&[
        ("GET / HTTP/1.5\r\nHost: h\r\n\r\n", &["200 Get / h"], Stays),
        ("GET / HTTP/1.2\r\n\r\n", &["400"], Closes),
    ]);
    // An invalid request line is reported before too many fields.
    let head = format!("GET / HTTP/1.9\rx\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
    check(&[(&head, &["400"], Closes)]);
}

#[test]
fn row_14_host_is_there_once_and_valid() {
    let host = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
    for lines in [
        "A: b",
        "Host: a\r\nHost: a",
        "Host: a\r\nhost: b",
        "Host: a b",
        "Host: a/b",
        "Host: u@a",
        "Host: http://a",
        "Host: a:b",
        "Host: a:80:80",
        "Host: [::1",
        "Host: a\tb",
        "Host: \u{e9}",
        "Host: a<b",
        "Host: :80",
    ] {
        check(&[(&host(lines), &["400"], Closes)]);
    }
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", &["400"], Closes),
        (&host("hOsT:a.example:8080"), &["200 Get / a.example:8080"], Stays),
        (&host("Host: [::1]:80"), &["200 Get / [::1]:80"], Stays),
        (&host("Host:"), &["200 Get / "], Stays),
        ("GET / HTTP/1.0\r\n\r\n", &["200 Get / -"], Closes),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", &["400"], Closes),
    ]);
}

#[test]
fn row_15_forms_of_the_target() {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    for target in ["*", "a", "h:80", "ftp://a/", "http:///a", "http://u@a/", "http://a b/", "?a"] {
        check(&[(&get(target), &["400"], Closes)]);
    }
    check(&[
        (&get("http://other:1/a?b"), &["200 Get /a?b other:1"], Stays),
        (&get("HTTP://other"), &["200 Get / other"], Stays),
        ("GET http://other/ HTTP/1.1\r\n\r\n", &["400"], Closes),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &["200 Options * h"], Stays),
        ("OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n", &["200 Options /a h"], Stays),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", &["501"], Closes),
        ("CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", &["400"], Closes),
        ("CONNECT * HTTP/1.1\r\nHost: h\r\n\r\n", &["501"], Closes),
    ]);
}

#[test]
fn row_14_an_empty_host_names_nothing_and_an_absolute_target_wins_over_it() {
    check(&[
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", &["200 Get / "], Stays),
        ("GET / HTTP/1.1\r\nHost: \t\r\n\r\n", &["200 Get / "], Stays),
        ("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", &["200 Options * "], Stays),
        ("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", &["200 Get / a"], Stays),
        ("GET http://a HTTP/1.1\r\nHost: b\r\n\r\n", &["200 Get / a"], Stays),
        ("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", &["400"], Closes),
        ("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", &["400"], Closes),
    ]);
}

/// The table in the documentation of this module's parent.
#[test]
fn rows_11_to_15_what_other_parsers_accept() {
    let with = |line: &str| format!("{line}\r\nHost: h\r\n\r\n");
    for (line, status) in [
        ("GET /a#b HTTP/1.1", "400"),
        ("GET http://h/a?b#c HTTP/1.1", "400"),
        ("GET http://user:password@h/ HTTP/1.1", "400"),
        ("GET http://user@h/ HTTP/1.1", "400"),
        ("M-SEARCH * HTTP/1.1", "400"),
        ("PRI * HTTP/1.1", "400"),
        ("PRI * HTTP/2.0", "505"),
        ("GET /", "400"),
        ("OPTIONS / RTSP/1.0", "400"),
        ("SOURCE / ICE/1.0", "400"),
        ("CONNECT h:443 HTTP/1.1", "501"),
        ("TRACE / HTTP/1.1", "501"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: deflate, chunked", "501"),
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5", "400"),
        ("POST / HTTP/1.1\r\nContent_Length: 5", "400"),
    ] {
        check(&[(&with(line), &[status], Closes)]);
    }
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", &["400"], Closes),
        ("GET / HTTP/1.1\nHost: h\n\n", &["400"], Closes),
        (&with("MKCOLA / HTTP/1.1"), &["200 Other(\"MKCOLA\") / h"], Stays),
        ("GET / HTTP/1.0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n", &["200 Get / -"], Closes),
    ]);
}
