//! `on_drain` comes when it was asked for or owed, and never from inside a call.

use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Limits, Sent};

use crate::probe::{Call, Probe, log, pattern, with_limits};

#[test]
fn a_drain_that_is_asked_for_follows_the_last_byte() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            cx.request_drain();
            cx.send("answer");
            notes.add("sent");
        }
        Call::Drain => notes.add(format_args!("pending {}", cx.pending())),
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.set_room(client, 3);
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 sent"]);
    assert_eq!(h.take(client), "ans");
    assert_eq!(log(&mut h), ["0 drain", "0 pending 0"]);
    assert_eq!(h.sent(client), "wer");
    assert!(log(&mut h).is_empty(), "asked for once, comes once");
}

#[test]
fn a_drain_asked_for_with_nothing_queued_comes_at_once_but_after_the_callback() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Open => {
            cx.request_drain();
            notes.add("asked");
        }
        call => call.by_default(cx),
    }));
    h.open();
    assert_eq!(log(&mut h), ["0 open", "0 asked", "0 drain"]);
}

#[test]
fn a_drain_comes_after_the_callback_though_a_send_inside_of_it_left_at_once() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            cx.request_drain();
            assert_eq!(cx.send(&pattern(10_000)[..]), Sent::Accepted);
            assert_eq!(cx.pending(), 0, "it is not queued");
            notes.add("sent");
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 sent", "0 drain"]);
}

#[test]
fn a_full_queue_drains_once_it_has_fallen_to_the_lower_mark() {
    let limits = Limits { send_high: 1000, send_low: 500, ..Limits::default() };
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            let answers = [cx.send(pattern(600)), cx.send(pattern(600))];
            notes.add(format_args!("{answers:?}"));
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, b"x");
    let answers = format!("0 {:?}", [Sent::Accepted, Sent::Full]);
    assert_eq!(log(&mut h), ["0 open", "0 data x", answers.as_str()]);
    for _ in 0..5 {
        h.take(client);
        assert!(log(&mut h).is_empty(), "{} bytes have left", h.ledger().sent);
    }
    h.take(client);
    assert_eq!(log(&mut h), ["0 drain"]);
    assert_eq!(h.ledger().sent, 700);
    h.sent(client);
    assert!(log(&mut h).is_empty(), "one drain for one full queue");
}

#[test]
fn a_drain_that_was_asked_for_comes_after_one_for_the_lower_mark() {
    let limits = Limits { send_high: 1000, send_low: 500, ..Limits::default() };
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            cx.send(pattern(1000));
            cx.request_drain();
        }
        Call::Drain => notes.add(format_args!("pending {}", cx.pending())),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = h.open();
    h.set_room(client, 300);
    h.feed(client, b"x");
    log(&mut h);
    h.sent(client);
    assert_eq!(log(&mut h), ["0 drain", "0 pending 400", "0 drain", "0 pending 0"]);
}

#[test]
fn a_producer_that_waits_for_drains_sends_everything_and_shares_the_reactor() {
    let mut left = 200;
    let mut h = Harness::new(Probe::new(move |cx, call, notes| match (call, notes.current) {
        (Call::Data(input), 1) => {
            cx.send(input.take());
        }
        (Call::Data(_) | Call::Drain, 0) if left > 0 => {
            left -= 1;
            cx.send(pattern(1000));
            cx.request_drain();
        }
        (call, _) => call.by_default(cx),
    }));
    let (producer, other) = (h.open(), h.open());
    h.at_once(|h| {
        h.feed(producer, b"go");
        h.feed(other, b"me too");
        h.turn();
        assert_eq!(h.sent(other), "me too");
        assert!(h.ledger().sent < 100_000, "one turn is not all of it");
    });
    assert_eq!(h.sent(producer).len(), 200_000);
}
