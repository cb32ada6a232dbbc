//! What workers write to files that are being received.
//!
//! A batch is a buffer full of received bytes that a worker writes at its place in the file, while
//! the reactor receives the next one. The buffer into which everything is received is itself given
//! away, and another takes its place: no byte is copied for it. Only what comes in little pieces
//! is, into a buffer of that file, so that a slow peer does not cost a job for each.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::core::Core;
use crate::core::connection::Flags;
use crate::fs::{Committed, Part};
use crate::handler::ConnId;
use crate::outbound::Pipe;
use crate::sys::{AlignedBuffer, Kernel};

use super::{Held, Strategy};

#[cfg(all(test, feature = "testing"))]
mod tests;

/// Most large buffers that are with workers at a time, so that a disk that is too slow for its
/// peers costs 8 MiB of memory, however many there are.
const MOST: usize = 16;

/// Most buffers that are kept while nobody uses them.
const SPARE: usize = 4;

/// Size of the pipe to files in memory. With 512 KiB four uploads of 8 MiB at a time cost the
/// example `http` 1.2 times as much. The bare calls for four at a time cost 1.05 to 1.1 times as
/// much with 64 KiB to 512 KiB and 1.2 times with a buffer of 512 KiB, for one 1.13 times with 64
/// KiB, 1.1 with the buffer and 1.03 with 256 KiB or 512 KiB (bench `inbound`; Linux 6.18,
/// loopback).
const PIPE: usize = 1 << 20;

/// What files that are being received share.
#[derive(Default)]
pub(crate) struct Batches {
    spare: Vec<AlignedBuffer>,
    /// How many are with workers.
    lent: usize,
    /// Connections that wait for one, the one that has waited longest first; each once for a file.
    waiting: VecDeque<ConnId>,
    /// The way to files in memory, which is empty between two steps: one is enough.
    pipe: Option<Pipe>,
}

impl Batches {
    /// Whether a buffer can be given away now.
    pub(super) fn has_one(&self) -> bool {
        self.lent < MOST
    }

    /// Gives away a full buffer, in the place of which is another.
    pub(super) fn lend(&mut self, full: &mut AlignedBuffer) -> AlignedBuffer {
        self.lent += 1;
        let empty = self.spare.pop().unwrap_or_else(|| AlignedBuffer::new(full.len()));
        std::mem::replace(full, empty)
    }

    /// The empty pipe.
    pub(super) fn take_pipe(&mut self, kernel: &Kernel) -> io::Result<Pipe> {
        self.pipe.take().map_or_else(|| Pipe::open(kernel, PIPE), Ok)
    }

    /// Takes the pipe back with `left` bytes in it. One that is not empty is never used again.
    pub(super) fn give_pipe(&mut self, pipe: Pipe, left: usize) {
        self.pipe = (left == 0).then_some(pipe);
    }

    fn take_back(&mut self, buffer: AlignedBuffer) {
        self.lent -= 1;
        if self.spare.len() < SPARE {
            self.spare.push(buffer);
        }
    }
}

/// A piece of a file for a worker to write.
pub(super) struct Batch {
    pub(super) part: Arc<Part>,
    pub(super) offset: u64,
    /// How much room to ask for first.
    pub(super) reserve: u64,
    /// What came in little pieces.
    pub(super) head: Vec<u8>,
    /// What came behind it, a part of a buffer.
    pub(super) body: Option<Body>,
    /// Whether that is all of the file, which is to be committed.
    pub(super) last: bool,
}

/// A buffer and where in it the bytes are.
pub(super) type Body = (AlignedBuffer, Range<usize>);

impl Batch {
    fn len(&self) -> u64 {
        (self.head.len() + self.body.as_ref().map_or(0, |(_, part)| part.len())) as u64
    }

    fn write(&self, kernel: &Kernel) -> io::Result<Option<Committed>> {
        let mut offset = self.offset;
        self.part.reserve(kernel, offset, self.reserve)?;
        self.part.write(kernel, &self.head, &mut offset)?;
        if let Some((buffer, part)) = &self.body {
            self.part.write(kernel, &buffer[part.clone()], &mut offset)?;
        }
        if self.last { self.part.commit(kernel).map(Some) } else { Ok(None) }
    }
}

impl Core {
    /// Leaves a batch of a connection's file to a worker.
    pub(super) fn leave_to_worker(&mut self, id: ConnId, batch: Batch) {
        let write = move |kernel: &Kernel| {
            let result = batch.write(kernel);
            (batch, result)
        };
        self.run_job(write, move |core, (batch, result)| core.batch_done(id, batch, result));
    }

    fn batch_done(&mut self, id: ConnId, batch: Batch, result: io::Result<Option<Committed>>) {
        let len = batch.len();
        if let Some((buffer, _)) = batch.body {
            self.batches.take_back(buffer);
            self.wake_waiting();
        }
        if self.find(id).is_none() {
            return;
        }
        let tick = self.tick;
        let Some(c) = self.get_mut(id.index) else { return };
        let Some(extras) = &mut c.extras else { return };
        match &mut extras.strategy {
            Strategy::File(saving) if saving.is_of(&batch.part) => saving.batch_done(len, result),
            // It was given up.
            _ => return,
        }
        extras.held.clear(Held::DISK);
        c.active = tick;
        c.flags.set(Flags::OWES_KEPT);
        self.list(id.index);
    }

    /// Whether a buffer can be given away; if not the connection is told when one can.
    pub(super) fn has_batch_for(&mut self, id: ConnId) -> bool {
        if self.batches.has_one() {
            return true;
        }
        if self.batches.waiting.len() > self.most_that_wait() {
            let mut waiting = std::mem::take(&mut self.batches.waiting);
            waiting.retain(|&id| self.find(id).is_some());
            self.batches.waiting = waiting;
        }
        // One that was woken by its own batch has kept its place.
        if let Some(saving) = self.saving(id.index)
            && !std::mem::replace(&mut saving.waits, true)
        {
            self.batches.waiting.push_back(id);
        }
        false
    }

    /// Lets some go on that wait for a buffer: one more than came back, as who waited may not need
    /// it any more, and all of them when none is left that could come back. To wake all of them
    /// each time would cost a slow disk with thousands of peers more than it can write.
    fn wake_waiting(&mut self) {
        let mut count = if self.batches.lent == 0 { usize::MAX } else { 2 };
        while count > 0
            && let Some(id) = self.batches.waiting.pop_front()
        {
            if self.find(id).is_none() {
                continue;
            }
            if let Some(saving) = self.saving(id.index) {
                saving.waits = false;
            }
            if let Some(extras) = self.get_mut(id.index).and_then(|c| c.extras.as_mut())
                && extras.held.take(Held::DISK)
            {
                self.list(id.index);
                count -= 1;
            }
        }
    }
}
