//! A request for a known number of bytes, and the buffer that long ones have to themselves.

use std::collections::TryReserveError;

use super::kept::Kept;
use super::limits::Limits;

#[cfg(test)]
mod tests;

/// First capacity of a buffer, if at least that much is expected: it grows with what arrives, not
/// with what a peer announces. What is not filled yet is address space, not memory.
const FIRST: usize = 1 << 20;

/// Factor by which a full buffer grows. A large one grows in place (`mremap(2)`); a smaller factor
/// copies middling ones more often.
const GROWTH: usize = 16;

/// Whether the kernel waits for many bytes before it reports a stream as readable (`SO_RCVLOWAT`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LowWater {
    Off,
    On,
    /// Not again in this request: the kernel has no such option, or the sender is too slow for it.
    Never,
}

/// Bytes that are expected, and those of them that are in a buffer of their own.
pub(crate) struct Exact {
    expected: usize,
    /// While there is something in it nothing is kept.
    buffer: Vec<u8>,
    /// Whether it was requested when the message before had a buffer of its own.
    pub(crate) after_direct: bool,
    pub(crate) low_water: LowWater,
}

impl Exact {
    pub(crate) fn new(expected: usize) -> Exact {
        Exact { expected, buffer: Vec::new(), after_direct: false, low_water: LowWater::Off }
    }

    /// How many bytes are to come in one piece.
    pub(crate) fn expected(&self) -> usize {
        self.expected
    }

    /// How many bytes are missing.
    pub(crate) fn left(&self) -> usize {
        self.expected - self.buffer.len()
    }

    /// How many bytes are in the buffer.
    pub(crate) fn unread(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the bytes belong in a buffer of their own, given how many are kept by now.
    pub(crate) fn is_direct(&self, kept: usize, limits: &Limits) -> bool {
        self.expected > limits.receive_direct
            || !self.buffer.is_empty()
            || !Kept::would_be_small(kept)
    }

    /// Whether the next receive brings as much as there is, to lend it from there.
    pub(crate) fn is_lent(&self, limits: &Limits) -> bool {
        !self.is_direct(0, limits) && !self.after_direct
    }

    /// Copies bytes, fewer than are missing.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        debug_assert!(bytes.len() < self.left());
        self.reserve(bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes room for `count` bytes, and for at least one. A full buffer grows by [`GROWTH`], up to
    /// the size that was requested.
    pub(crate) fn reserve(&mut self, count: usize) -> Result<(), TryReserveError> {
        let (len, room) = (self.buffer.len(), self.buffer.capacity() - self.buffer.len());
        if room == 0 || room < count {
            let more = ((GROWTH - 1) * len).max(FIRST).max(count);
            self.buffer.try_reserve_exact(more.min(self.left()))?;
        }
        Ok(())
    }

    /// The buffer to append to, and how many bytes may be appended.
    pub(crate) fn spare(&mut self) -> (&mut Vec<u8>, usize) {
        let room = self.left().min(self.buffer.capacity() - self.buffer.len());
        (&mut self.buffer, room)
    }

    /// The buffer, taken out.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }
}
