//! Row 38: the access log.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State, Step};

use super::{Answered, Http, Reply, Request, Service};
use crate::http::in_flight::InFlight;
use crate::http::response::QueuedResponse;
use crate::http::{LogRecord, Status};

type Lines = Rc<RefCell<Vec<String>>>;

/// Answers with as many bytes as the path states, and keeps the log.
struct Logged {
    lines: Lines,
}

impl Service for Logged {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let size = request.path().trim_start_matches('/').parse().unwrap_or(0);
        reply.send(vec![b'x'; size])
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.lines.borrow_mut().push(record.to_string());
    }
}

fn harness() -> (Harness<Http<Logged>>, Lines) {
    let lines = Lines::default();
    (Harness::new(Http::new(Logged { lines: lines.clone() })), lines)
}

/// A line without its address and date, which the simulation chooses.
fn tail(line: &str) -> &str {
    line.split_once("] ").expect("a date").1
}

fn tails(lines: &Lines) -> Vec<String> {
    lines.borrow_mut().drain(..).map(|line| tail(&line).to_owned()).collect()
}

#[test]
fn row_38_one_line_for_each_answer_in_the_combined_format() {
    let (mut h, lines) = harness();
    let client = h.open();
    h.feed(
        client,
        "GET /13 HTTP/1.1\r\nHost: h\r\nReferer: http://a/\r\nUser-Agent: b \"c\"\r\n\r\n\
         HEAD /13 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    let address = h.address(client).ip().unwrap().to_string();
    {
        let lines = lines.borrow();
        assert!(lines[0].starts_with(&format!("{address} - - [")), "{}", lines[0]);
        let date = lines[0].split(['[', ']']).nth(1).unwrap();
        assert_eq!((date.len(), &date[20..]), (26, " +0000"));
    }
    assert_eq!(
        tails(&lines),
        [
            "\"GET /13 HTTP/1.1\" 200 13 \"http://a/\" \"b \\x22c\\x22\"",
            "\"HEAD /13 HTTP/1.1\" 200 - \"-\" \"-\"",
        ]
    );
}

#[test]
fn row_38_every_byte_of_every_text_is_written_as_printable_ascii() {
    let peers =
        [None, Some("192.0.2.1:1"), Some("[2001:db8::1%7]:1"), Some("[::ffff:192.0.2.1]:1")];
    let addresses = ["-", "192.0.2.1", "2001:db8::1", "192.0.2.1"];
    let plain = LogRecord {
        peer: None,
        user: None,
        time: 0,
        request_line: b"GET / HTTP/1.1",
        status: Status::OK,
        body_sent: 0,
        referer: None,
        user_agent: None,
    };
    for byte in 0..=u8::MAX {
        let text = [b'<', byte, b'>'];
        let shown = match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => format!("<{}>", char::from(byte)),
            _ => format!("<\\x{byte:02x}>"),
        };
        for (peer, address) in peers.iter().zip(addresses) {
            let peer = peer.map(|peer| peer.parse().unwrap());
            let plain = LogRecord { peer, ..plain };
            for (record, end) in [
                (
                    LogRecord { request_line: &text, ..plain },
                    format!("\"{shown}\" 200 - \"-\" \"-\""),
                ),
                (
                    LogRecord { referer: Some(&text), ..plain },
                    format!("\"GET / HTTP/1.1\" 200 - \"{shown}\" \"-\""),
                ),
                (
                    LogRecord { user_agent: Some(&text), ..plain },
                    format!("\"GET / HTTP/1.1\" 200 - \"-\" \"{shown}\""),
                ),
            ] {
                let expected = format!("{address} - - [01/Jan/1970:00:00:00 +0000] {end}");
                assert_eq!(record.to_string(), expected);
            }
        }
    }
}

