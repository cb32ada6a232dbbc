//! The options of real sockets, read back from the kernel.

#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, RawPid, getpid, pidfd_getfd, pidfd_open};
use sluicegate_reactor::{
    Address, ConnId, Connect, Context, Handler, HandlerId, Input, Keepalive, Listen, Reactor,
    Reason, Server, ServerOptions, TcpOptions, Turn,
};
use socket2::{Domain, SockAddr, Socket, Type};

/// One test at a time: [`sockets_at`] duplicates every descriptor for a moment, and would keep the
/// sockets of other tests open.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps its connections and says why they were closed.
#[derive(Default)]
struct Quiet {
    closed: Vec<Reason>,
}

impl Handler for Quiet {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), why: Reason) {
        self.closed.push(why);
    }
}

fn reactor() -> (Reactor, HandlerId<Quiet>) {
    let mut reactor = Reactor::new().expect("a reactor");
    let quiet = reactor.register(Quiet::default());
    (reactor, quiet)
}

/// Duplicates of all sockets of this process whose own address is this one.
fn sockets_at(address: SocketAddr) -> Vec<Socket> {
    let process = pidfd_open(getpid(), PidfdFlags::empty()).expect("a descriptor of the process");
    let mut entries = fs::read_dir("/proc/self/fd").expect("the open descriptors");
    let numbers =
        entries.by_ref().map(|entry| entry.unwrap().file_name().to_str().unwrap().parse());
    let numbers: Vec<RawPid> = numbers.map(|number| number.expect("a number")).collect();
    let copy = |&number: &RawPid| {
        pidfd_getfd(&process, number, PidfdGetfdFlags::empty())
            .expect("a descriptor of this process")
    };
    // `entries` is open to the end: none of the copies gets its number.
    let sockets = numbers.iter().map(copy).map(Socket::from);
    let is_there =
        |socket: &Socket| socket.local_addr().ok().and_then(|at| at.as_socket()) == Some(address);
    let found = sockets.filter(is_there).collect();
    drop(entries);
    found
}

const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_millis(41_500), interval: Duration::from_secs(7), count: 3 };

/// Options that no system has by default.
fn unusual() -> Listen {
    let congestion = Some(other_than_the_systems());
    let tcp = TcpOptions {
        unsent: Some(77_000),
        congestion,
        keepalive: Some(KEEPALIVE),
        ..TcpOptions::default()
    };
    Listen { tcp, ..Listen::default() }
}

/// A congestion control that a process may choose, and that is not the default.
fn other_than_the_systems() -> String {
    let read = |name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("a setting");
    let default = read("tcp_congestion_control");
    let allowed = read("tcp_allowed_congestion_control");
    let other = allowed.split_whitespace().find(|name| *name != default.trim());
    other.unwrap_or(default.trim()).to_owned()
}

fn congestion(socket: &Socket) -> String {
    let name = socket.tcp_congestion().expect("a TCP socket");
    String::from_utf8(name).expect("a name").trim_end_matches('\0').to_owned()
}

fn assert_unusual(socket: &Socket) {
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.nonblocking().unwrap());
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), 77_000);
    assert_eq!(congestion(socket), other_than_the_systems());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(42), "rounded up");
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE.interval);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE.count);
}

/// Connects to a listener of a reactor; the far end, and the near one as the kernel has it.
fn accepted(reactor: &mut Reactor, address: SocketAddr) -> (TcpStream, Socket) {
    let client = TcpStream::connect(address).expect("a connection");
    while reactor.connections() == 0 {
        reactor.turn(None).expect("a turn");
    }
    let near = sockets_at(address).into_iter().find(|socket| socket.peer_addr().is_ok());
    (client, near.expect("the accepted socket"))
}

#[test]
fn a_listener_and_what_it_accepts_have_the_options_asked_for() {
    let _alone = alone();
    let (mut reactor, quiet) = reactor();
    let listener = reactor.listen("127.0.0.1:0", &unusual(), quiet).expect("a listener");
    let address = reactor
        .listener_address(listener)
        .expect("it listens")
        .ip_and_port()
        .expect("an IP address");
    let listening = sockets_at(address).pop().expect("the listening socket");
    assert!(listening.reuse_address().unwrap());
    assert!(!listening.reuse_port().unwrap());
    assert_unusual(&listening);
    let (_client, near) = accepted(&mut reactor, address);
    assert_unusual(&near);
}

#[test]
fn an_adopted_listener_and_what_it_accepts_have_the_options_asked_for() {
    let _alone = alone();
    let (mut reactor, quiet) = reactor();
    let made = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = made.local_addr().expect("its address");
    reactor.adopt_listener(made, &unusual(), quiet).expect("a listener");
    let (_client, near) = accepted(&mut reactor, address);
    assert_unusual(&near);
}

