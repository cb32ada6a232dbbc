//! The state that a relay's source keeps: how much is left, and when the bytes go through a pipe.

use super::id::ConnId;
use super::limits::Limits;
use crate::sys;

/// Small splices in a row after which a relay goes back to copying. Together they cost about as
/// much as switching to a pipe again (benches/README.md).
const SMALL_SPLICES: u8 = 16;

/// A relay from one connection to another.
pub(crate) struct Relay {
    pub(crate) to: ConnId,
    /// Bytes still to be relayed; `None` for everything until the end of the stream.
    pub(crate) left: Option<u64>,
    /// How many bytes came in large pieces, one after the other. While it goes through a pipe, up
    /// to [`SMALL_SPLICES`] small ones may be between them.
    large: usize,
    /// How many of the last pieces were small.
    small: u8,
}

impl Relay {
    /// A part that is long enough goes through a pipe from its beginning.
    pub(crate) fn new(to: ConnId, left: Option<u64>, limits: &Limits) -> Relay {
        let is_bulk = left.unwrap_or(0) >= limits.splice_after as u64;
        Relay { to, left, large: if is_bulk { usize::MAX } else { 0 }, small: 0 }
    }

    /// How many of `bytes` bytes are to be relayed.
    pub(crate) fn share(&self, bytes: usize) -> usize {
        self.left.map_or(bytes, |left| left.min(bytes as u64) as usize)
    }

    /// Records that `count` bytes have been passed on.
    pub(crate) fn passed(&mut self, count: usize) {
        self.left = self.left.map(|left| left - count as u64);
    }

    /// Records that `count` bytes have been received and passed on, and decides from that how the
    /// next ones are received.
    pub(crate) fn received(&mut self, count: usize, limits: &Limits) {
        self.passed(count);
        if count >= limits.splice_least {
            (self.large, self.small) = (self.large.saturating_add(count), 0);
            return;
        }
        self.small += 1;
        if self.small >= SMALL_SPLICES || !self.splices(limits) {
            self.use_memory();
        }
    }

    /// Goes on through memory.
    pub(crate) fn use_memory(&mut self) {
        (self.large, self.small) = (0, 0);
    }

    /// Whether the next bytes are received into a pipe.
    pub(crate) fn splices(&self, limits: &Limits) -> bool {
        sys::HAS_SPLICE && self.large > 0 && self.large >= limits.splice_after
    }
}
