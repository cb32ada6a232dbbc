//! Rates: bytes take the time that they should, whatever they are and whichever way they go.

use std::time::Duration;

use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::{Client, Harness, Remote, State, Step};
use sluicegate_reactor::{Address, Connect, Context, FileTransfer, Limits, Listen, Reactor};

use crate::probe::{Call, Probe, log, pattern, with_limits};

/// A tick of the wheel: 2^24 ns.
const TICK: Duration = Duration::from_nanos(1 << 24);

/// Bytes a second.
const RATE: u64 = 100_000;

/// What moves at once at the most: what comes in four ticks.
const BURST: usize = 6711;

/// What a connection waits for.
const PIECE: usize = 4096;

/// How many bytes must have moved after so long, at the least and at the most.
fn in_time(
    rate: u64,
    time: Duration,
    burst: usize,
    piece: usize,
) -> std::ops::RangeInclusive<usize> {
    let even = (u128::from(rate) * time.as_nanos() / 1_000_000_000) as usize;
    even.saturating_sub(piece)..=even + burst
}

/// Lets time pass until `moved` says that all of `total` has moved, and sees that it does evenly.
fn moves_evenly(
    h: &mut Harness<Probe>,
    total: usize,
    what: &str,
    mut moved: impl FnMut(&mut Harness<Probe>) -> usize,
) {
    let mut time = Duration::ZERO;
    loop {
        let count = moved(h);
        let range = in_time(RATE, time, BURST, PIECE);
        assert!(count <= *range.end(), "{what}: {count} bytes in {time:?}, {range:?}");
        assert!(count >= total.min(*range.start()), "{what}: {count} bytes in {time:?}, {range:?}");
        if count == total {
            return;
        }
        h.advance(TICK);
        time += TICK;
    }
}

/// A harness whose handler sends a file when it is connected to.
fn serves_file(listen: &Listen, len: usize) -> Harness<Probe> {
    Harness::build(
        listen,
        |files| files.put_file("/f", &pattern(len), 0),
        |reactor| {
            let file = reactor.fs().open_dir("/").unwrap().open("f").unwrap();
            reactor.register(Probe::new(move |cx, call, _| match call {
                Call::Open => {
                    cx.send("header");
                    cx.send(file.region(0, len as u64));
                }
                call => call.by_default(cx),
            }))
        },
    )
}

#[test]
fn a_download_takes_its_time_whatever_it_is() {
    const TOTAL: usize = 150_000;
    let limits = Limits { send_rate: Some(RATE), ..Limits::default() };
    for what in ["borrowed", "shared", "many", "one by one"] {
        let probe = Probe::new(move |cx, call, _| {
            match (call, what) {
                (Call::Open, "borrowed") => drop(cx.send(&pattern(TOTAL)[..])),
                (Call::Open, "shared") => drop(cx.send(pattern(TOTAL))),
                (Call::Open, "many") => pattern(TOTAL).chunks(1500).for_each(|bytes| {
                    cx.send(bytes.to_vec());
                }),
                (Call::Open, _) => cx.request_drain(),
                (Call::Drain, "one by one") if cx.sent() < TOTAL as u64 => {
                    let at = cx.sent() as usize;
                    cx.send(&pattern(TOTAL)[at..(at + 1000).min(TOTAL)]);
                    cx.request_drain();
                }
                (call, _) => call.by_default(cx),
            };
        });
        let mut h = with_limits(probe, limits.clone());
        let client = h.open();
        let mut all = Vec::new();
        moves_evenly(&mut h, TOTAL, what, |h| {
            all.extend(h.sent(client));
            all.len()
        });
        assert_eq!(all, pattern(TOTAL), "{what}");
        assert!(h.ledger().send_rate_holds > 20, "{what}");
    }
}

#[test]
fn a_file_takes_its_time_by_whichever_way_it_goes() {
    for (files, len) in [
        (FileTransfer::Sendfile, 150_000),
        (FileTransfer::Copy, 150_000),
        (FileTransfer::Sendfile, 16_000),
    ] {
        let limits = Limits { send_rate: Some(RATE), files, ..Limits::default() };
        let mut h = serves_file(&Listen { limits, ..Listen::default() }, len);
        let client = h.open();
        let mut all = Vec::new();
        moves_evenly(&mut h, 6 + len, &format!("{files:?} of {len}"), |h| {
            all.extend(h.sent(client));
            all.len()
        });
        assert_eq!(all, [&b"header"[..], &pattern(len)].concat());
    }
}

