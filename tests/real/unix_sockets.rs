//! An example on a Unix socket, however it ends.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use tempfile::tempdir;

use crate::process::{Process, Server, eventually, example, run};

fn start(path: &Path) -> Server {
    Server::start(example("echo").arg("--unix").arg(path))
}

fn assert_echoes(path: &Path) {
    let mut stream = UnixStream::connect(path).expect("a connection");
    stream.write_all(b"hello").expect("room");
    stream.shutdown(Shutdown::Write).expect("a connection");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("an answer");
    assert_eq!(received, b"hello");
}

#[test]
fn a_socket_goes_with_its_server_and_one_that_was_left_is_replaced() {
    let directory = tempdir().expect("a new directory");
    let path = directory.path().join("echo.sock");
    let mut server = start(&path);
    assert_echoes(&path);

    let refused = run(example("echo").args(["--port", "0", "--unix"]).arg(&path));
    assert_eq!(refused.code, Some(1));
    let expected = format!("error: listen on unix:{}: process ", path.display());
    assert!(refused.stderr.starts_with(&expected), "{}", refused.stderr);
    assert!(refused.stderr.contains(" is already listening there: "), "{}", refused.stderr);
    assert_echoes(&path);

    server.signal("KILL");
    assert_eq!(server.wait(), None);
    assert!(path.exists(), "what a killed server leaves");
    let mut server = start(&path);
    assert_echoes(&path);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!path.exists());
}

#[test]
fn statistics_of_all_listeners_and_of_each_come_at_a_signal_and_at_the_end() {
    let directory = tempdir().expect("a new directory");
    let (path, lines) = (directory.path().join("echo.sock"), directory.path().join("lines"));
    let mut echo = example("echo");
    echo.args(["--port", "0", "--threads", "2", "--stats", "--unix"]).arg(&path);
    let mut server = Process::spawn(echo.stdout(File::create(&lines).expect("a new file")));
    // It prints where it listens when it does.
    let printed = || fs::read_to_string(&lines).expect("the file");
    let line = |number: usize| {
        eventually("a line", || printed().split_inclusive('\n').nth(number).map(str::to_string))
    };
    assert!(line(0).starts_with("echo on "));
    assert_echoes(&path);
    server.signal("USR1");
    let statistics = line(1);
    assert!(statistics.starts_with("open="), "{statistics}");
    assert!(statistics.contains(" pending=0 turns="), "{statistics}");
    assert!(statistics.contains(" accepted=1 "), "{statistics}");
    assert!(statistics.contains(" received=5 "), "{statistics}");
    assert!(statistics.contains(" sent=5 joined=5 send_calls=1 send_bytes=5\n"), "{statistics}");
    let (tcp, unix) = (line(2), line(3));
    assert!(tcp.starts_with("127.0.0.1:") && tcp.ends_with(": open=0 pending=0\n"), "{tcp}");
    assert!(unix.starts_with(&format!("unix:{}: open=", path.display())), "{unix}");
    assert!(unix.contains(" accepted=1 ") && unix.contains(" received=5 "), "{unix}");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(line(4).starts_with("open=0 pending=0 "), "{}", line(4));
    assert!(line(6).contains(" received=5 "), "{}", line(6));
}
