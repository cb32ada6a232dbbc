//! Bytes for a server of HTTP, however the network delivers them: no panic, only whole and
//! well-formed answers, the same ones for every split, and no more memory than the limits allow.
//!
//! The last byte of an input says in which pieces the others arrive and the answers are taken.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::http::{Answered, Http, HttpLimits, Method, Reply, Request, Service};
use sluicegate_reactor::testing::{Client, Harness, Received, State};
use sluicegate_reactor::{Limits, Listen};

/// The field in which the answer to a HEAD says so: it has a length and no body.
const TO_HEAD: &str = "To-Head";

/// Answers with what it was asked.
struct Mirror;

impl Service for Mirror {
    type State = ();

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
    sent: Received,
    state: State,
    sent_at_end: Received,
    state_at_end: State,
}

/// Pieces of bytes; the small ones cost the most turns and so are not all there.
const SIZES: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 32, 48, 64, 128, 256, usize::MAX];

fuzz_target!(|input: &[u8]| {
    let Some((&sizes, bytes)) = input.split_last() else { return };
    let (piece, room) = (SIZES[usize::from(sizes % 16)], SIZES[usize::from(sizes / 16)]);
    let whole = exchange(bytes, usize::MAX, usize::MAX);
    let split = exchange(bytes, piece, room);
    assert_eq!(split, whole, "in pieces of {piece} bytes, taken {room} at a time, and whole");
    let closed = whole.state != State::Open;
    check(&whole.sent, closed);
    check(&whole.sent_at_end, true);
});

fn exchange(bytes: &[u8], piece: usize, room: usize) -> Outcome {
    // Limits so low that small inputs reach them.
    let limits = Limits { send_high: 512, send_low: 128, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let http = HttpLimits {
        request_line: 64,
        head: 256,
        headers: 6,
        body: 1024,
        drain: 64,
        requests: Some(12),
        ..HttpLimits::default()
    };
    let mut h = Harness::with(Http::with(Mirror, http), &listen);
    let client = h.open();
    h.set_room(client, room);
    for piece in bytes.chunks(piece) {
        h.feed(client, piece);
        check_queue(&h, &listen.limits);
    }
    let (sent, state) = take(&mut h, client);
    h.finish(client);
    let (sent_at_end, state_at_end) = take(&mut h, client);
    assert_eq!(h.ledger().panics, 0);
    Outcome { sent, state, sent_at_end, state_at_end }
}

fn take(h: &mut Harness<Http<Mirror>>, client: Client) -> (Received, State) {
    (h.sent(client), h.state(client))
}

/// What waits to be sent is at most the mark and one answer, the longest of which mirrors a head.
fn check_queue(h: &Harness<Http<Mirror>>, limits: &Limits) {
    const LONGEST_ANSWER: u64 = 1 << 10;
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
