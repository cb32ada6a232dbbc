//! A request for a known number of bytes, and the buffer of a long one.

use std::collections::TryReserveError;

use bytes::{Buf, Bytes};

use super::limits::Limits;
use super::pool::MOVED_UNREAD;
use crate::sys::{PAGE, to_middle_of_page};

#[cfg(test)]
mod tests;

/// First capacity of a buffer, if at least that much is expected. The buffer grows with what
/// arrives, not with what a peer announces. What is not filled yet is address space, not memory.
const FIRST: usize = 1 << 20;

/// Factor by which a full buffer grows. A large buffer grows in place (`mremap(2)`); with a smaller
/// factor, buffers of middle size are copied more often (benches/README.md).
const GROWTH: usize = 16;

/// Whether the kernel waits for many bytes before it reports a stream as readable
/// (`SO_RCVLOWAT`).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LowWater {
    #[default]
    Off,
    On,
    /// Off, and not to be turned on again during this request: the kernel lacks the option, or the
    /// sender is too slow for it.
    Never,
}

/// A request for a number of bytes, and the separate buffer with what has arrived of a long one.
#[derive(Default)]
pub(crate) struct Exact {
    /// How many bytes were requested.
    pub(crate) expected: usize,
    /// While this holds bytes, nothing is kept. The first `start` bytes are unused.
    buffer: Vec<u8>,
    /// Where in the buffer the message begins, chosen so that the first receive begins in the
    /// middle of a page.
    start: usize,
    /// Whether the message before this one had a separate buffer.
    pub(crate) after_direct: bool,
    pub(crate) low_water: LowWater,
}

impl Exact {
    pub(crate) fn new(expected: usize) -> Exact {
        Exact { expected, ..Exact::default() }
    }

    /// How many bytes are missing.
    pub(crate) fn left(&self) -> usize {
        self.expected - self.unread()
    }

    /// How many bytes are in the buffer.
    pub(crate) fn unread(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Whether the bytes belong in a separate buffer, given that `kept` bytes are kept by now.
    pub(crate) fn is_direct(&self, kept: usize, limits: &Limits) -> bool {
        self.expected > limits.receive_direct || self.unread() > 0 || kept > MOVED_UNREAD
    }

    /// Copies bytes, at most as many as are missing.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        debug_assert!(bytes.len() <= self.left());
        self.reserve(bytes.len(), bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes room for `count` bytes, of which `copied` are not received. A full buffer grows by the
    /// factor [`GROWTH`], up to the size that was requested.
    fn reserve(&mut self, count: usize, copied: usize) -> Result<(), TryReserveError> {
        let len = self.unread();
        if self.buffer.capacity() - self.buffer.len() < count {
            let more = ((GROWTH - 1) * len).max(FIRST).max(count).min(self.left());
            if self.buffer.capacity() > 0 {
                return self.buffer.try_reserve_exact(more);
            }
            self.buffer.try_reserve_exact(more + PAGE)?;
            self.start = to_middle_of_page(&self.buffer).wrapping_sub(copied) % PAGE;
            self.buffer.resize(self.start, 0);
        }
        Ok(())
    }

    /// The buffer to append to, which has room, and how many bytes may be appended.
    pub(crate) fn spare(&mut self) -> Result<(&mut Vec<u8>, usize), TryReserveError> {
        self.reserve(1, 0)?;
        let room = self.left().min(self.buffer.capacity() - self.buffer.len());
        Ok((&mut self.buffer, room))
    }

    /// Takes out what has arrived.
    pub(crate) fn take(&mut self) -> Bytes {
        let mut arrived = Bytes::from(std::mem::take(&mut self.buffer));
        arrived.advance(std::mem::take(&mut self.start));
        arrived
    }
}
