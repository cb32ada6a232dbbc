//! The state that a relay's source keeps, and when the bytes go through a pipe.

use super::id::ConnId;
use super::limits::Limits;
use crate::sys;

/// Small splices in a row after which a relay goes back to copying. Together they cost about as
/// much as switching to a pipe again (benches/README.md).
const SMALL_SPLICES: u8 = 16;

/// A relay from one connection to another.
pub(crate) struct Relay {
    pub(crate) to: ConnId,
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
    pub(crate) fn new(to: ConnId, limits: &Limits) -> Relay {
        let mut relay = Relay { to, way: Way::Copy { large: 0 } };
        relay.choose(limits);
        relay
    }

    /// Decides from the size of a receive how the next one is done.
    pub(crate) fn received(&mut self, count: usize, limits: &Limits) {
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
            Way::Splice { small: SMALL_SPLICES.. } => self.copy(),
            _ => {}
        }
    }

    /// Goes on through memory.
    pub(crate) fn copy(&mut self) {
        self.way = Way::Copy { large: 0 };
    }

    pub(crate) fn splices(&self) -> bool {
        matches!(self.way, Way::Splice { .. })
    }
}
