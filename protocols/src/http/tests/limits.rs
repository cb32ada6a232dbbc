//! Rows 16 to 18: limits on sizes, times and numbers.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Limits, Listen};

use super::{Closes, Http, HttpLimits, Probe, Stays};
use super::{answers, ask, check, check_long, probe, probe_with};
use crate::testing::same_at_every_split;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A request whose request line has `bytes` bytes.
fn line_of(bytes: usize) -> String {
    let target = "a".repeat(bytes - "GET / HTTP/1.1".len());
    format!("GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A request whose head has `bytes` bytes, at least 2000, in fields of about 1000.
fn head_of(bytes: usize) -> String {
    let start = "GET / HTTP/1.1\r\nHost: h\r\n";
    let field = |bytes: usize| format!("A: {}\r\n", "a".repeat(bytes - 5));
    let left = bytes - start.len() - 2;
    let (many, last) = (left / 1000 - 1, 1000 + left % 1000);
    format!("{start}{}{}\r\n", field(1000).repeat(many), field(last))
}

#[test]
fn row_16_a_request_line_up_to_the_limit() {
    for bytes in [8000, 8192] {
        let request = line_of(bytes);
        let target = &request[4..bytes - 9];
        check_long(probe, &[(&request, &[&format!("200 Get {target} h")], Stays)]);
    }
    for bytes in [8193, 20_000, 100_000] {
        check_long(probe, &[(&line_of(bytes), &["414"], Closes)]);
    }
}

#[test]
fn row_16_a_request_line_without_an_end() {
    let endless = format!("GET /{}", "a".repeat(8190));
    check_long(probe, &[(&endless, &["414"], Closes)]);
    check_long(probe, &[(&endless[..8193], &[], Stays)]);
}

#[test]
fn row_16_a_head_up_to_the_limit() {
    check_long(probe, &[(&head_of(32 << 10), &["200 Get / h"], Stays)]);
    for bytes in [(32 << 10) + 1, 40_000, 200_000] {
        check_long(probe, &[(&head_of(bytes), &["431"], Closes)]);
    }
    let endless = head_of(40_000);
    check_long(probe, &[(&endless[..(32 << 10) + 1], &["431"], Closes)]);
    check_long(probe, &[(&endless[..32 << 10], &[], Stays)]);
    assert!(HttpLimits::default().head < Limits::default().max_unread);
}

#[test]
fn row_16_a_request_line_that_no_head_has_room_for() {
    let make = || probe_with(HttpLimits { head: 64, ..HttpLimits::default() });
    for (bytes, refusal) in [(62, "431"), (63, "414"), (64, "414"), (65, "414"), (100, "414")] {
        let outcome = same_at_every_split(make, line_of(bytes));
        assert_eq!(answers(&outcome.sent), [refusal], "a line of {bytes} bytes");
    }
}

#[test]
fn row_16_header_fields_up_to_the_limit() {
    let with = |fields: usize| {
        format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(fields - 1))
    };
    check_long(probe, &[(&with(100), &["200 Get / h"], Stays)]);
    check_long(probe, &[(&with(101), &["431"], Closes), (&with(1000), &["431"], Closes)]);
}

#[test]
fn row_16_limits_are_configurable() {
    let limits =
        HttpLimits { request_line: 14, head: 27, headers: 1, body: 5, ..HttpLimits::default() };
    let make = || probe_with(limits.clone());
    check_long(
        make,
        &[
            (REQUEST, &["200 Get / h"], Stays),
            ("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", &["414"], Closes),
            ("GET / HTTP/1.1\r\nHost: hh\r\n\r\n", &["431"], Closes),
        ],
    );
    let limits = HttpLimits { headers: 2, body: 5, ..HttpLimits::default() };
    let make = || probe_with(limits.clone());
    let body = |length: u64| {
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\nhello")
    };
    check_long(
        make,
        &[
            (&body(5), &["200 Post / h"], Stays),
            (&body(6), &["413"], Closes),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n", &["431"], Closes),
        ],
    );
}

#[test]
fn row_16_a_huge_body_is_refused_before_it_comes() {
    let request =
        |length: u64| format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    check(&[
        (&request(u64::MAX), &["413"], Closes),
        (&request((1 << 30) + 1), &["413"], Closes),
        (&request(1 << 30), &["200 Post / h"], Closes),
    ]);
}

#[test]
fn row_17_trickling_in_does_not_move_the_deadline_of_a_head() {
    let mut h = probe();
    let client = h.open();
    for byte in "GET /abcd".bytes() {
        h.feed(client, [byte]);
        h.advance(Duration::from_secs(1));
    }
    assert_eq!(h.state(client), State::Open);
    h.feed(client, "e");
    assert!(h.sent(client).is_empty());
    h.advance(Duration::from_millis(1100));
    assert_eq!(answers(&h.sent(client)), ["408"]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn row_17_each_head_has_its_own_deadline() {
    let mut h = probe();
    let client = h.open();
    for _ in 0..5 {
        h.feed(client, "GET / HTTP/1.1\r\n");
        h.advance(Duration::from_secs(8));
        assert_eq!(ask(&mut h, client, "Host: h\r\n\r\n"), ["200 Get / h"]);
        h.advance(Duration::from_secs(8));
    }
    assert_eq!(h.state(client), State::Open);
    h.feed(client, "GET /");
    h.advance(Duration::from_secs(11));
    assert_eq!(answers(&h.sent(client)), ["408"]);
}

#[test]
fn row_17_an_idle_connection_is_closed_in_silence() {
    for first in ["", REQUEST, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy\r\n"] {
        let mut h = probe();
        let client = h.open();
        h.feed(client, first);
        h.sent(client);
        h.advance(Duration::from_secs(74));
        assert_eq!(h.state(client), State::Open, "{first:?}");
        h.advance(Duration::from_secs(2));
        assert!(h.sent(client).is_empty(), "{first:?}");
        assert_eq!(h.state(client), State::Shut, "{first:?}");
    }
}

#[test]
fn row_17_a_body_being_skipped_has_a_deadline_and_no_second_answer() {
    let mut h = probe();
    let client = h.open();
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n";
    assert_eq!(ask(&mut h, client, post), ["200 Post / h"]);
    for _ in 0..9 {
        h.feed(client, "x");
        h.advance(Duration::from_secs(1));
    }
    assert_eq!(h.state(client), State::Open);
    h.advance(Duration::from_millis(1100));
    assert!(h.sent(client).is_empty());
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn row_17_a_client_that_takes_no_answers_is_not_blamed_for_its_next_head() {
    let limits = Limits { send_high: 1000, send_low: 500, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Http::new(Probe), &listen);
    let client = h.open();
    h.set_room(client, 10);
    h.feed(client, format!("{}GET /last", REQUEST.repeat(20)));
    h.feed(client, " HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_ne!(h.unread(client), 0);
    h.advance(Duration::from_secs(30));
    let all = answers(&h.sent(client));
    assert_eq!(all.len(), 21);
    assert_eq!(all[20], "200 Get /last h");
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn row_17_a_client_that_reads_again_has_the_whole_time_for_its_next_head() {
    let limits = Limits { send_high: 1000, send_low: 500, ..Limits::default() };
    let mut h = Harness::with(Http::new(Probe), &Listen { limits, ..Listen::default() });
    let client = h.open();
    h.set_room(client, 10);
    h.feed(client, format!("{}GET /last", REQUEST.repeat(20)));
    h.advance(Duration::from_secs(30));
    assert_eq!(answers(&h.sent(client)).len(), 20);
    h.advance(Duration::from_secs(21));
    assert_eq!(answers(&h.sent(client)), ["408"]);
}

#[test]
fn row_17_a_reader_that_stalls_is_cut_off() {
    let mut h = probe();
    let client = h.open();
    h.set_room(client, 10);
    h.feed(client, REQUEST);
    h.advance(Duration::from_secs(59));
    assert_eq!(h.state(client), State::Open);
    h.advance(Duration::from_secs(2));
    assert_eq!(h.state(client), State::Reset);
}

#[test]
fn row_18_requests_on_a_connection() {
    let limits = HttpLimits { requests: Some(2), ..HttpLimits::default() };
    let mut h = probe_with(limits);
    let client = h.open();
    h.feed(client, REQUEST.repeat(3));
    let sent = h.sent(client);
    assert_eq!(answers(&sent), ["200 Get / h", "200 Get / h"]);
    assert_eq!(sent.text().matches("Connection: close").count(), 1);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn row_18_pipelined_requests_wait_for_a_reader_and_are_answered_in_order() {
    let mut h = probe();
    let client = h.open();
    h.set_room(client, 1 << 10);
    let requests: String =
        (0..5000).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    h.feed(client, &requests);
    let queued = h.ledger().queued;
    let most = Limits::default().send_high as u64 + (32 << 10);
    assert!(queued < most, "{queued} bytes of answers for a client that reads nothing");
    let expected: Vec<_> = (0..5000).map(|n| format!("200 Get /{n} h")).collect();
    assert_eq!(answers(&h.sent(client)), expected);
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn row_18_a_receive_full_of_requests_keeps_nobody_waiting() {
    const REQUESTS: usize = 10_000;
    const PER_TURN: usize = 1024;
    let mut h = probe();
    let (greedy, modest) = (h.open(), h.open());
    h.set_room(greedy, usize::MAX);
    h.at_once(|h| {
        h.feed(greedy, REQUEST.repeat(REQUESTS));
        for _ in 0..3 {
            h.feed(modest, REQUEST);
            h.turn();
            assert_eq!(answers(&h.sent(greedy)).len(), PER_TURN);
            assert_eq!(answers(&h.sent(modest)), ["200 Get / h"], "served in between");
        }
    });
    assert_eq!(answers(&h.sent(greedy)).len(), REQUESTS - 3 * PER_TURN);
}
