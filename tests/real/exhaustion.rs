//! A server that has run out of descriptors, or may not write more to its files.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::tempdir;

use crate::client::Client;
use crate::descriptors;
use crate::process::{PATIENCE, Server, eventually, has, path_of};

/// What the server may have open.
const LIMIT: usize = 256;
/// Those that it surely has room for.
const SERVED: usize = 200;
const CLIENTS: usize = 2000;
/// How long the server is watched while it is full.
const WATCHED: Duration = Duration::from_secs(2);

/// Begins to connect: more may want to than a backlog holds.
fn connecting(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    match socket.connect(&server.address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => panic!("{error}"),
        _ => {}
    }
    socket.set_nonblocking(false).expect("a socket");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn echo(stream: &mut TcpStream, number: usize) {
    let message = format!("client {number:4}");
    stream.write_all(message.as_bytes()).expect("room for it");
    let mut answer = [0; 11];
    stream.read_exact(&mut answer).expect("its turn");
    assert_eq!(answer, message.as_bytes());
}

/// How long a process has run on a processor.
fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields = stat.rsplit_once(") ").expect("fields after the name").1;
    // The 14th and 15th of proc_pid_stat(5); these begin with the third.
    let ticks =
        fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks"));
    Duration::from_secs(ticks.sum()) / rustix::param::clock_ticks_per_second() as u32
}

#[test]
fn a_server_raises_its_soft_limit_of_descriptors_to_the_hard_one() {
    let limited = "ulimit -S -n 64 && ulimit -H -n 200 && exec \"$0\" --port 0";
    let server = Server::start(Command::new("sh").args(["-c", limited]).arg(path_of("echo")));
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("one");
    let of_process: Vec<_> = line.split_whitespace().take(2).collect();
    assert_eq!(of_process, ["200", "200"]);
}

/// How many lines a server has logged, each of which must be about the shortage.
fn logged(log: &Path) -> u64 {
    let text = fs::read_to_string(log).expect("a log");
    for line in text.lines() {
        assert!(line.contains("accept: ") && line.ends_with("; accepting is paused"), "{line}");
    }
    text.lines().count() as u64
}

#[test]
fn a_server_without_descriptors_rests_serves_those_it_has_and_recovers() {
    let Some((_, _turn)) = descriptors::thousands(CLIENTS) else { return };
    let directory = tempdir().expect("a new directory");
    let log = directory.path().join("log");
    let limited = format!("ulimit -n {LIMIT}; log=$1; shift; exec \"$0\" \"$@\" 2>\"$log\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited]).arg(path_of("echo")).arg(&log);
    let mut server = Server::start(&mut command);
    let start = Instant::now();

    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connecting(&server)).collect();
    let descriptors = format!("/proc/{}/fd", server.pid());
    eventually("a full server", || {
        (fs::read_dir(&descriptors).expect("a process").count() >= LIMIT).then_some(())
    });
    eventually("a log line", || (logged(&log) > 0).then_some(()));

    for (number, client) in clients[..SERVED].iter_mut().enumerate() {
        echo(client, number);
    }
    let (before, since) = (cpu_time(server.pid()), Instant::now());
    thread::sleep(WATCHED);
    let (used, time) = (cpu_time(server.pid()) - before, since.elapsed());
    assert!(used < time / 20, "it was busy for {used:?} of {time:?}");
    for (number, client) in clients[..SERVED].iter_mut().enumerate() {
        echo(client, number);
    }

    // Whoever is served leaves, and makes room for another.
    for (number, mut client) in clients.drain(..).enumerate() {
        echo(&mut client, number);
        client.shutdown(Shutdown::Write).expect("a connection");
        match client.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    echo(&mut server.connect(), CLIENTS);
    let (lines, seconds) = (logged(&log), start.elapsed().as_secs());
    assert!(lines <= seconds + 1, "{lines} lines in {seconds} s");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn output_at_the_file_size_limit_ends_no_example() {
    const LIMIT: u64 = 2000;
    if !has("prlimit") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let (log, errors) = (dir.path().join("log"), dir.path().join("errors"));
    let mut http = Command::new("prlimit");
    http.arg(format!("--fsize={LIMIT}")).arg(path_of("http")).arg(dir.path());
    http.arg("--access-log").arg(&log).env("RUST_LOG", "debug");
    let mut server = Server::start(http.stderr(fs::File::create(&errors).expect("a file")));
    for _ in 0..100 {
        assert_eq!(Client::new(&server).get("/missing").0.status, 404);
    }
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    for file in [log, errors] {
        assert_eq!(fs::metadata(file).expect("a file").len(), LIMIT);
    }
}
