//! The memory that a reactor holds for its connections: queues, unread input and their buffers.
//!
//! What handlers and sessions hold is not included. Neither is what the reactor needs in any case:
//! the records of connections, and one buffer for each way to receive and send.

use std::collections::HashMap;

use bytes::Bytes;

use super::pool::Spares;
use super::queue::{Queue, Segment};
use super::special::{Special, Strategy};
use super::{Connection, Core, Group, Phase};

/// Identifies a piece of memory that others hold too, such as a message that many connections are
/// sent, by its end: what is sent of a piece is taken from its front.
fn end(piece: &Bytes) -> usize {
    piece.as_ptr() as usize + piece.len()
}

impl Queue {
    /// The memory that it holds besides shared pieces, which it passes to `shared`.
    fn held(&self, mut shared: impl FnMut(&Bytes)) -> usize {
        let held = self.segments().map(|segment| match segment {
            Segment::Joined(chunk) => chunk.size(),
            Segment::Shared(bytes) if bytes.is_unique() => bytes.len(),
            Segment::Shared(bytes) => {
                shared(bytes);
                0
            }
            Segment::File(_) => 0,
            Segment::Pipe { left, .. } => *left,
        });
        held.sum()
    }
}

impl Special {
    fn held(&self) -> usize {
        let strategy = match &self.strategy {
            // What is not filled yet is not in memory.
            Strategy::Exact(exact) => exact.unread(),
            Strategy::File(saving) => saving.memory(),
            Strategy::Stream | Strategy::Relay(_) | Strategy::Discard(_) => 0,
        };
        let layer = self.layer.as_deref();
        let layer = layer.map_or(0, |layer| {
            [&layer.incoming, &layer.plain, &layer.outgoing].map(|chunk| chunk.size()).iter().sum()
        });
        self.unread.size() + strategy + layer
    }
}

impl Connection {
    fn held_apart(&self, shared: impl FnMut(&Bytes)) -> usize {
        let queue = self.outbound.as_ref().map_or(0, |queue| queue.held(shared));
        queue + self.special.as_ref().map_or(0, |special| special.held())
    }
}

impl Core {
    /// The memory that is held for connections, in use and spare. Takes time that grows with the
    /// number of connections and of queued pieces.
    pub(crate) fn held(&self) -> u64 {
        let mut shared = HashMap::<usize, usize>::new();
        let mut add = |piece: &Bytes| {
            let longest = shared.entry(end(piece)).or_default();
            *longest = piece.len().max(*longest);
        };
        let apart: usize = self.connections.iter().map(|(_, c)| c.held_apart(&mut add)).sum();
        (apart + shared.values().sum::<usize>() + self.batches.held + self.spare()) as u64
    }

    /// The connections that can be aborted, each with the memory that it holds. A piece that
    /// several hold is divided among them: it is freed only once all of them are gone.
    pub(crate) fn holders(&self) -> Vec<(u64, u32)> {
        let alive = || self.connections.iter().filter(|(_, c)| c.phase < Phase::Ended);
        let mut sharers = HashMap::<usize, usize>::new();
        for (_, c) in alive() {
            c.held_apart(|piece| *sharers.entry(end(piece)).or_default() += 1);
        }
        let holders = alive().map(|(index, c)| {
            let mut shares = 0;
            let apart = c.held_apart(|piece| shares += piece.len() / sharers[&end(piece)]);
            ((apart + shares) as u64, index as u32)
        });
        holders.filter(|(held, _)| *held > 0).collect()
    }

    /// The memory of unused buffers.
    fn spare(&self) -> usize {
        self.pool.kept() + self.batches.spare_size()
    }

    /// Frees all unused buffers, and returns how many bytes that were.
    pub(crate) fn free_spare(&mut self) -> u64 {
        let freed = self.spare();
        self.batches.spare = Vec::new();
        self.spare_queues = Spares::default();
        self.pool.free_unused();
        freed as u64
    }

    /// A number that grows at least as fast as [`held`](Core::held).
    pub(crate) fn volume(&self) -> u64 {
        let moved = |group: &Group| group.ledger.received + group.ledger.queued;
        self.groups.iter().map(moved).sum::<u64>() + self.pool.taken
    }

    /// Whether the memory budget is nearly used up.
    pub(crate) fn is_memory_short(&self) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.is_short)
    }
}
