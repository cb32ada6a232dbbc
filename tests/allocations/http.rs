//! Requests for responses of all kinds.

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::forward::{Forward, ForwardOptions};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_reactor::Listen;
use tempfile::TempDir;

use crate::{Pair, assert_frugal};

struct Hello;

impl Service for Hello {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.header("Content-Type", "text/plain").send("Hello, World!")
    }
}

/// Requests on a connection whose answers are all alike.
struct Requests {
    pair: Pair,
    request: Vec<u8>,
    /// How long an answer is.
    answer: usize,
}

impl Requests {
    /// `body` is how long the body of the answer is.
    fn new(mut pair: Pair, path: &str, body: usize) -> Requests {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n");
        let mut head = vec![0];
        pair.exchange(request.as_bytes(), &mut head);
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            pair.exchange(b"", &mut byte);
            head.extend_from_slice(&byte);
        }
        pair.exchange(b"", &mut vec![0; body]);
        Requests { pair, request: request.into_bytes(), answer: head.len() + body }
    }

    /// Asserts that so many requests sent at once allocate nothing.
    fn assert_frugal(&mut self, at_a_time: usize) {
        let requests = self.request.repeat(at_a_time);
        let mut answers = vec![0; self.answer * at_a_time];
        assert_frugal(&format!("{at_a_time} requests at a time"), 200, || {
            self.pair.exchange(&requests, &mut answers);
        });
        for answer in answers.chunks(self.answer) {
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", answer.escape_ascii());
        }
    }
}

fn hello() -> Requests {
    let pair = Pair::new(|reactor| reactor.register(Http::new(Hello)));
    Requests::new(pair, "/", "Hello, World!".len())
}

#[test]
fn a_request_for_a_greeting_allocates_nothing() {
    let mut requests = hello();
    for at_a_time in [1, 16, 64] {
        requests.assert_frugal(at_a_time);
    }
}

/// The state of an exchange outlives the callback that starts it: the deferred response in two
/// parts, the exchange in two, and the head of the request, which may be sent again.
#[test]
fn a_forwarded_request_allocates_only_what_outlives_the_callback() {
    const ROUNDS: u64 = 100;
    let pair = Pair::new(|reactor| {
        let hello = reactor.register(Http::new(Hello));
        let listener = reactor.listen("127.0.0.1:0", &Listen::default(), hello);
        let origin = reactor.listener_address(listener.expect("a free port"));
        let origin = origin.expect("it listens").clone();
        let forward = Forward::new(reactor, origin, &ForwardOptions::default());
        reactor.register(Http::new(forward.expect("a new reactor has room")))
    });
    let Requests { mut pair, request, answer } = Requests::new(pair, "/", "Hello, World!".len());
    let mut answer = vec![0; answer];
    let mut round = || pair.exchange(&request, &mut answer);
    (0..ROUNDS).for_each(|_| round());
    let allocated = measure(|| (0..ROUNDS).for_each(|_| round()));
    assert!(allocated.count_total <= 5 * ROUNDS, "{allocated:?} in {ROUNDS} rounds");
}

#[test]
fn a_new_date_in_the_answers_allocates_nothing() {
    let Requests { mut pair, request, answer } = hello();
    let mut answer = vec![0; answer];
    let second = || SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs();
    let start = second();
    let allocated = measure(|| {
        while second() < start + 2 {
            pair.exchange(&request, &mut answer);
        }
    });
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
}

#[test]
fn a_request_that_comes_in_two_parts_allocates_nothing() {
    let Requests { mut pair, request, answer } = hello();
    let (first, second) = request.split_at(request.len() / 2);
    let mut answer = vec![0; answer];
    assert_frugal("a request in two parts", 200, || {
        pair.client.write_all(first).expect("room for it");
        pair.reactor.turn(Some(Duration::from_secs(1))).expect("a turn");
        pair.exchange(second, &mut answer);
    });
}

/// A directory that contains one file, `file`.
struct Directory(TempDir);

impl Directory {
    fn new(file: usize) -> Directory {
        let directory = tempfile::tempdir().expect("a new directory");
        fs::write(directory.path().join("file"), vec![b'x'; file]).expect("a file");
        Directory(directory)
    }

    /// Requests for the file, when the disk is looked at once.
    fn requests(&self, file: usize) -> Requests {
        let pair = Pair::new(|reactor| {
            let options = FilesOptions { valid_for: Duration::MAX, ..FilesOptions::default() };
            let files = Files::new(reactor, self.0.path(), options).expect("a directory");
            reactor.register(Http::new(files))
        });
        Requests::new(pair, "/file", file)
    }
}

#[test]
fn a_request_for_a_cached_small_file_allocates_nothing() {
    for len in [0, 1000, 3000] {
        let directory = Directory::new(len);
        let mut requests = directory.requests(len);
        requests.assert_frugal(1);
        requests.assert_frugal(16);
    }
}

#[test]
fn requests_that_wait_for_a_full_queue_allocate_nothing() {
    let len = 40_000;
    let directory = Directory::new(len);
    let mut requests = directory.requests(len);
    requests.assert_frugal(1);
    requests.assert_frugal(8);
}
