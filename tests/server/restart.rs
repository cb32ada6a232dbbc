//! Servers that take over from each other, all of them in this process.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sluicegate_reactor::{
    Address, Context, Handler, Input, Listen, Receive, Server, ServerListener, Sessions, Spread,
    TcpOptions,
};

use super::{ANY_PORT, PATIENCE, Running, Teller, alone, byte, threads};

/// Runs a server whose listeners have a [`Teller`] on each thread.
fn run(server: Server, listeners: Vec<ServerListener>) -> Running {
    let first = listeners[0].clone();
    Running::start(server, &first, move |shard| {
        let teller = Teller(shard.index() as u8);
        let teller = shard.register(teller);
        listeners.iter().try_for_each(|listener| shard.serve(listener, teller).map(drop))
    })
}

/// A server that takes over from the last one with this control socket. One that is still starting
/// is asked again.
fn successor(control: &Path, count: usize, spread: Spread) -> (Server, ServerListener) {
    let until = Instant::now() + PATIENCE;
    let mut server = loop {
        let mut server = threads(count, spread);
        match server.take_over(control) {
            Ok(()) => break server,
            Err(error) if error.kind() != ErrorKind::ConnectionRefused => panic!("{error}"),
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        thread::yield_now();
    };
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
fn a_successor_that_is_starting_goes_on_if_the_last_server_is_stopped() {
    let _alone = alone();
    for is_idle in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("control");
        let path = dir.path().join("unix");
        let listen = |server: &mut Server| {
            server.listen(Address::from_path(&path).unwrap(), &Listen::default()).unwrap()
        };
        let (mut server, listener) = successor(&control, 1, Spread::Divided);
        let unix_listener = listen(&mut server);
        let first = run(server, vec![listener, unix_listener]);
        // While it is open, the server drains.
        let open = Some(first.open()).filter(|_| !is_idle);
        let (mut server, listener) = successor(&control, 1, Spread::Divided);
        let unix_listener = listen(&mut server);
        first.stopper.stop().unwrap();
        let first = if is_idle { first.wait().map(|()| None) } else { Ok(Some(first)) };
        let second = run(server, vec![listener, unix_listener]);
        second.open();
        drop(open);
        first.unwrap().into_iter().for_each(|first| first.wait().unwrap());
        UnixStream::connect(&path).expect("its file stays");
        let (server, listener) = successor(&control, 1, Spread::Divided);
        assert_eq!(server.generation(), 3, "the control socket stays too");
        let third = run(server, vec![listener]);
        second.wait().unwrap();
        third.stop().unwrap();
    }
}

#[test]
fn the_control_socket_is_not_in_the_statistics() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (mut server, listener) = successor(&dir.path().join("control"), 1, Spread::Divided);
    let reader = server.ledger_reader();
    let address = listener.address().clone();
    let server = run(server, vec![listener]);
    server.open();
    let snapshot = reader.snapshot(PATIENCE).expect("the server runs");
    let addresses: Vec<_> = snapshot.listeners.iter().map(|listener| &listener.address).collect();
    assert_eq!(addresses, [&address]);
    server.stop().unwrap();
}

#[test]
fn a_server_that_has_closed_a_listener_passes_the_others() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (mut server, listener) = successor(&control, 1, Spread::Divided);
    let closed = server.listen(ANY_PORT, &Listen::default()).unwrap();
    let last = server.listen("127.0.0.2:0", &Listen::default()).unwrap();
    let at = last.address().clone();
    let all = [closed, listener.clone(), last];
    let first = Running::start(server, &listener, move |shard| {
        let teller = shard.register(Teller(0));
        let [closed, ..] = [&all[0], &all[1], &all[2]].map(|it| shard.serve(it, teller));
        assert!(shard.close_listener(closed?));
        Ok(())
    });
    first.open();
    let (mut server, listener) = successor(&control, 1, Spread::Divided);
    assert_eq!(listener.address(), &first.address);
    let last = server.listen("127.0.0.2:0", &Listen::default()).unwrap();
    assert_eq!(last.address(), &at);
    let second = run(server, vec![listener, last]);
    first.wait().unwrap();
    second.open();
    TcpStream::connect(at.ip_and_port().unwrap()).expect("it listens");
    second.stop().unwrap();
}

