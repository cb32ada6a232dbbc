//! Deadlines: a hierarchical timing wheel whose lists run through the owner's nodes.
//!
//! Scheduling, moving and cancelling take constant time; expiry takes constant time per deadline,
//! amortised. Empty time costs nothing, however much of it passes. The wheel allocates nothing: a
//! deadline's [`Link`] is a field of the node it belongs to, and nodes are named by their index in
//! whatever implements [`Links`].
//!
//! The wheel knows neither clocks nor callbacks. Time is a `u32` count of ticks that wraps around;
//! the owner chooses a tick's length and runs what has expired. For a deadline never to fire early
//! the owner rounds the present *down* to ticks and deadlines *up*.
//!
//! # How it works
//!
//! A slot of level 0 is one tick wide, and a slot of each level above is as wide as the 64 slots of
//! the level below. A deadline is placed by its distance: near ones on level 0, which is exact, and
//! far ones on a level whose slots are at most as wide as the distance. When the present reaches
//! the first tick of a slot, its deadlines are placed anew by the distance that is left.
//!
//! Putting a deadline off, as every activity of a connection does, writes only the new tick: the
//! node stays where it is and is placed anew when its slot is reached.
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

/// The farthest a deadline can lie ahead, in ticks; a farther one is brought in to this distance,
/// for the owner to schedule again when it expires.
///
/// It is what the levels span, a quarter of the range of ticks. With ticks of 2^24 ns it is 208
/// days.
pub const MAX_DELAY: u32 = (1 << (BITS * LEVELS as u32)) - 1;

/// Bits of a tick that choose the slot on one level: a level's slots fill one `u64` of flags.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 5;

/// In `next` and in a head: the list ends here. In `prev`: not in any list.
const NIL: u32 = u32::MAX;
/// In `prev`: the first of its list. The bits below say which: level, then slot.
const FIRST: u32 = 1 << 31;

/// A node's place in the wheel: 12 bytes embedded in the node.
///
/// A link belongs to one wheel. Its node keeps its index while the link is in the wheel, so
/// [`Wheel::cancel`] comes before freeing the node.
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

/// The store of the nodes that a [`Wheel`] links.
pub trait Links {
    /// The link of the node at `index`.
    ///
    /// # Panics
    ///
    /// May panic if there is no such node. The wheel asks only for indices it was given and that
    /// have a deadline scheduled.
    fn link(&mut self, index: u32) -> &mut Link;
}

/// Bare links, for nodes that have nothing else in them.
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
    /// The present. Every scheduled deadline is after it, by [`MAX_DELAY`] at most.
    now: u32,
    len: usize,
}

impl Wheel {
    /// A wheel without deadlines at the present tick `now`.
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

    /// Sets the deadline of the node at `index` to the tick `due`, whether it had one or not.
    ///
    /// The present is the tick of the last [`advance`](Wheel::advance). A `due` that is not after
    /// it means the next tick, so a deadline never expires in the turn that set it. A `due` more
    /// than [`MAX_DELAY`] ahead is brought in to that distance, and one 2^31 ticks or more ahead
    /// cannot be told from the past: limit a delay before adding it to the present.
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

    /// Takes back the deadline of the node at `index`; does nothing if it has none.
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

    /// Moves the present to the tick `now` and appends to `expired` the index of each node whose
    /// deadline is not after it, in the order of their ticks (in any order within a tick).
    ///
    /// The deadlines are no longer scheduled when this returns, and nothing has been run: what the
    /// owner then does for one node may set, cancel or free another further down the list, so it
    /// looks again at each before acting on it.
    ///
    /// A `now` before the present is ignored while deadlines are scheduled. So is one that is more
    /// than 2^31 ticks after it, which cannot be told from the past; an owner that calls this at
    /// [`next`](Wheel::next) is never near that.
    pub fn advance(&mut self, links: &mut impl Links, now: u32, expired: &mut Vec<u32>) {
        if now == self.now || (is_after(self.now, now) && !self.is_empty()) {
            return;
        }
        while let Some(tick) = self.next()
            && !is_after(tick, now)
        {
            self.now = tick;
            // On each level that has a slot beginning here. A place found anew is never in one.
            for level in (0..LEVELS).take_while(|&level| tick % width(level) == 0) {
                self.settle(links, level, expired);
            }
        }
        self.now = now;
    }

    /// A tick at which to call [`advance`](Wheel::advance) again; `None` if no deadline is
    /// scheduled.
    ///
    /// It is after the present and never after the earliest deadline, but may be before it: nothing
    /// may expire at that tick, and the next answer is then closer. A deadline causes at most five
    /// such calls each time it is set.
    pub fn next(&self) -> Option<u32> {
        let ahead = (0..LEVELS).filter_map(|level| self.ahead(level)).min()?;
        Some(self.now.wrapping_add(ahead))
    }

    /// The distance from the present to the first tick of the next occupied slot of `level`.
    fn ahead(&self, level: usize) -> Option<u32> {
        let occupied = self.occupied[level];
        if occupied == 0 {
            return None;
        }
        // The present's own slot comes last: what is in it is due when the level has gone round.
        let following = (self.now / width(level)).wrapping_add(1);
        let slots = 1 + occupied.rotate_right(following).trailing_zeros();
        Some(slots * width(level) - self.now % width(level))
    }

    /// Empties the slot of `level` that begins at the present: what is due has expired, the rest is
    /// placed anew.
    fn settle(&mut self, links: &mut impl Links, level: usize, expired: &mut Vec<u32>) {
        let slot = slot(level, self.now);
        self.occupied[level] &= !(1 << slot);
        let mut index = mem::replace(&mut self.heads[level][slot], NIL);
        while index != NIL {
            let link = mem::take(links.link(index));
            if link.due == self.now {
                expired.push(index);
                self.len -= 1;
            } else {
                self.insert(links, index, link.due);
            }
            index = link.next;
        }
    }

    /// Places the unlinked node at `index`, whose deadline is after the present.
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
