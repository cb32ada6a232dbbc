//! The example `echo`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::process::{PATIENCE, Server, example, run};
use crate::random::{Random, noise};

fn start() -> Server {
    Server::start(&mut example("echo"))
}

/// A connection whose buffers in the kernel are small, so that what is sent and received is short.
pub(crate) fn narrow(server: &Server) -> TcpStream {
    const BUFFER: usize = 16 << 10;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(BUFFER).expect("an option");
    socket.set_send_buffer_size(BUFFER).expect("an option");
    socket.connect(&server.address.into()).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    socket.into()
}

/// Sends all of it in pieces of any size, then the end.
fn send_split(mut stream: &TcpStream, bytes: &[u8], random: &mut Random) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.size(100_000).min(rest.len()));
        stream.write_all(piece).expect("a server that reads");
        rest = after;
    }
    stream.shutdown(Shutdown::Write).expect("an open connection");
}

/// Receives in pieces of any size until the end.
fn receive_split(mut stream: &TcpStream, random: &mut Random) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 100_000];
    loop {
        let most = random.size(buffer.len());
        match stream.read(&mut buffer[..most]).expect("bytes or the end") {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Sends and receives at the same time, and compares.
pub(crate) fn exchange(stream: &TcpStream, len: usize, seed: u64) {
    let sent = noise(len, seed);
    let received = thread::scope(|scope| {
        scope.spawn(|| send_split(stream, &sent, &mut Random::new(seed)));
        receive_split(stream, &mut Random::new(seed + 1))
    });
    assert!(received == sent, "seed {seed}: {} bytes of {} came back", received.len(), sent.len());
}

#[test]
fn ten_million_bytes_come_back_the_same_and_then_the_end() {
    let server = start();
    exchange(&narrow(&server), 10_000_000, 1);
    exchange(&server.connect(), 10_000_000, 2);
}

#[test]
fn sixty_four_clients_at_a_time_each_get_their_own_bytes() {
    const CLIENTS: u64 = 64;
    let server = start();
    let all_connected = Barrier::new(CLIENTS as usize);
    thread::scope(|scope| {
        for seed in 1..=CLIENTS {
            let (server, all_connected) = (&server, &all_connected);
            scope.spawn(move || {
                let mut stream = server.connect();
                all_connected.wait();
                let mut random = Random::new(seed);
                for round in 0..40 {
                    let sent = noise(random.size(40_000), seed * 1000 + round);
                    let mut received = vec![0; sent.len()];
                    stream.write_all(&sent).expect("a server that reads");
                    stream.read_exact(&mut received).expect("as many bytes");
                    assert!(received == sent, "client {seed}, round {round}");
                }
            });
        }
    });
}

#[test]
fn a_client_that_resets_in_the_middle_costs_nobody_else() {
    let server = start();
    thread::scope(|scope| {
        for seed in 1..=4 {
            let server = &server;
            scope.spawn(move || exchange(&narrow(server), 2_000_000, seed));
        }
        for seed in 5..=20 {
            let mut stream = server.connect();
            stream.write_all(&noise(300_000, seed)).expect("a server that reads");
            stream.read_exact(&mut [0; 1000]).expect("some of it");
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
        }
    });
    exchange(&server.connect(), 100_000, 21);
}

/// The most that a client can have to itself: queue at the mark and one receive more, and what
/// that takes in chunks, bookkeeping and pages of the allocator.
#[cfg(target_os = "linux")]
const MOST_FOR_A_CLIENT: u64 = (64 << 10) + (512 << 10) + (256 << 10);

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_never_reads_is_not_read_from_and_is_served_on_when_it_does() {
    let server = start();
    // All that is shared is there now, the buffer of the receives above all.
    exchange(&server.connect(), 10_000_000, 1);
    let before = crate::memory::anonymous(server.pid());

    let stream = narrow(&server);
    let sent = fill(&stream);
    let taken = crate::memory::anonymous(server.pid()).saturating_sub(before);
    assert!(taken <= MOST_FOR_A_CLIENT, "{taken} bytes are kept for a client that does not read");

    // The other direction was never blocked for good: what was refused goes through now.
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let rest = noise(1_000_000, 2);
    let received = thread::scope(|scope| {
        scope.spawn(|| send_split(&stream, &rest, &mut Random::new(2)));
        receive_split(&stream, &mut Random::new(3))
    });
    assert!(received == [sent, rest].concat());
}

/// Sends until the server has stopped reading, and says what was sent. A server that is merely slow
/// ends it early, which is no error.
#[cfg(target_os = "linux")]
pub(crate) fn fill(mut stream: &TcpStream) -> Vec<u8> {
    // More than any kernel buffers between two ends.
    const FAR_TOO_MUCH: usize = 256 << 20;
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let block = noise(1 << 20, 3);
    let mut sent = Vec::new();
    loop {
        match stream.write(&block[sent.len() % block.len()..]) {
            Ok(count) => {
                sent.extend_from_slice(&block[sent.len() % block.len()..][..count]);
                assert!(sent.len() < FAR_TOO_MUCH, "the server never stops reading");
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return sent,
            // SIGCONT interrupts a call with a timeout (signal(7)).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("{error} after {} bytes", sent.len()),
        }
    }
}

#[test]
fn interrupt_and_terminate_end_it_with_success() {
    for signal in ["INT", "TERM"] {
        let mut server = start();
        let mut stream = server.connect();
        stream.write_all(b"x").expect("a server that reads");
        stream.read_exact(&mut [0]).expect("a byte");
        server.signal(signal);
        assert_eq!(stream.read(&mut [0]).expect("the end"), 0, "{signal}");
        drop(stream);
        assert_eq!(server.wait(), Some(0), "{signal}");
    }
}

#[test]
fn port_0_prints_the_port_that_was_taken() {
    let server = start();
    assert_ne!(server.address.port(), 0);
    assert_eq!(server.line, format!("echo on {}", server.address));
    server.connect();
}

#[test]
fn a_port_that_is_taken_is_one_line_and_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address");
    let outcome = run(example("echo").args(["--port", &address.port().to_string()]));
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stdout, "");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains(&address.to_string()), "{outcome:?}");
}

#[test]
fn what_is_no_option_is_code_2() {
    for (name, arguments) in [
        ("echo", ["--no-such-option", "--port=0"]),
        ("echo", ["--port", "65536"]),
        ("hello", ["--port", "-1"]),
        ("http", ["--threads", "0"]),
    ] {
        let outcome = run(example(name).args(arguments));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stdout.is_empty() && !outcome.stderr.is_empty(), "{outcome:?}");
    }
}

#[test]
fn help_is_code_0() {
    for name in ["chat", "echo", "hello", "http", "proxy"] {
        let outcome = run(Command::new(crate::process::path_of(name)).arg("--help"));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("--port"), "{outcome:?}");
    }
}
