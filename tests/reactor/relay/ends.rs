//! How a relay ends: ends are passed on as ends, resets as resets.

use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, Remote, State};
use sluicegate_reactor::{Connect, Limits, Listen, Reactor};

use super::{join_last, joined, on_data, proxy, upstream, ways};
use crate::probe::{Call, Probe, log, pattern, with_limits};

/// Asserts that both connections have ended in order.
fn assert_finished(h: &mut Harness<Probe>, left: Client, right: Client) {
    assert_eq!((h.state(left), h.state(right)), (State::Closed, State::Closed));
    let mut seen = log(h);
    seen.sort();
    assert_eq!(seen, ["0 close Finished", "1 close Finished"]);
}

#[test]
fn each_end_is_passed_on_behind_what_was_sent() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.set_room(right, 10);
        h.at_once(|h| {
            h.feed(left, b"the last words");
            h.finish(left);
        });
        assert_eq!((h.state(left), h.state(right)), (State::Open, State::Open));
        assert_eq!([&*h.sent(right), &*h.sent(right)].concat(), b"the last words");
        assert_eq!((h.state(left), h.state(right)), (State::Open, State::Shut));
        h.feed(right, b"the answer");
        assert_eq!(h.sent(left), "the answer");
        h.finish(right);
        assert_finished(&mut h, left, right);
    }
}

#[test]
fn an_end_that_came_before_the_relay_is_passed_on() {
    for limits in ways() {
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Data(input) if input.bytes() == b"now" => {
                input.take();
                let me = cx.id();
                cx.peer(notes.ids[0]).relay_to(me);
            }
            // The words wait, and the connection stays open.
            Call::Data(_) | Call::Eof => {}
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let (from, to) = (h.open(), h.open());
        h.feed(from, b"words");
        h.finish(from);
        h.feed(to, b"now");
        assert_eq!(h.sent(to), "words");
        assert_eq!(h.state(to), State::Shut);
    }
}

#[test]
fn ends_in_one_turn_finish_both() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.at_once(|h| {
            h.finish(left);
            h.finish(right);
        });
        assert_finished(&mut h, left, right);
    }
}

#[test]
fn a_reset_is_passed_on_in_both_directions() {
    for limits in ways() {
        for held in [false, true] {
            let (mut h, left, right) = joined(limits.clone());
            if held {
                h.set_room(left, 0);
                h.feed(right, pattern(1_000_000));
            }
            h.reset(left);
            assert_eq!(h.state(right), State::Reset);
            assert_eq!(log(&mut h), ["0 close Reset", "1 close RelayLost"]);
            let ledger = h.ledger();
            assert_eq!(ledger.queued, ledger.sent + ledger.dropped);
        }
    }
}

#[test]
fn what_was_received_before_a_reset_of_the_source_is_passed_on_before_it() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.at_once(|h| {
            h.feed(left, b"the last words");
            h.reset(left);
        });
        assert_eq!(h.take(right), "the last words");
        assert_eq!(h.state(right), State::Reset);
    }
}

#[test]
fn all_that_had_arrived_before_a_reset_of_a_held_source_is_passed_on_before_it() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        let sent = pattern(1_000_000);
        h.set_room(right, 10_000);
        h.feed(left, &sent);
        assert!(h.unread(left) > 0, "it is held");
        h.reset(left);
        assert_eq!(h.state(right), State::Open);
        let mut got = Vec::new();
        loop {
            match h.take(right) {
                some if some.is_empty() => break,
                some => got.extend(some),
            }
        }
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        assert_eq!(h.state(right), State::Reset);
        assert_eq!(log(&mut h), ["0 close Reset", "1 close RelayLost"]);
    }
}

#[test]
fn a_close_of_the_source_closes_the_destination_behind_what_it_was_sent() {
    for limits in ways() {
        let (mut h, clients) = on_data(limits, |cx, ids, input| match input {
            b"join" => {
                cx.peer(ids[1]).relay_to(ids[2]);
                cx.peer(ids[2]).relay_to(ids[1]);
            }
            b"close" => cx.peer(ids[1]).close(),
            _ => {}
        });
        let [boss, left, right, _] = clients;
        h.feed(boss, b"join");
        h.set_room(right, 2);
        h.feed(left, b"abc");
        h.feed(boss, b"close");
        assert_eq!(h.state(left), State::Shut, "lingering");
        // It is closed behind what it was sent.
        assert_eq!(h.state(right), State::Open);
        assert_eq!([&*h.sent(right), &*h.sent(right)].concat(), b"abc");
        assert_eq!(h.state(right), State::Shut, "lingering");
        let closes = ["1 close Closed", "2 close Closed"];
        assert_eq!(log(&mut h)[2..], closes);
    }
}

