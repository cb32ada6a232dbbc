//! What was owed to the old handler, and what is owed to the new one.

use sluicegate_reactor::testing::State;
use sluicegate_reactor::{Context, Limits, Sent};

use super::{SECOND, greeter, idle, on_data, opened, pair, pair_with, shouter, taken};
use crate::probe::{Call, pattern};

#[test]
fn a_pause_a_deadline_and_a_drain_end_with_the_handler_that_asked_for_them() {
    let ask = |cx: &mut Context<'_>| {
        cx.pause();
        cx.set_deadline(Some(SECOND));
        cx.request_drain();
    };
    for before in [true, false] {
        let (mut h, log) = pair(
            on_data(move |part, cx| {
                if before {
                    ask(cx);
                }
                cx.hand_over(part.new, "b");
                if !before {
                    ask(cx);
                }
            }),
            idle,
        );
        let client = opened(&mut h, &log);
        h.feed(client, b"xyz");
        h.advance(2 * SECOND);
        let expected = ["a data xyz", "a close HandedOver", "b ready", "b data yz"];
        assert_eq!(taken(&log), expected, "asked before: {before}");
    }
}

#[test]
fn the_new_handler_can_pause_before_it_is_given_anything() {
    let (mut h, log) = pair(greeter, |_, cx, call| match call {
        Call::Ready => {
            cx.pause();
            cx.set_deadline(Some(SECOND));
        }
        Call::Timeout(_) => cx.resume(),
        call => call.by_default(cx),
    });
    let client = opened(&mut h, &log);
    h.at_once(|h| {
        h.feed(client, b"\nrest");
        h.finish(client);
    });
    assert_eq!(taken(&log), ["a data \\nrest", "a close HandedOver", "b ready"]);
    h.advance(2 * SECOND);
    assert_eq!(taken(&log), ["b timeout Own", "b data rest", "b eof", "b close Closed"]);
}

#[test]
fn a_queue_that_is_full_drains_for_the_new_handler() {
    let limits = Limits { send_high: 100, send_low: 50, ..Limits::default() };
    let (mut h, log) = pair_with(
        limits,
        on_data(|part, cx| {
            assert_eq!(cx.send(pattern(200)), Sent::Full);
            cx.hand_over(part.new, "b");
        }),
        idle,
    );
    let client = opened(&mut h, &log);
    h.set_room(client, 10);
    h.feed(client, b"xyz");
    assert_eq!(taken(&log), ["a data xyz", "a close HandedOver", "b ready"]);
    assert_eq!(h.sent(client), pattern(200));
    assert_eq!(taken(&log), ["b drain", "b data yz"]);
}

#[test]
fn the_end_of_the_stream_is_told_to_the_new_handler() {
    // With the bytes before it, and to both if the old one hands over when it hears of it.
    let (mut h, log) = pair(greeter, shouter);
    let client = opened(&mut h, &log);
    h.at_once(|h| {
        h.feed(client, b"\nrest");
        h.finish(client);
    });
    let expected = ["b ready", "b data rest", "b eof", "b close Closed"];
    assert_eq!(taken(&log)[2..], expected);

    let (mut h, log) = pair(
        |part, cx, call| match call {
            Call::Data(_) => {}
            Call::Eof => cx.hand_over(part.new, "b"),
            call => call.by_default(cx),
        },
        shouter,
    );
    let client = opened(&mut h, &log);
    h.feed(client, b"left");
    h.finish(client);
    let expected = ["a data left", "a eof", "a close HandedOver"];
    assert_eq!(
        taken(&log),
        [&expected[..], &["b ready", "b data left", "b eof", "b close Closed"]].concat()
    );
    assert_eq!(h.sent(client), "(ready)LEFT");
}

#[test]
fn an_end_that_the_old_handler_has_heard_of_long_ago_is_told_again() {
    let (mut h, log) = pair(
        |part, cx, call| match call {
            Call::Eof => cx.set_deadline(Some(SECOND)),
            Call::Timeout(_) => cx.hand_over(part.new, "b"),
            call => call.by_default(cx),
        },
        shouter,
    );
    let client = opened(&mut h, &log);
    h.finish(client);
    h.advance(2 * SECOND);
    let expected =
        ["a eof", "a timeout Own", "a close HandedOver", "b ready", "b eof", "b close Closed"];
    assert_eq!(taken(&log), expected);
    assert_eq!(h.sent(client), "(ready)");
}

#[test]
fn a_direction_that_was_shut_down_stays_so() {
    let (mut h, log) = pair(
        on_data(|part, cx| {
            cx.shutdown();
            cx.hand_over(part.new, "b");
        }),
        |part, cx, call| match call {
            Call::Ready => {
                let sent = cx.send("too late");
                part.note("send", format_args!("{sent:?}"));
            }
            call => call.by_default(cx),
        },
    );
    let client = opened(&mut h, &log);
    h.feed(client, b"x");
    assert_eq!(taken(&log)[2..], ["b ready", "send Gone"]);
    assert_eq!((h.sent(client), h.state(client)), ("".into(), State::Shut));
}

#[test]
fn a_handler_that_gets_a_connection_while_the_reactor_stops_is_told_of_that() {
    // In on_stop itself, and after it was told to the old handler.
    for at_once in [true, false] {
        let (mut h, log) = pair(
            move |part, cx, call| match call {
                Call::Stop if at_once => cx.hand_over(part.new, "b"),
                Call::Data(input) => {
                    input.take();
                    cx.hand_over(part.new, "b");
                }
                Call::Stop => {}
                call => call.by_default(cx),
            },
            idle,
        );
        h.reactor().set_drain(10 * SECOND);
        let client = opened(&mut h, &log);
        h.stop();
        if !at_once {
            h.feed(client, b"x");
        }
        let noted = taken(&log);
        assert_eq!(noted[0], "a stop");
        let expected = ["a close HandedOver", "b ready", "b stop", "b close Closed"];
        assert_eq!(noted[noted.len() - 4..], expected);
    }
}