/// What a handler does with its input.
fn receives(how: &'static str, reactor: &mut Reactor, far: &Address) -> Probe {
    let dir = reactor.fs().open_dir("/").unwrap();
    let file = dir.create("upload", &CreateOptions::default()).unwrap();
    let (mut file, far) = (Some(file), far.clone());
    let probe = reactor.register(Probe::echo());
    let connector = reactor.connector(probe, &Connect::default());
    Probe::new(move |cx, call, _| match (call, how) {
        (Call::Open, "exact") => cx.receive_exact(150_000).unwrap(),
        (Call::Open, "file") => cx.receive_file(file.take().expect("one upload"), Some(150_000)),
        (Call::Open, "nowhere") => cx.discard(150_000),
        (Call::Open, "relay") => {
            let to = cx.connect(connector, far.clone(), 7);
            cx.relay_to(to);
        }
        (call, _) => call.by_default(cx),
    })
}

#[test]
fn an_upload_takes_its_time_however_it_is_received() {
    let far = Address::from(std::net::SocketAddr::from(([10, 0, 0, 1], 80)));
    for how in ["stream", "exact", "file", "nowhere", "relay"] {
        let limits = Limits { receive_rate: Some(RATE), ..Limits::default() };
        let mut h = Harness::build(
            &Listen { limits, ..Listen::default() },
            |files| files.put_file("/f", b"", 0),
            |reactor| {
                let probe = receives(how, reactor, &far);
                reactor.register(probe)
            },
        );
        h.set_remote(&far, Remote::Listens);
        let client = h.open();
        let listener = (how == "relay").then(|| h.accept(&far));
        h.feed(client, pattern(150_000));
        let mut relayed = Vec::new();
        moves_evenly(&mut h, 150_000, how, |h| {
            relayed.extend(listener.map(|far| h.sent(far)).unwrap_or_default());
            h.ledger().received as usize
        });
        assert!(listener.is_none() || relayed == pattern(150_000));
        assert!(h.ledger().recv_rate_holds > 20, "{how}");
    }
}

#[test]
fn a_relay_in_bulk_takes_the_time_of_its_slower_side() {
    for (receive_rate, send_rate) in [(Some(RATE), None), (None, Some(RATE))] {
        let far = Address::from(std::net::SocketAddr::from(([10, 0, 0, 1], 80)));
        let limits = Limits { receive_rate, ..Limits::default() };
        let mut h = Harness::build(
            &Listen { limits, ..Listen::default() },
            |_| {},
            |reactor| {
                let handler = reactor.reserve();
                let limits = Limits { send_rate, ..Limits::default() };
                let connect = Connect { limits, ..Connect::default() };
                let connector = reactor.connector(handler, &connect);
                let far = far.clone();
                let probe = Probe::new(move |cx, call, _| match call {
                    Call::Open => {
                        let to = cx.connect(connector, far.clone(), 7);
                        cx.relay_to(to);
                    }
                    call => call.by_default(cx),
                });
                reactor.install(handler, probe);
                handler
            },
        );
        h.set_remote(&far, Remote::Listens);
        let client = h.open();
        let far = h.accept(&far);
        h.feed(client, pattern(800_000));
        let mut all = Vec::new();
        moves_evenly(&mut h, 800_000, "a relay", |h| {
            all.extend(h.sent(far));
            all.len()
        });
        assert_eq!(all, pattern(800_000));
    }
}

/// Clients that each ask for `total` bytes at once.
fn downloads(listen: &Listen, clients: usize, total: usize) -> (Harness<Probe>, Vec<Client>) {
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Open => drop(cx.send(pattern(total))),
        call => call.by_default(cx),
    });
    let mut h = Harness::with(probe, listen);
    let clients = h.at_once(|h| (0..clients).map(|_| h.open()).collect());
    (h, clients)
}