#[test]
fn an_abort_of_either_side_resets_the_other() {
    for limits in ways() {
        for side in [0, 1] {
            let (mut h, left, right) = joined(limits.clone());
            let ids = h.handler().notes.ids.clone();
            h.reactor().peer(ids[side]).abort();
            h.run();
            assert_eq!((h.state(left), h.state(right)), (State::Reset, State::Reset));
            let lost = format!("{} close RelayLost", 1 - side);
            assert_eq!(log(&mut h), [format!("{side} close Aborted"), lost]);
        }
    }
}

#[test]
fn a_connection_that_its_handler_has_closed_ends_in_order_although_its_relay_is_lost() {
    for limits in ways() {
        for side in [0, 1] {
            let (mut h, left, right) = joined(limits.clone());
            let ids = h.handler().notes.ids.clone();
            h.reactor().peer(ids[side]).close();
            h.reactor().peer(ids[1 - side]).abort();
            h.run();
            let states = [h.state(left), h.state(right)];
            assert_eq!((states[side], states[1 - side]), (State::Shut, State::Reset));
        }
    }
}

#[test]
fn in_one_direction_a_destination_that_is_lost_resets_the_source() {
    for limits in ways() {
        let (mut h, [boss, from, to, _]) =
            on_data(limits, |cx, ids, _| cx.peer(ids[1]).relay_to(ids[2]));
        h.feed(boss, b"x");
        h.feed(from, b"abc");
        h.reset(to);
        assert_eq!(h.state(from), State::Reset);
        assert_eq!(log(&mut h)[1..], ["2 close Reset", "1 close RelayLost"]);
    }
}

#[test]
fn after_the_end_was_passed_on_the_two_are_strangers() {
    for limits in ways() {
        let (mut h, [boss, from, to, _]) =
            on_data(limits, |cx, ids, _| cx.peer(ids[1]).relay_to(ids[2]));
        h.feed(boss, b"x");
        h.feed(from, b"abc");
        h.finish(from);
        assert_eq!(h.state(to), State::Shut);
        let id = h.handler().notes.ids[1];
        h.reactor().peer(id).abort();
        h.feed(to, b"still here");
        assert_eq!((h.sent(to), h.state(to)), ("abc".into(), State::Shut));
        assert_eq!(log(&mut h)[1..], ["1 close Aborted", "2 data still here"]);
    }
}

#[test]
fn a_stale_destination_closes_the_source_and_reaches_nobody_else() {
    for limits in ways() {
        let (mut h, [boss, from, gone, _]) =
            on_data(limits, |cx, ids, _| cx.peer(ids[1]).relay_to(ids[2]));
        h.reset(gone);
        let successor = h.open();
        h.feed(boss, b"x");
        h.feed(from, b"for nobody");
        assert_eq!(h.state(from), State::Shut, "lingering");
        assert_eq!((h.sent(successor), h.state(successor)), ("".into(), State::Open));
        assert_eq!(log(&mut h).last().unwrap(), "1 close Closed");
    }
}

#[test]
fn a_destination_that_is_closing_closes_the_source_and_does_not_keep_it_waiting() {
    for limits in ways() {
        let (mut h, [boss, from, to, _]) = on_data(limits, |cx, ids, input| match input {
            b"close" => {
                cx.peer(ids[2]).send("abc");
                cx.peer(ids[2]).close();
            }
            _ => cx.peer(ids[1]).relay_to(ids[2]),
        });
        h.set_room(to, 2);
        h.feed(boss, b"close");
        h.feed(boss, b"join");
        h.feed(from, b"too late");
        assert_eq!((h.state(from), h.state(to)), (State::Shut, State::Open));
        assert_eq!([&*h.sent(to), &*h.sent(to)].concat(), b"abc");
    }
}

#[test]
fn a_destination_that_was_shut_down_takes_no_more_and_the_other_direction_goes_on() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        let ids = h.handler().notes.ids.clone();
        h.reactor().peer(ids[1]).shutdown();
        h.run();
        assert_eq!(h.state(right), State::Shut);
        h.feed(left, b"too late");
        h.feed(right, b"in time");
        assert_eq!((h.unread(left), h.sent(left)), (8, "in time".into()));
        h.finish(right);
        assert_eq!((h.state(right), h.sent(right)), (State::Closed, "".into()));
        assert_ne!(h.state(left), State::Open);
    }
}

