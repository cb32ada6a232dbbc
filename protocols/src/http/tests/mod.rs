//! The rules of the HTTP layer, row by row, against the whole adapter.
//!
//! The input of a row is delivered whole, split at every byte, byte by byte, and to a client that
//! reads slowly. The result must always be the same.

mod any_input;
mod bodies;
mod close;
mod connection;
mod deferred;
mod early;
mod forms;
mod framing;
mod limits;
mod log;
mod log_times;
mod metrics;
mod pauses;
mod postponed;
mod refused;
mod saved;
mod semantics;
mod shed;
mod sized;
mod stopping;
mod streams;
mod syntax;
mod trailers;
mod upgrade;
mod with_body;

use sluicegate_reactor::testing::{Client, Harness, State};

use super::{Answered, Http, HttpLimits, LogRecord, Reply, Request, Service};
use crate::testing::same_at_every_split;

/// Answers with the request, as `METHOD path?query host`.
struct Probe;

impl Service for Probe {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let query = request.query().map_or(String::new(), |query| format!("?{query}"));
        let host = request.host().unwrap_or("-");
        reply.send(format!("{:?} {}{query} {host}", request.method(), request.path()))
    }
}

/// The log line of a response, without the parts that all share.
fn logged(record: &LogRecord<'_>) -> String {
    let line = record.to_string();
    line.split_once("] ").expect("a date").1.trim_end_matches(" \"-\" \"-\"").to_owned()
}

fn probe() -> Harness<Http<Probe>> {
    Harness::new(Http::new(Probe))
}

fn probe_with(limits: HttpLimits) -> Harness<Http<Probe>> {
    Harness::new(Http::with(Probe, limits))
}

/// What the server does after its responses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Stays,
    Closes,
}
use Then::{Closes, Stays};

/// Requests, their responses, and what follows. A response is its status, and for 200 the body of
/// the [`Probe`].
type Row<'a> = (&'a str, &'a [&'a str], Then);

/// Checks rows, with every delivery.
fn check(rows: &[Row<'_>]) {
    for (input, expected, then) in rows {
        check_bytes(input.as_bytes(), expected, *then);
    }
}

/// Checks a row whose input need not be text.
fn check_bytes(input: &[u8], expected: &[&str], then: Then) {
    let outcome = same_at_every_split(probe, input);
    let what = input.escape_ascii();
    assert_eq!(answers(&outcome.sent), *expected, "{what}");
    let closed = outcome.state != State::Open;
    assert_eq!(closed, then == Closes, "{what}: {:?}", outcome.state);
    assert!(outcome.sent_at_end.is_empty(), "{what}: more after the client's end");
}

/// Checks inputs that are too long to be split at every byte: whole, and in pieces of two sizes.
fn check_long(make: impl Fn() -> Harness<Http<Probe>>, rows: &[Row<'_>]) {
    for (input, expected, then) in rows {
        for size in [input.len(), 4096, 7] {
            let mut h = make();
            let client = h.open();
            for piece in input.as_bytes().chunks(size) {
                h.feed(client, piece);
            }
            let what = input[..input.len().min(60)].escape_debug();
            assert_eq!(answers(&h.sent(client)), *expected, "{what}... in pieces of {size}");
            assert_eq!(h.state(client) != State::Open, *then == Closes, "{what}... of {size}");
        }
    }
}

/// Delivers an input whole, and returns the responses.
fn ask(h: &mut Harness<Http<Probe>>, client: Client, input: &str) -> Vec<String> {
    h.feed(client, input);
    answers(&h.sent(client))
}

/// Parses the responses to requests other than HEAD. Each must be well-formed.
fn answers(mut bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = split_head(bytes);
        let length = field(head, "Content-Length").map_or(0, |n| n.parse().expect("a length"));
        assert!(field(head, "Date").is_some(), "an answer without a date: {head}");
        let (body, rest) = rest.split_at(length);
        let body = std::str::from_utf8(body).expect("text");
        all.push(match &head[9..12] {
            "200" => format!("200 {body}"),
            code => code.to_owned(),
        });
        bytes = rest;
    }
    all
}

/// The head of a response, and what follows.
fn split_head(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = std::str::from_utf8(&bytes[..end + 2]).expect("text");
    assert!(head.starts_with("HTTP/1.1 "), "not an answer: {head}");
    (head, &bytes[end + 4..])
}

/// The value of a field in the head of a response.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(n, _)| *n == name).map(|(_, value)| value)
}
