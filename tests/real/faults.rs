//! Faults of a real kernel and of real peers. strace makes calls fail as this kernel can fail them,
//! clients are stopped in the middle, descriptors run out. Whoever is not concerned gets exact
//! bytes; whoever is concerned gets them too, or loses only its own connection; and the server
//! goes on and ends with success.
//!
//! A call that strace makes fail is not made at all, so only failures without an effect are honest.
//! `EAGAIN` is one only where an edge follows: edge-triggered, a kernel that refuses owes an edge.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::echo::{exchange, narrow};
use crate::process::{PATIENCE, Process, Server, eventually, is_stopped, path_of};
use crate::random::noise;
use crate::traced::Traced;

/// The wait, by whichever call.
const WAIT: &str = "/^epoll_p?wait2?$";

/// An example whose calls of these names strace answers as `fault` says.
fn faulty(calls: &[&str], fault: &str, name: &str, arguments: &[&str]) -> Option<Traced> {
    let set = calls.join(",");
    let (trace, inject) = (format!("trace={set}"), format!("inject={set}:{fault}"));
    Traced::start(&["-e", &trace, "-e", &inject], name, arguments)
}

/// Asserts that each of the calls was made and answered with a fault.
fn assert_injected(trace: &str, calls: &[&str]) {
    for call in calls {
        let name = if *call == WAIT { "epoll_" } else { call };
        let hit = |line: &str| line.contains(&format!(" {name}")) && line.contains("(INJECTED)");
        assert!(trace.lines().any(hit), "{call} never failed");
    }
}

fn wait_until_injected(traced: &Traced) {
    eventually("an injected fault", || traced.trace().contains("(INJECTED)\n").then_some(()));
}

/// One message and its echo.
fn echo(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(message).expect("a server that reads");
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).expect("as many bytes");
    assert!(answer == message, "another message came back");
}

/// What arrives until the connection is over, in order or by a reset.
fn until_over(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    match from.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(
            error.kind(),
            ErrorKind::ConnectionReset,
            "{error} after {} bytes",
            all.len()
        ),
    }
    all
}

/// A directory with a file that joins its head, and one that needs many calls.
fn site() -> (TempDir, [(&'static str, Vec<u8>); 2]) {
    let files = [("/small", noise(1000, 1)), ("/large", noise(16 << 20, 2))];
    let dir = tempdir().expect("a new directory");
    for (path, content) in &files {
        fs::write(dir.path().join(&path[1..]), content).expect("a file");
    }
    (dir, files)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of characters")
}

#[test]
fn an_echo_through_interrupted_calls_is_exact() {
    let calls = ["accept4", "recvfrom", "sendto", WAIT];
    let Some(traced) = faulty(&calls, "error=EINTR:when=1+2", "echo", &[]) else { return };
    exchange(&narrow(&traced.server), 1_000_000, 1);
    exchange(&traced.server.connect(), 1_000_000, 2);
    assert_injected(&traced.end(), &calls);
}

#[test]
fn files_sent_through_interrupted_calls_are_exact() {
    for (flag, calls) in [
        ("--no-listing", &["accept4", "recvfrom", "sendto", "sendfile", "preadv2", WAIT][..]),
        ("--copy", &["sendto", "preadv2"]),
    ] {
        let (dir, files) = site();
        let arguments = [text(dir.path()), flag];
        let fault = "error=EINTR:when=2+2";
        let Some(traced) = faulty(calls, fault, "http", &arguments) else { return };
        for _ in 0..3 {
            let mut client = Client::new(&traced.server);
            for (path, content) in &files {
                let (head, body) = client.get(path);
                assert!(head.status == 200 && body == *content, "{path} {flag}: {head:?}");
            }
        }
        assert_injected(&traced.end(), calls);
    }
}

#[test]
fn files_are_exact_where_nobody_says_what_is_in_memory() {
    for (error, flag) in [("ENOSYS", "--no-listing"), ("EOPNOTSUPP", "--copy")] {
        let (dir, files) = site();
        let arguments = [text(dir.path()), flag];
        let fault = format!("error={error}");
        let Some(traced) = faulty(&["preadv2"], &fault, "http", &arguments) else { return };
        for _ in 0..3 {
            let mut client = Client::new(&traced.server);
            for (path, content) in &files {
                let (head, body) = client.get(path);
                assert!(head.status == 200 && body == *content, "{path} {error}: {head:?}");
            }
        }
        assert_injected(&traced.end(), &["preadv2"]);
    }
}

#[test]
fn pipelined_answers_through_interrupted_calls_are_exact() {
    const REQUESTS: usize = 500;
    let calls = ["accept4", "recvfrom", "sendto", WAIT];
    let Some(traced) = faulty(&calls, "error=EINTR:when=1+2", "hello", &[]) else { return };
    let mut client = Client::new(&traced.server);
    for _ in 0..5 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(REQUESTS).as_bytes());
        for _ in 0..REQUESTS {
            let (head, body) = client.answer();
            assert_eq!((head.status, &body[..]), (200, &b"Hello, World!"[..]));
        }
    }
    drop(client);
    assert_injected(&traced.end(), &calls);
}

