//! What the ledger says is what was done: the simulated kernel has counted too.

use std::net::SocketAddr;
use std::time::Duration;

use sluicegate_reactor::testing::{Harness, Remote, State, Step};
use sluicegate_reactor::{Address, Connect, Ledger, Limits, Listen, Snapshot};

use crate::probe::{Call, Probe, pattern, with_limits};

#[test]
fn calls_and_bytes_are_counted_as_the_kernel_counts_them() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    let sizes = [1, 100, 2000, 5000, 70_000];
    for size in sizes {
        h.feed(client, pattern(size));
        assert_eq!(h.sent(client), pattern(size));
    }
    h.script_recv(client, [Step::WouldBlock]);
    h.feed(client, b"x");
    h.finish(client);
    assert_eq!(h.sent(client), "x");
    let (ledger, calls) = (h.ledger().clone(), h.calls());
    let bytes = sizes.iter().sum::<usize>() as u64 + 1;
    assert_eq!((ledger.received, ledger.queued, ledger.sent), (bytes, bytes, bytes));
    assert_eq!((ledger.recv_calls, ledger.send_calls), (calls.recv, calls.send));
    assert_eq!(ledger.write_through, bytes - 1 - 100 - 1, "all but the little pieces");
    assert_eq!(ledger.joined, 102, "which were copied first");
    assert_eq!((ledger.send_bytes, ledger.gather_bytes), (bytes, 0));
    assert_eq!((ledger.recv_would_block, ledger.send_would_block), (1, 0));
}

#[test]
fn what_is_copied_is_counted() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            cx.send(vec![b'x'; 100]);
            cx.send(vec![b'y'; 5000]);
            cx.send(vec![b'z'; 100]);
            input.consume(10);
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, pattern(3010));
    let ledger = h.ledger();
    assert_eq!((ledger.joined, ledger.kept), (200, 3000), "the block is not copied");
    assert_eq!((ledger.gather_calls, ledger.gather_bytes), (1, 5200));
}

#[test]
fn shared_bytes_are_copied_if_there_is_room_for_them_behind_what_is_queued() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => {
            cx.send("few");
            cx.send(vec![b'x'; 2000]);
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    assert_eq!(h.sent(client).len(), 2003);
    assert_eq!((h.ledger().joined, h.ledger().gather_calls), (2003, 0));
}

#[test]
fn a_long_answer_of_which_the_socket_takes_a_part_is_a_short_write() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.script_send(client, [Step::Short(2000), Step::Short(2500), Step::WouldBlock]);
    h.feed(client, pattern(5000));
    let ledger = h.ledger();
    assert_eq!((ledger.write_through, ledger.short_writes, ledger.send_would_block), (4500, 2, 1));
    h.wake(client);
    assert_eq!(h.sent(client), pattern(5000));
}

