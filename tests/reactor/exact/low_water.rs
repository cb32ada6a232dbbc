//! The kernel wakes a request for many bytes only once many are there.

use super::ends::{Gives, Takes};
use super::*;
use sluicegate_reactor::testing::Client;
use sluicegate_reactor::{Reactor, Timeout};

const MARK: usize = 100;
const COUNT: usize = 10 * MARK;
const LITTLE: usize = MARK / 10;
/// Three ticks: how late a deadline may be, and one of them for a look below the mark.
const LATE: Duration = Duration::from_nanos(3 << 24);

fn limits() -> Limits {
    Limits { receive_low_water: MARK, ..small_scale() }
}

/// Asks for [`COUNT`] bytes with these limits, then does what the test says, in a second at last.
fn waiting(
    limits: Limits,
    mut act: impl FnMut(&mut Context<'_>, Call<'_, '_>) + 'static,
) -> Harness<Probe> {
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Open => {
            cx.receive_exact(COUNT).unwrap();
            cx.set_deadline(Some(SECOND));
        }
        call => act(cx, call),
    });
    with_limits(probe, limits)
}

#[test]
fn a_slow_sender_of_much_costs_few_receives() {
    // How often the mark is moved, and how often something is received: at first, for each mark,
    // to no avail after the mark was lowered, for each piece of what is left then, and behind it.
    for (receive_low_water, moves, receives) in
        [(0, 0, 100 + 1), (1, 0, 100 + 1), (MARK, 2, 1 + 8 + 1 + 19 + 1)]
    {
        let limits = Limits { receive_low_water, ..small_scale() };
        let mut h = waiting(limits, |cx, call| match call {
            Call::Received(bytes) => {
                cx.send(bytes);
            }
            call => call.by_default(cx),
        });
        let client = h.open();
        let before = h.calls();
        let input = pattern(COUNT);
        for little in input.chunks(LITTLE) {
            h.feed(client, little);
        }
        assert!(h.sent(client) == input);
        let calls = h.calls();
        assert_eq!(calls.receive_mark, moves, "{receive_low_water}");
        assert_eq!(calls.recv - before.recv, receives, "{receive_low_water}");
        assert_eq!(h.ledger().low_waters, moves / 2);
    }
}

#[test]
fn a_message_that_is_there_or_of_which_less_than_two_marks_are_missing_moves_no_mark() {
    // How much comes first, and how often the mark is moved.
    for (first, moves) in [(0, 0), (COUNT - 2 * MARK, 2), (COUNT - 2 * MARK + 1, 0)] {
        let mut h = waiting(limits(), |cx, call| call.by_default(cx));
        let client = h.open();
        h.feed(client, vec![b'a'; first]);
        h.feed(client, vec![b'b'; COUNT - first]);
        assert_eq!(log(&mut h), ["0 open", "0 received of 1000"], "{first}");
        assert_eq!(h.calls().receive_mark, moves, "{first}");
    }
}

/// Lets the mark go up and a little arrive below it.
fn leave_little(h: &mut Harness<impl Handler>) -> Client {
    let client = h.open();
    for _ in 0..2 {
        h.feed(client, vec![b'a'; LITTLE]);
    }
    assert_eq!((h.unread(client), h.calls().receive_mark), (LITTLE, 1), "below the mark");
    client
}

#[test]
fn an_end_and_a_reset_wake_below_the_mark() {
    let mut h = waiting(limits(), |cx, call| match call {
        Call::Eof => {
            cx.send(format!("{} left", cx.unread()));
            cx.close();
        }
        call => call.by_default(cx),
    });
    let client = leave_little(&mut h);
    h.finish(client);
    assert_eq!(h.sent(client), "20 left");

    let mut h = waiting(limits(), |cx, call| call.by_default(cx));
    let client = leave_little(&mut h);
    h.reset(client);
    assert_eq!(log(&mut h), ["0 open", "0 close Reset"]);
}

#[test]
fn a_little_below_the_mark_is_received_before_the_connection_is_idle() {
    let limits = Limits { idle: Some(10 * SECOND), ..limits() };
    // Without a deadline of its own, before which it would be received, too.
    let probe = Probe::new(|cx, call, _| match call {
        Call::Open => cx.receive_exact(COUNT).unwrap(),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = leave_little(&mut h);
    h.advance(10 * SECOND + LATE);
    assert_eq!((h.unread(client), log(&mut h)), (0, vec!["0 open".to_owned()]));
    // It has shown that the mark does not suit it.
    h.advance(9 * SECOND);
    h.feed(client, "a");
    assert_eq!((h.unread(client), h.calls().receive_mark), (0, 2));
    h.advance(10 * SECOND - Duration::from_nanos(1));
    assert!(log(&mut h).is_empty(), "early");
    h.advance(LATE);
    assert_eq!(log(&mut h)[0], "0 timeout Idle");
}

#[test]
fn a_connection_on_which_nothing_arrives_is_idle_in_spite_of_the_mark() {
    for paused in [false, true] {
        let limits = Limits { idle: Some(10 * SECOND), ..limits() };
        let mut h = waiting(limits, move |cx, call| match call {
            Call::Timeout(Timeout::Own) if paused => cx.pause(),
            Call::Timeout(Timeout::Own) => {}
            call => call.by_default(cx),
        });
        let client = h.open();
        h.feed(client, "a");
        assert_eq!(h.calls().receive_mark, 1);
        h.advance(10 * SECOND - Duration::from_nanos(1));
        assert_eq!(log(&mut h), ["0 open", "0 timeout Own"], "early");
        h.advance(LATE);
        assert_eq!(log(&mut h)[0], "0 timeout Idle");
    }
}

#[test]
fn what_was_below_the_mark_goes_to_the_next_request() {
    let mut h = waiting(limits(), |cx, call| match call {
        Call::Timeout(_) => cx.receive_exact(2 * LITTLE).unwrap(),
        call => call.by_default(cx),
    });
    leave_little(&mut h);
    h.advance(2 * SECOND);
    let received = format!("0 received {}", "a".repeat(2 * LITTLE));
    assert_eq!(log(&mut h), ["0 open", "0 timeout Own", &received]);
    assert_eq!(h.calls().receive_mark, 2);
}

#[test]
fn what_was_below_the_mark_goes_along_to_another_handler() {
    let listen = Listen { limits: limits(), ..Listen::default() };
    let mut takes = None;
    let make = |reactor: &mut Reactor| {
        let to = *takes.insert(reactor.register(Takes::default()));
        reactor.register(Gives { to, count: COUNT })
    };
    let mut h = Harness::build(&listen, |_| {}, make);
    let client = leave_little(&mut h);
    h.advance(2 * SECOND);
    assert_eq!((h.unread(client), h.calls().receive_mark), (0, 2));
    h.finish(client);
    assert_eq!(h.reactor().handler(takes.unwrap()).0, [vec![b'a'; 2 * LITTLE]]);
}

#[test]
fn what_was_below_the_mark_is_discarded_by_a_connection_that_lingers() {
    let mut h = waiting(limits(), |cx, call| call.by_default(cx));
    let client = leave_little(&mut h);
    h.advance(2 * SECOND);
    h.feed(client, "a");
    assert_eq!((h.unread(client), h.state(client)), (0, State::Shut));
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
}
