//! How many bytes are offered to a socket that takes few.

use bytes::Bytes;

use super::Front;
use crate::core::Limits;
use crate::testing::Harness;
use crate::{Context, Handler, Input, Listen};

/// A handler that sends 40 pieces of 100 bytes for any input.
struct Pieces;

impl Handler for Pieces {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
        for _ in 0..40 {
            cx.send(Bytes::from_static(&[b'p'; 100]));
        }
    }
}

fn harness() -> Harness<Pieces> {
    let limits = Limits { join: 0, join_in_room: 0, ..Limits::default() };
    Harness::with(Pieces, &Listen { limits, ..Listen::default() })
}

/// The bytes of memory that the next call for the only connection would offer.
fn offers(h: &mut Harness<Pieces>) -> usize {
    let core = &h.reactor().turn.core;
    let (_, c) = core.connections.iter().next().unwrap();
    let limits = &core.groups[c.group as usize].limits;
    Front::of(c.outbound.as_ref().unwrap(), limits, usize::MAX, false).memory
}

#[test]
fn what_is_offered_is_some_more_than_the_socket_took_the_last_time() {
    let mut h = harness();
    let client = h.open();
    h.set_room(client, 250);
    h.feed(client, b"x");
    // What is left of the third piece, and five more.
    assert_eq!(offers(&mut h), 550);
    // The socket is full and refuses again.
    h.wake(client);
    assert_eq!(offers(&mut h), 550);
    // A third of the buffer, so the kernel reports it.
    h.set_room(client, 375);
    h.run();
    // The socket took 125 bytes; 25 more are left of a piece.
    assert_eq!(offers(&mut h), 325);
    let before = h.calls();
    h.set_room(client, usize::MAX);
    h.run();
    // 325, then twice what was taken each time: 700, 1400 and the rest.
    assert_eq!(h.calls().send_gather - before.send_gather, 4);
    assert_eq!(h.sent(client).len(), 4000);
}

#[test]
fn what_another_queue_learned_is_forgotten() {
    let mut h = harness();
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, b"x");
    assert_eq!(offers(&mut h), 200);
    // The socket takes as many bytes at a time until the end.
    assert_eq!(h.sent(client).len(), 4000);
    h.set_room(client, usize::MAX);
    let before = h.calls();
    h.feed(client, b"x");
    assert_eq!(h.sent(client).len(), 4000);
    assert_eq!(h.calls().send_gather - before.send_gather, 1);
}
