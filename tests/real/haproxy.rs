//! HAProxy on either side of the examples: another proxy keeps connections, ends and resets them in
//! its own way.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::echo::exchange;
use crate::process::{PATIENCE, Process, Server, example, has};
use crate::proxy::{end_in_turn, end_of, reset};
use crate::random::noise;

pub(crate) struct Haproxy {
    pub(crate) address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

impl Haproxy {
    /// Starts one. It has its listener from us, as its standard input: nobody takes its port
    /// meanwhile, and who connects before it runs waits.
    pub(crate) fn start(settings: &str) -> Haproxy {
        Haproxy::start_with("", settings)
    }

    /// The same with options of the listener.
    pub(crate) fn start_with(listener_options: &str, settings: &str) -> Haproxy {
        let dir = tempdir().expect("a new directory");
        let file = dir.path().join("haproxy.cfg");
        let limits = "global\nmaxconn 200\nnbthread 1\ndefaults\ntimeout connect 60s\n\
                      timeout client 60s\ntimeout server 60s\ntimeout check 60s\n";
        let listen = format!("listen it\nbind fd@0 {listener_options}");
        fs::write(&file, format!("{limits}{listen}\n{settings}\n")).expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file).stdin(OwnedFd::from(listener));
        let process = Process::spawn(command.stderr(Stdio::null()));
        Haproxy { address, _process: process, _dir: dir }
    }
}

/// A connection whose reads and writes fail if nothing moves.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

pub(crate) const SIZES: [usize; 5] = [0, 1, 16_384, 100_000, 5 << 20];

#[test]
fn files_are_the_same_behind_it_and_what_is_put_through_it_is_there() {
    if !has("haproxy") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    for len in SIZES {
        fs::write(dir.path().join(len.to_string()), noise(len, 1)).expect("a file");
    }
    let server = Server::start(example("http").arg("--upload").arg(dir.path()));
    let settings = "mode http\noption httpchk GET /1\nserver back";
    let haproxy = Haproxy::start(&format!("{settings} {} check", server.address));
    thread::scope(|scope| {
        for client in 0..4 {
            let (haproxy, dir) = (&haproxy, &dir);
            scope.spawn(move || get_and_put(haproxy.address, dir.path(), client));
        }
    });
}

/// On one connection: gets each file, and puts one of the same size.
pub(crate) fn get_and_put(at: SocketAddr, root: &Path, client: usize) {
    let mut http = Client::over(connect(at));
    for len in SIZES {
        let (head, body) = http.get(&format!("/{len}"));
        assert_eq!(head.status, 200, "{head:?}");
        assert!(body == noise(len, 1), "{len} bytes");
        let name = format!("put-{client}-{len}");
        let head = format!("PUT /{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n");
        http.send(head.as_bytes());
        http.send(&noise(len, 2));
        assert_eq!(http.answer().0.status, 201, "{name}");
        assert!(fs::read(root.join(&name)).expect("it was put") == noise(len, 2), "{name}");
    }
    assert_eq!(http.get("/missing").0.status, 404);
}

/// Runs a test with HAProxy between the client and the proxy, then with HAProxy between the proxy
/// and `back`. It is given where to connect to.
fn on_either_side(back: SocketAddr, test: impl Fn(SocketAddr)) {
    if !has("haproxy") {
        return;
    }
    let proxy_to = |to: SocketAddr| Server::start(example("proxy").args(["--to", &to.to_string()]));
    let haproxy_to = |to: SocketAddr| Haproxy::start(&format!("mode tcp\nserver back {to}"));
    let proxy = proxy_to(back);
    let before = haproxy_to(proxy.address);
    test(before.address);
    let haproxy = haproxy_to(back);
    let before = proxy_to(haproxy.address);
    test(before.address);
}

#[test]
fn everything_passes_through_both_proxies_and_then_the_end() {
    let echo = Server::start(&mut example("echo"));
    on_either_side(echo.address, |to| {
        thread::scope(|scope| {
            for seed in 1..=4 {
                scope.spawn(move || exchange(&connect(to), 4 << 20, seed));
            }
        });
    });
}

/// A pair through two proxies, on which a byte has passed in each direction: its client, its
/// server.
fn pair(to: SocketAddr, back: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = connect(to);
    client.write_all(b"x").expect("a relay");
    let (mut server, _) = back.accept().expect("a connection");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    server.read_exact(&mut [0]).expect("a byte");
    server.write_all(b"y").expect("a relay");
    client.read_exact(&mut [0]).expect("a byte");
    (client, server)
}

#[test]
fn each_side_can_end_first_and_still_hears_the_other_through_both() {
    let back = TcpListener::bind("127.0.0.1:0").expect("a free port");
    on_either_side(back.local_addr().expect("its address"), |to| {
        for client_first in [true, false] {
            let (client, server) = pair(to, &back);
            let (first, second) = if client_first { (client, server) } else { (server, client) };
            end_in_turn(first, second);
        }
    });
}

#[test]
fn a_reset_passes_through_both() {
    let back = TcpListener::bind("127.0.0.1:0").expect("a free port");
    on_either_side(back.local_addr().expect("its address"), |to| {
        for client_first in [true, false] {
            let (client, server) = pair(to, &back);
            let (first, second) = if client_first { (client, server) } else { (server, client) };
            reset(first);
            match end_of(&second) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                // Of a server's reset HAProxy makes an end in order.
                Ok(rest) => assert!(!client_first && rest.is_empty(), "{}", rest.len()),
            }
        }
    });
}