#[test]
fn a_server_with_a_thread_that_has_closed_its_socket_passes_the_others() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (server, listener) = successor(&control, 3, Spread::Divided);
    let address = listener.address().clone();
    let all = listener.clone();
    let first = Running::start(server, &listener, move |shard| {
        let index = shard.index();
        let teller = shard.register(Teller(index as u8));
        let id = shard.serve(&all, teller)?;
        assert!(index != 1 || shard.close_listener(id));
        Ok(())
    });
    let (server, listener) = successor(&control, 2, Spread::Divided);
    assert_eq!(listener.address(), &address);
    let second = run(server, vec![listener]);
    first.wait().unwrap();
    assert_eq!(serving(&second), [0, 1].into());
    second.stop().unwrap();
}

#[test]
fn an_adopted_socket_still_listens_elsewhere_when_all_servers_have_ended() {
    let _alone = alone();
    for (takes_over, count) in [(false, 1), (true, 1), (true, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("control");
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut server = threads(count, Spread::Divided);
        server.take_over(&control).unwrap();
        let theirs = socket.try_clone().unwrap();
        let listener = server.adopt_listener(theirs, &Listen::default()).unwrap();
        let mut last = run(server, vec![listener]);
        last.open();
        for _ in 0..if takes_over { 2 } else { 0 } {
            let (mut server, other) = successor(&control, count, Spread::Divided);
            let listener = server.listen(address, &Listen::default()).unwrap();
            let next = run(server, vec![listener, other]);
            std::mem::replace(&mut last, next).wait().unwrap();
            (0..10).for_each(|_| drop(last.open()));
        }
        last.stop().unwrap();
        TcpStream::connect(address).expect("a backlog");
        socket.accept().unwrap();
    }
}

#[test]
fn a_successor_that_does_not_serve_yet_gets_no_connections_and_changes_no_files() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let unix = dir.path().join("unix");
    let path = Address::from_path(&unix).unwrap();
    let mode = || fs::metadata(&unix).unwrap().permissions().mode() & 0o777;
    let with_mode = |unix_mode| Listen { unix_mode, ..Listen::default() };
    let (mut server, listener) = successor(&control, 1, Spread::Divided);
    let unix_listener = server.listen(&path, &with_mode(0o600)).unwrap();
    let first = run(server, vec![listener, unix_listener]);
    let (mut server, listener) = successor(&control, 3, Spread::Divided);
    let unix_listener = server.listen(&path, &with_mode(0o640)).unwrap();
    let clients: Vec<_> = (0..64).map(|_| first.open()).collect();
    assert_eq!(mode(), 0o600);
    drop(clients);
    let second = run(server, vec![listener, unix_listener]);
    first.wait().unwrap();
    assert_eq!(serving(&second), (0..3).collect());
    assert_eq!(mode(), 0o640);
    second.stop().unwrap();
}

