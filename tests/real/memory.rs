//! What connections cost in memory.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tempfile::tempdir;

use crate::descriptors;
use crate::process::{PATIENCE, Server, example};

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
