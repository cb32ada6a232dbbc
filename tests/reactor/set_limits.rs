//! Changing the limits of a listener that has connections.

use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Limits, Listen, ListenerId, WhenFull};

use crate::probe::{Call, Probe, log};

const SECOND: Duration = Duration::from_secs(1);

/// A harness whose connections are those of this listener.
fn listening(probe: Probe, listen: &Listen) -> (Harness<Probe>, ListenerId) {
    let mut h = Harness::new(probe);
    let id = h.handler_id();
    let listener = h.reactor().listen("127.0.0.1:81", listen, id).expect("a listener");
    (h, listener)
}

fn with_limits(limits: Limits) -> Listen {
    Listen { limits, ..Listen::default() }
}

fn idle(idle: Option<Duration>) -> Listen {
    with_limits(Limits { idle, ..Limits::default() })
}

fn set(h: &mut Harness<Probe>, listener: ListenerId, listen: &Listen) {
    assert!(h.reactor().set_limits(listener, listen));
    h.run();
}

fn states(h: &Harness<Probe>, clients: &[Client]) -> Vec<State> {
    clients.iter().map(|client| h.state(*client)).collect()
}

#[test]
fn an_open_connection_has_the_new_idle_time() {
    for (before, after) in [(Some(100), Some(10)), (Some(10), Some(100)), (None, Some(10))] {
        let [old, new] = [before, after].map(|idle| idle.map(Duration::from_secs));
        let (mut h, listener) = listening(Probe::echo(), &idle(old));
        let client = h.open_at(listener);
        h.advance(5 * SECOND);
        set(&mut h, listener, &idle(new));
        let left = new.expect("a time") - 5 * SECOND;
        h.advance(left - SECOND);
        assert_eq!(h.state(client), State::Open, "{before:?} and {after:?}: early");
        h.advance(2 * SECOND);
        assert_eq!(h.state(client), State::Shut, "{before:?} and {after:?}: late");
    }
}

