//! Little that a callback sends first leaves behind it, in one call and without a queue.

use sluicegate_reactor::testing::{Harness, State, Step};
use sluicegate_reactor::{Bytes, ConnId, Limits};

use crate::probe::{Call, Probe, log, pattern, with_limits};

/// Sends these pieces for any input.
fn sends(pieces: &'static [&'static [u8]]) -> Harness<Probe> {
    Harness::new(Probe::new(move |cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            for piece in pieces {
                let sent = cx.send(*piece);
                notes.add(format_args!("{sent:?}, {} pending", cx.pending()));
            }
        }
        call => call.by_default(cx),
    }))
}

#[test]
fn what_a_callback_sends_is_pending_until_it_returns() {
    let mut h = sends(&[b"abc", b"de"]);
    let client = h.open();
    h.feed(client, b"x");
    let expected = ["0 open", "0 data x", "0 Accepted, 3 pending", "0 Accepted, 5 pending"];
    assert_eq!(log(&mut h), expected);
    assert_eq!(h.sent(client), "abcde");
    assert_eq!((h.calls().send, h.ledger().send_bytes, h.ledger().joined), (1, 5, 5));
}

#[test]
fn what_the_socket_refuses_waits_and_leaves_in_order() {
    for room in 0..6 {
        let mut h = Harness::new(Probe::echo());
        let client = h.open();
        h.set_room(client, room);
        h.feed(client, b"abcde");
        h.feed(client, b"fgh");
        let taken = room.min(8) as u64;
        assert_eq!((h.ledger().sent, h.ledger().pending()), (taken, 8 - taken), "{room}");
        h.set_room(client, 100);
        assert_eq!(h.sent(client), "abcdefgh", "{room}");
    }
}

#[test]
fn an_interrupted_send_is_made_again_and_a_failed_one_ends_the_connection() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.script_send(client, [Step::Interrupted]);
    h.feed(client, b"abc");
    assert_eq!(h.sent(client), "abc");
    h.script_send(client, [Step::Errno(libc::ECONNRESET)]);
    h.feed(client, b"def");
    assert_eq!(h.ledger().dropped, 3);
    assert_eq!(log(&mut h), ["0 open", "0 data abc", "0 data def", "0 close Reset"]);
    assert_ne!(h.state(client), State::Open);
}

#[test]
fn what_does_not_fit_follows_in_order() {
    let long = pattern(3000);
    let shared = Bytes::from(pattern(9000));
    let mut expected = b"head".to_vec();
    expected.extend([&long[..], &long, &shared, b"tail"].concat());
    let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send("head");
            cx.send(&long[..]);
            cx.send(&long[..]);
            cx.send(shared.clone());
            cx.send("tail");
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"x");
    assert_eq!(h.sent(client), expected);
}

#[test]
fn what_is_sent_before_an_abort_or_a_panic_is_dropped() {
    for panics in [false, true] {
        let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                input.take();
                cx.send("never mind");
                assert!(!panics, "as the test wants it");
                cx.abort();
            }
            call => call.by_default(cx),
        }));
        h.expect_panics();
        let client = h.open();
        h.feed(client, b"x");
        assert_eq!(h.state(client), State::Reset);
        assert_eq!((h.ledger().sent, h.ledger().dropped), (0, "never mind".len() as u64));
    }
}

#[test]
fn what_is_sent_before_a_close_or_a_shutdown_arrives() {
    for close in [false, true] {
        let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                cx.send(input.take());
                if close { cx.close() } else { cx.shutdown() }
            }
            call => call.by_default(cx),
        }));
        let client = h.open();
        h.feed(client, b"the last");
        assert_eq!(h.sent(client), "the last");
        assert_ne!(h.state(client), State::Open);
    }
}

#[test]
fn few_bytes_fill_a_queue_that_takes_few() {
    for (limits, expected) in [
        (Limits { send_high: 4, send_low: 0, ..Limits::default() }, "0 Full"),
        (Limits { send_segments: 1, ..Limits::default() }, "0 Full"),
        (Limits::default(), "0 Accepted"),
    ] {
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Data(input) => {
                let sent = cx.send(input.take());
                notes.add(format_args!("{sent:?}"));
            }
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let client = h.open();
        h.feed(client, b"abcd");
        assert_eq!(log(&mut h)[..3], ["0 open", "0 data abcd", expected]);
        assert_eq!(h.sent(client), "abcd");
    }
}

