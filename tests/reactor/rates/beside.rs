//! Rates beside what else there is for a connection: deadlines, closes, the other direction.

use super::*;

#[test]
fn the_rate_of_a_connection_that_is_closing_can_be_lifted() {
    let limits = Limits { send_rate: Some(1000), ..Limits::default() };
    let (mut h, clients) = downloads(&Listen { limits, ..Listen::default() }, 1, 100_000);
    let id = h.handler().notes.ids[0];
    h.reactor().peer(id).close();
    h.run();
    assert_eq!(h.state(clients[0]), State::Open);
    h.reactor().peer(id).set_send_rate(None);
    h.run();
    assert_eq!((h.sent(clients[0]).len(), h.state(clients[0])), (100_000, State::Shut));
}

#[test]
fn whoever_waits_for_its_rate_is_neither_idle_nor_stalled() {
    let limits = Limits {
        idle: Some(Duration::from_secs(2)),
        write_stall: Some(Duration::from_secs(2)),
        ..Limits::default()
    };
    // Eight at 1000 bytes a second together: each waits four seconds for its second.
    let listen = Listen { limits, send_rate: Some(1000), ..Listen::default() };
    let (mut h, clients) = downloads(&listen, 8, 10_000);
    let mut sent = [0; 8];
    for _ in 0..90 {
        h.advance(Duration::from_secs(1));
        for (client, sent) in clients.iter().zip(&mut sent) {
            *sent += h.sent(*client).len();
        }
    }
    assert_eq!(sent, [10_000; 8]);
    let closed = log(&mut h).iter().filter(|line| line.contains("timeout")).count();
    assert_eq!(closed, 8, "each once, when all was sent");
}

#[test]
fn after_a_wait_for_its_rate_a_client_that_takes_nothing_has_its_whole_time() {
    let half = Duration::from_millis(500);
    for which in ["idle", "write stall"] {
        let time = |of| (which == of).then_some(half);
        let limits = Limits {
            idle: time("idle"),
            write_stall: time("write stall"),
            // A thousand bytes at a time, for each of which it waits a second.
            send_rate: Some(1000),
            ..Limits::default()
        };
        let listen = Listen { limits, ..Listen::default() };
        let (mut h, clients) = downloads(&listen, 1, 10_000);
        h.set_room(clients[0], 0);
        let held = h.ledger().send_would_block;
        let mut waited = Duration::ZERO;
        while h.ledger().send_would_block == held {
            h.advance(TICK);
            waited += TICK;
        }
        assert!(waited > half, "it has waited for {waited:?} only");
        assert_eq!(h.ledger().timeouts, 0, "{which}: at the end of the wait");
        h.advance(half - TICK);
        assert_eq!(h.ledger().timeouts, 0, "{which}: early");
        h.advance(3 * TICK);
        assert_eq!(h.ledger().timeouts, 1, "{which}");
    }
}

#[test]
fn a_send_rate_costs_the_input_no_turns() {
    /// In how many turns input was left for the next one while a little is sent at a time.
    fn turns(rates: Limits) -> u64 {
        const ANSWERS: u64 = 10;
        let probe = Probe::new(|cx, call, _| match call {
            Call::Data(input) => {
                input.take();
                if cx.received() == 1_500_000 {
                    cx.request_drain();
                }
            }
            Call::Drain if cx.sent() < ANSWERS => {
                cx.send("x");
                cx.request_drain();
            }
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, Limits { receive_quantum: usize::MAX, ..rates });
        let client = h.open();
        h.feed(client, pattern(1_500_000));
        assert_eq!(h.sent(client).len() as u64, ANSWERS);
        h.ledger().recv_budget_stops
    }
    let without = turns(Limits::default());
    assert_eq!(turns(Limits { send_rate: Some(RATE), ..Limits::default() }), without);
}

#[test]
fn deadlines_go_on_where_no_rate_holds_anything() {
    let limits = Limits {
        idle: Some(Duration::from_secs(5)),
        write_stall: Some(Duration::from_secs(2)),
        send_rate: Some(RATE),
        ..Limits::default()
    };
    let listen = Listen { limits, ..Listen::default() };
    let (mut h, clients) = downloads(&listen, 1, 100_000);
    h.set_room(clients[0], 1000);
    h.advance(Duration::from_secs(3));
    assert_eq!(h.state(clients[0]), State::Reset, "a client that takes nothing");
    let (mut h, clients) = downloads(&listen, 1, 10);
    h.advance(Duration::from_secs(6));
    assert_eq!(h.state(clients[0]), State::Shut, "an idle one");
}

#[test]
fn a_close_waits_until_all_was_sent_at_its_rate() {
    let limits = Limits { send_rate: Some(RATE), ..Limits::default() };
    let probe = Probe::new(|cx, call, _| match call {
        Call::Open => {
            cx.send(pattern(50_000));
            cx.close();
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = h.open();
    h.advance(Duration::from_secs(1));
    assert_eq!((h.sent(client), h.state(client)), (pattern(50_000).into(), State::Shut));
    assert_eq!(log(&mut h), ["0 open", "0 close Closed"]);
}

#[test]
fn a_hold_that_ends_together_with_a_deadline_ends_all_the_same() {
    // In virtual time a second is the same number of ticks for both; after a stall both are late.
    for stall in [false, true] {
        let limits = Limits { send_rate: Some(1000), idle: None, ..Limits::default() };
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Open => {
                cx.set_deadline(Some(Duration::from_secs(1)));
                cx.send(pattern(5000));
            }
            Call::Timeout(_) => notes.add(format_args!("with {}", cx.sent())),
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let client = h.open();
        if stall {
            h.stall(Duration::from_millis(1200));
        }
        h.advance(Duration::from_secs(20));
        let log = log(&mut h);
        let count = log.iter().filter(|line| line.contains("timeout Own")).count();
        assert_eq!((count, h.sent(client).len()), (1, 5000), "{log:?}");
    }
}

#[test]
fn a_reactor_with_rates_sleeps_between_the_ticks() {
    let limits = Limits { send_rate: Some(RATE), ..Limits::default() };
    let (mut h, clients) = downloads(&Listen { limits, ..Listen::default() }, 1, 1_000_000);
    let before = h.ledger();
    h.advance(Duration::from_secs(2));
    let after = h.ledger();
    let holds = after.send_rate_holds - before.send_rate_holds;
    assert!((40..=60).contains(&holds), "{holds} holds for 200,000 bytes");
    assert!(after.turns - before.turns <= 8 * holds, "{} turns", after.turns - before.turns);
    assert!(!h.sent(clients[0]).is_empty());
}