#[test]
fn each_refusal_and_each_stop_is_counted_for_its_direction() {
    let limits = Limits { gather_pieces: 1, send_quantum: 5000, ..Limits::default() };
    let probe = Probe::new(|cx, call, _| match call {
        Call::Open => {
            for _ in 0..3 {
                cx.send(vec![b'x'; 5000]);
            }
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = h.open();
    let ledger = h.ledger();
    assert_eq!((ledger.send_budget_stops, ledger.recv_budget_stops), (2, 0));
    h.script_recv(client, [Step::WouldBlock]);
    h.feed(client, b"x");
    let ledger = h.ledger();
    assert_eq!((ledger.recv_would_block, ledger.send_would_block), (1, 0));
}

#[test]
fn the_parts_of_a_ledger_add_up_to_it() {
    let upstream = Address::from(SocketAddr::from(([10, 0, 0, 1], 80)));
    let mut h = Harness::new(Probe::echo());
    let (handler, connector) = (h.handler_id(), h.connector(&Connect::default()));
    let mut listen = |port| {
        let address = SocketAddr::from(([0, 0, 0, 0], port));
        h.reactor().listen(address, &Listen::default(), handler).unwrap()
    };
    let (first, second) = (listen(81), listen(82));
    h.set_remote(&upstream, Remote::Listens);
    let id = h.connect(connector, upstream.clone(), 7);
    h.reactor().peer(id).send("hello");
    let far = h.accept(&upstream);
    let (one, other) = (h.open_at(first), h.open_at(second));
    h.feed(one, pattern(100));
    h.feed(other, pattern(20_000));
    h.feed(far, pattern(30));
    h.reset(other);

    let Snapshot { total, listeners, others: far, .. } = h.reactor().snapshot();
    let [unused, one, other] = &listeners[..] else { panic!("{listeners:?}") };
    assert_eq!((other.ledger.accepted, other.ledger.received, other.ledger.closed), (1, 20_000, 1));
    assert_eq!((far.connects, far.received, far.sent), (1, 30, 35));
    assert_eq!((total.open(), total.pending()), (2, 0));
    let parts = [&unused.ledger, &one.ledger, &other.ledger, &far];
    for (at, (name, number)) in total.counters().enumerate() {
        let part = |part: &&Ledger| part.counters().nth(at).map_or(0, |(_, number)| number);
        let sum: u64 = parts.iter().map(part).sum();
        let of_none = ["turns", "events"].contains(&name);
        assert_eq!(number - sum, if of_none { number } else { 0 }, "{name}");
    }
}

#[test]
fn what_lingers_is_received_too() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => cx.close(),
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, pattern(1000));
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(h.ledger().received, 1000);
    assert_eq!(h.ledger().recv_calls, h.calls().recv);
}

#[test]
fn files_are_counted_by_the_way_they_went() {
    for (small_file, by_sendfile) in [(16 << 10, 100_000), (u64::MAX, 0)] {
        let limits = Limits { small_file, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        let mut h = Harness::build(
            &listen,
            |files| files.put_file("/f", &pattern(100_000), 0),
            |reactor| {
                let file = reactor.open_dir("/").unwrap().open("f").unwrap();
                reactor.register(Probe::new(move |cx, call, _| match call {
                    Call::Open => {
                        cx.send(file.region(0, 100_000));
                    }
                    call => call.by_default(cx),
                }))
            },
        );
        let client = h.open();
        assert_eq!(h.sent(client), pattern(100_000));
        let (ledger, calls) = (h.ledger(), h.calls());
        let reads = ledger.file_reads + ledger.probes;
        assert_eq!(ledger.sendfile_calls, calls.sendfile);
        assert_eq!(reads, calls.read_at + calls.read_nowait);
        assert_eq!((ledger.sent, ledger.sendfile_bytes), (100_000, by_sendfile));
    }
}

#[test]
fn each_deadline_that_is_reached_counts_once() {
    let limits = Limits { idle: Some(Duration::from_secs(5)), ..Limits::default() };
    let mut h = with_limits(Probe::echo(), limits);
    for _ in 0..3 {
        h.open();
    }
    h.advance(Duration::from_secs(4));
    assert_eq!(h.ledger().timeouts, 0);
    h.advance(Duration::from_secs(2));
    assert_eq!(h.ledger().timeouts, 3);
}

#[test]
fn a_send_that_stops_at_its_quantum_is_counted_each_time() {
    // Four calls of 1500 bytes: with so many bytes or calls in a turn, it stops so many times.
    for (send_quantum, quantum_calls, stops) in [(1500, 24, 3), (3000, 24, 1), (6000, 2, 1)] {
        let limits = Limits { send_quantum, quantum_calls, gather_pieces: 1, ..Limits::default() };
        let probe = Probe::new(|cx, call, _| match call {
            Call::Open => {
                for _ in 0..4 {
                    cx.send(pattern(1500));
                }
            }
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let client = h.open();
        assert_eq!(h.sent(client), pattern(1500).repeat(4));
        let quantum = format!("{send_quantum} bytes or {quantum_calls} calls");
        assert_eq!(h.ledger().send_budget_stops, stops, "with {quantum}");
    }
}

#[test]
fn refusals_and_short_counts_are_counted_whatever_is_sent() {
    for (kind, small_file) in [
        ("memory", 16 << 10),
        ("memory and file", u64::MAX),
        ("file", 16 << 10),
        ("file", u64::MAX),
    ] {
        let limits = Limits { small_file, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        let mut h = Harness::build(
            &listen,
            |files| files.put_file("/f", &pattern(50_000), 0),
            |reactor| {
                let file = reactor.open_dir("/").unwrap().open("f").unwrap();
                reactor.register(Probe::new(move |cx, call, _| match call {
                    Call::Data(input) => {
                        input.take();
                        if kind.starts_with("memory") {
                            cx.send(pattern(3000));
                            cx.send(pattern(4000));
                        }
                        if kind.ends_with("file") {
                            cx.send(file.region(0, 50_000));
                        }
                    }
                    call => call.by_default(cx),
                }))
            },
        );
        let client = h.open();
        let steps = [Step::WouldBlock, Step::Short(10), Step::Short(1), Step::WouldBlock];
        h.script_send(client, steps);
        h.feed(client, b"x");
        let sent = h.sent(client).len() as u64;
        let (ledger, calls) = (h.ledger(), h.calls());
        assert_eq!(sent, ledger.queued, "{kind}");
        assert_eq!(ledger.short_writes, 2, "{kind} up to {small_file}");
        assert_eq!(ledger.send_would_block, 2, "{kind} up to {small_file}");
        let counted = (ledger.send_calls, ledger.gather_calls, ledger.sendfile_calls);
        assert_eq!(counted, (calls.send, calls.send_gather, calls.sendfile), "{kind}");
    }
}

#[test]
fn a_snapshot_has_what_there_is_of_each_listener() {
    let listen = Listen { max_connections: 5, ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    let clients = [(); 3].map(|()| h.open());
    h.finish(clients[0]);
    h.set_room(clients[1], 1000);
    h.feed(clients[1], pattern(100_000));
    let snapshot = h.reactor().snapshot();
    assert_eq!((snapshot.total.clone(), snapshot.timers), (h.ledger(), 0));
    let [listener] = &snapshot.listeners[..] else { panic!("{snapshot:?}") };
    assert_eq!((listener.ledger.open(), listener.peak, listener.limit), (2, 3, 5));
    assert_eq!((listener.slow_readers, snapshot.slow_readers), (1, 1));
    assert_eq!(listener.ledger.pending(), 99_000);
    h.sent(clients[1]);
    assert_eq!(h.reactor().snapshot().slow_readers, 0);
}

#[test]
fn connections_of_no_listener_are_counted_apart() {
    let there = Address::Ip("10.0.0.9:80".parse().unwrap());
    let mut h = Harness::new(Probe::echo());
    h.open();
    h.set_remote(&there, Remote::Listens);
    let handler = h.handler_id();
    let connector = h.reactor().connector(handler, &Connect::default()).unwrap();
    h.connect(connector, there, Default::default());
    h.run();
    let snapshot = h.reactor().snapshot();
    assert_eq!((snapshot.others.connects, snapshot.others.accepted), (1, 0));
    assert_eq!(snapshot.listeners[0].ledger.connects, 0);
}

#[test]
fn turns_are_measured_from_when_it_is_asked_for() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    assert_eq!(h.reactor().snapshot().turn_times, None);
    h.reactor().measure_turns();
    let before = h.ledger().turns;
    h.feed(client, b"x");
    let times = h.reactor().snapshot().turn_times.expect("it is measured");
    assert_eq!(times.count(), h.ledger().turns - before);
}
