//! What is for another connection: through memory, or through a pipe.

use criterion::Criterion;
use sluicegate_protocols::raw::relay::join;
use sluicegate_reactor::{ConnId, Context, Handler, Input, Limits};

use crate::bare::{Bare, By};
use crate::common::Server;
use crate::{Group, Step, size};

/// Lets the second connection and the first relay to each other.
struct Joiner {
    first: Option<ConnId>,
}

impl Handler for Joiner {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        match self.first {
            Some(first) => join(cx, first),
            None => self.first = Some(cx.id()),
        }
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

fn relay(limits: Limits) -> Server {
    Server::new(Joiner { first: None }, limits, 2)
}

/// `splice_least`: pieces of some size, always through memory or always through a pipe.
pub(crate) fn splice_least(criterion: &mut Criterion) {
    for len in [64, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10] {
        let name = format!("splice_least/{}", size(len));
        let mut group = Group::new(criterion, &name, vec![Step::new(len, len)]);
        for (name, splice_after) in [("memory", usize::MAX), ("pipe", 0)] {
            let limits = Limits { splice_after, splice_least: 0, ..Limits::default() };
            group.side(name, relay(limits));
        }
    }
}

/// `splice_after`: a burst, and the little pieces behind it that end the use of a pipe.
pub(crate) fn splice_after(criterion: &mut Criterion) {
    for len in [64 << 10, 128 << 10, 256 << 10, 512 << 10] {
        let little = vec![Step::new(64, 64); 16];
        let steps = [vec![Step::new(len, len)], little].concat();
        let mut group = Group::new(criterion, &format!("splice_after/{}", size(len)), steps);
        group.side("memory", relay(Limits { splice_after: usize::MAX, ..Limits::default() }));
        for splice_after in [256 << 10, 128 << 10, 64 << 10] {
            let limits = Limits { splice_after, ..Limits::default() };
            group.side(&format!("after {}", size(splice_after)), relay(limits));
        }
    }
}

/// How many little pieces one after the other end the use of pipes: bursts with fewer or more of
/// them between, through a pipe as soon as may be.
pub(crate) fn small_splices(criterion: &mut Criterion) {
    for count in [1, 3, 7, 15, 31] {
        let steps =
            [vec![Step::new(256 << 10, 256 << 10)], vec![Step::new(64, 64); count]].concat();
        let name = format!("small_splices/256 KiB and {count} x 64 B");
        let mut group = Group::new(criterion, &name, steps);
        group.side("memory", relay(Limits { splice_after: usize::MAX, ..Limits::default() }));
        group.side("pipe", relay(Limits::default()));
    }
}

/// `receive_quantum`: how many receives a relay through memory makes in a turn.
pub(crate) fn receive_quantum(criterion: &mut Criterion) {
    let steps = vec![Step::new(8 << 20, 8 << 20)];
    let mut group = Group::new(criterion, "receive_quantum of a relay", steps);
    for receive_quantum in [64 << 10, 256 << 10, 1 << 20] {
        let limits = Limits { receive_quantum, splice_after: usize::MAX, ..Limits::default() };
        group.beside(&size(receive_quantum), relay(limits));
    }
}

/// The size of the buffer that a relay through memory receives into.
pub(crate) fn chunk(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "relay chunk", vec![Step::new(8 << 20, 8 << 20)]);
    for bytes in [16 << 10, 32 << 10, 64 << 10, 128 << 10, 512 << 10] {
        group.beside(&size(bytes), Bare::relay(By::memory(bytes)));
    }
}

/// The size of the pipe of a relay, for one client and for four.
#[cfg(target_os = "linux")]
pub(crate) fn pipe(criterion: &mut Criterion) {
    for count in [1, 4] {
        let name = format!("{count} x relay pipe");
        let mut group = Group::new(criterion, &name, vec![Step::new(8 << 20, 8 << 20)]);
        for bytes in [64 << 10, 256 << 10, 512 << 10, 1 << 20] {
            let bare = (0..count).map(|_| Bare::relay(By::pipe(bytes))).collect();
            group.crowd(&size(bytes), bare);
        }
    }
}
