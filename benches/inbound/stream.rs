//! A stream: one buffer for all, a quantum for each, and what is kept of it.

use criterion::Criterion;
use sluicegate_reactor::{Context, Handler, Input, Limits};

use crate::bare::{Bare, By};
use crate::common::Server;
use crate::{Group, Step, size};

struct Echo;

impl Handler for Echo {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

/// Takes messages of so many bytes when they are whole, and answers each with one.
struct Whole(usize);

impl Handler for Whole {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        while input.len() >= self.0 {
            input.consume(self.0);
            cx.send("a");
        }
    }
}

/// What was kept: few bytes are moved to the front of the buffer for all, what follows more than
/// 4 KiB is received behind them. A message, of which so much had come before.
pub(crate) fn kept(criterion: &mut Criterion) {
    for len in [8 << 10, 60 << 10] {
        let mut group = Group::new(criterion, &format!("kept/{}", size(len)), Vec::new());
        for (name, before) in [("moved", 4 << 10), ("received behind", (4 << 10) + 1)] {
            let first = Step { bytes: vec![b'p'; before], back: 0 };
            let steps = [first, Step::new(len - before, 1)];
            group.side_of(name, Server::new(Whole(len), Limits::default(), 1), &steps);
        }
    }
}

/// `receive_quantum`: one receive of a message of 1 MiB in a turn, or two.
pub(crate) fn receive_quantum(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "receive_quantum", vec![Step::new(1 << 20, 1 << 20)]);
    for receive_quantum in [256 << 10, 1 << 20] {
        let limits = Limits { receive_quantum, ..Limits::default() };
        group.beside(&size(receive_quantum), Server::new(Echo, limits, 1));
    }
}

/// The size of the buffer: an echo of messages of 1 MiB with smaller and larger ones.
pub(crate) fn receive_buffer(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "receive_buffer", vec![Step::new(1 << 20, 1 << 20)]);
    for bytes in [64 << 10, 256 << 10, 512 << 10, 1 << 20] {
        group.beside(&size(bytes), Bare::echo(By::memory(bytes)));
    }
}
