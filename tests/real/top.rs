//! The example `top`, with the servers that it shows.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;
use tempfile::tempdir;

use crate::client::Client;
use crate::haproxy::connect;
use crate::process::{Process, Server, eventually, example, has, path_of, run};

fn hello(status: &str) -> Server {
    Server::start(example("hello").args(["--threads", "2", "--status", status]))
}

fn status_of(server: &Server) -> SocketAddr {
    server.status.expect("a status listener")
}

#[test]
fn one_frame_is_printed_for_scripts() {
    let dir = tempdir().expect("a new directory");
    let at_port = hello("0");
    let path = format!("unix:{}", dir.path().join("status").display());
    let mut at_path = example("hello");
    // Another line than that of a Unix socket tells its address.
    let _at_path = Server::start(at_path.arg(format!("--status={path}")));
    for (status, threads) in [(status_of(&at_port).to_string(), 2), (path, 1)] {
        let outcome = run(example("top").args([&*status, "--once"]));
        assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
        let lines: Vec<_> = outcome.stdout.lines().map(str::trim_end).collect();
        assert!(lines[0].starts_with("hello ") && lines[0].ends_with(" ready"), "{}", lines[0]);
        let at = lines.iter().position(|line| line.starts_with("THREADS ")).expect("threads");
        let shown = lines[at + 1..].iter().take_while(|line| !line.is_empty());
        assert_eq!(shown.count(), threads, "{lines:#?}");
    }
}

#[test]
fn every_method_of_moving_bytes_has_a_column() {
    let server = hello("0");
    let (_, json) = Client::over(connect(status_of(&server))).get("/status.json");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let outcome = run(example("top").args([&*status_of(&server).to_string(), "--once"]));
    for (direction, table) in [("sent", "SENT/S "), ("received", "RECEIVED/S ")] {
        let head = outcome.stdout.lines().find(|line| line.starts_with(table)).expect(table);
        let mut columns: Vec<_> = head.split("  ").map(str::trim).skip(1).collect();
        columns.retain(|name| !name.is_empty());
        let methods = json["listeners"][0][direction].as_object().expect("methods");
        let mut methods: Vec<_> = methods.keys().map(|name| name.replace('_', " ")).collect();
        columns.sort_unstable();
        methods.sort_unstable();
        assert_eq!(columns, methods);
    }
}

#[test]
fn a_server_that_does_not_answer_is_an_error_of_one_line() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = nobody.local_addr().expect("its address").to_string();
    drop(nobody);
    let outcome = run(example("top").args([&*address, "--once"]));
    assert_eq!((outcome.code, &*outcome.stdout), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.starts_with(&format!("error: {address}: ")), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");

    let dir = tempdir().expect("a new directory");
    let other = Server::start(example("http").arg(dir.path()));
    let address = other.address.to_string();
    let outcome = run(example("top").args([&*address, "--once"]));
    let expected = format!("error: {address} has no figures: \"HTTP/1.1 404 Not Found\"\n");
    assert_eq!((outcome.code, outcome.stderr), (Some(1), expected));
}

#[test]
fn a_lost_connection_is_shown_and_made_again_until_the_key_q() {
    // It gives a program a terminal.
    if !has("script") {
        return;
    }
    let mut server = hello("0");
    let status = status_of(&server);
    let mut command = std::process::Command::new("script");
    let shown = format!("stty rows 40 cols 120; exec {} {status}", path_of("top").display());
    command.args(["-qec", &shown, "/dev/null"]).env("TERM", "xterm");
    let mut top = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut keys, mut stdout) = (top.stdin(), top.stdout());
    let screen = Arc::new(Mutex::new(Vec::new()));
    let drawn = screen.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            drawn.extend_from_slice(&buffer[..count]);
        }
    });
    // Only what has changed is drawn, and not the spaces between the words.
    let wait_for = |word: &str| {
        eventually(word, || {
            let drawn = screen.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&drawn).contains(word).then_some(())
        });
    };
    wait_for("ready");
    server.signal("KILL");
    server.wait();
    wait_for("refused");
    let mut other = example("echo");
    let _other = Server::start(other.args(["--status", &status.port().to_string()]));
    wait_for("echo");
    keys.write_all(b"q").expect("a program that reads");
    assert_eq!(top.wait(), Some(0));
}
