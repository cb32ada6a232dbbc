//! Timers of the reactor: messages that come later, beside the deadlines of connections.
//!
//! They lie in a timing wheel of their own, whose links are in the timers. What the wheel rounds to
//! ticks is put in exact order when it is due. What a timer brings is not this room's concern.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::num::NonZeroU64;
use std::time::Duration;

use slab::Slab;

use crate::core::wheel::{Link, Links, MAX_DELAY, Wheel};
use crate::core::{TICK, tick_of};

/// Names a timer. A stale one is recognised: it never reaches another timer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    number: u64,
}

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerId({})", self.number)
    }
}

struct Timer<M> {
    link: Link,
    number: u64,
    /// Not before this time, in nanoseconds.
    at: u64,
    /// In nanoseconds, if it repeats.
    period: Option<NonZeroU64>,
    message: M,
}

/// A timer whose time has come, in the order in which they are delivered.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: u64,
    number: u64,
    index: u32,
}

/// The timers of a reactor, which bring messages of type `M`.
pub(crate) struct Timers<M> {
    wheel: Wheel,
    set: Set<M>,
    /// For each timer its own, in the order in which they are set; 2^64 are never used up.
    next_number: u64,
    /// Empty between turns; kept for its memory.
    expired: Vec<u32>,
    /// Timers whose time has come, in order.
    due: VecDeque<Due>,
}

/// The timers by index. A type of its own so that the wheel can be given the links in it.
struct Set<M>(Slab<Timer<M>>);

impl<M> Links for Set<M> {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

impl<M> Timers<M> {
    pub(crate) fn new(tick: u32) -> Timers<M> {
        Timers {
            wheel: Wheel::new(tick),
            set: Set(Slab::new()),
            next_number: 0,
            expired: Vec::new(),
            due: VecDeque::new(),
        }
    }

    /// The next tick at which to look; `None` if no timer is set.
    pub(crate) fn next(&self) -> Option<u32> {
        self.wheel.next()
    }

    /// Whether timers are due that a turn had no time for.
    pub(crate) fn is_behind(&self) -> bool {
        !self.due.is_empty()
    }

    /// Drops all timers with their messages.
    pub(crate) fn clear(&mut self) {
        *self = Timers::new(0);
    }

    /// Sets a timer that fires once, `after` from now.
    pub(crate) fn once(&mut self, now: u64, after: Duration, message: M) -> TimerId {
        self.insert(now.saturating_add(nanos(after)), now, None, message)
    }

    /// Sets a timer that fires in every `period`.
    pub(crate) fn every(&mut self, now: u64, period: Duration, message: M) -> TimerId {
        let period = NonZeroU64::new(nanos(period)).unwrap_or(NonZeroU64::MIN);
        self.insert(now.saturating_add(period.get()), now, Some(period), message)
    }

    fn insert(&mut self, at: u64, now: u64, period: Option<NonZeroU64>, message: M) -> TimerId {
        let number = self.next_number;
        self.next_number += 1;
        let timer = Timer { link: Link::default(), number, at, period, message };
        let index = self.set.0.insert(timer) as u32;
        self.schedule(index, at, now);
        TimerId { index, number }
    }

    /// Never for the present tick, a part of which is over.
    fn schedule(&mut self, index: u32, at: u64, now: u64) {
        let ahead = at.div_ceil(TICK).saturating_sub(now / TICK);
        let ahead = ahead.clamp(1, MAX_DELAY.into()) as u32;
        self.wheel.schedule(&mut self.set, index, tick_of(now).wrapping_add(ahead));
    }

    /// Ends a timer. Says whether it was still set.
    pub(crate) fn cancel(&mut self, id: TimerId) -> bool {
        let timer = self.set.0.get(id.index as usize);
        let is_set = timer.is_some_and(|timer| timer.number == id.number);
        if is_set {
            self.wheel.cancel(&mut self.set, id.index);
            self.set.0.remove(id.index as usize);
        }
        is_set
    }

    /// Puts the timers whose time has come in order, behind those that are due already. They stay
    /// set until they fire.
    pub(crate) fn collect(&mut self, now: u64) {
        let mut expired = mem::take(&mut self.expired);
        self.wheel.advance(&mut self.set, tick_of(now), &mut expired);
        let first = self.due.len();
        for index in expired.drain(..) {
            let Timer { at, number, .. } = self.set.0[index as usize];
            if at > now {
                // Farther away than the wheel reaches.
                self.schedule(index, at, now);
            } else {
                self.due.push_back(Due { at, number, index });
            }
        }
        self.expired = expired;
        self.due.make_contiguous()[first..].sort_unstable();
    }

    /// The message of the next timer that is due, if one is. A timer that repeats is set again and
    /// gives what `again` makes of its message.
    pub(crate) fn fire(&mut self, now: u64, again: impl Fn(&M) -> M) -> Option<M> {
        loop {
            let Due { at, number, index } = self.due.pop_front()?;
            // It may have been cancelled, and another may have its place.
            let timer = self.set.0.get_mut(index as usize);
            let Some(timer) = timer.filter(|timer| timer.number == number) else { continue };
            let Some(period) = timer.period else {
                return Some(self.set.0.remove(index as usize).message);
            };
            let missed = (now - at) / period;
            timer.at = at.saturating_add(period.get().saturating_mul(missed + 1));
            let (next, message) = (timer.at, again(&timer.message));
            self.schedule(index, next, now);
            return Some(message);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
