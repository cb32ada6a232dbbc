//! What one connection receives goes to another: every byte, and the end, in both ways of moving
//! it.

mod ends;
mod many;
mod part_ends;
mod parts;
mod pipes;
mod successor;
mod unconnected;

use std::net::SocketAddr;
use std::time::Duration;

use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::{Client, Harness, Remote, State, Step};
use sluicegate_reactor::{Address, ConnId, Connect, Context, Limits, Listen, Reactor, Sent};

use crate::probe::{Call, Notes, Probe, log, pattern, with_limits};

/// The limits with which a relay goes each of its ways.
fn ways() -> [Limits; 3] {
    // By copying, by pipes, and changing between them.
    [usize::MAX, 0, 70_000].map(|splice_after| Limits { splice_after, ..Limits::default() })
}

/// Joins each second connection with the one before it.
fn joiner() -> Probe {
    Probe::new(|cx, call, notes| match call {
        Call::Open => join_last(cx, notes),
        Call::Stop => {}
        call => call.by_default(cx),
    })
}

fn join_last(cx: &mut Context<'_>, notes: &Notes) {
    if let [.., left, right] = notes.ids[..]
        && notes.ids.len().is_multiple_of(2)
    {
        cx.peer(left).relay_to(right);
        cx.relay_to(left);
    }
}

/// Two clients whose connections relay to each other.
fn joined(limits: Limits) -> (Harness<Probe>, Client, Client) {
    let mut h = with_limits(joiner(), limits);
    let (left, right) = (h.open(), h.open());
    assert_eq!(log(&mut h), ["0 open", "1 open"]);
    (h, left, right)
}

/// Where the target of a proxy is.
fn upstream() -> Address {
    SocketAddr::from(([10, 0, 0, 1], 80)).into()
}

/// A handler that connects for each connection, as its session 7, and joins the two.
fn proxy(limits: &Limits) -> Harness<Probe> {
    proxy_with(limits, |cx, upstream| {
        let me = cx.id();
        cx.relay_to(upstream);
        cx.peer(upstream).relay_to(me);
    })
}

/// A handler that connects for each connection, as its session 7, and passes on 100,000 bytes.
fn proxy_of_parts(limits: &Limits) -> Harness<Probe> {
    proxy_with(limits, |cx, upstream| cx.relay_part(upstream, 100_000))
}

fn proxy_with(limits: &Limits, join: fn(&mut Context<'_>, ConnId)) -> Harness<Probe> {
    let connect = Connect { limits: limits.clone(), ..Connect::default() };
    let listen = Listen { limits: limits.clone(), ..Listen::default() };
    let make = |reactor: &mut Reactor| {
        let handler = reactor.reserve();
        let connector = reactor.connector(handler, &connect).expect("room for a connector");
        let probe = Probe::new(move |cx, call, _| match call {
            Call::Open => {
                let upstream = cx.connect(connector, upstream(), 7);
                join(cx, upstream);
            }
            call => call.by_default(cx),
        });
        reactor.install(handler, probe);
        handler
    };
    Harness::build(&listen, |_| {}, make)
}

#[test]
fn what_one_sends_the_other_gets_and_no_handler_is_called() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.feed(left, b"question");
        h.feed(right, b"answer");
        assert_eq!((h.sent(right), h.sent(left)), ("question".into(), "answer".into()));
        h.at_once(|h| {
            h.feed(left, b"at ");
            h.feed(right, b"both");
            h.feed(left, b"once");
        });
        assert_eq!((h.sent(right), h.sent(left)), ("at once".into(), "both".into()));
        assert_eq!(log(&mut h), [""; 0]);
        let ledger = h.ledger();
        assert_eq!((ledger.relayed, ledger.queued, ledger.sent), (25, 25, 25));
    }
}

#[test]
fn every_byte_arrives_once_however_it_is_split() {
    for limits in ways() {
        let echo = move || {
            let probe = Probe::new(|cx, call, notes| match call {
                Call::Open => {
                    let me = notes.ids[notes.current];
                    cx.relay_to(me);
                }
                call => call.by_default(cx),
            });
            with_limits(probe, limits.clone())
        };
        let outcome = same_at_every_split(echo, b"to itself is an echo");
        assert_eq!(outcome.sent, b"to itself is an echo");
        assert_eq!(outcome.state_at_end, State::Closed);
    }
}

#[test]
fn a_message_costs_one_receive_and_one_send() {
    let (mut h, left, right) = joined(Limits::default());
    let before = h.calls();
    for _ in 0..10 {
        h.feed(left, b"message");
    }
    let after = h.calls();
    assert_eq!((after.recv - before.recv, after.send - before.send), (10, 10));
    assert_eq!(after.send_gather, before.send_gather);
    assert_eq!(h.sent(right), "message".repeat(10));
}

