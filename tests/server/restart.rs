//! Servers that take over from each other, all of them in this process.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::Path;

use sluicegate_reactor::{Address, Listen, Server, ServerListener, Spread};

use super::{ANY_PORT, Running, Teller, alone, threads};

/// Runs a server whose listeners have a [`Teller`] on each thread.
fn run(server: Server, listeners: Vec<ServerListener>) -> Running {
    let first = listeners[0].clone();
    Running::start(server, &first, move |shard| {
        let teller = Teller(shard.index() as u8);
        let teller = shard.register(teller);
        listeners.iter().try_for_each(|listener| shard.serve(listener, teller).map(drop))
    })
}

/// A server that takes over from the last one with this control socket.
fn successor(control: &Path, count: usize, spread: Spread) -> (Server, ServerListener) {
    let mut server = threads(count, spread);
    server.take_over(control).unwrap();
    let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
    (server, listener)
}

/// The threads that serve some connections.
fn serving(server: &Running) -> BTreeSet<u8> {
    (0..64).map(|_| server.open().1).collect()
}

#[test]
fn all_threads_serve_whatever_number_the_last_server_had() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (server, listener) = successor(&control, 1, Spread::Divided);
    assert_eq!(server.generation(), 1);
    let address = listener.address().clone();
    let mut last = run(server, vec![listener]);
    let cases =
        [(3, Spread::Divided), (2, Spread::Divided), (3, Spread::Passed), (1, Spread::Passed)];
    for (generation, (count, spread)) in (2..).zip(cases) {
        let (server, listener) = successor(&control, count, spread);
        assert_eq!((server.generation(), listener.address()), (generation, &address));
        let next = run(server, vec![listener]);
        std::mem::replace(&mut last, next).wait().expect("it stops by itself");
        assert_eq!(serving(&last), (0..count as u8).collect(), "{count} threads, {spread:?}");
    }
    last.stop().unwrap();
    TcpStream::connect(address.ip_and_port().unwrap()).expect_err("all sockets are closed");
}

#[test]
fn a_listener_that_the_next_server_does_not_have_is_closed() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (mut server, listener) = successor(&control, 2, Spread::Divided);
    let other = server.listen(ANY_PORT, &Listen::default()).unwrap();
    let unix = dir.path().join("unix");
    let path = Address::from_path(&unix).unwrap();
    let unix_listener = server.listen(&path, &Listen::default()).unwrap();
    let gone = other.address().ip_and_port().unwrap();
    let first = run(server, vec![listener, other, unix_listener]);
    let (server, listener) = successor(&control, 1, Spread::Divided);
    let second = run(server, vec![listener]);
    first.wait().unwrap();
    assert!(!unix.exists());
    let error = TcpStream::connect(gone).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    second.open();
    second.stop().unwrap();
    assert!(!control.exists());
}

#[test]
fn one_process_at_a_time_takes_over() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (server, listener) = successor(&control, 1, Spread::Divided);
    let first = run(server, vec![listener]);
    first.open();
    let (server, listener) = successor(&control, 1, Spread::Divided);
    let error = threads(1, Spread::Divided).take_over(&control).expect_err("a refusal");
    let expected = format!("{}: another process is taking over", control.display());
    assert_eq!(error.to_string(), expected);
    // It gives up, and another one can take over.
    drop((server, listener));
    let (server, listener) = loop {
        let mut server = threads(2, Spread::Divided);
        if server.take_over(&control).is_ok() {
            let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
            break (server, listener);
        }
    };
    let second = run(server, vec![listener]);
    first.wait().unwrap();
    second.stop().unwrap();
}
