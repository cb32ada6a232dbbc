//! Batches: received bytes that workers write to files.
//!
//! A batch is a buffer full of received bytes that a worker writes to the file while the reactor
//! receives the next one. The shared receive buffer itself is handed to the worker and replaced by
//! another, so no byte is copied. Only small pieces are copied, into a buffer that belongs to the
//! file, so that a slow peer does not cost a job for each of its pieces.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::id::ConnId;
use super::pipe::Pipe;
use crate::fs::{Committed, Part};
use crate::sys::{AlignedBuffer, Kernel};

/// Most large buffers that workers hold at a time. A disk that is slower than its peers costs at
/// most 8 MiB of memory, however many peers there are.
pub(crate) const MOST_BATCHES: usize = 16;

/// Most unused buffers that are kept.
pub(crate) const SPARE_BATCHES: usize = 4;

/// Size of the pipe to files in memory. Smaller ones make uploads dearer (benches/README.md).
const PIPE: usize = 1 << 20;

/// What all files that are being received share.
#[derive(Default)]
pub(crate) struct Batches {
    pub(crate) spare: Vec<AlignedBuffer>,
    /// How many buffers workers hold.
    pub(crate) lent: usize,
    /// Connections that wait for a buffer, the longest wait first; each at most once per file.
    pub(crate) waiting: VecDeque<ConnId>,
    /// The pipe to files in memory. It is empty between two steps, so one is enough.
    pipe: Option<Pipe>,
}

impl Batches {
    /// Whether a buffer can be lent now.
    pub(crate) fn has_one(&self) -> bool {
        self.lent < MOST_BATCHES
    }

    /// Whether workers hold no buffer, so that none will come back.
    pub(crate) fn is_idle(&self) -> bool {
        self.lent == 0
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

    /// The empty pipe.
    pub(crate) fn take_pipe(&mut self, kernel: &Kernel) -> io::Result<Pipe> {
        self.pipe.take().map_or_else(|| Pipe::open(kernel, PIPE), Ok)
    }

    /// Takes the pipe back with `left` bytes in it. A pipe that is not empty is closed.
    pub(crate) fn give_pipe(&mut self, pipe: Pipe, left: usize) {
        self.pipe = (left == 0).then_some(pipe);
    }
}

/// A piece of a file for a worker to write.
pub(crate) struct Batch {
    pub(crate) part: Arc<Part>,
    pub(crate) offset: u64,
    /// Bytes of disk space to allocate first.
    pub(crate) reserve: u64,
    /// Bytes that came in small pieces.
    pub(crate) head: Vec<u8>,
    /// Bytes that came after them: a part of a buffer.
    pub(crate) body: Option<Body>,
    /// Whether this batch completes the file, which is then committed.
    pub(crate) last: bool,
}

/// A buffer, and the range of it that holds the bytes.
pub(crate) type Body = (AlignedBuffer, Range<usize>);

impl Batch {
    pub(crate) fn len(&self) -> u64 {
        (self.head.len() + self.body.as_ref().map_or(0, |(_, part)| part.len())) as u64
    }

    /// Writes the batch and waits for the disk, so only workers call it.
    pub(crate) fn write(&self, kernel: &Kernel) -> io::Result<Option<Committed>> {
        let mut offset = self.offset;
        self.part.reserve(kernel, offset, self.reserve)?;
        self.part.write(kernel, &self.head, &mut offset)?;
        if let Some((buffer, part)) = &self.body {
            self.part.write(kernel, &buffer[part.clone()], &mut offset)?;
        }
        if self.last { self.part.commit(kernel).map(Some) } else { Ok(None) }
    }
}