#[test]
fn a_reader_that_stops_stops_the_receiving_and_what_it_takes_follows() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        let sent = pattern(3_000_000);
        h.set_room(right, 10_000);
        h.feed(left, &sent);
        assert_eq!(h.arrived(right), 10_000);
        // One buffer at most was read ahead.
        assert!(h.unread(left) >= sent.len() - 10_000 - (512 << 10), "{}", h.unread(left));
        let mut got = Vec::new();
        while got.len() < sent.len() {
            let some = h.take(right);
            assert!(!some.is_empty(), "nothing moved after {}", got.len());
            got.extend(some);
        }
        assert_eq!(got, sent);
        assert_eq!(h.ledger().sent, h.ledger().queued);
    }
}

#[test]
fn one_direction_that_stalls_does_not_stop_the_other() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.set_room(left, 0);
        h.set_room(right, 0);
        h.feed(left, pattern(500_000));
        h.feed(right, pattern(500_000));
        // Each has a full queue of its own now, and goes on all the same when the other takes.
        h.set_room(right, 1_000_000);
        assert_eq!(h.sent(right), pattern(500_000));
        h.set_room(left, 1_000_000);
        assert_eq!(h.sent(left), pattern(500_000));
    }
}

#[test]
fn few_bytes_that_wait_do_not_hold_a_large_buffer_back() {
    let (mut h, left, right) = joined(Limits::default());
    h.set_room(right, 0);
    h.feed(left, b"a");
    h.feed(left, b"bc");
    assert_eq!((h.unread(left), h.ledger().joined), (2, 1));
    h.set_room(right, 100);
    assert_eq!(h.sent(right), "abc");
}

#[test]
fn a_relay_keeps_its_quantum() {
    for limits in ways() {
        let limits = Limits { receive_quantum: 1, ..limits };
        let (mut h, left, right) = joined(limits);
        let bystander = h.open();
        h.set_room(right, 10_000_000);
        h.at_once(|h| {
            h.feed(left, pattern(1_000_000));
            h.turn();
            h.feed(bystander, b"x");
        });
        assert_eq!(h.sent(right), pattern(1_000_000));
        assert!(h.ledger().recv_budget_stops > 1);
    }
}

#[test]
fn refusals_interruptions_and_short_counts_lose_nothing() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        let steps = [Step::Interrupted, Step::Short(3), Step::WouldBlock, Step::Short(1)];
        h.script_recv(left, steps);
        h.script_send(right, steps);
        let mut sent = Vec::new();
        for at in 0..20 {
            let some = pattern(1000 + at);
            h.feed(left, &some);
            h.wake(left);
            sent.extend(some);
        }
        h.wake(right);
        assert_eq!(h.sent(right), sent);
    }
}

#[test]
fn what_a_send_loses_that_fails_is_counted() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.script_send(right, [Step::Short(3), Step::Errno(libc::EPIPE)]);
        h.feed(left, pattern(10_000));
        assert_eq!(log(&mut h), ["1 close Reset", "0 close RelayLost"]);
        let ledger = h.ledger();
        assert_eq!((ledger.relayed, ledger.sent, ledger.dropped), (10_000, 3, 9_997));
    }
}

#[test]
fn urgent_data_does_not_stall_what_follows_it() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        h.at_once(|h| {
            h.feed(left, b"before");
            h.feed_urgent(left);
            h.feed(left, b"after");
        });
        assert_eq!(h.sent(right), "beforeafter");
        h.feed_urgent(left);
        h.feed(left, b"later");
        assert_eq!(h.sent(right), "later");
    }
}

#[test]
fn what_was_left_or_kept_comes_first() {
    for limits in ways() {
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Data(input) if input.ends_with(b"\n") => {
                let first = notes.ids[0];
                cx.send("ok\n");
                cx.peer(first).send("from the handler: ");
                input.consume(2);
                cx.relay_to(first);
            }
            Call::Data(_) => {}
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let (to, from) = (h.open(), h.open());
        h.feed(from, b"> lef");
        h.feed(from, b"t\n");
        h.feed(from, b"then");
        assert_eq!(h.sent(to), "from the handler: left\nthen");
        assert_eq!(h.sent(from), "ok\n");
    }
}

#[test]
fn a_pause_of_the_source_holds_the_relay_and_one_of_the_destination_does_not() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        let ids = h.handler().notes.ids.clone();
        h.reactor().peer(ids[0]).pause();
        h.feed(left, b"later");
        h.feed(right, b"now");
        assert_eq!((h.sent(right), h.sent(left)), ("".into(), "now".into()));
        h.reactor().peer(ids[0]).resume();
        h.run();
        assert_eq!(h.sent(right), "later");
    }
}

#[test]
fn a_destination_in_the_making_gets_it_when_it_is_made() {
    for limits in ways() {
        let mut h = proxy(&limits);
        h.set_remote(&upstream(), Remote::Silent);
        let client = h.open();
        let sent = pattern(300_000);
        h.feed(client, &sent);
        assert!(h.unread(client) > 0, "nothing is read ahead beyond a buffer");
        h.set_remote(&upstream(), Remote::Listens);
        let far = h.accept(&upstream());
        h.set_room(far, 1_000_000);
        assert_eq!(h.sent(far), sent);
        h.feed(far, b"answer");
        assert_eq!(h.sent(client), "answer");
        assert_eq!(log(&mut h), ["0 open", "7 ready"]);
    }
}