#[test]
fn every_socket_of_a_server_with_several_threads_has_the_options_asked_for() {
    let _alone = alone();
    let mut server = Server::new(&ServerOptions { threads: 3, ..ServerOptions::default() });
    let listener = server.listen("127.0.0.1:0", &unusual()).expect("a listener");
    let sockets = sockets_at(listener.address().ip_and_port().expect("an IP address"));
    assert_eq!(sockets.len(), 3);
    for socket in &sockets {
        assert!(socket.reuse_port().unwrap());
        assert_unusual(socket);
    }
}

#[test]
fn a_connection_has_the_options_asked_for() {
    let _alone = alone();
    let (mut reactor, quiet) = reactor();
    let connect = Connect { tcp: unusual().tcp, ..Connect::default() };
    let connector = reactor.connector(quiet, &connect).expect("room for a connector");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    reactor.connect(connector, listener.local_addr().expect("its address"), ());
    reactor.turn(Some(Duration::ZERO)).expect("a turn");
    let (_far, near) = listener.accept().expect("a connection");
    assert_unusual(&sockets_at(near)[0]);
}

#[test]
fn without_a_word_the_system_chooses_the_options() {
    let _alone = alone();
    let (mut reactor, quiet) = reactor();
    let listener = reactor.listen("127.0.0.1:0", &Listen::default(), quiet).expect("a listener");
    let address = reactor
        .listener_address(listener)
        .expect("it listens")
        .ip_and_port()
        .expect("an IP address");
    let (client, near) = accepted(&mut reactor, address);
    let client = Socket::from(client);
    assert_eq!(congestion(&near), congestion(&client));
    assert!(!near.keepalive().unwrap());
    assert_eq!(near.tcp_notsent_lowat().unwrap(), client.tcp_notsent_lowat().unwrap());
}

#[test]
fn an_option_that_the_system_refuses_is_named_in_the_error() {
    let _alone = alone();
    let (mut reactor, quiet) = reactor();
    let tcp = TcpOptions { congestion: Some("no such one".to_owned()), ..TcpOptions::default() };
    let listen = Listen { tcp: tcp.clone(), ..Listen::default() };
    let error = reactor.listen("127.0.0.1:0", &listen, quiet).unwrap_err();
    let expected = "listen on 127.0.0.1:0: congestion no such one: the system has no congestion \
                    control algorithm with that name";
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), expected);

    let keepalive = Some(Keepalive { count: 1_000, ..Keepalive::default() });
    let listen =
        Listen { tcp: TcpOptions { keepalive, ..TcpOptions::default() }, ..Listen::default() };
    let error = reactor.listen("127.0.0.1:0", &listen, quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("count: 1000"), "{error}");

    let connector = reactor
        .connector(quiet, &Connect { tcp, ..Connect::default() })
        .expect("room for a connector");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    reactor.connect(connector, listener.local_addr().expect("its address"), ());
    while reactor.handler(quiet).closed.is_empty() {
        reactor.turn(None).expect("a turn");
    }
    assert_eq!(reactor.handler(quiet).closed, [Reason::Unconnected(ErrorKind::NotFound)]);
}

/// Only Unix sockets refuse at once what the backlog has no room for.
#[test]
fn the_backlog_is_as_long_as_asked_for() {
    let _alone = alone();
    let (mut reactor, quiet) = reactor();
    let directory = tempfile::tempdir().expect("a new directory");
    let path = directory.path().join("s");
    let listen = Listen { backlog: 5, ..Listen::default() };
    let address = Address::from_path(&path).expect("a short path");
    reactor.listen(&address, &listen, quiet).expect("a listener");
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        socket.connect(&SockAddr::unix(&path).unwrap()).map(|()| socket)
    };
    // One more than the backlog may wait (`unix_recvq_full`).
    let waiting: Vec<_> = (0..6).map(|_| connect().expect("room")).collect();
    assert_eq!(connect().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(waiting);
}

/// Closes each connection at once.
struct Closing;

impl Handler for Closing {
    type Session = ();
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.close();
    }
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

#[test]
fn a_server_that_has_closed_its_connections_first_can_start_again_at_once() {
    let _alone = alone();
    let start = |at: SocketAddr| {
        let mut reactor = Reactor::new().expect("a reactor");
        let closing = reactor.register(Closing);
        let listener = reactor.listen(at, &Listen::default(), closing).expect("the address");
        let at = reactor
            .listener_address(listener)
            .expect("it listens")
            .ip_and_port()
            .expect("an IP address");
        (reactor, at)
    };
    let (mut reactor, address) = start(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut client = TcpStream::connect(address).expect("a connection");
    while reactor.connections() == 0 {
        reactor.turn(None).expect("a turn");
    }
    assert_eq!(client.read(&mut [0; 1]).expect("an end"), 0);
    drop(client);
    while reactor.connections() > 0 {
        reactor.turn(None).expect("a turn");
    }
    drop(reactor);
    start(address);
}