#[test]
#[cfg_attr(target_os = "openbsd", ignore = "a socket takes clients of one family only")]
fn a_successor_fails_if_ipv4_clients_would_be_refused_or_taken_against_its_options() {
    let _alone = alone();
    let at = "[::]:0";
    let listen = |only_ipv6| {
        let tcp = TcpOptions { only_ipv6, ..TcpOptions::default() };
        Listen { tcp, ..Listen::default() }
    };
    for (only_ipv6, expected) in
        [(true, "takes no IPv4 clients"), (false, "takes IPv4 clients too")]
    {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("control");
        let (mut server, listener) = successor(&control, 1, Spread::Divided);
        let Ok(all) = server.listen(at, &listen(only_ipv6)) else { return }; // No IPv6 here.
        let first = run(server, vec![listener, all]);
        first.open();
        let (mut server, _) = successor(&control, 1, Spread::Divided);
        let error = server.listen(at, &listen(!only_ipv6)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(expected), "{error}");
        drop(server);
        let (mut server, listener) = successor(&control, 1, Spread::Divided);
        let all = server.listen(at, &listen(only_ipv6)).unwrap();
        let second = run(server, vec![listener, all]);
        first.wait().unwrap();
        second.stop().unwrap();
    }
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

#[test]
fn the_next_server_inherits_the_state_that_the_last_one_has_when_it_asks() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (mut server, listener) = successor(&control, 1, Spread::Divided);
    assert_eq!(server.inherited_state(), None);
    let state = Arc::new(Mutex::new(Vec::new()));
    let current = state.clone();
    server.hand_over_state(move || current.lock().unwrap().clone());
    let first = run(server, vec![listener]);
    first.open();
    *state.lock().unwrap() = b"\0state\n".to_vec();
    let (mut server, listener) = successor(&control, 2, Spread::Divided);
    assert_eq!(server.inherited_state().as_deref(), Some(&b"\0state\n"[..]));
    assert_eq!(server.inherited_state(), None, "it is taken once");
    let second = run(server, vec![listener]);
    first.wait().unwrap();
    let (mut server, listener) = successor(&control, 1, Spread::Divided);
    assert_eq!(server.inherited_state(), None, "this server has passed nothing on");
    let third = run(server, vec![listener]);
    second.wait().unwrap();
    third.stop().unwrap();
}

#[test]
fn a_server_whose_state_cannot_be_passed_on_continues_and_the_next_process_may_ask() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (mut server, listener) = successor(&control, 1, Spread::Divided);
    let calls = AtomicUsize::new(0);
    server.hand_over_state(move || match calls.fetch_add(1, Ordering::Relaxed) {
        0 => vec![0; (64 << 10) + 1],
        1 => panic!("a state that fails, for a test"),
        _ => vec![0; 64 << 10],
    });
    let first = run(server, vec![listener]);
    first.open();
    let refused = || threads(1, Spread::Divided).take_over(&control).unwrap_err().to_string();
    let path = control.display();
    assert_eq!(refused(), format!("{path}: its state has 65537 bytes, more than 65536"));
    assert_eq!(refused(), format!("{path}: it has closed the connection"));
    first.open();
    let (mut server, listener) = successor(&control, 1, Spread::Divided);
    assert_eq!(server.inherited_state().map(|state| state.len()), Some(64 << 10));
    let second = run(server, vec![listener]);
    first.wait().unwrap();
    second.stop().unwrap();
}

/// Says that its thread runs.
struct Runs(Sender<()>);

impl Handler for Runs {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<()> for Runs {
    fn on_message(&mut self, _: &mut Sessions<'_>, (): ()) {
        self.0.send(()).expect("a test that waits");
    }
}

#[test]
fn the_last_server_goes_on_until_all_threads_of_the_next_one_serve_and_nobody_else_takes_over() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let (server, listener) = successor(&control, 1, Spread::Divided);
    let first = run(server, vec![listener]);
    let (mut held, _) = first.open();
    let (server, listener) = successor(&control, 2, Spread::Divided);
    let served = listener.clone();
    let ((runs, is_running), (go_on, waits)) = (channel(), channel());
    let waits = Mutex::new(waits);
    let second = Running::start(server, &listener, move |shard| {
        if shard.index() == 0 {
            let runs = shard.register(Runs(runs.clone()));
            shard.after(Duration::ZERO, runs, ());
        } else {
            // It fails only if the test has.
            let _: Result<(), _> = waits.lock().unwrap().recv();
        }
        let teller = Teller(shard.index() as u8);
        let teller = shard.register(teller);
        shard.serve(&served, teller).map(drop)
    });
    is_running.recv_timeout(PATIENCE).expect("its first thread runs");
    for _ in 0..20 {
        threads(1, Spread::Divided).take_over(&control).expect_err("a refusal");
        held.write_all(b"x").unwrap();
        assert_eq!(byte(&mut held), b'x');
    }
    go_on.send(()).unwrap();
    drop(held);
    first.wait().unwrap();
    assert_eq!(serving(&second), (0..2).collect());
    second.stop().unwrap();
}
