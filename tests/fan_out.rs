//! What goes to many exists once, and leaves in time.
#![cfg(feature = "testing")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allocation_counter::measure;
use sluicegate_reactor::testing::{Client, Harness};
use sluicegate_reactor::{Bytes, ConnId, Context, Handler, Input, Receive, Sent, Sessions};

const CONNECTIONS: usize = 10_000;
const BLOCK: usize = 64 << 10;

/// A block that counts how often it was given back.
struct Block(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends what it is told to all.
struct Crowd;

impl Handler for Crowd {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
    }
}

impl Receive<Bytes> for Crowd {
    fn on_message(&mut self, cx: &mut Sessions<'_>, block: Bytes) {
        cx.for_each(|cx, ()| assert_ne!(cx.send(block.clone()), Sent::Gone));
    }
}

#[test]
fn a_block_that_waits_for_ten_thousand_connections_exists_once() {
    let mut h = Harness::new(Crowd);
    let mut clients: Vec<Client> = Vec::new();
    // As many at a time as a backlog holds: after each turn a harness looks at every connection.
    for _ in 0..CONNECTIONS / 100 {
        h.at_once(|h| clients.extend((0..100).map(|_| h.open())));
    }
    h.at_once(|h| clients.iter().for_each(|client| h.set_room(*client, 0)));
    let given_back = Arc::new(AtomicUsize::new(0));
    let content: Vec<u8> = (0..BLOCK).map(|at| (at % 251) as u8).collect();
    let block = Bytes::from_owner(Block(content.clone(), Arc::clone(&given_back)));

    let mut block = Some(block);
    let queued = measure(|| h.post(block.take().expect("sent once")));
    assert_eq!(h.ledger().queued - h.ledger().sent, (CONNECTIONS * BLOCK) as u64);
    // A queue and what stands in it.
    let each = queued.bytes_total / CONNECTIONS as u64;
    assert!(each < 1024, "{each} bytes for each connection, with {BLOCK} in the queue");
    assert_eq!(given_back.load(Ordering::Relaxed), 0);

    h.at_once(|h| clients.iter().for_each(|client| h.set_room(*client, usize::MAX)));
    h.at_once(|h| {
        for &client in &clients {
            assert!(h.take(client) == content);
        }
    });
    assert_eq!(given_back.load(Ordering::Relaxed), 1, "given back with the last");
}

/// Sends a byte to all twice, and counts the connections on which it has not left when the callback
/// returns.
struct Prompt {
    members: Vec<ConnId>,
    by_name: bool,
    waiting: usize,
}

impl Handler for Prompt {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.members.push(cx.id());
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
    }
}

impl Receive<u8> for Prompt {
    fn on_message(&mut self, cx: &mut Sessions<'_>, byte: u8) {
        if self.by_name {
            for &member in &self.members {
                // A message may consist of several pieces.
                cx.peer(member).send(&[byte]);
                cx.peer(member).send(&[byte]);
            }
        } else {
            cx.for_each(|cx, ()| _ = cx.send(&[byte, byte]));
        }
        let waiting = self.members.iter().filter(|&&member| cx.peer(member).pending() > 0);
        self.waiting = waiting.count();
    }
}

#[test]
fn output_for_many_connections_does_not_wait_for_the_last_of_them() {
    for by_name in [true, false] {
        let mut h = Harness::new(Prompt { members: Vec::new(), by_name, waiting: 0 });
        let clients: Vec<Client> = (0..200).map(|_| h.open()).collect();
        h.post(b'a');
        h.post(b'b');
        let waiting = h.handler().waiting;
        assert!((1..=64).contains(&waiting), "{waiting} connections wait");
        for client in clients {
            assert_eq!(h.sent(client), "aabb");
        }
    }
}
