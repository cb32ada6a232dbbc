//! Pipes: when bytes go through one, and what becomes of it.

use sluicegate_reactor::Limits;
use sluicegate_reactor::testing::{Client, Harness, State, Step};

use super::{joined, joiner};
use crate::probe::{Probe, log, pattern, with_limits};

/// By pipes from the start.
fn piped() -> Limits {
    Limits { splice_after: 0, ..Limits::default() }
}

/// The ends of pipes that are open.
fn pipes(h: &Harness<Probe>) -> usize {
    h.open_descriptors().pipes
}

/// Feeds a large piece and lets the other end take it.
fn pass(h: &mut Harness<Probe>, from: Client, to: Client) {
    h.set_room(to, 1 << 20);
    h.feed(from, pattern(100_000));
    assert!(h.sent(to) == pattern(100_000), "another piece");
}

#[test]
fn sustained_bulk_goes_by_a_pipe_until_the_pieces_become_small() {
    let (mut h, left, right) = joined(Limits { splice_after: 200_000, ..Limits::default() });
    pass(&mut h, left, right);
    h.feed(left, b"small");
    assert_eq!(h.sent(right), "small");
    pass(&mut h, left, right);
    pass(&mut h, left, right);
    // A small piece between large ones begins the count anew.
    assert_eq!((h.calls().splice, pipes(&h)), (0, 0));
    for _ in 0..4 {
        pass(&mut h, left, right);
    }
    let spliced = h.ledger().splice_bytes;
    assert!(spliced > 0 && h.calls().recv > 0, "{spliced} by pipe");
    assert_eq!(pipes(&h), 2, "one, and kept for the next");
    for _ in 0..20 {
        h.feed(left, b"small");
    }
    let calls = h.calls();
    h.feed(left, b"small");
    assert_eq!(h.calls().splice, calls.splice);
    assert_eq!(h.sent(right), "small".repeat(21));
}

#[test]
fn pieces_are_large_from_their_limit_on() {
    let limits = Limits { splice_after: 3000, splice_least: 1000, ..Limits::default() };
    let (mut h, left, right) = joined(limits);
    let mut spliced = Vec::new();
    let lens = [[1000; 4].as_slice(), &[999; 15], &[1000], &[999; 16], &[1000]].concat();
    for len in lens {
        let before = h.ledger().splice_bytes;
        h.feed(left, pattern(len));
        assert!(h.sent(right) == pattern(len), "another piece");
        spliced.push(h.ledger().splice_bytes > before);
    }
    let expected = [[false; 3].as_slice(), &[true; 33], &[false]].concat();
    assert_eq!(spliced, expected, "from the fourth until sixteen small ones in turn");
}

#[test]
fn one_empty_pipe_serves_all_relays() {
    let mut h = with_limits(joiner(), piped());
    let pairs: Vec<_> = (0..10).map(|_| (h.open(), h.open())).collect();
    for (left, right) in pairs {
        pass(&mut h, left, right);
        pass(&mut h, right, left);
    }
    assert_eq!(pipes(&h), 2);
    assert_eq!(h.ledger().splice_bytes, 2_000_000);
}

#[test]
fn what_is_in_a_pipe_is_pending_and_dropped_with_its_connection() {
    let (mut h, left, right) = joined(piped());
    let ids = h.handler().notes.ids.clone();
    h.set_room(right, 10);
    h.feed(left, pattern(1000));
    assert_eq!(h.reactor().peer(ids[1]).pending(), 990);
    h.reset(right);
    let ledger = h.ledger();
    assert_eq!((ledger.queued, ledger.sent, ledger.dropped), (1000, 10, 990));
    assert_eq!((ledger.splice_bytes, ledger.received_by_splice), (10, 1000));
}

#[test]
fn a_pipe_with_bytes_in_it_is_never_used_again() {
    let mut h = with_limits(joiner(), piped());
    for _ in 0..20 {
        let (left, right) = (h.open(), h.open());
        h.set_room(right, 10);
        h.feed(left, b"the secret of another");
        assert_eq!(pipes(&h), 2);
        h.reset(right);
        assert_eq!(h.state(left), State::Reset);
        assert!(pipes(&h) <= 2, "only the empty one that the rest of its input went through");
    }
    let (left, right) = (h.open(), h.open());
    h.feed(left, b"hello");
    assert_eq!(h.sent(right), "hello");
}

#[test]
fn without_descriptors_or_quota_bulk_is_copied_and_that_is_counted() {
    for quota in [false, true] {
        let (mut h, left, right) = joined(piped());
        match quota {
            true => h.set_pipe_size(0),
            false => h.set_descriptor_limit(4),
        }
        pass(&mut h, left, right);
        let ledger = h.ledger();
        assert_eq!((ledger.splice_bytes, ledger.sent), (0, 100_000));
        assert!(ledger.no_pipe > 0);
        assert_eq!(pipes(&h), 0);
        match quota {
            true => h.set_pipe_size(1 << 20),
            false => h.set_descriptor_limit(100),
        }
        pass(&mut h, left, right);
        assert!(h.ledger().splice_bytes > 0, "it tries again");
    }
}

#[test]
fn a_splice_that_fills_the_slots_of_its_pipe_is_not_the_last() {
    let (mut h, left, right) = joined(piped());
    h.set_pipe_size(16 * 4096);
    h.set_room(right, 1 << 20);
    h.feed(left, pattern(300_000));
    assert!(h.sent(right) == pattern(300_000), "another piece");
    assert_eq!(h.ledger().splice_bytes, 300_000);
}

#[test]
fn what_more_than_fills_a_pipe_is_passed_on_in_the_same_turn() {
    let (mut h, left, right) = joined(piped());
    h.set_pipe_size(16 * 4096);
    h.set_room(right, 1 << 20);
    h.at_once(|h| {
        h.feed(left, pattern(200_000));
        h.turn();
        assert_eq!(h.arrived(right), 200_000);
    });
}

#[test]
fn a_socket_that_takes_little_at_a_time_gets_all_of_a_pipe() {
    let (mut h, left, right) = joined(piped());
    let steps = [Step::Short(1), Step::Interrupted, Step::Short(2), Step::WouldBlock];
    h.script_send(right, steps.into_iter().cycle().take(40));
    h.feed(left, pattern(5000));
    for _ in 0..40 {
        h.wake(right);
    }
    assert_eq!(h.sent(right), pattern(5000));
}

#[test]
fn stalled_readers_hold_a_bounded_number_of_pipes() {
    let mut h = with_limits(joiner(), piped());
    let pairs: Vec<_> = (0..300).map(|_| (h.open(), h.open())).collect();
    for &(left, right) in &pairs {
        h.set_room(right, 1);
        h.feed(left, b"hello");
    }
    assert_eq!(pipes(&h), 2 * 256);
    assert!(h.ledger().no_pipe >= 44);
    for (left, right) in pairs {
        h.set_room(right, 100);
        assert_eq!(h.sent(right), "hello");
        h.reset(left);
    }
    assert_eq!(pipes(&h), 2 * 16, "some are kept");
    assert_eq!(h.open_descriptors().streams, 0);
    log(&mut h);
}
