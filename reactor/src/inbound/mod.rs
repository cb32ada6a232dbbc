//! How a connection receives: what the handler said it expects decides where its bytes go.
//!
//! | what is expected | where it goes |
//! |---|---|
//! | a stream (nothing was said) | one buffer of the reactor, lent to the handler; what it leaves is [kept](kept) |
//! | exactly so many bytes | [few](exact): the same buffer, lent once all are there |
//! | | [many](exact): one buffer of their own, which grows as they arrive |
//! | what is for another connection | [that one's socket](relay), in the same turn |
//! | a file, of so many bytes or until the end | [the file](file), by way of memory that others use as well |
//! | nothing worth keeping | nowhere |

mod batch;
mod deliver;
mod discard;
mod exact;
mod file;
mod held;
mod kept;
mod low_water;
mod onward;
mod relay;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub(crate) use batch::Batches;
pub(crate) use exact::Exact;
pub use exact::TooLarge;
pub use file::{NotSaved, Saved};
pub(crate) use file::{Saving, Then};
pub(crate) use held::Held;
pub(crate) use kept::Kept;
pub(crate) use low_water::Mark;
pub(crate) use onward::Onward;
pub(crate) use relay::Relay;

use crate::core::Core;
use crate::core::connection::Flags;
use crate::core::limits::Limits;
use crate::handler::ConnId;
use crate::outbound::Pool;
use crate::time::rates::Meters;

/// What few connections have, and only for a time: an idle one has none of it.
#[derive(Default)]
pub(crate) struct Extras {
    /// What was received and not consumed.
    pub(crate) kept: Kept,
    pub(crate) strategy: Strategy,
    /// What its receiving waits for besides its socket.
    pub(crate) held: Held,
    /// The connection that [relays](relay) to this one.
    pub(crate) feeder: Option<ConnId>,
    /// What it may move, if there is a rate.
    pub(crate) meters: Option<Box<Meters>>,
    /// Its last input was long and went past the process: what comes next with a head most likely
    /// will too, so the next receive takes little of it.
    pub(crate) brief: bool,
}

/// Where the next bytes go.
#[derive(Default)]
pub(crate) enum Strategy {
    /// To the handler, as they come.
    #[default]
    Stream,
    /// To the handler, once there are so many.
    Exact(Exact),
    /// To another connection, until the end.
    Relay(Relay),
    /// To a file.
    File(Box<Saving>),
    /// Nowhere, for so many bytes.
    Discard(u64),
}

impl Extras {
    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.len() == 0
            && matches!(self.strategy, Strategy::Stream)
            && self.held.is_empty()
            && self.feeder.is_none()
            && self.meters.is_none()
            && !self.brief
    }

    /// Whether nothing is due because of them while nothing arrives and the connection owes
    /// nothing.
    pub(crate) fn are_at_rest(&self) -> bool {
        let at_rest =
            matches!(self.strategy, Strategy::Stream | Strategy::Exact(_) | Strategy::Relay(_));
        at_rest && self.meters.is_none()
    }

    /// Whether they only say how many bytes are expected, and these are lent, or for whom.
    #[inline]
    pub(crate) fn just_receive(&self, limits: &Limits) -> bool {
        let says = match &self.strategy {
            Strategy::Exact(exact) => exact.is_lent(limits),
            Strategy::Relay(_) => true,
            Strategy::Stream | Strategy::File(_) | Strategy::Discard(_) => false,
        };
        says && self.kept.len() == 0 && self.held.is_empty() && self.meters.is_none() && !self.brief
    }

    /// Whether so many bytes are all that was asked for, and nothing came before.
    pub(crate) fn is_whole(&self, count: usize) -> bool {
        match &self.strategy {
            Strategy::Exact(exact) => exact.expected() == count && self.kept.len() == 0,
            _ => false,
        }
    }

    /// Forgets all of it; buffers go back to the pool.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.kept.clear(pool);
        *self = Extras::default();
    }

    /// Whether it has a relay of what it receives.
    pub(crate) fn relays(&self) -> bool {
        matches!(self.strategy, Strategy::Relay(_))
    }

    /// The relay of what it receives, if it has one.
    pub(crate) fn relay(&mut self) -> Option<&mut Relay> {
        match &mut self.strategy {
            Strategy::Relay(relay) => Some(relay),
            _ => None,
        }
    }

    /// The conditions that stop receiving. A full queue of the connection's own does not if what is
    /// received goes to another's or to a file, and so makes it no longer.
    pub(crate) fn stops(&self) -> Flags {
        match self.strategy {
            Strategy::Relay(_) | Strategy::File(_) | Strategy::Discard(_) => Flags::PAUSED,
            Strategy::Stream | Strategy::Exact(_) => Flags::PAUSED.and(Flags::FULL),
        }
    }

    /// How many bytes were received and not consumed.
    pub(crate) fn unread(&self) -> usize {
        match &self.strategy {
            Strategy::Exact(exact) => self.kept.len() + exact.unread(),
            _ => self.kept.len(),
        }
    }
}

impl Core {
    /// Says where a connection's next bytes go, those first that were kept.
    pub(crate) fn set_strategy(&mut self, index: u32, strategy: Strategy) {
        self.stop_relaying(index);
        self.stop_exact(index);
        self.stop_saving(index);
        if let Some(extras) = self.extras(index) {
            extras.strategy = strategy;
        }
        if let Some(c) = self.get_mut(index) {
            c.flags.set(Flags::OWES_KEPT);
            self.list(index);
        }
    }
}
