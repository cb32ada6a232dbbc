//! In which order relays receive and send.

use super::*;
use crate::sys::Kernel;
use crate::sys::sim::Mode;
use crate::testing::{Client, Harness};
use crate::{ConnId, Context, Handler, Input, Limits, Listen};

/// Lets each second connection and the one before it relay to each other.
struct Joiner {
    first: Option<ConnId>,
}

impl Handler for Joiner {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let me = cx.id();
        match self.first.take() {
            Some(first) => {
                cx.relay_to(first);
                cx.peer(first).relay_to(me);
            }
            None => self.first = Some(me),
        }
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

/// How many receives and how many sends follow each other if these pieces come to as many relays in
/// one turn.
fn order(pieces: &[usize]) -> Vec<(char, usize)> {
    let limits = Limits { splice_after: usize::MAX, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Joiner { first: None }, &listen);
    let ends: Vec<[Client; 2]> = pieces.iter().map(|_| [h.open(), h.open()]).collect();
    let Kernel::Sim(world) = &h.reactor().core.kernel else { panic!("a simulated kernel") };
    let world = world.clone();
    world.set_trace(Mode::Kept);
    h.at_once(|h| {
        for ([from, _], len) in ends.iter().zip(pieces) {
            h.feed(*from, vec![b'p'; *len]);
        }
    });
    let mut order: Vec<(char, usize)> = Vec::new();
    for line in world.last_lines().lines() {
        let call = match line {
            _ if line.contains("EAGAIN") => continue,
            _ if line.contains("recv") => 'r',
            _ if line.contains("send") => 's',
            _ => continue,
        };
        match order.last_mut() {
            Some((last, count)) if *last == call => *count += 1,
            _ => order.push((call, 1)),
        }
    }
    for ([_, to], len) in ends.iter().zip(pieces) {
        assert_eq!(h.sent(*to).len(), *len);
    }
    order
}

#[test]
fn all_receive_what_is_little_before_the_first_sends() {
    assert_eq!(order(&[64; 10]), [('r', 10), ('s', 10)]);
    assert_eq!(order(&[LITTLE; 8]), [('r', 8), ('s', 8)]);
}

#[test]
fn one_who_receives_much_sends_it_at_once_and_what_waits_before_it() {
    let order = order(&[64, 64, LITTLE + 1, 64, 64]);
    assert_eq!(order, [('r', 3), ('s', 3), ('r', 2), ('s', 2)]);
}

#[test]
fn none_receives_into_less_than_half_of_the_buffer() {
    // Eight fill it to the half, and one more is received behind them.
    assert_eq!(order(&[LITTLE; 12]), [('r', 9), ('s', 9), ('r', 3), ('s', 3)]);
}

#[test]
fn what_goes_by_pipe_needs_no_buffer() {
    for (splice_after, is_needed) in [(0, !crate::sys::HAS_SPLICE), (usize::MAX, true)] {
        let limits = Limits { splice_after, ..Limits::default() };
        let mut h = Harness::with(Joiner { first: None }, &Listen { limits, ..Listen::default() });
        let [from, to] = [h.open(), h.open()];
        h.feed(from, b"bytes");
        assert_eq!(h.sent(to), b"bytes");
        let core = &h.reactor().core;
        let has_one = core.onward.chunk.size() > 0 || core.pool.kept() > 0;
        assert_eq!(has_one, is_needed, "after {splice_after}");
    }
}
