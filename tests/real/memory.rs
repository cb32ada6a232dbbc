//! What connections cost in memory.

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::tls::{self, ConnectorOptions, Roots};
use sluicegate_reactor::{
    Connect, Connector, Context, Handler, Input, Limits, Reactor, Target, Turn,
};
use socket2::{Domain, SockRef, Socket, Type};
use tempfile::tempdir;

use crate::descriptors;
use crate::process::{PATIENCE, Server, example, has};
use crate::tls::{authority, serve};

/// Memory is counted in pages: what connections, sessions and worklists have begun and not filled
/// yet, and how much of the heap the start of the program has already touched.
const BEGUN: u64 = 6 * 4096;

/// Bytes of memory that a process has for itself and that are not of a file.
pub(crate) fn anonymous(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Most connections that are open when memory is looked at, a third of them at first.
const MOST: usize = 6000;
/// With fewer, bytes could not be told from pages.
const LEAST: usize = 3000;

/// A connection that has had one answer.
fn served(server: &Server, number: usize, request: &[u8], answer: &mut [u8]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Ports of one address are not enough for all tests together.
    let from = Ipv4Addr::new(127, 0, 1, 1 + (number % 16) as u8);
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("a free port");
    socket.connect(&server.address.into()).expect("a connection");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // No port shall be held back when this closes.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
    stream.write_all(request).expect("a server that reads");
    stream.read_exact(answer).expect("an answer");
    stream
}

/// Asserts what each further connection costs in bytes at most, once it was served and is idle.
fn assert_cost(most: u64, command: &mut Command, request: &[u8]) {
    let Some((available, _turn)) = descriptors::thousands(LEAST) else { return };
    let many = available.min(MOST);
    let few = many / 3;
    // Else what a growing slab leaves behind in the heap counts or not by chance, mallopt(3).
    let server = Server::start(command.env("MALLOC_MMAP_THRESHOLD_", "65536"));
    let mut first = server.connect();
    first.write_all(request).expect("a server that reads");
    let mut answer = vec![0; 4096];
    let len = first.read(&mut answer).expect("an answer in one piece");
    answer.truncate(len);

    let mut open: Vec<_> = (0..few).map(|n| served(&server, n, request, &mut answer)).collect();
    let before = anonymous(server.pid());
    open.extend((few..many).map(|n| served(&server, n, request, &mut answer)));
    let after = anonymous(server.pid());
    let (grown, connections) = (after.saturating_sub(before), (many - few) as u64);
    assert!(
        grown <= most * connections + BEGUN,
        "{} bytes for each of {connections}",
        grown as f64 / connections as f64
    );
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue keeps books of its own about each descriptor")]
fn an_idle_connection_of_echo_costs_at_most_96_bytes() {
    assert_cost(96, &mut example("echo"), b"x");
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue keeps books of its own about each descriptor")]
fn an_idle_connection_of_hello_costs_at_most_256_bytes() {
    assert_cost(256, &mut example("hello"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue keeps books of its own about each descriptor")]
fn an_idle_connection_of_http_costs_at_most_256_bytes() {
    let dir = tempdir().expect("a new directory");
    fs::write(dir.path().join("file"), "content").expect("a file");
    let request = b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_cost(256, example("http").arg(dir.path()), request);
}

/// TLS connections to an echo server that are opened one after the other and stay open.
struct Secure {
    connector: Connector<Secure>,
    server: Target,
    pid: u32,
    open: usize,
    /// The memory of the server with [`FEW_SECURE`] connections, and with [`MANY_SECURE`].
    memory: Rc<RefCell<Vec<u64>>>,
}

const FEW_SECURE: usize = 100;
const MANY_SECURE: usize = 400;

impl Handler for Secure {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        cx.send(b"x");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
        self.open += 1;
        if [FEW_SECURE, MANY_SECURE].contains(&self.open) {
            self.memory.borrow_mut().push(anonymous(self.pid));
        }
        let cx: &mut Turn = cx;
        match self.open {
            MANY_SECURE => cx.stop(),
            _ => _ = cx.connect(self.connector, &self.server, ()),
        }
    }
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue keeps books of its own about each descriptor")]
fn an_idle_tls_connection_costs_at_most_6_kib() {
    if !has("openssl") {
        return;
    }
    let dir = authority();
    let server = serve("echo", dir.path(), &[]);
    let pem = fs::read(dir.path().join("ca.pem")).expect("a file");
    let options = ConnectorOptions {
        roots: Roots::from_pem(&pem).expect("an authority"),
        ..ConnectorOptions::default()
    };
    let connect = Connect {
        transport: Some(tls::Connector::new(options).expect("a connector").factory()),
        limits: Limits { idle: None, ..Limits::default() },
        ..Connect::default()
    };
    let mut reactor = Reactor::new().expect("a reactor");
    let handler = reactor.reserve();
    let connector = reactor.connector(handler, &connect).expect("a connector");
    let (to, memory) = (Target::from(server.address), Rc::default());
    let secure = Secure { connector, server: to.clone(), pid: server.pid(), open: 0, memory };
    let memory = secure.memory.clone();
    reactor.install(handler, secure);
    reactor.set_drain(Duration::ZERO);
    reactor.connect(connector, &to, ());
    reactor.run().expect("a run");

    let [before, after] = memory.borrow()[..] else { panic!("not all connections were opened") };
    let cost = after.saturating_sub(before) / (MANY_SECURE - FEW_SECURE) as u64;
    assert!(cost <= 6 << 10, "{cost} bytes for each");
}

/// The memory for items in bytes.
const CACHE: u64 = 16 << 20;

/// Sets values of this length on a connection of its own, as many as the cache can hold.
fn fill(server: &Server, round: usize, len: usize) {
    let mut client = TcpStream::connect(server.address).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let value = "v".repeat(len);
    let commands: String = (0..(CACHE as usize) / len)
        .map(|number| format!("set {round}.{number} 0 0 {len} noreply\r\n{value}\r\n"))
        .collect();
    client.write_all(commands.as_bytes()).expect("a server that reads");
    client.write_all(b"mn\r\n").expect("a server that reads");
    client.read_exact(&mut [0; 4]).expect("a response");
}

#[test]
fn row_12_items_take_little_memory_whichever_threads_clients_write_to() {
    for len in [300, 10_000] {
        let options = ["-t", "4", "-m", "16"];
        let server = Server::start(example("memcached").args(options));
        let before = anonymous(server.pid());
        // Each connection comes to one of the threads.
        (0..12).for_each(|round| fill(&server, round, len));
        let taken = anonymous(server.pid()) - before;
        assert!(taken < 2 * CACHE, "{len}: {taken} bytes");
    }
}
