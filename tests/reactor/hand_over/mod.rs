//! A connection changes its handler between two callbacks, and nothing of it is lost or told twice.

mod debts;
mod ends;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{
    ConnId, Context, Handler, HandlerId, Input, Limits, Listen, Payload, Reactor, Reason, Timeout,
    Turn,
};

use crate::probe::{Call, Shown};

const SECOND: Duration = Duration::from_secs(1);

/// What both handlers are called for, in order: the session, the callback, what came with it.
type Log = Rc<RefCell<Vec<String>>>;
type Act<const N: u8> = dyn FnMut(&mut Part<N>, &mut Context<'_>, Call<'_, '_>);

/// One of two handlers of different types that know each other.
struct Part<const N: u8> {
    log: Log,
    old: HandlerId<Old>,
    new: HandlerId<New>,
    act: Option<Box<Act<N>>>,
    /// In `on_close`.
    fails: bool,
}

type Old = Part<0>;
type New = Part<1>;

impl<const N: u8> Part<N> {
    fn note(&self, session: &str, what: impl std::fmt::Display) {
        self.log.borrow_mut().push(format!("{session} {what}"));
    }

    fn call(&mut self, cx: &mut Context<'_>, session: &str, call: Call<'_, '_>) {
        match &call {
            Call::Open => self.note(session, "open"),
            Call::Ready => self.note(session, "ready"),
            Call::Data(input) => self.note(session, format_args!("data {}", Shown(input))),
            Call::Received(bytes) => self.note(session, format_args!("received {}", Shown(bytes))),
            Call::Relayed(left) => self.note(session, format_args!("relayed, {left} left")),
            Call::Drain => self.note(session, "drain"),
            Call::Eof => self.note(session, "eof"),
            Call::Timeout(which) => self.note(session, format_args!("timeout {which:?}")),
            Call::Stop => self.note(session, "stop"),
        }
        let mut act = self.act.take().unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(self, cx, call)));
        self.act = Some(act);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    }
}

impl<const N: u8> Handler for Part<N> {
    type Session = &'static str;