#[test]
fn what_a_callback_sends_to_another_connection_does_not_mix_with_what_is_its_own() {
    let mut h = Harness::new(Probe::new(move |cx, call, notes| match call {
        Call::Data(input) => {
            let others: Vec<ConnId> =
                notes.ids.iter().copied().filter(|id| *id != cx.id()).collect();
            cx.send("mine ");
            for id in others {
                cx.peer(id).send("yours ");
            }
            let me = cx.id();
            cx.peer(me).send(input.take());
        }
        call => call.by_default(cx),
    }));
    let clients = [h.open(), h.open()];
    h.at_once(|h| {
        h.feed(clients[0], b"a");
        h.feed(clients[1], b"b");
    });
    let (first, second) = (h.sent(clients[0]), h.sent(clients[1]));
    assert_eq!(first, b"mine ayours ");
    let orders: [&[u8]; 2] = [b"yours mine b", b"mine byours "];
    assert!(orders.contains(&&second[..]), "{}", second.escape_ascii());
}

/// Sends a header and shared bytes behind it for any input.
fn answers(header: &'static str, body: &Bytes) -> Probe {
    let body = body.clone();
    Probe::new(move |cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            cx.send(header);
            let sent = cx.send(body.clone());
            notes.add(format_args!("{sent:?}, {} pending", cx.pending()));
        }
        call => call.by_default(cx),
    })
}

#[test]
fn shared_bytes_leave_behind_few_in_one_call_and_are_given_back() {
    for (header, sends, gathers) in [("head", 0, 1), ("", 1, 0)] {
        let body = Bytes::from(pattern(9000));
        let mut h = Harness::new(answers(header, &body));
        let client = h.open();
        h.feed(client, b"x");
        let pending = header.len() + 9000;
        assert_eq!(log(&mut h)[2], format!("0 Accepted, {pending} pending"));
        assert!(h.sent(client) == [header.as_bytes(), &body].concat(), "another answer");
        assert_eq!((h.calls().send, h.calls().send_gather), (sends, gathers));
        let ledger = h.ledger();
        assert_eq!((ledger.send_calls, ledger.gather_calls), (sends, gathers));
        assert_eq!(ledger.send_bytes + ledger.gather_bytes, pending as u64);
        assert_eq!((ledger.joined, ledger.short_writes), (header.len() as u64, 0));
        drop(h);
        assert!(body.is_unique(), "nobody has it any more");
    }
}

#[test]
fn shared_bytes_are_given_back_at_once() {
    let body = Bytes::from(pattern(9000));
    let sends = body.clone();
    let mut once = Some(sends);
    let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send("head");
            cx.send(once.take().unwrap());
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"x");
    assert!(body.is_unique(), "it is kept after it was sent");
}

#[test]
fn what_the_socket_refuses_of_shared_bytes_waits_and_leaves_in_order() {
    let body = Bytes::from(pattern(5000));
    let expected = [b"head", &body[..]].concat().repeat(2);
    for room in [0, 1, 3, 4, 5, 2500, 5003, 5004, 5005, 10_007, 10_008] {
        let mut h = Harness::new(answers("head", &body));
        let client = h.open();
        h.set_room(client, room);
        h.feed(client, b"x");
        let taken = room.min(5004) as u64;
        assert_eq!((h.ledger().sent, h.ledger().pending()), (taken, 5004 - taken), "{room}");
        h.feed(client, b"y");
        h.set_room(client, 20_000);
        assert!(h.sent(client) == expected, "another answer with room for {room}");
    }
}

#[test]
fn what_follows_shared_bytes_is_behind_them() {
    let body = Bytes::from(pattern(5000));
    let sends = body.clone();
    let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            for _ in 0..2 {
                cx.send("head");
                cx.send(sends.clone());
            }
            cx.send(Bytes::from_static(b"tail"));
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"x");
    let answer = [b"head", &body[..]].concat();
    assert!(h.sent(client) == [&answer[..], &answer, b"tail"].concat(), "another answer");
    assert_eq!((h.calls().send, h.calls().send_gather), (0, 1));
}

