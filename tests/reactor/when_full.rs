//! What becomes of connections beyond the most that a listener may have.

use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Context, Limits, Listen, Timeout, WhenFull};

use crate::probe::{Call, Probe, log};

const SECOND: Duration = Duration::from_secs(1);

fn full_at(most: u32, when_full: WhenFull, probe: Probe) -> Harness<Probe> {
    Harness::with(probe, &Listen { max_connections: most, when_full, ..Listen::default() })
}

#[test]
fn a_full_listener_that_refuses_resets_further_connections_at_once() {
    let mut h = full_at(2, WhenFull::Refuse, Probe::echo());
    let clients = [(); 4].map(|()| h.open());
    let states = clients.map(|client| h.state(client));
    assert_eq!(states, [State::Open, State::Open, State::Reset, State::Reset]);
    let ledger = h.ledger();
    assert_eq!((ledger.accepted, ledger.refused_full, ledger.full_pauses), (4, 2, 0));
    h.finish(clients[0]);
    let client = h.open();
    h.feed(client, b"x");
    assert_eq!(h.sent(client), "x");
}

#[test]
fn the_connection_that_has_been_idle_for_longest_makes_room() {
    let mut h = full_at(3, WhenFull::Shed, Probe::echo());
    let clients = [(); 3].map(|()| {
        h.advance(SECOND);
        h.open()
    });
    h.advance(SECOND);
    h.feed(clients[0], b"x");
    h.advance(2 * SECOND);
    log(&mut h);
    let client = h.open();
    assert_eq!(log(&mut h), ["1 timeout Idle", "1 close Shed", "3 open"]);
    assert_eq!(h.state(clients[1]), State::Closed, "it does not linger");
    h.feed(client, b"y");
    assert_eq!(h.sent(client), "y");
    let ledger = h.ledger();
    assert_eq!((ledger.shed, ledger.timeouts, ledger.full_pauses), (1, 0, 0));
}

#[test]
fn a_burst_takes_the_places_of_as_many_idle_connections_and_then_waits() {
    let mut h = full_at(50, WhenFull::Shed, Probe::echo());
    let old: Vec<_> = (0..50).map(|_| h.open()).collect();
    h.advance(2 * SECOND);
    let turns = h.ledger().turns;
    let new = h.at_once(|h| (0..70).map(|_| h.open()).collect::<Vec<_>>());
    assert!(old.iter().all(|client| h.state(*client) == State::Closed));
    assert_eq!((h.ledger().shed, h.ledger().accepted), (50, 100));
    assert!(h.ledger().turns <= turns + 55, "a turn for each");
    // The new ones are idle a second later.
    h.advance(2 * SECOND);
    assert_eq!((h.ledger().shed, h.ledger().accepted), (70, 120));
    assert!(h.ledger().turns <= turns + 300, "it looks again once in a tick");
    h.feed(new[69], b"x");
    assert_eq!(h.sent(new[69]), "x");
}

/// A connection has the only place and is made busy. Whether another one then gets that place.
fn is_shed(
    limits: Limits,
    act: impl FnMut(&mut Context<'_>) + 'static,
    busy: impl FnOnce(&mut Harness<Probe>, Client),
) -> bool {
    let mut act = act;
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Data(input) if input.starts_with(b"act") => {
            input.consume(3);
            act(cx);
        }
        Call::Data(_) => {}
        Call::Eof => {}
        call => call.by_default(cx),
    });
    let when_full = WhenFull::Shed;
    let listen = Listen { max_connections: 1, when_full, limits, ..Listen::default() };
    let mut h = Harness::with(probe, &listen);
    let first = h.open();
    busy(&mut h, first);
    let next = h.open();
    let is_shed = h.ledger().shed > 0;
    assert_eq!(h.ledger().accepted, 1 + u64::from(is_shed));
    let turns = h.ledger().turns;
    h.advance(SECOND);
    assert!(is_shed || h.ledger().full_pauses > 0);
    assert!(h.ledger().turns < turns + 70, "it looks again once in a tick");
    let first = h.handler().notes.ids[0];
    h.reactor().peer(first).abort();
    h.feed(next, b"act");
    assert_eq!(h.ledger().accepted, 2, "the place is free");
    is_shed
}

#[test]
fn a_connection_with_something_in_progress_keeps_its_place() {
    let rest = |h: &mut Harness<Probe>, client, input: &[u8]| {
        h.feed(client, input);
        h.advance(2 * SECOND);
    };
    let acts = |h: &mut Harness<Probe>, client| rest(h, client, b"act");
    let default = Limits::default;
    assert!(is_shed(default(), |_| {}, acts), "it is idle");
    assert!(!is_shed(default(), |_| {}, |h, client| h.feed(client, b"act")), "a moment ago");
    assert!(!is_shed(default(), |_| {}, |h, client| rest(h, client, b"a")), "half a request");
    assert!(!is_shed(default(), |cx| cx.pause(), acts), "its handler works for it");
    assert!(!is_shed(default(), |cx| cx.receive_exact(10).unwrap(), acts), "a message");
    assert!(!is_shed(default(), |cx| cx.discard(10), acts), "a message that is skipped");
    assert!(!is_shed(default(), |cx| cx.shutdown(), acts), "it is about to end");
    let unread = |h: &mut Harness<Probe>, client| {
        h.set_room(client, 0);
        acts(h, client);
    };
    let answer = |cx: &mut Context<'_>| {
        cx.send("answer");
    };
    assert!(!is_shed(default(), answer, unread), "a response");
    let ended = |h: &mut Harness<Probe>, client| {
        h.finish(client);
        h.advance(2 * SECOND);
    };
    assert!(!is_shed(default(), |_| {}, ended), "a client that waits for its response");
    assert!(!is_shed(Limits { idle: None, ..default() }, |_| {}, acts), "it may be silent");
    let rated = Limits { send_rate: Some(1 << 20), ..default() };
    assert!(is_shed(rated, answer, acts), "a rate does not keep it busy");
}

#[test]
fn a_handler_that_keeps_an_idle_connection_is_asked_again_a_second_later() {
    let mut h = full_at(
        1,
        WhenFull::Shed,
        Probe::new(|cx, call, _| match call {
            Call::Timeout(Timeout::Idle) => {}
            call => call.by_default(cx),
        }),
    );
    h.open();
    h.advance(2 * SECOND);
    h.open();
    assert_eq!(log(&mut h), ["0 open", "0 timeout Idle"]);
    h.advance(Duration::from_millis(3500));
    assert_eq!(log(&mut h), ["0 timeout Idle"; 3]);
    assert_eq!((h.ledger().shed, h.ledger().accepted), (0, 1));
}

#[test]
fn a_connection_that_is_shed_gets_what_its_handler_sends_it() {
    let mut h = full_at(
        1,
        WhenFull::Shed,
        Probe::new(|cx, call, _| match call {
            Call::Timeout(Timeout::Idle) => {
                cx.send("goodbye");
                cx.close();
            }
            call => call.by_default(cx),
        }),
    );
    let first = h.open();
    h.set_room(first, 3);
    h.advance(2 * SECOND);
    h.open();
    h.advance(SECOND);
    assert_eq!((h.ledger().shed, h.ledger().accepted), (1, 1), "its place is not free yet");
    assert_eq!(h.sent(first), "goodbye");
    assert_eq!(h.ledger().accepted, 2);
}
