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
    way: Way,
}

/// How the bytes move.
enum Way {
    /// Through memory; the last `large` bytes came in large pieces, one after the other.
    Copy { large: usize },
    /// Through a pipe; the last `small` pieces were small.
    Splice { small: u8 },
}

impl Relay {
    /// A part that is long enough goes through a pipe from its beginning.
    pub(crate) fn new(to: ConnId, left: Option<u64>, limits: &Limits) -> Relay {
        let is_bulk = left.is_some_and(|left| left >= limits.splice_after as u64);
        let large = if is_bulk { limits.splice_after } else { 0 };
        let mut relay = Relay { to, left, way: Way::Copy { large } };
        relay.choose(limits);
        relay
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
        let is_small = count < limits.splice_least;
        match &mut self.way {
            Way::Copy { large } => *large = if is_small { 0 } else { *large + count },
            Way::Splice { small } => *small = if is_small { *small + 1 } else { 0 },
        }
        self.choose(limits);
    }

    fn choose(&mut self, limits: &Limits) {
        match self.way {
            Way::Copy { large } if sys::HAS_SPLICE && large >= limits.splice_after => {
                self.way = Way::Splice { small: 0 };
            }
            Way::Splice { small: SMALL_SPLICES.. } => self.use_memory(),
            _ => {}
        }
    }

    /// Goes on through memory.
    pub(crate) fn use_memory(&mut self) {
        self.way = Way::Copy { large: 0 };
    }

    pub(crate) fn splices(&self) -> bool {
        matches!(self.way, Way::Splice { .. })
    }
}