#[test]
fn the_connections_of_a_listener_share_its_rate_evenly() {
    // The last has more in a tick than its three pieces.
    for (rate, count, total) in [(RATE, 2, 1 << 20), (RATE, 10, 1 << 20), (60_000_000, 3, 32 << 20)]
    {
        let listen = Listen { send_rate: Some(rate), ..Listen::default() };
        let (mut h, clients) = downloads(&listen, count, total);
        h.at_once(|h| clients.iter().for_each(|client| h.set_room(*client, total)));
        let piece = (rate as usize / 59).clamp(PIECE, 256 << 10);
        let burst = rate as usize / 14;
        for ticks in 0..80 {
            let sent: Vec<usize> = clients.iter().map(|client| h.arrived(*client)).collect();
            let (all, range) = (sent.iter().sum(), in_time(rate, ticks * TICK, burst, 3 * piece));
            assert!(range.contains(&all), "{all} bytes in {ticks} ticks, {range:?}");
            let (most, least) = (sent.iter().max().unwrap(), sent.iter().min().unwrap());
            assert!(most - least <= 2 * piece, "{sent:?} in {ticks} ticks");
            h.advance(TICK);
        }
    }
}

#[test]
fn uploads_share_the_rate_of_their_listener_too() {
    let listen = Listen { receive_rate: Some(RATE), ..Listen::default() };
    let mut h = Harness::with(Probe::new(|cx, call, _| call.by_default(cx)), &listen);
    let clients = [h.open(), h.open(), h.open()];
    clients.iter().for_each(|client| h.feed(*client, vec![0; 1 << 20]));
    h.advance(Duration::from_secs(3));
    let received = clients.map(|client| (1 << 20) - h.unread(client));
    let total: usize = received.iter().sum();
    assert!(in_time(RATE, Duration::from_secs(3), BURST, PIECE).contains(&total), "{received:?}");
    assert!(received.iter().all(|count| count.abs_diff(100_000) < 4 * PIECE), "{received:?}");
}

#[test]
fn a_share_that_is_not_used_goes_to_the_others() {
    let listen = Listen { send_rate: Some(RATE), ..Listen::default() };
    let (mut h, clients) = downloads(&listen, 2, 400_000);
    let id = h.handler().notes.ids[0];
    assert!(h.reactor().peer(id).keep_ledger(), "one that is counted by itself shares it, too");
    h.set_room(clients[1], 1000);
    let mut all = 0;
    for _ in 0..100 {
        h.advance(TICK);
        all += h.sent(clients[0]).len();
    }
    let stuck = h.arrived(clients[1]);
    assert!(stuck <= 2 * PIECE + BURST, "{stuck}");
    assert!(in_time(RATE, 100 * TICK, BURST, 4 * PIECE).contains(&(all + stuck)), "{all}");
    h.reset(clients[1]);
    let before = all;
    for _ in 0..100 {
        h.advance(TICK);
        all += h.sent(clients[0]).len();
    }
    assert!(all - before >= 160_000, "{}", all - before);
}

