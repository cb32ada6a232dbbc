//! What connections hold stays within the memory budget.

use std::collections::BTreeMap;
use std::time::Duration;

use log::Level;
use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Bytes, ConnId, Limits, Listen};

use crate::logged::logged_in;
use crate::probe::{Call, Probe, log, pattern, with_limits};

const BUDGET: u64 = 1 << 20;

fn with_budget(probe: Probe) -> Harness<Probe> {
    let limits = Limits { send_high: usize::MAX, ..Limits::default() };
    let mut h = with_limits(probe, limits);
    h.reactor().set_memory_budget(BUDGET);
    h
}

fn memory(h: &mut Harness<Probe>) -> u64 {
    h.reactor().snapshot().memory
}

/// Opens a connection whose client reads nothing.
fn slow_reader(h: &mut Harness<Probe>) -> (Client, ConnId) {
    let client = h.open();
    h.set_room(client, 0);
    (client, *h.handler().notes.ids.last().expect("it was opened"))
}

/// What a client gets that reads at last.
fn read_all(h: &mut Harness<Probe>, client: Client) -> Vec<u8> {
    h.set_room(client, usize::MAX);
    h.sent(client).to_vec()
}

fn send(h: &mut Harness<Probe>, id: ConnId, bytes: impl Into<Bytes>) {
    h.reactor().peer(id).send(bytes.into());
    h.run();
}

#[test]
fn the_one_that_holds_most_goes_and_all_others_get_every_byte() {
    let mut h = with_budget(Probe::echo());
    let readers: Vec<_> = (0..20).map(|_| slow_reader(&mut h)).collect();
    // What was sent to those that are left.
    let mut left: BTreeMap<_, _> = (0..readers.len()).map(|number| (number, Vec::new())).collect();
    let mut aborted = 0;
    for number in (0..readers.len()).cycle().take(240) {
        let Some(sent) = left.get_mut(&number) else { continue };
        let piece = pattern(2000 * (number + 1));
        sent.extend_from_slice(&piece);
        send(&mut h, readers[number].1, piece);
        let held = memory(&mut h);
        assert!(held <= BUDGET, "{held} bytes");
        let gone: BTreeMap<_, _>;
        (gone, left) =
            left.into_iter().partition(|(number, _)| h.state(readers[*number].0) == State::Reset);
        let least = gone.values().map(Vec::len).min().unwrap_or(usize::MAX);
        assert!(left.values().all(|sent| sent.len() <= least), "one that holds more is left");
        aborted += gone.len() as u64;
    }
    assert_eq!(h.ledger().memory_aborts, aborted);
    assert!(aborted > 0 && !left.is_empty(), "{aborted} are gone");
    for (number, sent) in left {
        assert!(read_all(&mut h, readers[number].0) == sent, "{number} gets every byte");
    }
}

#[test]
fn while_memory_is_short_less_is_read_and_accepted() {
    let mut h = with_budget(Probe::echo());
    let (reader, id) = slow_reader(&mut h);
    let other = h.open();
    send(&mut h, id, pattern(800 << 10));
    assert_eq!((h.ledger().memory_shortages, h.ledger().memory_aborts), (1, 0));
    h.feed(reader, b"not read");
    assert_eq!(h.unread(reader), 8);
    h.feed(other, b"x");
    assert_eq!(h.sent(other), "x", "it has no queue");
    let (accepted, turns) = (h.ledger().accepted, h.ledger().turns);
    h.at_once(|h| {
        for _ in 0..10 {
            h.open();
        }
    });
    assert_eq!(h.ledger().accepted, accepted + 1);
    h.advance(Duration::from_millis(100));
    let more = h.ledger().accepted - accepted;
    assert!((5..=8).contains(&more), "{more} in six ticks");
    assert!(h.ledger().turns < turns + 20, "it sleeps meanwhile");

    let mut expected = pattern(800 << 10);
    expected.extend(b"not read");
    assert!(read_all(&mut h, reader) == expected);
    assert!(log(&mut h).contains(&"0 drain".to_owned()));
    h.advance(Duration::from_millis(40));
    assert_eq!(h.ledger().accepted, accepted + 10, "memory is no longer short");
    let turns = h.ledger().turns;
    h.advance(Duration::from_secs(1));
    assert_eq!(h.ledger().turns, turns + 1, "nothing is left to look at");
}

#[test]
fn a_connection_that_is_aborted_is_named() {
    let logged = logged_in(Level::Warn, || {
        let mut h = with_budget(Probe::echo());
        let (_, small) = slow_reader(&mut h);
        send(&mut h, small, pattern(1000));
        let (reader, id) = slow_reader(&mut h);
        send(&mut h, id, pattern(BUDGET as usize));
        assert_eq!(h.state(reader), State::Reset);
        let log = log(&mut h);
        assert_eq!(log, ["0 open", "1 open", "1 close MemoryBudget"]);
        assert_eq!(h.ledger().memory_aborts, 1);
    });
    assert!(logged[0].starts_with("connections hold "), "{logged:?}");
    let (name, why) = logged[1].split_once(": ").expect("a name");
    assert!(name.starts_with("ConnId(1.") && name.contains(" from 127.0.0.1:"), "{logged:?}");
    assert!(why.starts_with("aborted: it holds 1048576 bytes, the most of all"), "{logged:?}");
}

