//! Rates: bytes take the time that they should, whatever they are.

mod beside;
mod shared;

use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, Remote, State, Step};
use sluicegate_reactor::{Address, Connect, Context, Limits, Listen};

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

/// A harness whose handler sends a file when it is connected to.
fn serves_file(listen: &Listen, len: usize) -> Harness<Probe> {
    Harness::build(
        listen,
        |files| files.put_file("/f", &pattern(len), 0),
        |reactor| {
            let file = reactor.open_dir("/").unwrap().open("f").unwrap();
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
    for (small_file, len) in [(16 << 10, 150_000), (u64::MAX, 150_000), (16 << 10, 16_000)] {
        let limits = Limits { send_rate: Some(RATE), small_file, ..Limits::default() };
        let mut h = serves_file(&Listen { limits, ..Listen::default() }, len);
        let client = h.open();
        let mut all = Vec::new();
        moves_evenly(&mut h, 6 + len, &format!("{len} with {small_file}"), |h| {
            all.extend(h.sent(client));
            all.len()
        });
        assert_eq!(all, [&b"header"[..], &pattern(len)].concat());
    }
}

#[test]
fn a_relay_in_bulk_takes_the_time_of_its_destination() {
    let far = Address::from(std::net::SocketAddr::from(([10, 0, 0, 1], 80)));
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let handler = reactor.reserve();
            let limits = Limits { send_rate: Some(RATE), ..Limits::default() };
            let connect = Connect { limits, ..Connect::default() };
            let connector = reactor.connector(handler, &connect).expect("room for a connector");
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