#[test]
fn row_38_every_byte_that_a_client_sends_is_logged_as_printable_ascii() {
    let (mut h, lines) = harness();
    for byte in 0..=u8::MAX {
        for request in [
            [b"G", &[byte][..], b"T / HTTP/1.1\r\nHost: h\r\n\r\n"],
            [b"GET /", &[byte], b" HTTP/1.1\r\nHost: h\r\n\r\n"],
            [b"GET / HTTP/1.1\r\nHost: h\r\nReferer: a", &[byte], b"b\r\n\r\n"],
            [b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: a", &[byte], b"b\r\n\r\n"],
        ] {
            let client = h.open();
            h.feed(client, request.concat());
            h.finish(client);
            h.sent(client);
            let lines: Vec<String> = lines.borrow_mut().drain(..).collect();
            assert_eq!(lines.len(), 1, "{lines:?}");
            let is_printable = lines[0].bytes().all(|byte| matches!(byte, b' '..=b'~'));
            assert!(is_printable, "{:?}", lines[0]);
        }
    }
}

#[test]
fn row_38_a_line_comes_after_the_last_byte() {
    let (mut h, lines) = harness();
    let request = "GET /5000 HTTP/1.1\r\nHost: h\r\n\r\n";
    let client = h.open();
    h.feed(client, request);
    let length = h.sent(client).len();
    assert_eq!(tails(&lines).len(), 1);
    let client = h.open();
    h.set_room(client, length - 1);
    h.feed(client, request);
    assert_eq!(h.arrived(client), length - 1);
    assert!(lines.borrow().is_empty());
    h.set_room(client, 2 * length);
    assert_eq!(h.arrived(client), length);
    assert_eq!(tails(&lines), ["\"GET /5000 HTTP/1.1\" 200 5000 \"-\" \"-\""]);
}

#[test]
fn row_38_an_answer_has_left_with_its_last_byte_and_not_before() {
    let lines = Lines::default();
    let mut service = Logged { lines: lines.clone() };
    let mut in_flight = InFlight::new(None);
    for end in [10, 20] {
        let response = QueuedResponse { status: Status::OK, body: 3, end, time: 0 };
        in_flight.note(b"GET / HTTP/1.1\r\n\r\n", None, response);
    }
    for (sent, reported) in [(9, 0), (10, 1), (19, 1), (20, 2)] {
        in_flight.report(sent, &mut |record| service.on_sent(record));
        assert_eq!(lines.borrow().len(), reported, "{sent} bytes sent");
    }
}

#[test]
fn row_38_an_answer_cut_off_is_logged_with_the_bytes_really_sent() {
    let (mut h, lines) = harness();
    let client = h.open();
    h.set_room(client, 1000);
    h.feed(client, "GET /5000 HTTP/1.1\r\nHost: h\r\n\r\nGET /7 HTTP/1.1\r\nHost: h\r\n\r\n");
    let arrived = h.take(client);
    let head = arrived.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let more = h.arrived(client);
    h.reset(client);
    let body = arrived.len() + more - head;
    assert_eq!(
        tails(&lines),
        [
            format!("\"GET /5000 HTTP/1.1\" 200 {body} \"-\" \"-\""),
            "\"GET /7 HTTP/1.1\" 200 - \"-\" \"-\"".to_owned(),
        ]
    );
}

#[test]
fn row_38_refusals_and_last_answers_are_logged_when_the_connection_closes() {
    let (mut h, lines) = harness();
    let client = h.open();
    h.feed(client, "GET /a b\x1b[m\r\nHost: h\r\n\r\n");
    assert_eq!(tails(&lines), ["\"GET /a b\\x1b[m\" 400 16 \"-\" \"-\""]);
    let client = h.open();
    h.feed(client, "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(tails(&lines), ["\"GET /3 HTTP/1.1\" 200 3 \"-\" \"-\""]);
    let client = h.open();
    h.feed(client, "GET /3");
    h.advance(Duration::from_secs(11));
    assert_eq!(tails(&lines), ["\"GET /3\" 408 20 \"-\" \"-\""]);
    let client = h.open();
    h.feed(client, "HEAD /3 HTTP/1.1\r\nHost: h\r\n");
    h.advance(Duration::from_secs(11));
    assert_eq!(tails(&lines), ["\"HEAD /3 HTTP/1.1\" 408 - \"-\" \"-\""]);
}

#[test]
fn row_38_requests_noted_for_the_log_are_bounded_by_not_reading() {
    let (mut h, lines) = harness();
    let client = h.open();
    h.set_room(client, 100);
    let agent = "a".repeat(10_000);
    let request = format!("GET /5 HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\n\r\n");
    h.feed(client, request.repeat(20));
    assert!(h.ledger().queued < 8 * 100, "{} bytes queued", h.ledger().queued);
    h.sent(client);
    assert_eq!(lines.borrow().len(), 20);
}

