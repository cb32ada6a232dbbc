//! What the examples ask of the kernel in their steady state, as strace sees it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{eventually, is_stopped};
use crate::random::noise;
use crate::traced::Traced;

/// A call as strace prints it.
#[derive(Debug)]
struct Call {
    name: String,
    /// All of it, with arguments and result.
    text: String,
}

/// Ends the example; all it has called, in the order in which the calls began.
fn calls(traced: Traced) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    // The calls of threads that were interrupted by calls of others.
    let mut unfinished = BTreeMap::new();
    for line in traced.end().lines() {
        let (thread, text) = line.split_once(' ').expect("the number of a thread");
        let text = text.trim_start();
        if let Some((_, rest)) = text.split_once(" resumed>") {
            let at: usize = unfinished.remove(thread).expect("the beginning of a call");
            calls[at].text += rest;
        } else if let Some(mut call) = call(text) {
            if let Some(begun) = call.text.strip_suffix(" <unfinished ...>") {
                call.text.truncate(begun.len());
                unfinished.insert(thread.to_owned(), calls.len());
            }
            calls.push(call);
        }
    }
    calls
}

/// A call as its line begins; signals and ends are none.
fn call(text: &str) -> Option<Call> {
    let (name, _) = text.split_once('(')?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then(|| Call { name: name.to_owned(), text: text.to_owned() })
}

impl Call {
    fn is_wait(&self) -> bool {
        self.name.starts_with("epoll_") && self.name.contains("wait")
    }

    fn is_send(&self) -> bool {
        self.name == "sendto" || self.name == "sendmsg"
    }

    /// What it returned; -1 for an error.
    fn result(&self) -> i64 {
        let result = self.text.rsplit_once(" = ").map(|(_, result)| result);
        let number = result.and_then(|result| result.split(' ').next());
        number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no result: {}", self.text))
    }
}

/// The calls after the answer to what has the one mark in it, and before the receive of the other.
fn between<'a>(calls: &'a [Call], begin: &str, end: &str) -> &'a [Call] {
    let received = |mark: &str| {
        let at = calls.iter().position(|c| c.name == "recvfrom" && c.text.contains(mark));
        at.unwrap_or_else(|| panic!("{mark} was not received: {calls:#?}"))
    };
    let (begin, end) = (received(begin), received(end));
    let answer = calls[begin..].iter().position(Call::is_send).expect("an answer");
    &calls[begin + answer + 1..end]
}

