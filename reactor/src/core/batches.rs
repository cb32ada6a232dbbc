//! Resources shared by all files that are being received: the buffers that workers write, and a
//! pipe.

use std::collections::VecDeque;

use super::id::ConnId;
use super::pipe::Pipe;
use crate::sys::AlignedBuffer;

/// Most large buffers that workers hold at a time. A disk that is slower than its peers costs at
/// most 8 MiB of memory, however many peers there are.
pub(crate) const MOST_BATCHES: usize = 16;

/// Most unused buffers that are kept.
pub(crate) const SPARE_BATCHES: usize = 4;

/// What all files that are being received share.
#[derive(Default)]
pub(crate) struct Batches {
    pub(crate) spare: Vec<AlignedBuffer>,
    /// How many buffers workers hold.
    pub(crate) lent: usize,
    /// Connections that wait for a buffer, the longest wait first; each at most once per file.
    pub(crate) waiting: VecDeque<ConnId>,
    /// The pipe to files in memory. It is empty between two steps, so one is enough.
    pub(crate) pipe: Option<Pipe>,
}

impl Batches {
    /// Whether a buffer can be lent now.
    pub(crate) fn has_one(&self) -> bool {
        self.lent < MOST_BATCHES
    }

    /// Lends a full buffer and puts an empty one in its place.
    pub(crate) fn lend(&mut self, full: &mut AlignedBuffer) -> AlignedBuffer {
        self.lent += 1;
        let empty = self.spare.pop().unwrap_or_else(|| AlignedBuffer::new(full.len()));
        std::mem::replace(full, empty)
    }

    pub(crate) fn take_back(&mut self, buffer: AlignedBuffer) {
        self.lent -= 1;
        if self.spare.len() < SPARE_BATCHES {
            self.spare.push(buffer);
        }
    }
}