#[test]
fn late_and_merged_events_change_nothing() {
    let calls = ["recvfrom", WAIT];
    let Some(traced) = faulty(&calls, "delay_exit=3000:when=1+2", "echo", &[]) else { return };
    thread::scope(|scope| {
        for seed in 1..=8 {
            let server = &traced.server;
            scope.spawn(move || exchange(&narrow(server), 100_000, seed));
        }
    });
    assert!(traced.end().contains("(DELAYED)"));
}

#[test]
fn a_connection_that_cannot_be_accepted_at_once_is_accepted_later() {
    let shortages = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];
    for error in shortages.into_iter().chain(["EINTR", "ECONNABORTED", "EPROTO", "EPERM"]) {
        let fault = format!("error={error}:when=1+2");
        let Some(traced) = faulty(&["accept4"], &fault, "echo", &[]) else { return };
        for number in 0..3 {
            echo(&mut traced.server.connect(), format!("{number} of {error}").as_bytes());
        }
        assert_injected(&traced.end(), &["accept4"]);
    }
}

#[test]
fn a_refusal_in_front_of_an_edge_loses_nothing() {
    let fault = "error=EAGAIN:when=1";
    for call in ["recvfrom", "sendto"] {
        let Some(traced) = faulty(&[call], fault, "echo", &[]) else { return };
        let mut stream = traced.server.connect();
        stream.write_all(b"refused ").expect("a server that reads");
        wait_until_injected(&traced);
        // Its arrival is an edge for both directions.
        stream.write_all(b"and repeated").expect("a server that reads");
        let mut answer = [0; 20];
        stream.read_exact(&mut answer).expect("as many bytes");
        assert_eq!(&answer, b"refused and repeated", "{call}");
        drop(stream);
        traced.end();
    }
    let Some(traced) = faulty(&["accept4"], fault, "echo", &[]) else { return };
    let mut first = traced.server.connect();
    wait_until_injected(&traced);
    echo(&mut traced.server.connect(), b"the second");
    echo(&mut first, b"the first");
    drop(first);
    traced.end();
}

#[test]
fn a_failed_receive_or_send_costs_its_own_connection_only() {
    let common = ["ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH", "ENOMEM", "ENOBUFS"];
    let failures = common.map(|error| ("recvfrom", error)).into_iter();
    let failures = failures.chain(common.map(|error| ("sendto", error)));
    for (call, error) in failures.chain([("sendto", "EPIPE")]) {
        let fault = format!("error={error}:when=2");
        let Some(traced) = faulty(&[call], &fault, "echo", &[]) else { return };
        let (mut hit, mut other) = (traced.server.connect(), traced.server.connect());
        echo(&mut hit, b"before");
        // With kqueue the receive that fails is the one after this echo, which finds nothing more.
        let _ = hit.write_all(b"lost");
        assert_eq!(until_over(&hit), b"", "{call} {error}");
        echo(&mut other, b"not concerned");
        echo(&mut traced.server.connect(), b"nor is this");
        drop(other);
        assert_injected(&traced.end(), &[call]);
    }
}

#[test]
fn a_file_that_cannot_be_sent_or_read_on_does_not_look_whole() {
    for (call, flag, error, when) in [
        ("sendfile", "--no-listing", "EIO", 3),
        ("sendfile", "--no-listing", "ENOMEM", 3),
        ("sendfile", "--no-listing", "EPIPE", 3),
        ("preadv2", "--copy", "EIO", 3),
    ] {
        let (dir, files) = site();
        let fault = format!("error={error}:when={when}");
        let arguments = [text(dir.path()), flag];
        let Some(traced) = faulty(&[call], &fault, "http", &arguments) else { return };
        let mut hit = Client::new(&traced.server);
        hit.ask("GET", "/large");
        let head = hit.head();
        assert_eq!(head.len, files[1].1.len() as u64);
        let body = until_over(hit.rest());
        assert!(body.len() < files[1].1.len() && files[1].1.starts_with(&body), "{call} {error}");
        for (path, content) in &files {
            let (head, body) = Client::new(&traced.server).get(path);
            assert!(head.status == 200 && body == *content, "{call} {error} {path}: {head:?}");
        }
        assert_injected(&traced.end(), &[call]);
    }
}

