//! An example on a Unix socket, however it ends.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::process::{Process, Server, eventually, example, run};
use crate::temp::TempDir;

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
    let directory = TempDir::new();
    let path = directory.path().join("echo.sock");
    let mut server = start(&path);
    assert_echoes(&path);

    let refused = run(example("echo").args(["--port", "0", "--unix"]).arg(&path));
    assert_eq!(refused.code, Some(1));
    let expected = format!("listen on unix:{}: another process listens there\n", path.display());
    assert_eq!(refused.stderr, expected);
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
fn statistics_are_one_line_every_so_many_seconds() {
    let directory = TempDir::new();
    let (path, lines) = (directory.path().join("echo.sock"), directory.path().join("lines"));
    let mut echo = example("echo");
    echo.args(["--port", "0", "--stats", "1", "--unix"]).arg(&path);
    let mut server = Process::spawn(echo.stdout(File::create(&lines).expect("a new file")));
    // It prints where it listens when it does.
    let printed = || fs::read_to_string(&lines).expect("the file");
    eventually("a first line", || printed().contains('\n').then_some(()));
    assert_echoes(&path);
    let line = eventually("a line of statistics", || {
        let printed = printed();
        let wanted = |line: &&str| line.starts_with("open=0 accepted=1 ");
        printed.lines().find(wanted).map(str::to_string)
    });
    assert!(line.contains(" received=5 sent=5 dropped=0 "), "{line}");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}
