//! Where a response ends, and what is no response (RFC 9112, section 6.3).

use sluicegate_reactor::Connect;
use sluicegate_reactor::testing::Records;
use sluicegate_reactor::transport::{Error, Output, Transport};

use super::*;
use crate::http::Method;

/// A response, and what the exchange is told; the connection stays open in the first table.
type Row<'a> = (&'a str, &'a [&'a str]);

const STAY: &[Row<'_>] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &["200", "body hello"]),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &["200", "body "]),
    ("HTTP/1.1 200\r\ncontent-length:\t5 \r\n\r\nhello", &["200", "body hello"]),
    ("HTTP/1.1 999 \r\nContent-Length: 1\r\n\r\na", &["999", "body a"]),
    ("HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\na", &["200", "body a"]),
    ("HTTP/1.9 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &["200", "body "]),
    ("HTTP/1.1 204 No Content\r\n\r\n", &["204", "body "]),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", &["204", "body "]),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", &["304", "body "]),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n",
        &["200", "body hello"],
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         2 \r\nhe\r\n3;a=b\t  \r\nllo\r\n0   \r\n\r\n",
        &["200", "body hello"],
    ),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", &["200", "body "]),
    ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", &["200", "body a"]),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        &["interim 100", "interim 103", "200", "body a"],
    ),
];

#[test]
fn row_47_a_response_ends_where_its_framing_says() {
    for (response, told) in STAY {
        let outcome = same_at_every_split(WHOLE, response, false);
        assert_eq!(outcome, (told.iter().map(|t| (*t).to_owned()).collect(), State::Open));
    }
}

#[test]
fn row_47_a_response_to_head_has_no_body() {
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked", "A: b"] {
        let response = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let head = Request::new(Method::Head, "/");
        let (told, state) = exchange(head, WHOLE, [response.as_bytes()], false);
        assert_eq!(told, ["200", "body "]);
        assert_eq!(state, State::Open, "{framing}");
    }
}

#[test]
fn row_48_a_connection_is_not_used_again_after_framing_that_is_malformed() {
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    let rows = [(Method::Head, "1.1 200", both), (Method::Get, "1.1 304", both)];
    let old = (Method::Head, "1.0 200", "Connection: keep-alive\r\nTransfer-Encoding: chunked");
    for (method, status, fields) in rows.into_iter().chain([old]) {
        let response = format!("HTTP/{status} A\r\n{fields}\r\n\r\n");
        let request = Request::new(method, "/");
        let (told, state) = exchange(request, WHOLE, [response.as_bytes()], false);
        assert_eq!(told, [&status[4..], "body "]);
        assert_ne!(state, State::Open, "{response}");
    }
}

#[test]
fn row_47_without_a_length_a_response_ends_with_its_connection() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"] {
        let response = format!("{head}hello");
        for (way, told) in
            [(WHOLE, "body hello"), (Way::Pieces, "end hello"), (Way::File, "saved Created")]
        {
            let outcome = same_at_every_split(way, &response, true);
            assert_eq!(outcome.0, ["200", told], "{way:?}");
            assert_ne!(outcome.1, State::Open);
            let (told, state) = same_at_every_split(way, &response, false);
            assert_eq!((told, state), (vec!["200".to_owned()], State::Open), "{way:?}");
        }
    }
}

#[test]
fn row_47_without_a_length_a_response_that_is_cut_fails() {
    for (way, complete) in
        [(WHOLE, "body hello"), (Way::Pieces, "end hello"), (Way::File, "saved Created")]
    {
        for (is_cut, told) in [(false, complete), (true, "failed the response was cut off")] {
            let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
            let options = ClientOptions { connect, ..ClientOptions::default() };
            let mut world = World::with(&options);
            world.get(way);
            let far = world.accept();
            let mut records = Records::default();
            let (result, wire) = Output::collect(|out| {
                records.start(out)?;
                records.seal(b"HTTP/1.1 200 OK\r\n\r\nhello", out)?;
                if !is_cut {
                    records.close(out);
                }
                Ok::<_, Error>(())
            });
            result.expect("records");
            world.h.feed(far, wire);
            world.h.finish(far);
            assert_eq!(world.told(), ["200", told], "{way:?}");
        }
    }
}

#[test]
fn row_48_a_connection_that_must_not_be_used_again_is_closed() {
    for (response, told) in [
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", "body a"),
        ("HTTP/1.1 200 OK\r\nConnection: a, Close\r\nContent-Length: 0\r\n\r\n", "body "),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "body a"),
        // More than was asked for.
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "body a"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\r\n", "body "),
        ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n", "body "),
        // The origin may send the body that it announces.
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "body "),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "body "),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n", "body "),
    ] {
        let outcome = same_at_every_split(WHOLE, response, false);
        assert_eq!(outcome.0[1..], [told], "{response:?}");
        assert_ne!(outcome.1, State::Open, "{response:?}");
    }
}