/// Four connections whose handler does with `first` input what it is told.
fn on_data(
    limits: Limits,
    mut act: impl FnMut(&mut Context<'_>, &[ConnId], &[u8]) + 'static,
) -> (Harness<Probe>, [Client; 4]) {
    let probe = Probe::new(move |cx, call, notes| match call {
        Call::Data(input) => act(cx, &notes.ids, input.take()),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let clients = std::array::from_fn(|_| h.open());
    log(&mut h);
    (h, clients)
}

#[test]
fn another_call_changes_the_destination() {
    for limits in ways() {
        let (mut h, [boss, from, one, two]) = on_data(limits, |cx, ids, input| {
            let to = ids[usize::from(input[0] - b'0')];
            cx.peer(ids[1]).relay_to(to);
        });
        h.feed(boss, b"2");
        h.feed(from, b"to one");
        h.feed(boss, b"3");
        h.feed(from, b"to two");
        assert_eq!((h.sent(one), h.sent(two)), ("to one".into(), "to two".into()));
        // It has nothing to do with the first any more.
        h.reset(one);
        h.feed(from, b" again");
        assert_eq!(h.sent(two), " again");
    }
}

#[test]
fn a_later_source_takes_the_place_of_an_earlier_one_whose_handler_is_called_again() {
    for limits in ways() {
        let (mut h, [boss, to, one, two]) = on_data(limits, |cx, ids, input| {
            if let [number @ b'2'..=b'3'] = input {
                cx.peer(ids[usize::from(number - b'0')]).relay_to(ids[1]);
            }
        });
        h.feed(boss, b"2");
        h.feed(one, b"a");
        h.feed(boss, b"3");
        h.feed(two, b"b");
        h.feed(one, b"mine");
        assert_eq!(h.sent(to), "ab");
        assert_eq!(log(&mut h), ["0 data 2", "0 data 3", "2 data mine"]);
        h.reset(one);
        assert_eq!((h.state(to), h.state(two)), (State::Open, State::Open));
    }
}

#[test]
fn a_source_that_was_held_and_is_one_no_more_goes_on_with_its_handler() {
    for limits in ways() {
        let (mut h, [boss, to, one, _]) = on_data(limits, |cx, ids, input| {
            if let [number @ b'2'..=b'3'] = input {
                cx.peer(ids[usize::from(number - b'0')]).relay_to(ids[1]);
            }
        });
        h.set_room(to, 10);
        h.feed(boss, b"2");
        h.feed(one, pattern(1_000_000));
        assert!(h.unread(one) > 0, "it waits for the destination");
        h.feed(boss, b"3");
        assert_eq!(h.unread(one), 0);
    }
}

#[test]
fn a_destination_that_is_fed_no_more_in_the_middle_of_its_input_gets_the_rest() {
    for (input, last) in [("abc", "1 data c"), ("ab", "1 received b")] {
        let probe = Probe::new(|cx, call, notes| match (call, &notes.ids[..]) {
            (Call::Open, &[source, me]) => {
                cx.peer(source).relay_to(me);
                cx.receive_exact(1).unwrap();
            }
            (Call::Received(bytes), _) if *bytes == *b"a" => cx.receive_exact(1).unwrap(),
            (Call::Received(_), &[source, _]) => cx.peer(source).relay_to(source),
            (call, _) => call.by_default(cx),
        });
        let mut h = with_limits(probe, Limits::default());
        let (_source, client) = (h.open(), h.open());
        h.feed(client, input);
        assert_eq!(log(&mut h).last().unwrap(), last);
    }
}

#[test]
fn a_handler_can_send_between_what_is_relayed() {
    for limits in ways() {
        let (mut h, left, right) = joined(limits);
        let ids = h.handler().notes.ids.clone();
        h.set_room(right, 3);
        h.feed(left, b"one ");
        assert_eq!(h.reactor().peer(ids[1]).send("two "), Sent::Accepted);
        h.feed(left, b"three");
        let mut got = h.sent(right).to_vec();
        while got.len() < 13 {
            got.extend(h.take(right));
        }
        assert_eq!(got, b"one two three");
        assert_eq!(h.reactor().peer(ids[1]).pending(), 0);
    }
}

#[test]
fn what_moves_keeps_both_from_being_idle() {
    for limits in ways() {
        let idle = Duration::from_secs(10);
        let limits = Limits { idle: Some(idle), write_stall: None, ..limits };
        let (mut h, left, right) = joined(limits);
        h.set_room(right, 100);
        h.feed(left, pattern(1000));
        // The source is held, and nothing moves there.
        let mut got = h.take(right).to_vec();
        for _ in 0..8 {
            h.advance(idle / 2);
            got.extend(h.take(right));
        }
        assert_eq!((h.state(left), h.state(right)), (State::Open, State::Open));
        h.advance(2 * idle);
        assert_eq!((h.state(left), h.state(right)), (State::Reset, State::Reset));
        assert_eq!(got, pattern(1000)[..got.len()]);
    }
}
