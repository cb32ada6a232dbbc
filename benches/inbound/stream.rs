//! A stream: one buffer for all, and a quantum for each.

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