/// The number of calls by name. Waits that only look at the clock do not count. Reading the clock
/// does not either: it is a call only where the vDSO has none. Nor does the check of the standard
/// library, when built for debugging, that a descriptor is open before it closes it.
fn counts(calls: &[Call]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls.iter().filter(|c| c.name != "clock_gettime") {
        let name = match call {
            call if call.text.contains("F_GETFD") => continue,
            call if call.is_wait() && call.result() <= 0 => continue,
            call if call.is_wait() => "wait",
            call if call.is_send() && call.text.contains("MSG_MORE") => "send with more to come",
            call if call.is_send() => "send",
            call => &call.name,
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn exchange(stream: &mut (impl Read + Write), message: &[u8]) {
    stream.write_all(message).expect("a server that reads");
    stream.read_exact(&mut vec![0; message.len()]).expect("as many bytes");
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue makes several system calls out of one")]
fn an_echo_is_one_wait_one_receive_and_one_send() {
    let Some(traced) = Traced::start(&[], "echo", &[]) else { return };
    let mut stream = traced.server.connect();
    let sizes = [1, 64, 1000, 4096, 5000, 16 << 10];
    exchange(&mut stream, b"mark-begin");
    for size in sizes {
        exchange(&mut stream, &noise(size, 1));
    }
    exchange(&mut stream, b"mark-end");
    drop(stream);
    let calls = calls(traced);
    let steady = between(&calls, "mark-begin", "mark-end");
    // One more wait: for the mark.
    let expected = [("recvfrom", sizes.len()), ("send", sizes.len()), ("wait", sizes.len() + 1)];
    assert_eq!(counts(steady), BTreeMap::from(expected), "{steady:#?}");
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue makes several system calls out of one")]
fn messages_that_come_together_share_one_wait() {
    const CLIENTS: usize = 16;
    let Some(traced) = Traced::start(&[], "echo", &[]) else { return };
    let mut streams: Vec<_> = (0..CLIENTS).map(|_| traced.server.connect()).collect();
    streams.iter_mut().for_each(|stream| exchange(stream, b"warm"));
    exchange(&mut streams[0], b"mark-begin");
    traced.server.signal("STOP");
    eventually("the server stops", || is_stopped(traced.server.pid()).then_some(()));
    streams.iter_mut().for_each(|stream| stream.write_all(b"message").expect("room for it"));
    traced.server.signal("CONT");
    streams.iter_mut().for_each(|s| s.read_exact(&mut [0; 7]).expect("as many bytes"));
    exchange(&mut streams[0], b"mark-end");
    drop(streams);
    let calls = calls(traced);
    let steady = between(&calls, "mark-begin", "mark-end");
    let expected = [("recvfrom", CLIENTS), ("send", CLIENTS), ("wait", 2)];
    assert_eq!(counts(steady), BTreeMap::from(expected), "{steady:#?}");
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue makes several system calls out of one")]
fn a_connection_is_registered_once_and_never_again() {
    const CLIENTS: usize = 10;
    let Some(traced) = Traced::start(&[], "echo", &[]) else { return };
    for _ in 0..CLIENTS {
        let mut stream = traced.server.connect();
        exchange(&mut stream, b"one");
        exchange(&mut stream, b"another");
    }
    let calls = calls(traced);
    let accepted = calls.iter().position(|c| c.name == "accept4" && c.result() >= 0);
    let (before, after) = calls.split_at(accepted.expect("an accepted connection"));
    assert!(before.iter().any(|c| c.name == "epoll_ctl"));
    let controls: Vec<_> = after.iter().filter(|c| c.name == "epoll_ctl").collect();
    assert_eq!(controls.len(), CLIENTS, "{controls:#?}");
    assert!(controls.iter().all(|c| c.text.contains("EPOLL_CTL_ADD")), "{controls:#?}");
}

/// How many requests make a series.
const REQUESTS: usize = 8;

/// Checks the steady state of requests for a file of that length on one connection.
fn requests(flags: &[&str], len: usize, expected: impl Fn(&[Call]) -> Result<(), String>) {
    let dir = tempdir().expect("a new directory");
    fs::write(dir.path().join("file"), noise(len, 1)).expect("a file");
    let get = |client: &mut Client| {
        let (head, body) = client.get("/file");
        assert_eq!((head.status, body.len()), (200, len));
    };
    series(dir.path(), flags, get, expected);
}

/// Checks the steady state of requests on one connection to a server of a directory.
///
/// Once a second the server looks at the disk. So there are several series, and one that was not
/// interrupted by that is enough.
fn series(
    root: &Path,
    flags: &[&str],
    exchange: impl Fn(&mut Client),
    expected: impl Fn(&[Call]) -> Result<(), String>,
) {
    const SERIES: usize = 20;
    fs::write(root.join("mark"), "").expect("a file");
    let root = root.to_str().expect("a path of characters");
    let Some(traced) = Traced::start(&[], "http", &[&[root], flags].concat()) else { return };
    let mut client = Client::new(&traced.server);
    for series in 0..SERIES {
        exchange(&mut client);
        client.get("/mark");
        client.get(&format!("/mark?begin-{series}-"));
        for _ in 0..REQUESTS {
            exchange(&mut client);
        }
        client.get(&format!("/mark?end-{series}-"));
    }
    drop(client);
    let calls = calls(traced);
    let outcomes = (0..SERIES).map(|series| {
        let (begin, end) = (format!("mark?begin-{series}-"), format!("mark?end-{series}-"));
        expected(between(&calls, &begin, &end))
    });
    let failures: Vec<_> = outcomes.filter_map(Result::err).collect();
    if failures.len() == SERIES {
        panic!("in none of {SERIES} series: {}", failures[0]);
    }
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue makes several system calls out of one")]
fn a_small_file_from_the_cache_is_one_receive_and_one_send() {
    for (flags, len) in [(&[][..], 0), (&[], 1000), (&[], 16 << 10), (&["--copy"], 1000)] {
        requests(flags, len, |steady| {
            let expected = [("recvfrom", REQUESTS), ("send", REQUESTS), ("wait", REQUESTS + 1)];
            let is = counts(steady);
            (is == BTreeMap::from(expected)).then_some(()).ok_or(format!("{is:?} {steady:#?}"))
        });
    }
}

#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue makes several system calls out of one")]
fn a_large_file_is_two_looks_one_send_that_says_more_comes_and_then_sendfile_only() {
    requests(&[], 1 << 20, |steady| {
        let is = counts(steady);
        let mut rest = is.clone();
        let fixed = [
            ("recvfrom", REQUESTS),
            ("preadv2", 2 * REQUESTS),
            ("send with more to come", REQUESTS),
        ];
        let as_expected = fixed.iter().all(|(name, count)| rest.remove(name) == Some(*count))
            && rest.remove("sendfile").is_some_and(|count| count >= REQUESTS)
            && rest.remove("wait").is_some()
            && rest.is_empty();
        as_expected.then_some(()).ok_or(format!("{is:?} {steady:#?}"))
    });
}

#[test]
fn a_listener_is_shut_down_before_it_is_closed() {
    let dir = TempDir::new().expect("a new directory");
    let control = format!("--control={}", dir.path().join("control").display());
    for arguments in [vec![], vec![&*control]] {
        let options = ["-e", "listen,shutdown,close"];
        let Some(traced) = Traced::start(&options, "echo", &arguments) else { return };
        shuts_down_and_closes(&calls(traced));
    }
}

/// Its TCP listener, which is the last socket that listens.
fn shuts_down_and_closes(calls: &[Call]) {
    let listen = calls.iter().rposition(|c| c.name == "listen").expect("a listener");
    let (_, socket) = calls[listen].text.split_once('(').expect("arguments");
    let (socket, _) = socket.split_once(',').expect("a descriptor");
    let of_it = |call: &&Call| {
        ["shutdown(", "close("].iter().any(|name| {
            let rest = call.text.strip_prefix(name).and_then(|rest| rest.strip_prefix(socket));
            rest.is_some_and(|rest| rest.starts_with([',', ')']))
        })
    };
    let names: Vec<_> = calls[listen..].iter().filter(of_it).map(|call| &*call.name).collect();
    assert_eq!(names, ["shutdown", "close"]);
}

/// It looks at the name, creates the file, writes it, looks at the name again, renames the file and
/// closes it. The body is short enough to arrive in one piece.
#[test]
#[cfg_attr(sluicegate_libkqueue, ignore = "libkqueue makes several system calls out of one")]
fn an_upload_to_memory_is_a_receive_six_calls_for_its_file_and_a_send() {
    if !Path::new("/dev/shm").is_dir() {
        return;
    }
    let dir = TempDir::new_in("/dev/shm").expect("a new directory");
    fs::create_dir(dir.path().join("sub")).expect("a new directory");
    for path in ["file", "sub/file"] {
        let put = |client: &mut Client| {
            let head = format!("PUT /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 16384\r\n\r\n");
            client.send(&[head.as_bytes(), &noise(16 << 10, 1)].concat());
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.rest().read_exact(&mut byte).expect("an answer");
                answer.extend(byte);
            }
            assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", answer.escape_ascii());
        };
        series(dir.path(), &["--upload"], put, |steady| {
            let mut is = counts(steady);
            let waits = is.remove("wait");
            let as_expected = is.values().sum::<usize>() == 8 * REQUESTS
                && is.get("pwrite64") == Some(&REQUESTS)
                && waits == Some(REQUESTS + 1);
            as_expected.then_some(()).ok_or(format!("{is:?} {steady:#?}"))
        });
        assert_eq!(fs::read(dir.path().join(path)).expect("it was put"), noise(16 << 10, 1));
    }
}