#[test]
fn a_long_input_is_answered_and_logged_to_its_end() {
    let (mut h, lines) = harness();
    let client = h.open();
    let agent = "a".repeat(1000);
    let request = format!("GET /5 HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\n\r\n");
    h.feed(client, request.repeat(400));
    h.sent(client);
    assert_eq!(lines.borrow().len(), 400);
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn nothing_is_logged_for_a_service_that_does_not_want_it() {
    struct Silent(Logged);
    impl Service for Silent {
        type State = ();

        fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
            self.0.call(request, reply)
        }
        fn on_sent(&mut self, record: &LogRecord<'_>) {
            self.0.on_sent(record);
        }
    }
    let lines = Lines::default();
    let mut h = Harness::new(Http::new(Silent(Logged { lines: lines.clone() })));
    let client = h.open();
    h.feed(client, "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(!h.sent(client).is_empty());
    drop(h);
    assert!(lines.borrow().is_empty());
}

#[test]
fn row_38_a_body_that_a_lost_connection_did_not_take_is_logged_as_not_sent() {
    let (mut h, lines) = harness();
    let client = h.open();
    /// The same on every Unix.
    const EPIPE: i32 = 32;
    // Enough small responses to be sent before the large one is queued.
    h.script_send(client, [Step::Errno(EPIPE)]);
    let small = "GET /2000 HTTP/1.1\r\nHost: h\r\n\r\n".repeat(4);
    h.feed(client, small + "GET /100000 HTTP/1.1\r\nHost: h\r\n\r\n");
    let all = tails(&lines);
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|line| line.ends_with(" 200 - \"-\" \"-\"")), "{all:?}");
}

#[test]
fn row_38_small_bodies_that_a_lost_connection_did_not_take_are_logged_as_not_sent() {
    const EPIPE: i32 = 32;
    // The fifth response fills the batch that fails, after nothing or something has left.
    for before in [0, 1] {
        let (mut h, lines) = harness();
        let client = h.open();
        let request = "GET /4000 HTTP/1.1\r\nHost: h\r\n\r\n";
        h.feed(client, request.repeat(before));
        assert_eq!(tails(&lines).len(), before);
        h.script_send(client, [Step::Errno(EPIPE)]);
        h.feed(client, request.repeat(8));
        let all = tails(&lines);
        assert_eq!(all, vec!["\"GET /4000 HTTP/1.1\" 200 - \"-\" \"-\""; all.len()]);
        assert!((4..=8).contains(&all.len()), "{all:?}");
    }
}

#[test]
fn row_38_the_user_is_the_third_word_of_a_line() {
    let (mut h, lines) = harness();
    for (credentials, user) in [
        ("Basic YWxpY2U6c2VjcmV0", "alice"),
        ("basic  YWxpY2U6", "alice"),
        ("Basic YSAiYv86c2VjcmV0", "a\\x20\\x22b\\xff"),
        ("Basic OnNlY3JldA==", "-"),
        ("Basic YWxpY2U=", "-"),
        ("Basic !", "-"),
        ("Bearer YWxpY2U6c2VjcmV0", "-"),
        ("Basic", "-"),
    ] {
        let client = h.open();
        let fields = format!("Host: h\r\nAuthorization: {credentials}\r\n");
        h.feed(client, format!("GET /13 HTTP/1.1\r\n{fields}\r\n"));
        let lines: Vec<String> = lines.borrow_mut().drain(..).collect();
        assert_eq!(lines[0].split(' ').nth(2), Some(user), "{credentials}: {lines:?}");
        assert!(!lines[0].contains("secret"), "{lines:?}");
    }
}

#[test]
fn a_request_of_a_client_whose_address_is_gone_is_not_served() {
    let (mut h, lines) = harness();
    h.at_once(|h| {
        let client = h.open();
        h.feed(client, "GET /13 HTTP/1.1\r\nHost: h\r\n\r\n");
        h.reset(client);
    });
    assert!(lines.borrow().is_empty(), "{lines:?}");
    assert_eq!((h.ledger().accepted, h.open_descriptors().streams), (1, 0));
}
