//! What needs no queue, and what begins one.

use super::*;
use crate::testing::Harness;
use crate::{Context, Handler, Input, Listen};

/// Sends pieces of these lengths for any input: borrowed, and then shared.
struct Sends(Vec<usize>, Option<usize>);

impl Handler for Sends {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
        for &len in &self.0 {
            cx.send(&vec![b'p'; len][..]);
        }
        if let Some(len) = self.1 {
            cx.send(Bytes::from(vec![b's'; len]));
        }
    }
}

fn needs_a_queue(pieces: &[usize], shared: Option<usize>, limits: Limits) -> bool {
    let mut h =
        Harness::with(Sends(pieces.to_vec(), shared), &Listen { limits, ..Listen::default() });
    let client = h.open();
    h.feed(client, b"x");
    let expected = pieces.iter().sum::<usize>() + shared.unwrap_or(0);
    assert_eq!(h.sent(client).len(), expected);
    !h.reactor().core.spare_queues.is_empty()
}

#[test]
fn as_much_as_the_buffer_takes_needs_no_queue() {
    let limits = Limits::default;
    assert!(!needs_a_queue(&[1], None, limits()));
    assert!(!needs_a_queue(&[1000, 1000, 1000, 1000, 96], None, limits()));
    assert!(needs_a_queue(&[1000, 1000, 1000, 1000, 97], None, limits()));
    let few = |send_high| Limits { send_high, send_low: 0, ..limits() };
    assert!(!needs_a_queue(&[1], None, few(FEW + 1)));
    assert!(needs_a_queue(&[1], None, few(FEW)));
    assert!(!needs_a_queue(&[1], None, Limits { send_segments: 2, ..limits() }));
    assert!(needs_a_queue(&[1], None, Limits { send_segments: 1, ..limits() }));
}

#[test]
fn shared_bytes_need_no_queue_if_they_are_the_first() {
    let limits = Limits::default;
    assert!(!needs_a_queue(&[], Some(10_000), limits()));
    assert!(!needs_a_queue(&[200], Some(100), limits()));
    assert!(!needs_a_queue(&[200], Some(10_000), limits()));
    let few = |send_high| Limits { send_high, send_low: 0, ..limits() };
    assert!(!needs_a_queue(&[200], Some(9800), few(10_001)));
    assert!(needs_a_queue(&[200], Some(9800), few(10_000)));
    assert!(!needs_a_queue(&[200], Some(10_000), Limits { send_segments: 3, ..limits() }));
    assert!(needs_a_queue(&[200], Some(10_000), Limits { send_segments: 2, ..limits() }));
    assert!(needs_a_queue(&[200], Some(10_000), Limits { gather_pieces: 1, ..limits() }));
}
