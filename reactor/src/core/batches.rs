//! Resources shared by all files that are being received: the buffers that workers write, and a
//! pipe.

use std::collections::VecDeque;

use super::id::ConnId;
use super::pipe::Pipe;
use crate::sys::AlignedBuffer;

/// While workers hold this many bytes of memory, no file on a disk receives more. So the memory
/// that a slow disk costs does not grow with the number of peers.
pub(crate) const MOST_HELD: usize = 8 << 20;

/// Most unused buffers that are kept.
pub(crate) const SPARE_BATCHES: usize = 4;

/// The state that all files being received share.
#[derive(Default)]
pub(crate) struct Batches {
    pub(crate) spare: Vec<AlignedBuffer>,
    /// The memory of the batches that workers hold, in bytes.
    pub(crate) held: usize,
    /// Connections that wait until workers hold less, the longest wait first; each at most once per
    /// file.
    pub(crate) waiting: VecDeque<ConnId>,
    /// The pipe to files in memory. It is empty between two steps, so one is enough.
    pub(crate) pipe: Option<Pipe>,
}

impl Batches {
    /// Whether a file on a disk may receive more.
    pub(crate) fn has_room(&self) -> bool {
        self.held < MOST_HELD
    }

    /// The memory of the unused buffers, in bytes.
    pub(crate) fn spare_size(&self) -> usize {
        self.spare.iter().map(|buffer| buffer.len()).sum()
    }

    /// Takes a full buffer and puts an empty one in its place.
    pub(crate) fn exchange(&mut self, full: &mut AlignedBuffer) -> AlignedBuffer {
        let empty = self.spare.pop().unwrap_or_else(|| AlignedBuffer::new(full.len()));
        std::mem::replace(full, empty)
    }

    pub(crate) fn take_back(&mut self, buffer: AlignedBuffer) {
        if self.spare.len() < SPARE_BATCHES {
            self.spare.push(buffer);
        }
    }
}
