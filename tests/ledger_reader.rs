//! Reading a server's ledger from another thread: a snapshot is recent and consistent, and the last
//! one stays readable.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use sluicegate_reactor::{
    Address, Context, Handler, Input, Ledger, Listen, Reactor, Server, ServerOptions, Spread,
};

/// Longer than anything here takes. Only a test that fails waits for it.
const NEVER: Duration = Duration::from_secs(60);

struct Echo;

impl Handler for Echo {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

/// A client of an echo server. Calls `known` with the number of bytes that were echoed so far.
fn talk(address: &Address, known: impl Fn(u64)) {
    let Address::Ip(address) = address else { panic!("not an address of the internet") };
    let mut stream = TcpStream::connect(address).unwrap();
    let mut buffer = [7; 1000];
    for round in 1..=20 {
        stream.write_all(&buffer).unwrap();
        stream.read_exact(&mut buffer).unwrap();
        known(round * buffer.len() as u64);
    }
}

fn check(ledger: &Ledger) {
    assert_eq!(ledger.queued, ledger.sent + ledger.dropped + ledger.pending());
    assert_eq!(ledger.sent, ledger.send_bytes);
    assert_eq!(ledger.queued, ledger.received);
}

#[test]
fn a_snapshot_counts_all_that_the_asker_knows_of() {
    let mut reactor = Reactor::new().unwrap();
    let (reader, stopper) = (reactor.ledger_reader(), reactor.stopper());
    let echo = reactor.register(Echo);
    let listener = reactor.listen("127.0.0.1:0", &Listen::default(), echo).unwrap();
    let address = reactor.listener_address(listener).expect("it listens").clone();
    let asker = reader.clone();
    let client = thread::spawn(move || {
        talk(&address, |bytes| {
            let ledger = asker.snapshot(NEVER).expect("a reactor that runs").total;
            check(&ledger);
            assert_eq!((ledger.received, ledger.sent, ledger.open()), (bytes, bytes, 1));
        });
        stopper.stop().unwrap();
    });
    reactor.run().unwrap();
    client.join().unwrap();
    let last = reader.snapshot(Duration::ZERO).expect("what it has left").total;
    assert_eq!((last.accepted, last.closed, last.received), (1, 1, 20_000));
    assert_eq!(last, reactor.ledger());
}

#[test]
fn a_snapshot_of_a_server_is_the_sum_of_its_threads() {
    let spread = Spread::Passed;
    let mut server = Server::new(&ServerOptions { threads: 2, spread, ..Default::default() });
    let listener = server.listen("127.0.0.1:0", &Listen::default()).unwrap();
    let (reader, stopper) = (server.ledger_reader(), server.stopper());
    let (address, asker) = (listener.address().clone(), reader.clone());
    let clients = thread::spawn(move || {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| talk(&address, |_| check(&asker.snapshot(NEVER).unwrap().total)));
            }
        });
        let ledger = asker.snapshot(NEVER).expect("two threads that run").total;
        assert_eq!((ledger.received, ledger.sent), (80_000, 80_000));
        stopper.stop().unwrap();
    });
    server
        .run(|shard| {
            let echo = shard.register(Echo);
            shard.serve(&listener, echo).map(drop)
        })
        .unwrap();
    clients.join().unwrap();
    let last = reader.snapshot(Duration::ZERO).expect("what they have left").total;
    assert_eq!((last.accepted, last.closed, last.received), (4, 4, 80_000));
}

#[test]
fn a_reactor_that_does_not_turn_gives_no_snapshot() {
    let mut reactor = Reactor::new().unwrap();
    let reader = reactor.ledger_reader();
    assert_eq!(reader.snapshot(Duration::ZERO), None);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(reader.snapshot(Duration::ZERO), None, "that was the answer to the first question");
    drop(reactor);
    assert_eq!(reader.snapshot(Duration::ZERO).map(|it| it.total.turns), Some(1));
}

#[test]
fn a_server_that_could_not_run_leaves_nobody_waiting() {
    let mut server = Server::new(&ServerOptions { threads: 2, ..Default::default() });
    let reader = server.ledger_reader();
    let asker = reader.clone();
    let asker = thread::spawn(move || asker.snapshot(NEVER));
    let error = server
        .run(|shard| if shard.index() == 1 { Err(std::io::Error::other("no")) } else { Ok(()) });
    assert!(error.is_err());
    assert!(asker.join().unwrap().is_some());
    assert_eq!(reader.snapshot(Duration::ZERO).map(|it| it.total.received), Some(0));
}

#[test]
fn a_snapshot_tells_the_listeners_of_all_threads_apart() {
    let spread = Spread::Passed;
    let mut server = Server::new(&ServerOptions { threads: 2, spread, ..Default::default() });
    let listen = || Listen::default();
    let listeners = [(); 2].map(|()| server.listen("127.0.0.1:0", &listen()).unwrap());
    let (reader, stopper) = (server.ledger_reader(), server.stopper());
    let addresses = listeners.each_ref().map(|listener| listener.address().clone());
    let clients = thread::spawn(move || {
        talk(&addresses[0], |_| {});
        (0..3).for_each(|_| talk(&addresses[1], |_| {}));
        let snapshot = reader.snapshot(NEVER).expect("two threads that run");
        stopper.stop().unwrap();
        (addresses, snapshot)
    });
    server
        .run(|shard| {
            let echo = shard.register(Echo);
            listeners.iter().try_for_each(|listener| shard.serve(listener, echo).map(drop))
        })
        .unwrap();
    let (addresses, snapshot) = clients.join().unwrap();
    let [first, second] = addresses.map(|address| {
        let mut listeners = snapshot.listeners.iter();
        let ledger = &listeners.find(|listener| listener.address == address).unwrap().ledger;
        check(ledger);
        (ledger.accepted, ledger.received)
    });
    assert_eq!((first, second), ((1, 20_000), (3, 60_000)));
    assert_eq!(snapshot.total.received, 80_000);
    assert_eq!((snapshot.listeners.len(), snapshot.to_string().lines().count()), (2, 3));
}

#[test]
fn the_memory_budget_of_a_server_is_divided_among_its_threads() {
    let memory = Some(64 << 20);
    let options = ServerOptions { threads: 2, memory, ..ServerOptions::default() };
    let mut server = Server::new(&options);
    let reader = server.ledger_reader();
    server.stopper().stop().unwrap();
    server
        .run(|shard| {
            assert_eq!(shard.snapshot().memory_budget, Some(32 << 20));
            Ok(())
        })
        .unwrap();
    assert_eq!(reader.snapshot(NEVER).expect("an answer").memory_budget, memory);
}