    fn on_open(&mut self, cx: &mut Context<'_>) -> &'static str {
        self.call(cx, "a", Call::Open);
        "a"
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut &'static str) {
        self.call(cx, session, Call::Ready);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, session: &mut &'static str, input: &mut Input<'_>) {
        self.call(cx, session, Call::Data(input));
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut &'static str,
        bytes: Payload<'_>,
    ) {
        self.call(cx, session, Call::Received(bytes));
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut &'static str, left: u64) {
        self.call(cx, session, Call::Relayed(left));
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut &'static str) {
        self.call(cx, session, Call::Drain);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut &'static str) {
        self.call(cx, session, Call::Eof);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut &'static str, which: Timeout) {
        self.call(cx, session, Call::Timeout(which));
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut &'static str) {
        self.call(cx, session, Call::Stop);
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, session: &'static str, why: Reason) {
        self.note(session, format_args!("close {why:?}"));
        assert!(!self.fails, "as the test wants it");
    }
}

/// A harness whose clients come to the old handler, and what the handlers note.
fn pair_with(
    limits: Limits,
    old: impl FnMut(&mut Old, &mut Context<'_>, Call<'_, '_>) + 'static,
    new: impl FnMut(&mut New, &mut Context<'_>, Call<'_, '_>) + 'static,
) -> (Harness<Old>, Log) {
    let log = Log::default();
    let make = |reactor: &mut Reactor| {
        let ids = (reactor.reserve(), reactor.reserve());
        let (log, fails) = (log.clone(), false);
        let new =
            Part { log: log.clone(), old: ids.0, new: ids.1, act: Some(Box::new(new)), fails };
        reactor.install(ids.1, new);
        let old = Part { log, old: ids.0, new: ids.1, act: Some(Box::new(old)), fails };
        reactor.install(ids.0, old);
        ids.0
    };
    (Harness::build(&Listen { limits, ..Listen::default() }, |_| {}, make), log)
}

fn pair(
    old: impl FnMut(&mut Old, &mut Context<'_>, Call<'_, '_>) + 'static,
    new: impl FnMut(&mut New, &mut Context<'_>, Call<'_, '_>) + 'static,
) -> (Harness<Old>, Log) {
    pair_with(Limits::default(), old, new)
}

/// A handler that does nothing of its own.
fn idle<const N: u8>(_: &mut Part<N>, cx: &mut Context<'_>, call: Call<'_, '_>) {
    call.by_default(cx);
}

/// An old handler that does this when there is input, which is then handed over with the rest.
fn on_data(
    mut act: impl FnMut(&mut Old, &mut Context<'_>) + 'static,
) -> impl FnMut(&mut Old, &mut Context<'_>, Call<'_, '_>) + 'static {
    move |part, cx, call| match call {
        Call::Data(input) => {
            input.consume(1);
            act(part, cx);
        }
        call => call.by_default(cx),
    }
}

/// Hands over what it is given up to the first line's end.
fn greeter(part: &mut Old, cx: &mut Context<'_>, call: Call<'_, '_>) {
    match call {
        Call::Data(input) => {
            if let Some(end) = input.iter().position(|byte| *byte == b'\n') {
                cx.send(&input.bytes()[..=end]);
                input.consume(end + 1);
                cx.hand_over(part.new, "b");
            }
        }
        call => call.by_default(cx),
    }
}

/// Sends back what it receives in capitals.
fn shouter(_: &mut New, cx: &mut Context<'_>, call: Call<'_, '_>) {
    match call {
        Call::Ready => {
            cx.send("(ready)");
        }
        Call::Data(input) => {
            cx.send(input.take().to_ascii_uppercase());
        }
        call => call.by_default(cx),
    }
}

/// What was noted since the last time.
fn taken(log: &Log) -> Vec<String> {
    log.take()
}

fn opened(h: &mut Harness<Old>, log: &Log) -> Client {
    let client = h.open();
    assert_eq!(taken(log), ["a open"]);
    client
}

#[test]
fn the_new_handler_begins_where_the_old_one_stopped() {
    let (mut h, log) = pair(greeter, shouter);
    let client = opened(&mut h, &log);
    h.feed(client, b"hi\nthere");
    let expected = ["a data hi\\nthere", "a close HandedOver", "b ready", "b data there"];
    assert_eq!(taken(&log), expected);
    h.feed(client, b"more");
    h.finish(client);
    assert_eq!(taken(&log), ["b data more", "b eof", "b close Closed"]);
    assert_eq!(h.sent(client), "hi\n(ready)THEREMORE");
}

#[test]
fn a_stop_is_told_to_whoever_has_the_connection_once_it_is_ready() {
    let (mut h, log) = pair(greeter, shouter);
    let client = opened(&mut h, &log);
    h.at_once(|h| {
        h.feed(client, b"hi\nthere");
        h.stop();
    });
    let expected = ["a data hi\\nthere", "a close HandedOver", "b ready", "b data there", "b stop"];
    assert_eq!(taken(&log), [&expected[..], &["b close Closed"]].concat());
    assert_eq!(h.sent(client), "hi\n(ready)THERE");
}

#[test]
fn no_byte_is_lost_or_seen_by_both_however_the_input_is_cut() {
    let make = || pair(greeter, shouter).0;
    let outcome = same_at_every_split(make, "first\nsecond\nthird");
    assert_eq!(outcome.sent, b"first\n(ready)SECOND\nTHIRD");
    assert_eq!((outcome.state, outcome.state_at_end), (State::Open, State::Closed));
}

#[test]
fn the_callback_that_hands_over_goes_on_and_wants_no_more_input() {
    let (mut h, log) = pair(
        on_data(|part, cx| {
            let before = cx.wants_input();
            cx.hand_over(part.new, "b");
            cx.send("still the old one");
            part.note("wants", format_args!("{before} {}", cx.wants_input()));
        }),
        shouter,
    );
    let client = opened(&mut h, &log);
    h.feed(client, b"x");
    assert_eq!(taken(&log), ["a data x", "wants true false", "a close HandedOver", "b ready"]);
    assert_eq!(h.sent(client), "still the old one(ready)");
}

#[test]
fn what_is_left_for_the_new_handler_is_no_overrun_but_what_that_leaves_is() {
    let limits = Limits { max_unread: 10, ..Limits::default() };
    let (mut h, log) = pair_with(limits.clone(), greeter, shouter);
    let client = opened(&mut h, &log);
    h.feed(client, b"\nmore than ten bytes");
    assert_eq!(h.sent(client), "\n(ready)MORE THAN TEN BYTES");

    let (mut h, log) = pair_with(limits, greeter, |_, _, _| {});
    let client = opened(&mut h, &log);
    h.feed(client, b"\n123456789");
    h.feed(client, b"0");
    let expected = ["b ready", "b data 123456789", "b data 1234567890", "b close Overrun"];
    assert_eq!(taken(&log)[2..], expected);
    assert_eq!(h.state(client), State::Reset);
}

#[test]
fn name_counters_queue_and_limits_stay() {
    let limits = Limits { idle: Some(10 * SECOND), ..Limits::default() };
    let note = |cx: &Context<'_>| {
        format!("{:?} {} {} {}", cx.id(), cx.received(), cx.sent(), cx.pending())
    };
    let (mut h, log) = pair_with(
        limits,
        on_data(move |part, cx| {
            cx.send("queued, and more than there is room for");
            part.note("was", note(cx));
            cx.hand_over(part.new, "b");
        }),
        move |part, cx, call| match call {
            Call::Ready => part.note("is", note(cx)),
            call => call.by_default(cx),
        },
    );
    let client = opened(&mut h, &log);
    h.set_room(client, 0);
    h.feed(client, b"x");
    let noted = taken(&log);
    assert_eq!(noted[1].strip_prefix("was "), noted[4].strip_prefix("is "), "{noted:?}");
    assert!(noted[4].ends_with(" 1 0 39"), "{noted:?}");
    h.set_room(client, 1000);
    assert_eq!(h.sent(client), "queued, and more than there is room for");
    h.advance(11 * SECOND);
    assert_eq!(taken(&log), ["b timeout Idle", "b close TimedOut"]);
}

#[test]
fn every_callback_of_the_old_handler_can_hand_over() {
    for callback in ["open", "drain", "timeout", "eof"] {
        let (mut h, log) = pair(
            move |part, cx, call| match call {
                Call::Open if callback == "open" => cx.hand_over(part.new, "b"),
                Call::Drain if callback == "drain" => cx.hand_over(part.new, "b"),
                Call::Timeout(_) if callback == "timeout" => cx.hand_over(part.new, "b"),
                Call::Eof if callback == "eof" => cx.hand_over(part.new, "b"),
                Call::Open => {
                    cx.set_deadline(Some(SECOND));
                    cx.request_drain();
                }
                call => call.by_default(cx),
            },
            shouter,
        );
        let client = h.open();
        if callback == "timeout" {
            h.advance(2 * SECOND);
        }
        if callback == "eof" {
            h.finish(client);
        } else {
            h.feed(client, b"x");
        }
        let noted = taken(&log);
        let at = noted.iter().position(|line| line == "a close HandedOver").expect(callback);
        assert!(noted[at - 1].contains(callback), "{noted:?}");
        let next = if callback == "eof" { "b eof" } else { "b data x" };
        assert_eq!(noted[at + 1..at + 3], ["b ready", next], "{callback}");
        assert!(h.sent(client).starts_with(b"(ready)"), "{callback}");
    }
}

#[test]
fn a_handler_can_hand_over_to_itself() {
    let mut names = ["b", "c", "d"].into_iter();
    let (mut h, log) = pair(
        move |part, cx, call| match call {
            Call::Data(input) if !input.is_empty() => {
                input.consume(1);
                cx.hand_over(part.old, names.next().unwrap());
            }
            call => call.by_default(cx),
        },
        idle,
    );
    let client = opened(&mut h, &log);
    h.feed(client, b"xyz");
    let expected = [
        "a data xyz",
        "a close HandedOver",
        "b ready",
        "b data yz",
        "b close HandedOver",
        "c ready",
        "c data z",
        "c close HandedOver",
        "d ready",
    ];
    assert_eq!(taken(&log), expected);
}

#[test]
fn handing_over_again_and_again_takes_turns_with_others() {
    let mut left = 1000;
    let (mut h, log) = pair(
        |part, cx, call| match call {
            Call::Data(input) => match input.take() {
                b"go" => cx.hand_over(part.new, "b"),
                other => {
                    cx.send(other);
                }
            },
            Call::Ready => cx.hand_over(part.new, "b"),
            call => call.by_default(cx),
        },
        move |part, cx, call| match call {
            Call::Ready if left > 0 => {
                left -= 1;
                cx.hand_over(part.old, "a");
            }
            call => call.by_default(cx),
        },
    );
    let (restless, other) = (h.open(), h.open());
    h.at_once(|h| {
        h.feed(restless, b"go");
        h.feed(other, b"x");
        h.turn();
        assert_eq!(h.sent(other), "x");
        assert!(taken(&log).len() < 200, "one turn is not all of it");
    });
    assert_eq!(taken(&log).last().unwrap(), "b ready");
}

#[test]
fn a_deadline_that_passes_first_waits_until_the_new_handler_is_ready() {
    let limits = Limits { quantum_calls: 1, write_stall: Some(SECOND), ..Limits::default() };
    let (mut h, log) = pair_with(
        limits,
        |part, cx, call| match call {
            Call::Open => {
                cx.send("nobody takes it");
            }
            Call::Data(_) => cx.hand_over(part.new, "b"),
            call => call.by_default(cx),
        },
        idle,
    );
    let client = h.at_once(|h| {
        let client = h.open();
        h.set_room(client, 0);
        client
    });
    h.advance(SECOND - Duration::from_millis(1));
    taken(&log);
    h.at_once(|h| {
        h.feed(client, b"x");
        h.advance(2 * SECOND);
    });
    assert_eq!(taken(&log)[..3], ["a data x", "a close HandedOver", "b ready"]);
}