#[test]
fn without_an_idle_time_a_connection_stays() {
    let (mut h, listener) = listening(Probe::echo(), &idle(Some(10 * SECOND)));
    let client = h.open_at(listener);
    set(&mut h, listener, &idle(None));
    h.advance(1000 * SECOND);
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn the_connections_of_other_listeners_keep_their_limits() {
    let (mut h, listener) = listening(Probe::echo(), &idle(Some(100 * SECOND)));
    let (id, listen) = (h.handler_id(), idle(Some(100 * SECOND)));
    let other = h.reactor().listen("127.0.0.1:82", &listen, id).expect("a listener");
    let clients = [h.open_at(listener), h.open_at(other)];
    set(&mut h, listener, &idle(Some(10 * SECOND)));
    h.advance(20 * SECOND);
    assert_eq!(states(&h, &clients), [State::Closed, State::Open]);
}

#[test]
fn a_larger_maximum_lets_in_those_who_wait_and_a_smaller_one_closes_none() {
    let most = |max_connections| Listen { max_connections, ..Listen::default() };
    let (mut h, listener) = listening(Probe::echo(), &most(1));
    let clients = [(); 4].map(|()| h.open_at(listener));
    assert_eq!(h.ledger().accepted, 1);
    set(&mut h, listener, &most(3));
    assert_eq!(h.ledger().accepted, 3);
    set(&mut h, listener, &most(1));
    assert_eq!(states(&h, &clients), [State::Open; 4], "the last one waits");
    for (finished, accepted) in [(0, 3), (1, 3), (2, 4)] {
        h.finish(clients[finished]);
        assert_eq!(h.ledger().accepted, accepted);
    }
    h.feed(clients[3], b"x");
    assert_eq!(h.sent(clients[3]), "x");
}

#[test]
fn what_happens_to_further_connections_can_change() {
    let when = |when_full| Listen { max_connections: 1, when_full, ..Listen::default() };
    let (mut h, listener) = listening(Probe::echo(), &when(WhenFull::Wait));
    let first = h.open_at(listener);
    set(&mut h, listener, &when(WhenFull::Refuse));
    let second = h.open_at(listener);
    h.advance(2 * SECOND);
    set(&mut h, listener, &when(WhenFull::Shed));
    let third = h.open_at(listener);
    let expected = [State::Closed, State::Reset, State::Open];
    assert_eq!(states(&h, &[first, second, third]), expected);
}

#[test]
fn the_maximum_per_client_can_change_and_go() {
    let most = |max_per_address| Listen { max_per_address, ..Listen::default() };
    let (mut h, listener) = listening(Probe::echo(), &most(Some(1)));
    let mut clients = vec![h.open_at(listener), h.open_at(listener)];
    for most_now in [Some(2), Some(1), None] {
        set(&mut h, listener, &most(most_now));
        clients.extend([h.open_at(listener), h.open_at(listener)]);
    }
    let expected = [
        [State::Open, State::Reset],
        [State::Open, State::Reset],
        [State::Reset, State::Reset],
        [State::Open, State::Open],
    ];
    assert_eq!(states(&h, &clients), expected.concat());
    // Those that came without a limit count.
    set(&mut h, listener, &most(Some(5)));
    let late = [h.open_at(listener), h.open_at(listener)];
    assert_eq!(states(&h, &late), [State::Open, State::Reset]);
    for client in clients.into_iter().chain(late) {
        if h.state(client) == State::Open {
            h.finish(client);
        }
    }
    let again = [(); 6].map(|()| h.open_at(listener));
    let open = states(&h, &again).iter().filter(|state| **state == State::Open).count();
    assert_eq!(open, 5, "all of them have left");
}

#[test]
fn a_client_that_lingers_counts_when_a_maximum_is_set() {
    let most = |max_per_address| Listen { max_per_address, ..Listen::default() };
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(_) => cx.close(),
        call => call.by_default(cx),
    });
    let (mut h, listener) = listening(probe, &most(None));
    let lingering = h.open_at(listener);
    h.feed(lingering, b"x");
    assert_eq!(h.state(lingering), State::Shut);
    set(&mut h, listener, &most(Some(1)));
    let refused = h.open_at(listener);
    assert_eq!(h.state(refused), State::Reset);
    h.finish(lingering);
    let client = h.open_at(listener);
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn limits_that_are_sizes_stay_as_they_were() {
    let size = |send_high| with_limits(Limits { send_high, ..Limits::default() });
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            let sent = cx.send(vec![b'.'; 300_000]);
            notes.add(format_args!("{sent:?}"));
        }
        call => call.by_default(cx),
    });
    let (mut h, listener) = listening(probe, &size(1 << 20));
    let client = h.open_at(listener);
    set(&mut h, listener, &size(1000));
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 Accepted"]);
}

#[test]
fn a_rate_of_all_connections_together_stays_as_it_was() {
    let rate = |send_rate| Listen { send_rate, ..idle(None) };
    let (mut h, listener) = listening(sending(1_000_000), &rate(Some(1000)));
    let clients = [(); 4].map(|()| h.open_at(listener));
    h.advance(10 * SECOND);
    for client in clients {
        h.take(client);
    }
    let mut arrived = [0; 4];
    for _ in 0..200 {
        set(&mut h, listener, &rate(Some(1_000_000)));
        h.advance(SECOND / 5);
        for (client, arrived) in clients.iter().zip(&mut arrived) {
            *arrived += h.take(*client).len();
        }
    }
    assert!(arrived.iter().all(|bytes| (8_000..=12_000).contains(bytes)), "{arrived:?}");
}

/// Sends `count` bytes to each client.
fn sending(count: usize) -> Probe {
    Probe::new(move |cx, call, _| match call {
        Call::Open => drop(cx.send(vec![b'.'; count])),
        call => call.by_default(cx),
    })
}

/// How many bytes a client receives in this time.
fn arriving(h: &mut Harness<Probe>, client: Client, seconds: usize) -> usize {
    h.take(client);
    let mut each = || {
        h.advance(SECOND);
        h.take(client).len()
    };
    (0..seconds).map(|_| each()).sum()
}

