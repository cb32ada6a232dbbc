//! Each direction ends by itself; when both have, the connection is over.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Limits, Sent};

use crate::probe::{Call, Probe, log, with_limits};

/// Answers, and ends its direction with the first input.
fn shutter() -> Probe {
    Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            if cx.send("answer") == Sent::Gone {
                notes.add("gone");
            }
            cx.shutdown();
        }
        Call::Eof => {}
        call => call.by_default(cx),
    })
}

#[test]
fn after_its_own_end_the_server_goes_on_reading() {
    let mut h = Harness::new(shutter());
    let client = h.open();
    h.feed(client, b"a");
    assert_eq!(h.state(client), State::Shut);
    h.feed(client, b"b");
    assert_eq!(log(&mut h), ["0 open", "0 data a", "0 data b", "0 gone"]);
    assert_eq!(h.sent(client), "answer");
}

#[test]
fn the_end_of_the_direction_follows_what_was_sent() {
    let mut h = Harness::new(shutter());
    let client = h.open();
    h.set_room(client, 2);
    h.feed(client, b"a");
    assert_eq!(h.state(client), State::Open);
    assert_eq!(h.sent(client), "answer");
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn when_both_directions_have_ended_the_connection_closes() {
    both_end(Limits::default());
}

#[test]
fn the_end_is_delivered_even_when_the_quantum_is_used_up_by_then() {
    both_end(Limits { quantum_calls: 1, ..Limits::default() });
}

fn both_end(limits: Limits) {
    let mut h = with_limits(shutter(), limits);
    let server_first = h.open();
    h.feed(server_first, b"a");
    h.finish(server_first);
    assert_eq!(h.state(server_first), State::Closed);
    assert_eq!(log(&mut h), ["0 open", "0 data a", "0 eof", "0 close Finished"]);

    let together = h.open();
    h.at_once(|h| {
        h.feed(together, b"a");
        h.finish(together);
    });
    assert_eq!(h.state(together), State::Closed);
    assert_eq!(log(&mut h), ["1 open", "1 data a", "1 eof", "1 close Finished"]);
}

#[test]
fn a_client_that_has_ended_still_gets_its_answer() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Eof => {
            cx.send("late ");
            cx.request_drain();
        }
        Call::Drain => {
            cx.send("answer");
            cx.shutdown();
        }
        call => call.by_default(cx),
    });
    let mut h = Harness::new(probe);
    let client = h.open();
    h.finish(client);
    assert_eq!(h.sent(client), "late answer");
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(log(&mut h), ["0 open", "0 eof", "0 drain", "0 close Finished"]);
}

#[test]
fn a_half_closed_relay_times_out_in_whichever_order_it_was_closed_and_begun() {
    // The first connection is the source, the second one the destination, and the third one tells
    // what to do with them.
    let probe = || {
        Probe::new(|cx, call, notes| match call {
            Call::Data(input) => match input.take() {
                b"relay" => cx.peer(notes.ids[0]).relay_to(notes.ids[1]),
                _ => cx.peer(notes.ids[0]).shutdown(),
            },
            Call::Eof => {}
            call => call.by_default(cx),
        })
    };
    let half_closed = Some(Duration::from_secs(5));
    for (steps, number) in [
        (["relay", "shut down the source"], 0),
        (["shut down the source", "relay"], 0),
        (["relay", "end"], 1),
        (["end", "relay"], 1),
    ] {
        let mut h = with_limits(probe(), Limits { idle: None, half_closed, ..Limits::default() });
        let [_, destination, third] = [h.open(), h.open(), h.open()];
        for step in steps {
            h.advance(Duration::from_secs(10));
            match step {
                "end" => h.finish(destination),
                step => h.feed(third, step),
            }
        }
        log(&mut h);
        h.advance(Duration::from_millis(4900));
        assert!(log(&mut h).is_empty(), "{steps:?}");
        h.advance(Duration::from_millis(200));
        assert_eq!(log(&mut h)[0], format!("{number} timeout Idle"), "{steps:?}");
    }
}
