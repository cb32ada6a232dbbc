//! A client that does not read is not read from, and costs no more memory than the mark allows.

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Bytes, Limits};

use crate::probe::{Call, Probe, log, pattern, with_limits};

/// Most bytes of one receive.
const RECEIVE: usize = 512 << 10;

#[test]
fn an_echo_to_a_client_that_never_reads_stops_at_the_mark_and_one_receive() {
    let limits = Limits::default();
    let mark = limits.send_high;
    let mut h = with_limits(Probe::echo(), limits);
    let client = h.open();
    h.set_room(client, 0);
    let input = pattern(8 << 20);
    for part in input.chunks(100_000) {
        h.feed(client, part);
    }
    let held = h.ledger().queued - h.ledger().sent;
    assert!(held <= (mark + RECEIVE) as u64, "{held} bytes are held");
    assert!(h.unread(client) as u64 + held >= input.len() as u64, "the rest was not received");

    h.set_room(client, 50_000);
    assert_eq!(h.sent(client), input);
}

#[test]
fn a_receive_is_no_larger_than_what_the_queue_still_takes() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.set_room(client, 0);
    h.feed(client, b"ten bytes!");
    h.feed(client, pattern(1 << 20));
    let held = h.ledger().queued - h.ledger().sent;
    assert_eq!(held, Limits::default().send_high as u64);
}

#[test]
fn a_full_queue_stops_the_reading_and_an_empty_one_resumes_it() {
    let limits = Limits { send_high: 100, send_low: 10, ..Limits::default() };
    let mut h = with_limits(Probe::echo(), limits);
    let client = h.open();
    h.set_room(client, 1);
    h.feed(client, pattern(200));
    h.feed(client, b"not read yet");
    h.finish(client);
    assert_eq!(log(&mut h), ["0 open", "0 data of 200"]);
    assert_eq!(h.unread(client), 12);
    let mut expected = pattern(200);
    expected.extend(b"not read yet");
    assert_eq!(h.sent(client), expected);
    assert_eq!(log(&mut h), ["0 drain", "0 data not read yet", "0 eof", "0 close Closed"]);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn messages_left_at_a_full_queue_are_offered_again_when_it_drains() {
    let limits = Limits { send_high: 10, send_low: 0, ..Limits::default() };
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            while cx.wants_input() && !input.is_empty() {
                let digit = input[0];
                input.consume(1);
                cx.send(&[digit; 10]);
            }
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = h.open();
    h.set_room(client, 4);
    h.feed(client, b"123");
    assert_eq!(log(&mut h), ["0 open", "0 data 123"]);
    assert_eq!(h.sent(client), "111111111122222222223333333333");
    assert_eq!(log(&mut h), ["0 drain", "0 data 23", "0 drain", "0 data 3", "0 drain"]);
}

#[test]
fn many_segments_fill_a_queue_whatever_their_size() {
    let limits = Limits { join: 0, join_in_room: 0, send_segments: 4, ..Limits::default() };
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Open => {
            for _ in 0..4 {
                let sent = cx.send(Bytes::from_static(b"x"));
                notes.add(format_args!("{sent:?}"));
            }
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = h.open();
    let expected = ["0 open", "0 Accepted", "0 Accepted", "0 Accepted", "0 Full", "0 drain"];
    assert_eq!(log(&mut h), expected);
    assert_eq!(h.sent(client), "xxxx");
    assert_eq!(h.calls().send_gather, 1);
}

#[test]
fn little_pieces_leave_in_one_call() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            for byte in input.take() {
                cx.send(&[*byte]);
                cx.send(Bytes::from_static(b","));
            }
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"abc");
    assert_eq!(h.sent(client), "a,b,c,");
    assert_eq!((h.calls().send, h.calls().send_gather), (1, 0));
}

#[test]
fn what_is_sent_to_another_connection_leaves_in_the_same_turn() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            let bytes = input.take();
            for id in notes.ids.clone() {
                cx.peer(id).send(bytes);
            }
        }
        call => call.by_default(cx),
    }));
    let clients = [h.open(), h.open(), h.open()];
    h.at_once(|h| {
        h.feed(clients[1], b"hello");
        h.turn();
        for client in clients {
            assert_eq!(h.sent(client), "hello");
        }
    });
}

#[test]
fn a_full_queue_of_another_connection_does_not_stop_the_own_reading() {
    let limits = Limits { send_high: 100, ..Limits::default() };
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            let sent = cx.peer(notes.ids[0]).send(input.take());
            notes.add(format_args!("{sent:?}"));
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let (to, from) = (h.open(), h.open());
    h.set_room(to, 0);
    log(&mut h);
    h.feed(from, b"one");
    h.feed(from, pattern(200));
    h.feed(from, b"two");
    let expected = ["1 data one", "1 Accepted", "1 data of 200", "1 Full", "1 data two", "1 Full"];
    assert_eq!(log(&mut h), expected);
}
