//! The example `memcached` and the clients of others: libmemcached's tools, and pymemcache.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use tempfile::tempdir;

use crate::process::{Outcome, PYTHON, Server, example, has, has_python_module, run};

fn start(options: &[&str]) -> Server {
    Server::start(example("memcached").args(options))
}

/// Runs one of libmemcached's tools.
fn tool(name: &str, server: &Server, arguments: &[&str]) -> Outcome {
    run(Command::new(name).arg(format!("--servers={}", server.address)).args(arguments))
}

#[test]
fn row_08_memcapable_passes_whole() {
    // Debian's name for it.
    if !has("memccapable") {
        return;
    }
    for threads in ["1", "2"] {
        let server = start(&["-t", threads]);
        let port = server.address.port().to_string();
        let mut command = Command::new("memccapable");
        let outcome = run(command.args(["-h", "127.0.0.1", "-p", &port, "-a"]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("All tests passed"), "{outcome:?}");
    }
}

#[test]
fn row_08_the_tools_of_libmemcached_work() {
    if !has("memccat") {
        return;
    }
    let directory = tempdir().expect("a new directory");
    let file = directory.path().join("value");
    let value = "0123456789abcdef".repeat(40_000);
    fs::write(&file, &value).expect("a file");
    let server = start(&["-t", "2"]);
    let copied = tool("memccp", &server, &[file.to_str().expect("a path")]);
    assert_eq!(copied.code, Some(0), "{copied:?}");
    assert_eq!(tool("memcexist", &server, &["value"]).code, Some(0));
    assert_eq!(tool("memccat", &server, &["value"]).stdout.trim_end(), value);
    assert_eq!(tool("memctouch", &server, &["--expire=100", "value"]).code, Some(0));
    let stats = tool("memcstat", &server, &[]).stdout;
    assert!(stats.contains("curr_items: 1\n"), "{stats}");
    assert_eq!(tool("memcrm", &server, &["value"]).code, Some(0));
    assert_ne!(tool("memcexist", &server, &["value"]).code, Some(0));
    assert_eq!(tool("memcping", &server, &[]).code, Some(0));
}

/// What a program in Python does with the cache.
const PROGRAM: &str = r#"
import sys
from pymemcache.client.base import Client

c = Client(("127.0.0.1", int(sys.argv[1])), default_noreply=False)
assert c.set("a", "one", expire=100, flags=7) is True
assert c.get("a") == b"one"
assert c.add("a", "x") is False
assert c.replace("a", "two") is True
assert c.append("a", "!") is True
assert c.prepend("a", ">") is True
value, cas = c.gets("a")
assert value == b">two!", value
assert c.cas("a", "three", cas) is True
assert c.cas("a", "four", cas) is False
assert c.cas("b", "four", cas) is None
assert c.incr("n", 1) is None
c.set("n", "5")
assert c.incr("n", 3) == 8
assert c.decr("n", 100) == 0
assert c.touch("a", 10) is True
assert c.delete("a") is True
assert c.delete("a") is False
many = {"key%d" % i: "value%d" % i for i in range(5000)}
assert c.set_many(many, noreply=True) == []
got = c.get_many(list(many))
assert got == {k: v.encode() for k, v in many.items()}, len(got)
big = b"x" * (1 << 20)
assert c.set("big", big) is True
assert c.get("big") == big
try:
    c.set("big", big + b"x")
    assert False, "too large"
except Exception as error:
    assert "too large" in str(error), error
assert c.get("big") is None
assert c.version().startswith(b"1.6.")
assert c.stats()[b"curr_items"] >= 5000
assert c.flush_all() is True
assert c.get_many(list(many)) == {}
c.quit()
print("done")
"#;

#[test]
fn row_08_pymemcache_works() {
    if !has_python_module("pymemcache") {
        return;
    }
    for threads in ["1", "2"] {
        let server = start(&["-t", threads]);
        let port = server.address.port().to_string();
        let outcome = run(Command::new(PYTHON).args(["-c", PROGRAM, &port]));
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("done\n", Some(0)), "{outcome:?}");
    }
}

#[test]
fn row_08_a_long_pipeline_over_two_threads_is_answered_in_order() {
    let server = start(&["-t", "2", "-m", "16"]);
    let mut stream = server.connect();
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for number in 0..20_000 {
        let value = format!("value {number}");
        let len = value.len();
        said.extend(format!("set k{number} 0 0 {len}\r\n{value}\r\nget k{number}\r\n").bytes());
        heard.extend(format!("STORED\r\nVALUE k{number} 0 {len}\r\n{value}\r\nEND\r\n").bytes());
    }
    said.extend(b"quit\r\n");
    let mut writer = stream.try_clone().expect("a second handle");
    let writing = std::thread::spawn(move || writer.write_all(&said).expect("a reader"));
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("an end behind the answers");
    writing.join().expect("everything was sent");
    assert!(received == heard, "{} of {} bytes", received.len(), heard.len());
}

#[test]
fn row_08_a_get_over_two_threads_is_answered_whole_although_the_server_stops() {
    let mut server = start(&["-t", "2"]);
    let mut stream = server.connect();
    // More than the buffers of both ends hold.
    let (value, keys) = ("v".repeat(100_000), 0..200);
    let mut expected = String::new();
    for key in keys.clone() {
        write!(stream, "set {key} 0 0 100000 noreply\r\n{value}\r\n").expect("a reader");
        expected += &format!("VALUE {key} 0 100000\r\n{value}\r\n");
    }
    expected += "END\r\n";
    let keys: Vec<_> = keys.map(|key| key.to_string()).collect();
    write!(stream, "get {}\r\n", keys.join(" ")).expect("a reader");
    let mut received = vec![0; 1000];
    stream.read_exact(&mut received).expect("some of it");
    server.signal("TERM");
    stream.read_to_end(&mut received).expect("an end behind the response");
    assert!(received == expected.as_bytes(), "{} bytes", received.len());
    drop(stream);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn row_12_sizes_that_make_no_sense_are_refused() {
    for (option, value) in [("-I", "1000"), ("-I", "256M"), ("-m", "0"), ("-t", "0")] {
        let outcome = run(example("memcached").args(["--port", "0", option, value]));
        assert_eq!(outcome.code, Some(2), "{option} {value}: {outcome:?}");
    }
    // Each thread has a share of the memory, which has to hold a value.
    for options in [["-m", "1", "-t", "1"], ["-m", "15", "-t", "8"]] {
        let outcome = run(example("memcached").args(["--port", "0"]).args(options));
        assert_eq!(outcome.code, Some(1), "{options:?}: {outcome:?}");
        assert!(outcome.stderr.contains("half of the memory of a thread"), "{outcome:?}");
    }
}