#[test]
fn a_client_whose_target_refuses_is_closed() {
    for limits in ways() {
        for remote in [Remote::Fails(libc::ECONNREFUSED), Remote::Silent] {
            let mut h = proxy(&limits);
            h.set_remote(&upstream(), remote);
            let client = h.open();
            h.feed(client, b"hello?");
            h.advance(Connect::default().timeout * 2);
            assert_eq!(h.state(client), State::Closed, "{remote:?}");
            let ledger = h.ledger();
            assert_eq!(ledger.queued, ledger.sent + ledger.dropped);
        }
    }
}

#[test]
fn a_reader_that_stalls_for_too_long_costs_both() {
    for limits in ways() {
        let limits = Limits { idle: None, write_stall: Some(Duration::from_secs(5)), ..limits };
        let (mut h, left, right) = joined(limits);
        h.set_room(right, 10);
        h.feed(left, pattern(1000));
        h.advance(Duration::from_secs(6));
        assert_eq!((h.state(left), h.state(right)), (State::Reset, State::Reset));
        assert_eq!(log(&mut h), ["1 timeout WriteStall", "1 close TimedOut", "0 close RelayLost"]);
    }
}

#[test]
fn two_connections_that_are_lost_do_not_wait_for_each_other() {
    for limits in ways() {
        let (mut h, left, right) = joined(Limits { idle: None, write_stall: None, ..limits });
        // A queue waits on both sides, and input behind it.
        for client in [left, right] {
            h.set_room(client, 1000);
            h.feed(client, pattern(3000));
        }
        log(&mut h);
        h.at_once(|h| {
            for client in [left, right] {
                h.feed(client, pattern(3000));
                h.reset(client);
            }
        });
        h.run();
        let ends = log(&mut h);
        assert_eq!(ends.len(), 2, "{ends:?}");
        assert!(ends.iter().all(|end| end.contains(" close ")), "{ends:?}");
    }
}

#[test]
fn a_reader_that_makes_too_little_room_for_an_event_keeps_both_from_being_idle() {
    for limits in ways() {
        for write_stall in [None, Some(Duration::from_secs(10)), Some(Duration::from_secs(30))] {
            let idle = Some(Duration::from_secs(10));
            let (mut h, left, right) = joined(Limits { idle, write_stall, ..limits.clone() });
            h.set_room(right, 1000);
            h.feed(left, pattern(100_000));
            for second in 1..=60 {
                h.advance(Duration::from_secs(1));
                h.set_room(right, 1000 + 10 * second);
            }
            assert_eq!((h.state(left), h.state(right)), (State::Open, State::Open));
            h.advance(Duration::from_secs(50));
            assert_eq!((h.state(left), h.state(right)), (State::Reset, State::Reset));
            assert_eq!(h.take(right), pattern(1600));
        }
    }
}

#[test]
fn a_hand_over_ends_the_relay_of_what_is_received_and_not_of_what_is_sent() {
    for limits in ways() {
        let make = |reactor: &mut Reactor| {
            let handler = reactor.reserve();
            let probe = Probe::new(move |cx, call, notes| match call {
                Call::Open => join_last(cx, notes),
                Call::Timeout(_) => cx.hand_over(handler, 5),
                call => call.by_default(cx),
            });
            reactor.install(handler, probe);
            handler
        };
        let mut h = Harness::build(&Listen { limits, ..Listen::default() }, |_| {}, make);
        let (left, right) = (h.open(), h.open());
        let id = h.handler().notes.ids[0];
        h.reactor().peer(id).set_deadline(Some(Duration::from_secs(1)));
        h.advance(Duration::from_secs(2));
        h.feed(left, b"for the handler");
        h.feed(right, b"for the other");
        assert_eq!((h.sent(right), h.sent(left)), ("".into(), "for the other".into()));
        let expected = ["0 timeout Own", "0 close HandedOver", "5 ready", "5 data for the handler"];
        assert_eq!(log(&mut h)[2..], expected);
    }
}

#[test]
fn a_relay_goes_on_while_the_reactor_stops_if_its_handler_lets_it() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.stop();
        h.feed(left, b"question");
        h.finish(left);
        h.feed(right, b"answer");
        assert!(!h.reactor().has_stopped());
        h.finish(right);
        assert_eq!((h.sent(right), h.sent(left)), ("question".into(), "answer".into()));
        assert!(h.reactor().has_stopped());
    }
}