#[test]
fn a_piece_that_many_connections_wait_for_counts_once() {
    let mut h = with_budget(Probe::echo());
    let piece = Bytes::from(pattern(100_000));
    let readers: Vec<_> = (0..50).map(|_| slow_reader(&mut h)).collect();
    for (_, id) in &readers {
        send(&mut h, *id, piece.clone());
    }
    assert_eq!(memory(&mut h), 100_000);
    h.set_room(readers[0].0, 60_000);
    h.run();
    assert_eq!(memory(&mut h), 100_000, "a part of it is the same memory");
    assert_eq!(h.ledger().memory_shortages, 0);
    for (client, _) in readers {
        assert!(read_all(&mut h, client) == piece);
    }
    assert_eq!(memory(&mut h), 0);
}

#[test]
fn input_that_is_not_complete_counts() {
    let exact = Probe::new(|cx, call, _| match call {
        Call::Open => cx.receive_exact(1 << 20).unwrap(),
        call => call.by_default(cx),
    });
    let keeps = Probe::new(|cx, call, _| match call {
        Call::Data(_) => {}
        call => call.by_default(cx),
    });
    for (probe, least, most) in [(exact, 300_000, 300_000), (keeps, 300_000, 1 << 20)] {
        let limits = Limits { max_unread: 1 << 20, ..Limits::default() };
        let mut h = Harness::with(probe, &Listen { limits, ..Listen::default() });
        let client = h.open();
        h.feed(client, pattern(300_000));
        let held = memory(&mut h);
        assert!((least..=most).contains(&held), "{held} bytes");
        h.reset(client);
        let held = memory(&mut h);
        assert!(held <= 128 << 10, "{held} bytes are unused buffers");
    }
}

#[test]
fn unused_buffers_are_freed_before_anyone_is_aborted() {
    let mut h = with_budget(Probe::new(|cx, call, _| match call {
        Call::Data(_) => {}
        call => call.by_default(cx),
    }));
    // Input that is kept for a moment leaves buffers behind.
    let clients: Vec<_> = (0..10).map(|_| h.open()).collect();
    clients.iter().for_each(|client| h.feed(*client, pattern(50_000)));
    clients.iter().for_each(|client| h.reset(*client));
    let unused = memory(&mut h);
    assert!(unused > 500_000, "{unused} bytes are unused");
    let (_, id) = slow_reader(&mut h);
    send(&mut h, id, pattern(900_000));
    assert_eq!((h.ledger().memory_shortages, h.ledger().memory_aborts), (1, 0));
    assert_eq!(memory(&mut h), 900_000);
}

#[test]
fn one_connection_that_holds_too_much_does_not_cost_others_theirs() {
    let mut h = with_budget(Probe::echo());
    let others: Vec<_> = (0..100).map(|_| slow_reader(&mut h)).collect();
    let (hog, id) = slow_reader(&mut h);
    send(&mut h, id, pattern(BUDGET as usize * 13 / 16));
    h.at_once(|h| {
        for (other, _) in &others {
            h.feed(*other, pattern(3000));
        }
    });
    assert_eq!((h.state(hog), h.ledger().memory_aborts), (State::Reset, 1));
    assert!(others.iter().all(|(other, _)| h.state(*other) == State::Open));
}

#[test]
fn those_who_wait_for_a_shared_piece_are_not_aborted_for_it() {
    let mut h = with_budget(Probe::echo());
    let piece = Bytes::from(pattern(BUDGET as usize / 8));
    let subscribers: Vec<_> = (0..20).map(|_| slow_reader(&mut h)).collect();
    for (_, id) in &subscribers {
        send(&mut h, *id, piece.clone());
    }
    let (mut aborted, part) = (0, BUDGET as usize / 24);
    for _ in 0..20 {
        let (_, id) = slow_reader(&mut h);
        send(&mut h, id, pattern(part));
        aborted = h.ledger().memory_aborts;
    }
    assert!(aborted > 0, "the others hold too much");
    assert!(subscribers.iter().all(|(subscriber, _)| h.state(*subscriber) == State::Open));
}

#[test]
fn a_shortage_does_not_last() {
    let mut h = with_budget(Probe::echo());
    let (hog, id) = slow_reader(&mut h);
    send(&mut h, id, pattern(BUDGET as usize * 13 / 16));
    h.advance(Duration::from_secs(9));
    assert_eq!(h.state(hog), State::Open);
    h.advance(Duration::from_secs(2));
    assert_eq!(h.state(hog), State::Reset);
}
