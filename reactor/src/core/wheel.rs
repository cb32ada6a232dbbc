//! Deadlines in a hierarchical timing wheel, whose lists are linked through the owner's nodes.
//!
//! Scheduling, moving and cancelling take constant time; expiry takes amortised constant time per
//! deadline. Stretches of time without deadlines cost nothing, however long. The wheel allocates
//! nothing: a deadline's [`Link`] is a field of its node, and nodes are identified by their index
//! in the owner's store, which implements [`Links`].
//!
//! The wheel knows neither clocks nor callbacks. Time is a `u32` count of ticks that wraps around;
//! the owner chooses the length of a tick and acts on expired deadlines. To make sure that no
//! deadline expires early, the owner rounds the current time *down* to ticks and deadlines *up*.
//!
//! # How it works
//!
//! A slot of level 0 is one tick wide, and a slot of each higher level is as wide as the 64 slots
//! of the level below. The level of a deadline depends on how far away it is: a near one goes on
//! level 0, which is exact, and a distant one on a level whose slots are no wider than the
//! remaining time. When the current tick reaches the first tick of a slot, its deadlines are placed
//! again by their remaining time.
//!
//! Postponing a deadline, as all activity on a connection does, only writes the new tick: the node
//! stays where it is and is placed again when its slot is reached.
//!
//! # Example
//!
//! ```
//! use sluicegate_reactor::timer::{Link, Wheel};
//!
//! let mut connections = vec![Link::default(); 3];
//! let mut wheel = Wheel::new(1_000);
//! wheel.schedule(&mut connections, 0, 1_500);
//! wheel.schedule(&mut connections, 1, 1_200);
//! wheel.schedule(&mut connections, 2, 1_300);
//! wheel.schedule(&mut connections, 1, 1_400); // moved
//! wheel.cancel(&mut connections, 2);
//!
//! let mut expired = Vec::new();
//! wheel.advance(&mut connections, 1_399, &mut expired);
//! assert!(expired.is_empty());
//! wheel.advance(&mut connections, 1_600, &mut expired);
//! assert_eq!(expired, [1, 0]);
//! assert_eq!(wheel.next(), None);
//! ```

use std::mem;

#[cfg(test)]
mod tests;

/// The longest delay of a deadline from the current tick, in ticks. A longer one is cut to this;
/// the owner schedules the rest when it expires.
///
/// This is the span of the levels: a quarter of the range of ticks. With ticks of 2^24 ns it is 208
/// days.
pub const MAX_DELAY: u32 = (1 << (BITS * LEVELS as u32)) - 1;

/// Bits of a tick that choose the slot on one level: a level's slots fill one `u64` of flags.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 5;

/// In `next` and in a head: the end of the list. In `prev`: not in any list.
const NIL: u32 = u32::MAX;
/// In `prev`: the first node of a list. The lower bits say which list: level, then slot.
const FIRST: u32 = 1 << 31;

/// A node's place in the wheel: 12 bytes embedded in the node.
///
/// A link belongs to one wheel. Its node must keep its index while the link is in the wheel: call
/// [`Wheel::cancel`] before freeing the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    prev: u32,
    next: u32,
    due: u32,
}

impl Default for Link {
    /// A link that is in no wheel.
    fn default() -> Link {
        Link { prev: NIL, next: NIL, due: 0 }
    }
}

impl Link {
    /// Whether a deadline is scheduled: neither expired nor cancelled.
    pub fn is_linked(&self) -> bool {
        self.prev != NIL
    }

    /// The tick at which the scheduled deadline expires.
    pub fn due(&self) -> Option<u32> {
        self.is_linked().then_some(self.due)
    }
}

/// The store of the nodes that a [`Wheel`] links together.
pub trait Links {
    /// The link of the node at `index`.
    ///
    /// # Panics
    ///
    /// May panic if there is no such node. The wheel passes only indexes that its caller gave it,
    /// and those of nodes whose deadline is scheduled.
    fn link(&mut self, index: u32) -> &mut Link;
}

/// Bare links, for nodes without other fields.
impl Links for Vec<Link> {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self[index as usize]
    }
}

/// The deadlines of the nodes in one store; see the [module](self) for how it works.
///
/// Every call must be given the same store.
#[derive(Debug)]
pub struct Wheel {
    /// First node of each slot's list.
    heads: [[u32; SLOTS]; LEVELS],
    /// One bit for each slot whose list is not empty.
    occupied: [u64; LEVELS],
    /// The current tick. Every scheduled deadline is after it, by [`MAX_DELAY`] at most.
    now: u32,
    len: usize,
}

impl Wheel {
    /// Creates a wheel without deadlines, whose current tick is `now`.
    pub fn new(now: u32) -> Wheel {
        Wheel { heads: [[NIL; SLOTS]; LEVELS], occupied: [0; LEVELS], now, len: 0 }
    }

