//! Row 43: a wrong line is answered when it is complete.

use super::{Closes, HttpLimits, Stays, check, check_long, probe, probe_with};

/// Checks that a wrong line gets the same answer before and after the rest of its head.
fn check_line(before: &str, line: &str, status: &str) {
    let incomplete = format!("{before}{line}\r\n");
    let followed = format!("{incomplete}A: b\r\n");
    let complete = format!("{followed}\r\n");
    for input in [&incomplete, &followed, &complete] {
        check(&[(input, &[status], Closes)]);
    }
    check(&[(&format!("{before}{line}"), &[], Stays), (&format!("{before}{line}\r"), &[], Stays)]);
}

#[test]
fn row_43_a_wrong_request_line() {
    for (line, status) in [
        ("G@T / HTTP/1.1", "400"),
        (" GET / HTTP/1.1", "400"),
        ("GET", "400"),
        ("GET /", "400"),
        ("GET  / HTTP/1.1", "400"),
        ("GET / HTTP/1.1 ", "400"),
        ("GET / HTTP/1", "400"),
        ("GET / HTTP/2.0", "505"),
        ("GET / HTTP/0.9", "505"),
        ("GET /\0 HTTP/1.1", "400"),
        ("GET /\ra HTTP/1.1", "400"),
        ("GET /\u{e9} HTTP/1.1", "400"),
        ("GET /# HTTP/1.1", "400"),
        ("GET /% HTTP/1.1", "400"),
        ("GET /# HTTP/1.5", "400"),
        ("GET * HTTP/1.1", "400"),
        ("GET h:80 HTTP/1.1", "400"),
        ("GET http://u@h/ HTTP/1.1", "400"),
        ("CONNECT / HTTP/1.1", "400"),
        ("\u{16}\u{3}\u{1}", "400"),
    ] {
        check_line("", line, status);
    }
}

#[test]
fn row_43_a_wrong_field_line() {
    for line in [
        "A : b",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A b",
        "A(): b",
        "\u{e9}: b",
        "A: a\rb",
        "A: b\r",
        "A: a\0b",
        "A: \u{c}",
        "A: a\u{7f}b",
        "Host: h",
        "Host: a b",
        "Content-Length: +5",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: a b",
        "Connection: a b",
        "Expect: a b",
        "Content_Length: 5",
    ] {
        check_line("GET / HTTP/1.1\r\nHost: h\r\n", line, "400");
        check_line("GET / HTTP/1.1\r\nHost: h\r\nB: c\r\n", line, "400");
    }
    for line in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let before = format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\nB: c\r\n");
        check_line(&before, line, "400");
    }
}

#[test]
fn row_43_the_first_wrong_line_decides() {
    check(&[
        ("GET /# HTTP/2.0\r\nA b\r\n\r\n", &["505"], Closes),
        ("GET / HTTP/2.0\r\nA b\r\n\r\n", &["505"], Closes),
        ("GET / HTTP/2.0\r\nA: b\n", &["505"], Closes),
        ("GET / HTTP/2.0\r\n\n", &["505"], Closes),
        ("GET / HTTP/1.1\nGET / HTTP/2.0\r\n", &["400"], Closes),
        ("GET / HTTP/1.5\r\nA b\r\n\r\n", &["400"], Closes),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/2.0\r\n", &["200 Get / h", "505"], Closes),
    ]);
    let many = "A: b\r\n".repeat(200);
    let long = format!("A: {}\r\n", "b".repeat(40_000));
    for rest in [&many, &long] {
        for end in ["", "\r\n"] {
            let of = |line: &str| format!("GET / HTTP/1.1\r\n{line}{rest}{end}");
            let version = format!("GET / HTTP/2.0\r\n{rest}{end}");
            let target = format!("GET /# HTTP/1.1\r\n{rest}{end}");
            check_long(
                probe,
                &[
                    (&version, &["505"], Closes),
                    (&target, &["400"], Closes),
                    (&of("A b\r\n"), &["400"], Closes),
                    (&of("Host: a b\r\n"), &["400"], Closes),
                    (&of("Host: h\r\n"), &["431"], Closes),
                ],
            );
        }
    }
}

#[test]
fn row_43_a_field_over_their_number_is_refused_when_it_is_complete() {
    let make = || probe_with(HttpLimits { headers: 2, ..HttpLimits::default() });
    let head = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}");
    check_long(
        make,
        &[
            (&head("Host: h\r\nA: b\r\n"), &[], Stays),
            (&head("Host: h\r\nA: b\r\nC: d\r\n"), &["431"], Closes),
            (&head("Host: h\r\nA: b\r\nC d\r\n"), &["431"], Closes),
            (&head("Host: h\r\nA b\r\nC: d\r\n"), &["400"], Closes),
        ],
    );
}

#[test]
fn row_43_what_later_lines_decide_is_waited_for() {
    for lines in [
        "GET / HTTP/1.1\r\nA: b\r\n",
        "GET / HTTP/1.5\r\n",
        "GET http://h/ HTTP/1.1\r\n",
        "TRACE / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: other\r\n",
    ] {
        check(&[(lines, &[], Stays)]);
    }
}
