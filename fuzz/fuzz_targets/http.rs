//! Bytes for a server of HTTP, however the network delivers them: no panic, only whole and
//! well-formed answers, the same ones for every split, and no more memory than the limits allow.
//!
//! The last byte of an input says in which pieces the others arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::http::{Answered, Http, Method, Reply, Request, Service};
use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Limits, Listen};

/// The field in which the answer to a HEAD says so: it has a length and no body.
const TO_HEAD: &str = "To-Head";

/// Answers with what it was asked.
struct Mirror;

impl Service for Mirror {
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let reply = match request.method() {
            Method::Head => reply.header(TO_HEAD, "1"),
            _ => reply,
        };
        reply.send(format!("{:?} {:?}", request.path(), request.query()))
    }
}

/// How an exchange went: the answers and the server's end, before the client's end and behind it.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    sent: Vec<u8>,
    state: State,
    sent_at_end: Vec<u8>,
    state_at_end: State,
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, bytes)) = input.split_last() else { return };
    let whole = exchange(bytes.chunks(usize::MAX), None);
    let pieces = exchange(bytes.chunks(1 + usize::from(size)), None);
    assert_eq!(pieces, whole, "in pieces of {} bytes, and whole", 1 + usize::from(size));
    let slowly = exchange(bytes.chunks(usize::MAX), Some(1 + usize::from(size)));
    assert_eq!(slowly, whole, "taken in pieces of {} bytes, and whole", 1 + usize::from(size));
    let closed = whole.state != State::Open;
    check(&whole.sent, closed);
    check(&whole.sent_at_end, true);
});

fn exchange<'a>(pieces: impl Iterator<Item = &'a [u8]>, room: Option<usize>) -> Outcome {
    // Marks so low that small inputs reach them.
    let limits = Limits { send_high: 2048, send_low: 512, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Http::new(Mirror), &listen);
    let client = h.open();
    if let Some(room) = room {
        h.set_room(client, room);
    }
    for piece in pieces {
        h.feed(client, piece);
        check_queue(&h, &listen.limits);
    }
    let (sent, state) = take(&mut h, client);
    h.finish(client);
    let (sent_at_end, state_at_end) = take(&mut h, client);
    assert_eq!(h.ledger().panics, 0);
    Outcome { sent, state, sent_at_end, state_at_end }
}

fn take(h: &mut Harness<Http<Mirror>>, client: Client) -> (Vec<u8>, State) {
    (h.sent(client), h.state(client))
}

/// What waits to be sent is at most the mark and one answer, the longest of which mirrors a head.
fn check_queue(h: &Harness<Http<Mirror>>, limits: &Limits) {
    const LONGEST_ANSWER: u64 = 64 << 10;
    let ledger = h.ledger();
    let waits = ledger.queued - ledger.sent - ledger.dropped;
    assert!(waits <= limits.send_high as u64 + LONGEST_ANSWER, "{waits} bytes wait to be sent");
}

/// Each answer parses and is whole; only the last one can be a refusal.
fn check(mut bytes: &[u8], closed: bool) {
    while !bytes.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut answer = httparse::Response::new(&mut fields);
        let parsed = answer.parse(bytes).expect("an answer that parses");
        assert!(parsed.is_complete(), "a head that is cut");
        let value = |name: &str| {
            let mut found = answer.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name));
            let value = found.next().map(|f| std::str::from_utf8(f.value).expect("text"));
            assert!(found.next().is_none(), "{name} twice");
            value
        };
        let code = answer.code.expect("a status");
        let has_body = code >= 200 && code != 204 && code != 304 && value(TO_HEAD).is_none();
        let len = value("Content-Length").map_or(0, |len| len.parse().expect("a length"));
        let rest = &bytes[parsed.unwrap()..];
        if code >= 400 {
            // The refusal of a HEAD has no body.
            assert!(closed && (rest.is_empty() || rest.len() == len), "a {code} is the last");
            return;
        }
        bytes = if has_body { rest.get(len..).expect("a whole body") } else { rest };
    }
}
