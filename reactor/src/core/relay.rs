//! What a source knows of its relay, and when the bytes go through a pipe.

use super::id::ConnId;
use super::limits::Limits;
use crate::sys;

/// Splices in a row that brought little, after which a relay goes back to copying: about as many as
/// cost together what it costs to earn the pipe again.
const SMALL_SPLICES: u8 = 16;

/// From one connection to another.
pub(crate) struct Relay {
    pub(crate) to: ConnId,
    way: Way,
}

/// How the bytes move.
enum Way {
    /// Through memory; `large` bytes came in large pieces, one after the other.
    Copy { large: usize },
    /// Through a pipe; `small` small pieces came, one after the other.
    Splice { small: u8 },
}

impl Relay {
    pub(crate) fn new(to: ConnId, limits: &Limits) -> Relay {
        let mut relay = Relay { to, way: Way::Copy { large: 0 } };
        relay.choose(limits);
        relay
    }

    /// Learns from a receive how to do the next.
    pub(crate) fn received(&mut self, count: usize, limits: &Limits) {
        match &mut self.way {
            Way::Copy { large } if count < limits.splice_least => *large = 0,
            Way::Copy { large } => *large += count,
            Way::Splice { small } if count < limits.splice_least => *small += 1,
            Way::Splice { small } => *small = 0,
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
