//! Whatever happens while a connection is handed over, each session hears of its end once.

use std::time::Duration;

use sluicegate_reactor::testing::{State, Step};
use sluicegate_reactor::{Context, Handler, Input, Reactor, Reason};

use super::{greeter, idle, on_data, opened, pair, taken};
use crate::probe::pattern;

#[test]
fn handed_over_twice_in_a_callback_the_session_between_hears_only_of_its_end() {
    let (mut h, log) = pair(
        on_data(|part, cx| {
            cx.hand_over(part.new, "b");
            cx.hand_over(part.old, "c");
            cx.hand_over(part.new, "d");
        }),
        idle,
    );
    let client = opened(&mut h, &log);
    h.feed(client, b"xyz");
    let expected = [
        "a data xyz",
        "a close HandedOver",
        "b close HandedOver",
        "c close HandedOver",
        "d ready",
        "d data yz",
    ];
    assert_eq!(taken(&log), expected);
}

#[test]
fn a_connection_that_ends_in_the_same_callback_ends_for_the_new_handler() {
    type End = fn(&mut Context<'_>);
    let ends: [(End, Reason, State); 3] = [
        (|cx| cx.close(), Reason::Closed, State::Shut),
        (|cx| cx.abort(), Reason::Aborted, State::Reset),
        (|cx| cx.stop(), Reason::Stopped, State::Closed),
    ];
    for (end, why, state) in ends {
        for first in [true, false] {
            let (mut h, log) = pair(
                on_data(move |part, cx| {
                    if first {
                        end(cx);
                    }
                    cx.hand_over(part.new, "b");
                    if !first {
                        end(cx);
                    }
                }),
                |_, _, _| {},
            );
            h.reactor().set_drain(Duration::ZERO);
            let client = opened(&mut h, &log);
            h.feed(client, b"xyz");
            let mut expected = vec!["a data xyz".into(), "a close HandedOver".into()];
            // The turn in which it is asked to stop is a whole one.
            if why == Reason::Stopped {
                expected.extend(["b ready", "b data yz", "b stop"].map(String::from));
            }
            expected.push(format!("b close {why:?}"));
            assert_eq!(taken(&log), expected);
            assert_eq!(h.state(client), state, "{why:?}");
        }
    }
}

#[test]
fn a_connection_that_is_lost_in_the_same_callback_ends_for_the_new_handler() {
    let (mut h, log) = pair(
        on_data(|part, cx| {
            cx.hand_over(part.new, "b");
            // Long enough to be written through, which finds out.
            cx.send(&pattern(10_000)[..]);
        }),
        idle,
    );
    let client = opened(&mut h, &log);
    h.script_send(client, [Step::Errno(libc::EPIPE)]);
    h.feed(client, b"xyz");
    let behind = ["b ready", "b data yz", "b close Reset"];
    assert_eq!(taken(&log), [&["a data xyz", "a close HandedOver"][..], &behind].concat());
}

#[test]
fn a_panic_after_a_hand_over_closes_both_sessions() {
    let (mut h, log) = pair(
        on_data(|part, cx| {
            cx.hand_over(part.new, "b");
            panic!("as the test wants it");
        }),
        idle,
    );
    h.expect_panics();
    let client = opened(&mut h, &log);
    h.feed(client, b"xyz");
    assert_eq!(taken(&log), ["a data xyz", "a close HandedOver", "b close Panicked"]);
    assert_eq!((h.state(client), h.ledger().panics), (State::Reset, 1));

    // Before there is an old session.
    let (mut h, log) = pair(
        |part, cx, _| {
            cx.hand_over(part.new, "b");
            panic!("as the test wants it");
        },
        idle,
    );
    h.expect_panics();
    h.open();
    assert_eq!(taken(&log), ["a open", "b close Panicked"]);
}

#[test]
fn a_panic_in_the_new_handlers_first_callback_closes_its_session() {
    let (mut h, log) = pair(greeter, |_, _, _| panic!("as the test wants it"));
    h.expect_panics();
    let client = opened(&mut h, &log);
    h.feed(client, b"\nrest");
    assert_eq!(taken(&log)[1..], ["a close HandedOver", "b ready", "b close Panicked"]);
    assert_eq!((h.state(client), h.ledger().panics), (State::Reset, 1));
}

#[test]
fn a_panic_while_the_old_session_closes_closes_the_new_one() {
    let (mut h, log) = pair(greeter, idle);
    h.expect_panics();
    h.handler().fails = true;
    let client = opened(&mut h, &log);
    h.feed(client, b"\nrest");
    assert_eq!(taken(&log)[1..], ["a close HandedOver", "b close Panicked"]);
    assert_eq!((h.state(client), h.ledger().panics), (State::Reset, 1));
}

#[test]
fn an_id_of_another_reactor_costs_the_connection() {
    struct Other;
    impl Handler for Other {
        type Session = &'static str;
        fn on_open(&mut self, _: &mut Context<'_>) -> &'static str {
            "other"
        }
        fn on_data(&mut self, _: &mut Context<'_>, _: &mut &'static str, _: &mut Input<'_>) {}
    }
    let mut another = Reactor::new().unwrap();
    let same_place = another.register(Other);
    another.register(Other);
    let no_place = another.register(Other);
    for id in [same_place, no_place] {
        let (mut h, log) = pair(on_data(move |_, cx| cx.hand_over(id, "b")), idle);
        h.expect_panics();
        let client = opened(&mut h, &log);
        h.feed(client, b"x");
        assert_eq!(taken(&log), ["a data x", "a close Panicked"]);
        assert_eq!((h.state(client), h.ledger().panics), (State::Reset, 1));
    }
}