    /// The number of scheduled deadlines.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no deadline is scheduled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the deadline of the node at `index` to the tick `due`, replacing any earlier one.
    ///
    /// The current tick is that of the last [`advance`](Wheel::advance). A `due` that is not after
    /// it is moved to the next tick, so a deadline never expires in the turn that set it. A `due`
    /// more than [`MAX_DELAY`] ahead is moved to that distance. A tick 2^31 or more ahead cannot be
    /// distinguished from one in the past, so cap a delay before adding it to the current tick.
    ///
    /// # Panics
    ///
    /// If `index` is 2^31 or more.
    pub fn schedule(&mut self, links: &mut impl Links, index: u32, due: u32) {
        assert!(index < FIRST, "index {index} is out of range");
        let delay = (due.wrapping_sub(self.now) as i32).clamp(1, MAX_DELAY as i32);
        let due = self.now.wrapping_add(delay as u32);
        let link = links.link(index);
        if link.is_linked() && !is_after(link.due, due) {
            link.due = due;
            return;
        }
        self.cancel(links, index);
        self.insert(links, index, due);
        self.len += 1;
    }

    /// Cancels the deadline of the node at `index`; does nothing if it has none.
    pub fn cancel(&mut self, links: &mut impl Links, index: u32) {
        let Link { prev, next, .. } = mem::take(links.link(index));
        if prev == NIL {
            return;
        }
        self.len -= 1;
        if next != NIL {
            links.link(next).prev = prev;
        }
        if prev < FIRST {
            links.link(prev).next = next;
            return;
        }
        let place = (prev - FIRST) as usize;
        let (level, slot) = (place / SLOTS, place % SLOTS);
        self.heads[level][slot] = next;
        if next == NIL {
            self.occupied[level] &= !(1 << slot);
        }
    }

    /// Advances the current tick to `now` and appends to `expired` the index of each node whose
    /// deadline is not after it, in the order of their ticks (in any order within a tick).
    ///
    /// The expired deadlines are no longer scheduled when this returns. The wheel runs no
    /// callbacks: the owner goes through the list. Handling one node may schedule, cancel or free
    /// another later in the list, so the owner must check each node before acting on it.
    ///
    /// A `now` before the current tick is ignored while deadlines are scheduled. So is one more
    /// than 2^31 ticks after it, which cannot be distinguished from the past. An owner that calls
    /// this at [`next`](Wheel::next) never comes near that.
    pub fn advance(&mut self, links: &mut impl Links, now: u32, expired: &mut impl Extend<u32>) {
        if now == self.now || (is_after(self.now, now) && !self.is_empty()) {
            return;
        }
        while let Some(tick) = self.next()
            && !is_after(tick, now)
        {
            self.now = tick;
            // Each level on which a slot begins at this tick. A deadline that is placed again never
            // lands in one of these slots.
            for level in (0..LEVELS).take_while(|&level| tick % width(level) == 0) {
                self.cascade(links, level, expired);
            }
        }
        self.now = now;
    }

    /// The tick at which to call [`advance`](Wheel::advance) again; `None` if no deadline is
    /// scheduled.
    ///
    /// It is after the current tick and never after the earliest deadline, but may be before it. In
    /// that case nothing expires at that tick, and the next value is closer to the deadline. Each
    /// time a deadline is set, it causes at most five such calls.
    pub fn next(&self) -> Option<u32> {
        let ahead = (0..LEVELS).filter_map(|level| self.ahead(level)).min()?;
        Some(self.now.wrapping_add(ahead))
    }

    /// The distance from the current tick to the first tick of the next occupied slot of `level`.
    fn ahead(&self, level: usize) -> Option<u32> {
        let occupied = self.occupied[level];
        if occupied == 0 {
            return None;
        }
        // The current slot comes last: its deadlines are due when the level has gone round.
        let following = (self.now / width(level)).wrapping_add(1);
        let slots = 1 + occupied.rotate_right(following).trailing_zeros();
        Some(slots * width(level) - self.now % width(level))
    }

    /// Empties the slot of `level` that begins at the current tick. Deadlines that are due expire;
    /// the others are placed again.
    fn cascade(&mut self, links: &mut impl Links, level: usize, expired: &mut impl Extend<u32>) {
        let slot = slot(level, self.now);
        self.occupied[level] &= !(1 << slot);
        let mut index = mem::replace(&mut self.heads[level][slot], NIL);
        while index != NIL {
            let link = mem::take(links.link(index));
            if link.due == self.now {
                expired.extend([index]);
                self.len -= 1;
            } else {
                self.insert(links, index, link.due);
            }
            index = link.next;
        }
    }

    /// Places the unlinked node at `index`, whose deadline is after the current tick.
    fn insert(&mut self, links: &mut impl Links, index: u32, due: u32) {
        let level = (due.wrapping_sub(self.now).ilog2() / BITS) as usize;
        let slot = slot(level, due);
        let next = mem::replace(&mut self.heads[level][slot], index);
        self.occupied[level] |= 1 << slot;
        *links.link(index) = Link { prev: FIRST + (level * SLOTS + slot) as u32, next, due };
        if next != NIL {
            links.link(next).prev = index;
        }
    }
}

/// The ticks that one slot of `level` spans.
fn width(level: usize) -> u32 {
    1 << (level as u32 * BITS)
}

/// The slot of `level` that `tick` falls into.
fn slot(level: usize, tick: u32) -> usize {
    (tick / width(level)) as usize % SLOTS
}

/// Whether `a` is after `b`, for ticks less than 2^31 apart.
fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}
