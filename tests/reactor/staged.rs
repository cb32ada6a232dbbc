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
    assert_eq!(h.sent(client), b"abcde");
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
        assert_eq!(h.sent(client), b"abcdefgh", "{room}");
    }
}

#[test]
fn an_interrupted_send_is_made_again_and_a_failed_one_ends_the_connection() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.script_send(client, [Step::Interrupted]);
    h.feed(client, b"abc");
    assert_eq!(h.sent(client), b"abc");
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
        assert_eq!(h.sent(client), b"the last");
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
        assert_eq!(h.sent(client), b"abcd");
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
