//! A paused connection keeps what arrives and forgets nothing of it.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Limits, Listen};

use crate::probe::{Call, Probe, log};

/// Pauses with the first input of every connection, which it leaves; `feed` on the second
/// connection resumes the first.
fn pauser() -> Probe {
    let mut paused = false;
    Probe::new(move |cx, call, notes| match call {
        Call::Data(_) if notes.current == 0 && !paused => {
            paused = true;
            cx.pause();
        }
        Call::Data(input) if notes.current == 1 => {
            input.take();
            cx.peer(notes.ids[0]).resume();
        }
        Call::Timeout(_) if !cx.wants_input() => {}
        call => call.by_default(cx),
    })
}

#[test]
fn input_left_at_a_pause_is_offered_again_at_the_resume() {
    let mut h = Harness::new(pauser());
    let (client, other) = (h.open(), h.open());
    h.feed(client, b"ab");
    h.feed(client, b"cd");
    assert_eq!(log(&mut h), ["0 open", "1 open", "0 data ab"]);
    h.feed(other, b"x");
    assert_eq!(log(&mut h), ["1 data x", "0 data ab", "0 data cd"]);
}

#[test]
fn an_end_during_a_pause_is_delivered_after_it() {
    let mut h = Harness::new(pauser());
    let (client, other) = (h.open(), h.open());
    h.feed(client, b"ab");
    h.feed(client, b"cd");
    h.finish(client);
    assert_eq!(log(&mut h), ["0 open", "1 open", "0 data ab"]);
    h.feed(other, b"x");
    let expected = ["1 data x", "0 data ab", "0 data cd", "0 eof", "0 close Closed"];
    assert_eq!(log(&mut h), expected);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn the_idle_time_starts_again_at_the_resume() {
    let limits = Limits { idle: Some(Duration::from_secs(10)), ..Limits::default() };
    let mut h = Harness::with(pauser(), &Listen { limits, ..Listen::default() });
    let client = h.open();
    h.feed(client, b"ab");
    h.advance(Duration::from_secs(11));
    assert_eq!(log(&mut h), ["0 open", "0 data ab", "0 timeout Idle"]);
    h.advance(Duration::from_secs(8));
    let other = h.open();
    h.feed(other, b"x");
    assert_eq!(log(&mut h), ["1 open", "1 data x", "0 data ab"]);
    h.advance(Duration::from_secs(9));
    assert!(log(&mut h).is_empty());
    h.advance(Duration::from_secs(2));
    assert!(log(&mut h).contains(&"0 timeout Idle".to_owned()));
}

#[test]
fn a_reset_during_a_pause_is_remembered() {
    let mut h = Harness::new(pauser());
    let (client, other) = (h.open(), h.open());
    h.feed(client, b"ab");
    h.reset(client);
    assert_eq!(log(&mut h), ["0 open", "1 open", "0 data ab"]);
    h.feed(other, b"x");
    assert_eq!(log(&mut h), ["1 data x", "0 data ab", "0 close Reset"]);
}

#[test]
fn a_connection_paused_as_it_opens_reads_nothing() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => cx.pause(),
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"ab");
    h.finish(client);
    assert_eq!(log(&mut h), ["0 open"]);
    assert_eq!(h.unread(client), 2);
}

#[test]
fn resuming_inside_a_callback_offers_the_input_after_it() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) if notes.log.len() == 2 => {
            cx.pause();
            cx.resume();
            notes.add(format_args!("leaves {}", input.len()));
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"ab");
    assert_eq!(log(&mut h), ["0 open", "0 data ab", "0 leaves 2", "0 data ab"]);
}
