//! Standard output that nobody reads: a full pipe.

use std::io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{fs, io, thread};

use tempfile::tempdir;

use crate::process::{PATIENCE, Process, Server, address_in, eventually, example};

fn fill(pipe: &mut PipeWriter) {
    rustix::io::ioctl_fionbio(&*pipe, true).expect("a pipe");
    while !pipe.write(&[0; 4096]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {}
    rustix::io::ioctl_fionbio(&*pipe, false).expect("a pipe");
}

/// Starts a server that listens at a path and prints to a full pipe. Returns a client of it, too.
fn start(path: &Path) -> (Process, UnixStream, PipeReader) {
    let (reader, mut full) = io::pipe().expect("a pipe");
    fill(&mut full);
    let mut echo = example("echo");
    echo.args(["--port", "0", "--stats", "--unix"]).arg(path).stdout(full);
    let process = Process::spawn(echo.stderr(Stdio::piped()));
    let client = eventually("a server", || UnixStream::connect(path).ok());
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    (process, client, reader)
}

/// Whether the process handles SIGHUP.
fn handles_hangups(process: &Process) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()));
    let status = status.expect("a process");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
    u64::from_str_radix(caught.expect("signals"), 16).expect("a number") & 1 == 1
}

/// The number of threads that print.
fn printing(process: &Process) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", process.pid())).expect("a process");
    let names = threads.flatten().flat_map(|it| fs::read_to_string(it.path().join("comm")));
    names.filter(|name| name == "print\n").count()
}

#[test]
fn a_server_starts_and_ends_whatever_signals_arrive_while_it_prints() {
    let dir = tempdir().expect("a new directory");
    let (mut process, mut client, _reader) = start(&dir.path().join("socket"));
    eventually("a handler of signals", || handles_hangups(&process).then_some(()));
    client.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
    client.write_all(b"a").expect("a server");
    eventually("an echo", || {
        process.signal("HUP");
        client.read_exact(&mut [0]).ok()
    });
    drop(client);
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
}

#[test]
fn what_a_server_prints_waits_for_a_reader() {
    let dir = tempdir().expect("a new directory");
    let (process, mut client, reader) = start(&dir.path().join("socket"));
    client.write_all(b"a").expect("a server");
    client.read_exact(&mut [0]).expect("an echo");
    let (tell, told) = channel();
    thread::spawn(move || {
        BufReader::new(reader).lines().map_while(Result::ok).try_for_each(|it| tell.send(it))
    });
    let line = told.recv_timeout(PATIENCE).expect("a line");
    assert!(address_in(&line).is_some(), "{line:?}");
    eventually("the end of the thread", || (printing(&process) == 0).then_some(()));
}

#[test]
fn a_proxy_ends_although_nobody_reads_its_tables() {
    let back = Server::start(&mut example("echo"));
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let mut proxy = example("proxy");
    proxy.args(["--port", "0", "--threads", "2", "--to", &back.address.to_string()]);
    let mut process = Process::spawn(proxy.stdout(writer.try_clone().expect("a descriptor")));
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    let address = address_in(&line).expect("where it listens");
    fill(&mut writer);
    for _ in 0..10 {
        process.signal("USR1");
        // Meanwhile it serves.
        let mut client = TcpStream::connect(address).expect("a connection");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client.write_all(b"a").expect("a proxy");
        client.read_exact(&mut [0]).expect("an echo");
    }
    eventually("a table", || (printing(&process) > 0).then_some(()));
    assert_eq!(printing(&process), 1);
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
}
