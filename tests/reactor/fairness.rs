//! No connection keeps the others waiting, counted in turns.

use sluicegate_reactor::testing::{Harness, State, Step};
use sluicegate_reactor::{Limits, Listen};

use crate::probe::{Call, Probe, log, pattern, with_limits};

#[test]
fn endless_input_does_not_starve_another_connection() {
    let limits = Limits { quantum_calls: 4, ..Limits::default() };
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) if notes.current == 1 => {
            cx.send(input.take());
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let (greedy, modest) = (h.open(), h.open());
    h.at_once(|h| {
        h.feed(greedy, vec![0; 50 << 20]);
        h.feed(modest, b"x");
        h.turn();
        assert_eq!(h.sent(modest), "x");
        let first = h.unread(greedy);
        assert!(first > 40 << 20, "the quantum was kept");
        h.turn();
        let second = h.unread(greedy);
        assert!(second < first && second > 40 << 20, "it goes on without another event");
        h.feed(modest, b"y");
        h.turn();
        assert_eq!(h.sent(modest), "y");
    });
    assert_eq!(h.unread(greedy), 0);
    assert!(h.ledger().recv_budget_stops > 10);
}

#[test]
fn many_bytes_use_up_a_quantum_as_many_calls_do() {
    let limits = Limits { receive_quantum: 1, quantum_calls: 1000, ..Limits::default() };
    let probe = Probe::new(|cx, call, _| call.by_default(cx));
    let mut h = with_limits(probe, limits);
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, vec![0; 10 << 20]);
        let before = h.calls().recv;
        h.turn();
        assert_eq!(h.calls().recv - before, 1);
    });
    assert_eq!(h.unread(client), 0);
}

#[test]
fn a_long_answer_does_not_starve_another_connection() {
    let limits = Limits { send_quantum: 10_000, ..Limits::default() };
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) if notes.current == 0 => {
            input.take();
            for _ in 0..1000 {
                cx.send(pattern(5_000));
            }
        }
        Call::Data(input) => {
            cx.send(input.take());
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let (greedy, modest) = (h.open(), h.open());
    h.set_room(greedy, usize::MAX);
    h.at_once(|h| {
        h.feed(greedy, b"all");
        h.feed(modest, b"x");
        h.turn();
        assert_eq!(h.sent(modest), "x");
        assert!(h.arrived(greedy) < 1_000_000, "{} bytes in one turn", h.arrived(greedy));
    });
    assert_eq!(h.sent(greedy).len(), 5_000_000);
}

#[test]
fn a_huge_borrowed_answer_does_not_starve_another_connection() {
    const QUANTUM: usize = 10_000;
    let limits = Limits { send_quantum: QUANTUM, ..Limits::default() };
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) if notes.current == 0 => {
            input.take();
            cx.send(&pattern(5_000_000)[..]);
            assert_eq!(cx.sent(), QUANTUM as u64, "written through");
        }
        Call::Data(input) => drop(cx.send(input.take())),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let (greedy, modest) = (h.open(), h.open());
    h.set_room(greedy, usize::MAX);
    // As long as the client takes it, little by little.
    h.script_send(greedy, vec![Step::Short(1000); 1000]);
    h.at_once(|h| {
        h.feed(greedy, b"all");
        h.feed(modest, b"x");
        h.turn();
        assert_eq!(h.sent(modest), b"x");
        assert!(h.arrived(greedy) <= 3 * QUANTUM, "{} bytes in one turn", h.arrived(greedy));
    });
    assert!(h.sent(greedy) == pattern(5_000_000));
    assert_eq!(h.ledger().panics, 0);
}

#[test]
fn a_long_answer_does_not_keep_its_own_connection_from_being_heard() {
    let limits = Limits { send_quantum: 10_000, ..Limits::default() };
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) if input.bytes() == b"stop" => cx.abort(),
        Call::Data(input) => {
            input.take();
            cx.send(vec![0; 5_000_000]);
        }
        call => call.by_default(cx),
    });
    let limits = Limits { send_high: usize::MAX, ..limits };
    let mut h = with_limits(probe, limits);
    let client = h.open();
    h.set_room(client, usize::MAX);
    h.script_send(client, vec![Step::Short(5_000); 1000]);
    h.at_once(|h| {
        h.feed(client, b"all");
        h.turn();
        h.feed(client, b"stop");
        h.turn();
        h.turn();
        assert!(h.arrived(client) < 1_000_000);
        assert_eq!(h.state(client), State::Reset);
    });
}

#[test]
fn what_used_up_its_quantum_goes_on_in_turn_with_others() {
    let limits = Limits { quantum_calls: 1, receive_quantum: 1, ..Limits::default() };
    let mut h = with_limits(Probe::echo(), limits);
    let clients = [h.open(), h.open()];
    log(&mut h);
    h.at_once(|h| {
        for client in clients {
            h.set_room(client, usize::MAX);
            h.feed(client, pattern(2 << 20));
        }
    });
    let log = log(&mut h);
    assert!(log.len() >= 8, "several turns for each: {log:?}");
    for pair in log.iter().filter(|line| line.contains("data")).collect::<Vec<_>>().chunks(2) {
        let numbers: Vec<_> = pair.iter().map(|line| &line[..1]).collect();
        assert!(numbers.len() < 2 || numbers[0] != numbers[1], "by turns: {log:?}");
    }
}

#[test]
fn accepting_keeps_its_budget_and_goes_on_in_the_next_turn() {
    let listen = Listen { accept_budget: 3, ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    h.at_once(|h| {
        for _ in 0..8 {
            h.open();
        }
        for expected in [3, 6, 8] {
            h.turn();
            assert_eq!(h.ledger().accepted, expected);
        }
    });
    assert_eq!(h.handler().notes.ids.len(), 8);
}

#[test]
fn a_connection_that_lingers_does_not_starve_others() {
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Open if notes.current == 0 => cx.close(),
        Call::Data(input) => {
            cx.send(input.take());
        }
        call => call.by_default(cx),
    });
    let mut h = Harness::new(probe);
    let (greedy, modest) = (h.open(), h.open());
    h.at_once(|h| {
        h.feed(greedy, vec![0; 50 << 20]);
        h.feed(modest, b"x");
        h.turn();
        assert_eq!(h.sent(modest), "x");
        assert!(h.unread(greedy) > 40 << 20);
    });
    assert_eq!(h.unread(greedy), 0);
}

#[test]
fn one_receive_brings_no_more_to_the_handler_than_its_limit() {
    for (most, expected) in [(0, &[1; 5][..]), (2, &[2, 2, 1]), (5, &[5]), (6, &[5])] {
        let limits = Limits { receive_most: most, ..Limits::default() };
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Data(input) => notes.add(format_args!("{} bytes", input.take().len())),
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let client = h.open();
        log(&mut h);
        h.feed(client, b"abcde");
        let sizes: Vec<_> = expected.iter().map(|size| format!("0 {size} bytes")).collect();
        let told: Vec<_> = log(&mut h).into_iter().filter(|line| line.contains("bytes")).collect();
        assert_eq!(told, sizes, "{most}");
    }
}
