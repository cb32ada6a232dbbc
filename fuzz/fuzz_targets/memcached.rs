//! Bytes for the example `memcached`, in any pieces: no panic, well-formed responses, the same for
//! every split, and no more memory than the limit.
//!
//! The last byte of an input says in which pieces the others arrive and the responses are taken.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::{Harness, State};

#[path = "../../examples/memcached/cache.rs"]
mod cache;
#[path = "../../examples/memcached/command.rs"]
mod command;
#[path = "../../examples/memcached/counters.rs"]
mod counters;
#[path = "../../examples/memcached/exchange.rs"]
mod exchange;
#[path = "../../examples/memcached/item.rs"]
mod item;
#[path = "../../examples/memcached/meta.rs"]
mod meta;
#[path = "../../examples/memcached/meta_commands.rs"]
mod meta_commands;
#[path = "../../examples/memcached/peers.rs"]
mod peers;
#[path = "../../examples/memcached/server.rs"]
mod server;
#[path = "../../examples/memcached/slots.rs"]
mod slots;
#[path = "../../examples/memcached/statistics.rs"]
mod statistics;
#[path = "../../examples/memcached/store.rs"]
mod store;
#[path = "../../examples/memcached/waiting.rs"]
mod waiting;

use server::{Memcached, Settings, TICK, Tick};

/// A cache so small that items are evicted.
const SETTINGS: Settings =
    Settings { memory: 1000, max_value: 300, max_connections: 10, threads: 1, pid: 1, seed: 1 };

/// Pieces of bytes; the small ones cost the most turns and so are not all there.
const SIZES: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 32, 48, 64, 128, 256, usize::MAX];

/// What the client got and how the server's end was left, before the client's end and behind it.
type Outcome = (Vec<u8>, State, Vec<u8>, State);

fuzz_target!(|input: &[u8]| {
    let Some((&sizes, bytes)) = input.split_last() else { return };
    let (piece, room) = (SIZES[usize::from(sizes % 16)], SIZES[usize::from(sizes / 16)]);
    let whole = exchange(bytes, usize::MAX, usize::MAX);
    // The counters of bytes differ with the time of the question.
    if !bytes.windows(5).any(|window| window == b"stats") {
        let split = exchange(bytes, piece, room);
        assert_eq!(split, whole, "in pieces of {piece} bytes, taken {room} at a time, and whole");
    }
    check(&whole.0);
    assert!(whole.2.is_empty(), "a response to an end");
});

fn exchange(bytes: &[u8], piece: usize, room: usize) -> Outcome {
    let mut limits = Memcached::limits(&SETTINGS);
    (limits.send_high, limits.send_low) = (256, 64);
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::build(
        &listen,
        |_| {},
        |reactor| {
            let server = reactor.register(Memcached::new(SETTINGS, 0, Vec::new()));
            reactor.every(TICK, server, Tick);
            server
        },
    );
    let client = h.open();
    h.set_room(client, room);
    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
        h.feed(client, piece);
    }
    let (sent, state) = (h.sent(client).to_vec(), h.state(client));
    h.finish(client);
    let (sent_at_end, state_at_end) = (h.sent(client).to_vec(), h.state(client));
    assert_eq!(h.ledger().panics, 0);
    (sent, state, sent_at_end, state_at_end)
}

/// Checks that responses are lines, with a block behind those that announce one.
fn check(mut sent: &[u8]) {
    while !sent.is_empty() {
        let end = sent.windows(2).position(|window| window == b"\r\n").expect("a whole line");
        let line = &sent[..end];
        sent = &sent[end + 2..];
        let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
        let len = match words[..] {
            [b"VALUE", _, _, len, ..] | [b"VA", len, ..] => len,
            _ => continue,
        };
        let len: usize = std::str::from_utf8(len).unwrap().parse().expect("a length");
        assert_eq!(&sent[len..len + 2], b"\r\n", "{line:?}");
        sent = &sent[len + 2..];
    }
}