#[test]
fn what_a_receive_leaves_of_its_piece_goes_back_to_those_who_share() {
    let listen = Listen { receive_rate: Some(RATE), ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    for _ in 0..30 {
        let client = h.open();
        h.feed(client, "few bytes");
        assert_eq!(h.sent(client), b"few bytes", "at once");
    }
    assert_eq!(h.ledger().recv_rate_holds, 0);
}

#[test]
fn a_rate_can_be_set_changed_and_lifted() {
    let limits = Limits { send_rate: Some(1000), ..Limits::default() };
    let (mut h, clients) = downloads(&Listen { limits, ..Listen::default() }, 1, 1_000_000);
    let (client, id) = (clients[0], h.handler().notes.ids[0]);
    h.advance(Duration::from_millis(10_500));
    let slow = h.sent(client).len();
    assert!((10_000..=11_000).contains(&slow), "{slow}");
    h.reactor().peer(id).set_send_rate(Some(RATE));
    let mut fast = 0;
    for _ in 0..60 {
        h.advance(TICK);
        fast += h.sent(client).len();
    }
    // The burst was used up before, and what it owed at the lower rate is forgotten.
    assert!(in_time(RATE, 60 * TICK, PIECE, PIECE).contains(&fast), "{fast}");
    h.reactor().peer(id).set_send_rate(None);
    h.run();
    assert_eq!(slow + fast + h.sent(client).len(), 1_000_000);
}

#[test]
fn a_handler_sets_the_rate_of_its_own_input() {
    let mut h = Harness::new(Probe::new(|cx: &mut Context<'_>, call, _| match call {
        Call::Open => cx.set_receive_rate(Some(RATE)),
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, vec![0; 150_000]);
    moves_evenly(&mut h, 150_000, "a stream", |h| h.ledger().received as usize);
}

#[test]
fn a_handler_sets_the_rate_of_its_own_output() {
    let mut h = Harness::new(Probe::new(|cx: &mut Context<'_>, call, _| match call {
        Call::Open => {
            cx.set_send_rate(Some(RATE));
            cx.send(pattern(150_000));
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    let mut sent = 0;
    moves_evenly(&mut h, 150_000, "a download", |h| {
        sent += h.sent(client).len();
        sent
    });
}

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
fn what_a_connection_had_reserved_goes_to_the_others_when_it_is_over() {
    let listen = Listen { send_rate: Some(RATE), ..Listen::default() };
    let (mut h, clients) = downloads(&listen, 10, 1 << 20);
    h.advance(Duration::from_secs(1));
    // Whose turn is next, with the reservations of all others behind its own.
    let first = (0..10).rev().min_by_key(|number| h.arrived(clients[*number])).unwrap();
    let (next, before) = (clients[first], h.arrived(clients[first]));
    let ids = h.handler().notes.ids.clone();
    for number in (0..10).filter(|number| *number != first) {
        h.reactor().peer(ids[number]).abort();
    }
    h.run();
    h.advance(60 * TICK);
    let sent = h.arrived(next) - before;
    let range = in_time(RATE, 60 * TICK, BURST, 3 * PIECE);
    assert!(range.contains(&sent), "{sent}, {range:?}");
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
fn a_rate_in_one_direction_costs_the_other_no_turns() {
    /// In how many turns so much is received, and sent in answer a little at a time.
    fn turns(rates: Limits) -> (u64, u64) {
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
        let before = h.ledger().turns;
        h.feed(client, pattern(1_500_000));
        assert_eq!(h.sent(client).len() as u64, ANSWERS);
        (h.ledger().turns - before, h.ledger().recv_budget_stops)
    }
    let without = turns(Limits::default());
    assert_eq!(turns(Limits { send_rate: Some(RATE), ..Limits::default() }).1, without.1);
    let with = turns(Limits { receive_rate: Some(1 << 40), ..Limits::default() });
    // Only what is received comes in pieces.
    let pieces = 1_500_000_u64.div_ceil(256 << 10);
    assert!(with.0 <= without.0 + pieces, "{with:?} instead of {without:?}");
}

#[test]
fn deadlines_go_on_where_no_rate_holds_anything() {
    let limits = Limits {
        idle: Some(Duration::from_secs(5)),
        write_stall: Some(Duration::from_secs(2)),
        send_rate: Some(RATE),
        receive_rate: Some(RATE),
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
    assert_eq!((h.sent(client), h.state(client)), (pattern(50_000), State::Shut));
    assert_eq!(log(&mut h), ["0 open", "0 close Closed"]);
}

#[test]
fn what_the_socket_refuses_is_not_counted_against_the_rate() {
    let limits = Limits { send_rate: Some(RATE), ..Limits::default() };
    let (mut h, clients) = downloads(&Listen { limits, ..Listen::default() }, 1, 100_000);
    let client = clients[0];
    h.script_send(client, [Step::WouldBlock, Step::Short(10), Step::Interrupted, Step::WouldBlock]);
    let mut all = Vec::new();
    moves_evenly(&mut h, 100_000, "with refusals", |h| {
        all.extend(h.sent(client));
        all.len()
    });
    assert_eq!(all, pattern(100_000));
}

#[test]
fn a_hold_that_ends_together_with_a_deadline_ends_all_the_same() {
    // In virtual time a second is the same number of ticks for both; after a stall both are late.
    for stall in [false, true] {
        let limits = Limits { receive_rate: Some(200), idle: None, ..Limits::default() };
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Open => {
                cx.set_deadline(Some(Duration::from_secs(1)));
                cx.receive_exact(1000).unwrap();
            }
            Call::Timeout(_) => notes.add(format_args!("with {}", cx.received())),
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let client = h.open();
        h.at_once(|h| (0..4).for_each(|_| h.feed(client, [0; 250])));
        if stall {
            h.stall(Duration::from_millis(1200));
        }
        h.advance(Duration::from_secs(20));
        let log = log(&mut h);
        let count = |what| log.iter().filter(|line| line.contains(what)).count();
        assert_eq!((count("timeout Own"), count("received of 1000")), (1, 1), "{log:?}");
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