#[test]
fn a_request_for_termination_in_the_middle_of_any_call_ends_with_success() {
    for call in ["accept4", "recvfrom", "sendto", WAIT] {
        let Some(mut traced) = faulty(&[call], "signal=TERM:when=3", "echo", &[]) else { return };
        let mut streams = Vec::new();
        // It may end anywhere from here on, and then it refuses, resets or ends connections.
        for _ in 0..3 {
            let Ok(mut stream) = TcpStream::connect(traced.server.address) else { break };
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let _ = stream.write_all(b"message");
            let mut answer = [0; 7];
            if stream.read_exact(&mut answer).is_ok() {
                assert_eq!(&answer, b"message", "{call}");
            }
            streams.push(stream);
        }
        drop(streams);
        traced.ended();
    }
}

/// A shell that is connected to a server as its descriptor 3 and runs a script.
fn shell(server: &Server, script: &str, files: &Path) -> Process {
    let script =
        format!("exec 3<>/dev/tcp/{}/{}\n{script}", server.address.ip(), server.address.port());
    Process::spawn(Command::new("bash").args(["-c", &script]).current_dir(files))
}

fn wait_until_stopped(process: &Process) {
    eventually("a client stops", || is_stopped(process.pid()).then_some(()));
}

#[test]
fn a_client_that_is_stopped_while_it_receives_gets_the_rest_when_it_goes_on() {
    let (dir, files) = site();
    let (_, large) = &files[1];
    for flag in ["--no-listing", "--copy"] {
        let server = Server::start(Command::new(path_of("http")).args([text(dir.path()), flag]));
        let out = tempdir().expect("a new directory");
        let request = r"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let script =
            format!("printf '{request}' >&3; head -c 5000 <&3 >got; kill -STOP $$; cat <&3 >>got");
        let mut client = shell(&server, &script, out.path());
        wait_until_stopped(&client);
        for (path, content) in &files {
            let (head, body) = Client::new(&server).get(path);
            assert!(head.status == 200 && body == *content, "{path}: {head:?}");
        }
        client.signal("CONT");
        assert_eq!(client.wait(), Some(0));
        let got = fs::read(out.path().join("got")).expect("what it got");
        let body = got.len().checked_sub(large.len()).map(|at| &got[at..]);
        assert!(body == Some(&large[..]), "{flag}: {} bytes", got.len());
    }
}

#[test]
fn a_client_that_is_stopped_between_sending_and_receiving_gets_its_echo_when_it_goes_on() {
    let server = Server::start(&mut Command::new(path_of("echo")));
    let dir = tempdir().expect("a new directory");
    // More than buffers hold: its sending half can only end when its receiving half goes on.
    let sent = noise(24 << 20, 1);
    fs::write(dir.path().join("sent"), &sent).expect("a file");
    let script = format!(
        "cat sent >&3 & head -c 1000 <&3 >got; kill -STOP $$; head -c {} <&3 >>got; wait",
        sent.len() - 1000
    );
    let mut client = shell(&server, &script, dir.path());
    wait_until_stopped(&client);
    exchange(&server.connect(), 1_000_000, 2);
    client.signal("CONT");
    assert_eq!(client.wait(), Some(0));
    assert!(fs::read(dir.path().join("got")).expect("what it got") == sent);
}

#[test]
fn a_client_that_is_stopped_and_killed_costs_nobody_else() {
    let mut server = Server::start(&mut Command::new(path_of("echo")));
    let dir = tempdir().expect("a new directory");
    fs::write(dir.path().join("sent"), noise(100_000, 1)).expect("a file");
    let script = "cat sent >&3; head -c 1000 <&3 >got; kill -STOP $$";
    let mut client = shell(&server, script, dir.path());
    wait_until_stopped(&client);
    exchange(&server.connect(), 100_000, 2);
    client.signal("KILL");
    assert_eq!(client.wait(), None);
    exchange(&server.connect(), 100_000, 3);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_listener_flooded_past_the_descriptor_limit_serves_all_in_the_end() {
    const LIMIT: usize = 32;
    const CLIENTS: usize = 100;
    let limited = format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    let mut server = Server::start(command.args(["-c", &limited]).arg(path_of("echo")));
    let mut streams: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(format!("client {number:3}").as_bytes()).expect("room for it");
    }
    // Nobody leaves before the first of them were served, and all who left make room for others.
    for (number, mut stream) in streams.into_iter().enumerate() {
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).expect("its turn");
        assert_eq!(answer, format!("client {number:3}").as_bytes());
    }
    echo(&mut server.connect(), b"after the flood");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}