const MALFORMED: &[Row<'_>] = &[
    (
        "a line does not end with CRLF",
        &[
            "HTTP/1.1 200 OK\n",
            "HTTP/1.1 200 OK\r\nA: b\n",
            "HTTP/1.1 200 OK\r\n\n",
            "\nHTTP/1.1 200 OK\r\n\r\n",
        ],
    ),
    (
        "the status line is malformed",
        &[
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "http/1.1 200 OK\r\n\r\n",
            "HTTP/1.23 200 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/0.9 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 200 O\0K\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "\r\n\r\n",
        ],
    ),
    (
        "a header field is malformed",
        &[
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA(: b\r\n\r\n",
        ],
    ),
    ("Connection is malformed", &["HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n"]),
    (
        "Content-Length is malformed or repeated",
        &[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: five\r\n\r\n",
        ],
    ),
    (
        "Transfer-Encoding is malformed or not allowed",
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
        ],
    ),
    (
        "the transfer coding is unknown",
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ],
    ),
    ("101 does not switch to what was offered", &["HTTP/1.1 101 Switching\r\n\r\n"]),
];

#[test]
fn row_47_a_malformed_head_is_no_response() {
    for (fault, responses) in MALFORMED {
        for response in *responses {
            let outcome = same_at_every_split(WHOLE, response, false);
            let told = format!("failed the response is invalid: {fault}");
            assert_eq!(outcome, (vec![told], State::Reset), "{response:?}");
        }
    }
}

#[test]
fn rows_5_to_7_a_malformed_chunked_body_is_no_response() {
    for (fault, bodies) in [
        (
            "the size of a chunk is malformed",
            &["g\r\n", "\r\n", " \r\n", " 5\r\n", "5 5\r\n", "5;\r\n", "-1\r\n", "0x5\r\n"][..],
        ),
        ("a chunk does not end with CRLF", &["1\r\nab\r\n0\r\n\r\n", "1\r\na\n"]),
        ("a line does not end with CRLF", &["1\n", "0\r\n\n"]),
        ("there is a control character between chunks", &["1;a=\"\0\"\r\n", "0\r\nA: \0\r\n"]),
        ("a trailer field is malformed", &["0\r\nA\r\n", "0\r\n A: b\r\n"]),
        ("the body is too long", &["ffffffffffffffff\r\n"]),
    ] {
        for (body, way) in bodies.iter().flat_map(|body| [(body, WHOLE), (body, Way::Pieces)]) {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            if matches!(way, Way::Pieces) && fault == "the body is too long" {
                continue;
            }
            let (told, state) = same_at_every_split(way, &format!("{head}{body}"), false);
            let expected = format!("failed the response is invalid: {fault}");
            assert_eq!(told, ["200".to_owned(), expected], "{body:?}");
            assert_eq!(state, State::Reset);
        }
    }
}

#[test]
fn row_47_a_truncated_response_is_an_error() {
    for response in [
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775810\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        for way in [Way::Whole(usize::MAX), Way::Pieces, Way::File] {
            if response.contains("922") && matches!(way, Way::Whole(_)) {
                continue;
            }
            let (told, state) = same_at_every_split(way, response, true);
            let last = told.last().map(String::as_str);
            assert_eq!(last, Some("failed the response was cut off"), "{way:?} {response:?}");
            assert_eq!(state, State::Reset);
        }
    }
    let (told, _) = same_at_every_split(WHOLE, "", true);
    assert_eq!(told, ["failed the connection was closed before a response"]);
}

#[test]
fn a_head_may_be_longer_than_what_other_handlers_leave_unread() {
    let mut world = World::with(&ClientOptions { head: 200 << 10, ..ClientOptions::default() });
    world.get(WHOLE);
    let far = world.accept();
    let fields = format!("A: {}\r\n", "b".repeat(2000)).repeat(80);
    let response = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    response.as_bytes().chunks(5000).for_each(|piece| world.h.feed(far, piece));
    assert_eq!(world.told(), ["200", "body "]);
}

#[test]
fn heads_and_their_parts_are_bounded() {
    let options = ClientOptions { head: 100, headers: 3, ..ClientOptions::default() };
    let fields = |count: usize| "A: b\r\n".repeat(count);
    for (response, told) in [
        (format!("HTTP/1.1 200 {}", "a".repeat(100)), "the first line is too long"),
        (format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(100)), "the head is too long"),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", fields(4)), "there are too many header fields"),
        (
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}", fields(20)),
            "the trailer section is too long",
        ),
        ("HTTP/1.1 100 \r\n\r\n".repeat(17), "there are too many interim responses"),
    ] {
        for size in [response.len(), 7, 1] {
            let mut world = World::with(&options);
            world.get(WHOLE);
            let far = world.accept();
            response.as_bytes().chunks(size).for_each(|piece| world.h.feed(far, piece));
            let expected = format!("failed the response is invalid: {told}");
            assert_eq!(world.told().last(), Some(&expected));
        }
    }
}
