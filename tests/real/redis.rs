//! The example `redis` and the clients of Redis.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::process::{Process, Server, example, has, run};
use crate::random::noise;

fn start() -> Server {
    Server::start(&mut example("redis"))
}

fn tool(name: &str, server: &Server) -> Command {
    let mut command = Command::new(name);
    command.args(["-p", &server.address.port().to_string()]);
    command
}

/// What redis-cli prints for a command.
fn cli(server: &Server, arguments: &[&str]) -> String {
    let outcome = run(tool("redis-cli", server).args(arguments).stdin(Stdio::null()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout
}

#[test]
fn row_23_redis_cli_works_with_both_versions() {
    if !has("redis-cli") {
        return;
    }
    let server = start();
    for version in ["-2", "-3"] {
        let cli = |arguments: &[&str]| cli(&server, &[&[version], arguments].concat());
        assert_eq!(cli(&["FLUSHALL"]), "OK\n");
        assert_eq!(cli(&["SET", "key", "a value", "EX", "100"]), "OK\n");
        assert_eq!(cli(&["GET", "key"]), "a value\n");
        let left = cli(&["TTL", "key"]).trim_end().parse().expect("seconds");
        assert!((1..=100).contains(&left), "{left}");
        assert_eq!(cli(&["MSET", "a", "1", "b", "2"]), "OK\n");
        assert_eq!(cli(&["MGET", "a", "none", "b"]), "1\n\n2\n");
        assert_eq!(cli(&["INCR", "a"]), "2\n");
        assert_eq!(cli(&["--no-raw", "GET", "none"]), "(nil)\n");
        assert!(cli(&["INFO", "keyspace"]).contains("db0:keys=3"));
        assert_eq!(cli(&["CONFIG", "GET", "save"]).trim_end(), "save");
        assert!(cli(&["COMMAND", "DOCS", "get"]).contains("Returns a value.\n"));
        assert!(cli(&["--no-raw", "FROB"]).contains("ERR unknown command 'FROB'"));
    }
}

#[test]
fn row_23_redis_cli_sends_a_long_value_and_many_commands() {
    if !has("redis-cli") {
        return;
    }
    let server = start();
    let directory = tempdir().expect("a new directory");
    let file = directory.path().join("input");
    let value = noise(3_000_000, 1);
    fs::write(&file, &value).expect("a file");
    let input = File::open(&file).expect("the file");
    let outcome = run(tool("redis-cli", &server).args(["-x", "SET", "long"]).stdin(input));
    assert_eq!(outcome.stdout, "OK\n", "{outcome:?}");
    let copy = File::create(directory.path().join("copy")).expect("a file");
    let mut process = Process::spawn(tool("redis-cli", &server).args(["GET", "long"]).stdout(copy));
    assert_eq!(process.wait(), Some(0));
    let copied = fs::read(directory.path().join("copy")).expect("the copy");
    assert!(copied.strip_suffix(b"\n") == Some(&value), "{} bytes", copied.len());

    let mut commands = String::new();
    for number in 0..100_000 {
        commands += &format!("SET key{number} {number}\r\n");
    }
    fs::write(&file, commands).expect("a file");
    let input = File::open(&file).expect("the file");
    let outcome = run(tool("redis-cli", &server).arg("--pipe").stdin(input));
    assert!(outcome.stdout.contains("errors: 0, replies: 100000"), "{outcome:?}");
    assert_eq!(cli(&server, &["DBSIZE"]), "100001\n");
}

#[test]
fn redis_cli_receives_messages() {
    if !has("redis-cli") {
        return;
    }
    let server = start();
    let mut subscriber = tool("redis-cli", &server);
    let subscriber = subscriber.args(["SUBSCRIBE", "news"]).stdin(Stdio::null());
    let mut process = Process::spawn(subscriber.stdout(Stdio::piped()));
    let mut lines = BufReader::new(process.stdout()).lines().map(|line| line.expect("a line"));
    let mut next = |count| lines.by_ref().take(count).collect::<Vec<_>>();
    let confirmed = next(3);
    assert_eq!(confirmed, ["subscribe", "news", "1"]);
    assert_eq!(cli(&server, &["PUBLISH", "news", "hello"]), "1\n");
    assert_eq!(next(3), ["message", "news", "hello"]);
}

#[test]
fn row_23_redis_benchmark_runs() {
    if !has("redis-benchmark") {
        return;
    }
    let server = start();
    for pipeline in ["1", "100"] {
        let options = ["-t", "ping,set,get,incr,mset", "-n", "20000", "-c", "20", "-d", "200"];
        let mut command = tool("redis-benchmark", &server);
        let outcome = run(command.args(options).args(["-P", pipeline, "--csv"]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let errors = outcome.stdout.to_lowercase() + &outcome.stderr.to_lowercase();
        assert!(!errors.contains("err") && !errors.contains("warning"), "{outcome:?}");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
            assert!(outcome.stdout.contains(&format!("\"{test}\"")), "{test}: {outcome:?}");
        }
    }
}

#[test]
fn row_23_what_is_no_command_is_answered_and_the_connection_closed() {
    let server = start();
    let mut stream = server.connect();
    stream.write_all(b"PING\r\n*1\r\n+PING\r\n").expect("a server that reads");
    let mut replies = String::new();
    std::io::Read::read_to_string(&mut stream, &mut replies).expect("an end");
    assert_eq!(replies, "+PONG\r\n-ERR Protocol error: expected '$', got '+'\r\n");
}
