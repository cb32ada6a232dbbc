//! Rows 1 to 4, 8, 41 and 42: the length of request bodies, and lists.

use super::{Closes, HttpLimits, Stays, check, check_long, probe, probe_with};

#[test]
fn row_1_transfer_encoding_together_with_content_length() {
    check(&[
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
            &["400"],
            Closes,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\ntransfer-encoding:chunked\r\nCONTENT-LENGTH:0\r\n\r\n",
            &["400"],
            Closes,
        ),
    ]);
}

#[test]
fn row_2_content_length_that_is_not_one_number() {
    for value in ["+5", "-5", "0x5", "", "5,5", "5, 6", "5 5", "1e1", "18446744073709551616"] {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {value}\r\n\r\nhello");
        check(&[(&request, &["400"], Closes)]);
    }
    check(&[(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        &["400"],
        Closes,
    )]);
}

#[test]
fn row_2_whitespace_around_a_content_length_is_fine() {
    for value in ["5", " \t5\t ", "\t5", "005"] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:{value}\r\n\r\nhello\
             GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
        );
        check(&[(&request, &["200 Post / h", "200 Get /b h"], Stays)]);
    }
}

#[test]
fn rows_3_and_4_transfer_codings_that_are_not_just_chunked_at_the_end() {
    for (coding, status) in [
        ("chunked, gzip", "400"),
        ("chunked, chunked", "400"),
        ("chunked\r\nTransfer-Encoding: chunked", "400"),
        ("\u{b}chunked", "400"),
        ("chunked;a=b", "400"),
        ("", "400"),
        ("xchunked", "501"),
        ("gzip, chunked", "501"),
        ("identity", "501"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {coding}\r\n\r\n");
        check(&[(&request, &[status], Closes)]);
    }
    let request = "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&[(request, &["400"], Closes)]);
}

#[test]
fn row_41_lists_have_valid_members_or_none() {
    let with = |line: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n");
    for line in [
        "Connection: ",
        "Connection: , ,\tfoo ,,",
        "Connection: foo\r\nConnection:",
        "Transfer-Encoding: ,chunked",
    ] {
        // A chunked body that nobody reads closes the connection.
        let then = if line.contains("chunked") { Closes } else { Stays };
        check(&[(&with(line), &["200 Get / h"], then)]);
    }
    for line in ["Connection: ,close,", "Connection: ,\r\nConnection: ,, close"] {
        check(&[(&with(line), &["200 Get / h"], Closes)]);
    }
    for (line, status) in [
        ("Connection: close foo", "400"),
        ("Connection: keep-alive, \"a\"", "400"),
        ("Connection: keep-alive\r\nConnection: a;b", "400"),
        ("Transfer-Encoding: ,", "400"),
        ("Transfer-Encoding: ,\r\nContent-Length: 0", "400"),
        ("Transfer-Encoding: a;b=\"c, chunked", "400"),
        ("Transfer-Encoding: a;b=\"c, chunked\"", "501"),
        ("Expect: 100-continue, a b", "400"),
        ("Expect: ,a,", "417"),
    ] {
        check(&[(&with(line), &[status], Closes)]);
    }
}

#[test]
fn row_42_an_underscore_does_not_hide_the_length_of_a_body() {
    for line in ["Content_Length: 0", "content_length: 5", "Transfer_Encoding: chunked"] {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n");
        check(&[(&request, &["400"], Closes)]);
        let limits = HttpLimits { refuse_lookalikes: false, ..HttpLimits::default() };
        let make = || probe_with(limits.clone());
        check_long(make, &[(&request, &["200 Post / h"], Stays)]);
    }
    check(&[("GET / HTTP/1.1\r\nHost: h\r\nX_Length: 5\r\n\r\n", &["200 Get / h"], Stays)]);
}

#[test]
fn row_8_a_chunked_body_is_never_taken_for_the_next_request() {
    check(&[(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
         GET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 Post / h"],
        Closes,
    )]);
}

#[test]
fn row_8_a_short_body_is_skipped_and_never_parsed() {
    check(&[(
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n\
         GET /evil HTTP/1.1\r\nHost: h\r\n\r\n\
         GET /b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n\
         GET /c HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 Post /a h", "200 Get /b h", "200 Get /c h"],
        Stays,
    )]);
}

#[test]
fn row_8_a_long_body_is_not_waited_for() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length";
    check(&[(&format!("{head}: 65537\r\n\r\n"), &["200 Post / h"], Closes)]);
    let next = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let body = "x".repeat(65_536);
    let skipped = format!("{head}: 65536\r\n\r\n{body}{next}");
    check_long(probe, &[(&skipped, &["200 Post / h", "200 Get /b h"], Stays)]);
    let limits = || probe_with(HttpLimits { drain: 0, ..HttpLimits::default() });
    check_long(limits, &[(&format!("{head}: 1\r\n\r\nx{next}"), &["200 Post / h"], Closes)]);
}