#[test]
fn shared_bytes_that_fill_a_queue_are_queued() {
    let limits = |send_high| Limits { send_high, send_low: 0, ..Limits::default() };
    for (limits, expected) in [
        (limits(5004), "0 Full, 5004 pending"),
        (limits(5005), "0 Accepted, 5004 pending"),
        (Limits { send_segments: 2, ..Limits::default() }, "0 Full, 5004 pending"),
        (Limits { send_segments: 3, ..Limits::default() }, "0 Accepted, 5004 pending"),
    ] {
        let body = Bytes::from(pattern(5000));
        let mut h = with_limits(answers("head", &body), limits);
        let client = h.open();
        h.feed(client, b"x");
        assert_eq!(log(&mut h)[2], expected);
        assert!(h.sent(client) == [b"head", &body[..]].concat(), "another answer");
    }
}

#[test]
fn shared_bytes_are_not_gathered_if_nothing_is() {
    let body = Bytes::from(pattern(5000));
    let limits = Limits { gather_pieces: 1, ..Limits::default() };
    let mut h = with_limits(answers("head", &body), limits);
    let client = h.open();
    h.feed(client, b"x");
    assert!(h.sent(client) == [b"head", &body[..]].concat(), "another answer");
    assert_eq!((h.calls().send, h.calls().send_gather), (2, 0));
}

#[test]
fn shared_bytes_that_cannot_leave_any_more_are_dropped() {
    let body = Bytes::from(pattern(5000));
    let mut h = Harness::new(answers("head", &body));
    let client = h.open();
    h.script_send(client, [Step::Errno(libc::ECONNRESET)]);
    h.feed(client, b"x");
    assert_eq!((h.ledger().sent, h.ledger().dropped), (0, 5004));
    assert_eq!(log(&mut h).last().unwrap(), "0 close Reset");

    let sends = body.clone();
    let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
        Call::Data(_) => {
            cx.send("head");
            cx.send(sends.clone());
            cx.abort();
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"x");
    assert_eq!((h.ledger().sent, h.ledger().dropped), (0, 5004));
    assert_eq!(h.state(client), State::Reset);
}

#[test]
fn shared_bytes_for_which_there_is_room_are_joined() {
    let header = ["head", &"h".repeat(900)];
    for (headers, len, joined, gathers) in [
        (vec![header[0]], 4092, 4096, 0),
        (vec![header[0]], 4093, 4, 1),
        (vec![], 2048, 0, 0),
        (vec![header[1]; 3], 1396, 4096, 0),
        (vec![header[1]; 3], 1397, 2700, 1),
    ] {
        let headers: Vec<String> = headers.into_iter().map(String::from).collect();
        let body = Bytes::from(pattern(len));
        let expected = [headers.concat().as_bytes(), &body].concat();
        let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                input.take();
                for header in &headers {
                    cx.send(header.as_str());
                }
                cx.send(body.clone());
            }
            call => call.by_default(cx),
        }));
        let client = h.open();
        h.feed(client, b"x");
        assert!(h.sent(client) == expected, "another answer of {len}");
        let calls = (h.calls().send, h.calls().send_gather);
        assert_eq!((h.ledger().joined, calls), (joined, (1 - gathers, gathers)), "{len}");
    }
}

#[test]
fn a_rate_that_a_callback_sets_holds_for_what_it_has_sent() {
    for rate_first in [false, true] {
        let body = Bytes::from(pattern(60_000));
        let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                input.take();
                if rate_first {
                    cx.set_send_rate(Some(1000));
                }
                cx.send(body.clone());
                cx.set_send_rate(Some(1000));
            }
            call => call.by_default(cx),
        }));
        let client = h.open();
        h.feed(client, b"x");
        let sent = h.sent(client).len();
        assert!(sent <= 1000, "{sent} at once, with a rate set first: {rate_first}");
    }
}