#[test]
fn a_new_rate_applies_to_a_connection_that_is_sending() {
    let rate = |send_rate| with_limits(Limits { send_rate, idle: None, ..Limits::default() });
    let (mut h, listener) = listening(sending(10_000_000), &rate(Some(1000)));
    let client = h.open_at(listener);
    h.advance(10 * SECOND);
    for per_second in [20_000, 500] {
        set(&mut h, listener, &rate(Some(per_second)));
        h.advance(2 * SECOND);
        let arrived = arriving(&mut h, client, 20);
        let expected = 20 * per_second as usize;
        assert!(arrived.abs_diff(expected) <= expected / 10, "{arrived} of {expected}");
    }
    set(&mut h, listener, &rate(None));
    arriving(&mut h, client, 1);
    let arrived = arriving(&mut h, client, 1);
    assert!(arrived > 100_000, "without a rate, the client decides: {arrived}");
}

#[test]
fn a_connection_that_had_no_rate_gets_one() {
    let limits = |send_rate| with_limits(Limits { send_rate, idle: None, ..Limits::default() });
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send(vec![b'.'; 1_000_000]);
        }
        call => call.by_default(cx),
    });
    let (mut h, listener) = listening(probe, &limits(None));
    let client = h.open_at(listener);
    h.feed(client, b"x");
    assert!(arriving(&mut h, client, 10) > 100_000);
    set(&mut h, listener, &limits(Some(1000)));
    h.feed(client, b"x");
    let arrived = arriving(&mut h, client, 10);
    assert!((9_000..=11_000).contains(&arrived), "{arrived}");
}

#[test]
fn a_rate_that_is_gone_costs_new_connections_nothing() {
    let rate = |send_rate| with_limits(Limits { send_rate, ..Limits::default() });
    let probe = Probe::new(|cx, call, _| match call {
        Call::Open => drop(cx.send(&[b'.'; 50_000])),
        call => call.by_default(cx),
    });
    let (mut h, listener) = listening(probe, &rate(None));
    set(&mut h, listener, &rate(Some(1_000_000)));
    set(&mut h, listener, &rate(None));
    h.open_at(listener);
    assert_eq!(h.ledger().write_through, 50_000, "under a rate, nothing is written through");
}

#[test]
fn a_rate_that_changed_replaces_that_of_a_connection() {
    let limits = |send_rate| with_limits(Limits { send_rate, idle: None, ..Limits::default() });
    let (mut h, listener) = listening(sending(1_000_000), &limits(Some(100_000)));
    let client = h.open_at(listener);
    let id = h.handler().notes.ids[0];
    h.reactor().peer(id).set_send_rate(Some(50_000));
    h.advance(SECOND);
    set(&mut h, listener, &limits(Some(1000)));
    h.advance(2 * SECOND);
    let arrived = arriving(&mut h, client, 10);
    assert!((9_000..=11_000).contains(&arrived), "{arrived}");
}

#[test]
fn a_rate_that_did_not_change_leaves_that_of_a_connection_alone() {
    let limits = |idle| with_limits(Limits { send_rate: Some(1000), idle, ..Limits::default() });
    let (mut h, listener) = listening(sending(1_000_000), &limits(None));
    let client = h.open_at(listener);
    let id = h.handler().notes.ids[0];
    h.reactor().peer(id).set_send_rate(Some(10_000));
    set(&mut h, listener, &limits(Some(1000 * SECOND)));
    h.advance(2 * SECOND);
    let arrived = arriving(&mut h, client, 10);
    assert!((90_000..=110_000).contains(&arrived), "{arrived}");
}

#[test]
fn a_closed_listener_has_no_limits() {
    let (mut h, listener) = listening(Probe::echo(), &Listen::default());
    let client = h.open_at(listener);
    assert!(h.reactor().close_listener(listener));
    assert!(!h.reactor().set_limits(listener, &idle(Some(SECOND))));
    h.advance(10 * SECOND);
    assert_eq!(h.state(client), State::Open);
    assert_eq!(log(&mut h), ["0 open"]);
}
