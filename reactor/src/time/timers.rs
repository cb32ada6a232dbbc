//! Timers of the reactor. A timer delivers a message later.
//!
//! They have their own timing wheel, with its links stored in the timers. The wheel rounds to
//! ticks, so timers that are due are sorted by their exact times. This module does not know what
//! the messages are.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use slab::Slab;

use crate::core::wheel::{Link, Links, MAX_DELAY, Wheel};
use crate::core::{TICK, nanos, tick_of};

/// Identifies a timer. A stale id is recognised: it never reaches another timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    number: u64,
}

struct Timer<M> {
    link: Link,
    number: u64,
    /// The time before which it does not fire, in nanoseconds.
    at: u64,
    /// The period in nanoseconds, at least 1, if it repeats.
    period: Option<u64>,
    message: M,
}

/// The timers of a reactor, which deliver messages of type `M`.
pub(crate) struct Timers<M> {
    wheel: Wheel,
    set: Slab<Timer<M>>,
    /// The number of the next timer. Each gets its own, in the order in which they are set; 2^64
    /// are never used up.
    next_number: u64,
    /// Empty between turns; kept to reuse its memory.
    expired: Vec<u32>,
    /// Timers that are due, in order: the time, the number and the index of each.
    due: VecDeque<(u64, u64, u32)>,
}

impl<M> Links for Slab<Timer<M>> {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self[index as usize].link
    }
}

impl<M: Clone> Timers<M> {
    pub(crate) fn new(tick: u32) -> Timers<M> {
        Timers {
            wheel: Wheel::new(tick),
            set: Slab::new(),
            next_number: 0,
            expired: Vec::new(),
            due: VecDeque::new(),
        }
    }

    /// How many timers are set.
    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    /// The next tick at which to call [`collect`](Timers::collect); `None` if no timer is set.
    pub(crate) fn next(&self) -> Option<u32> {
        self.wheel.next()
    }

    /// Whether timers are due that a turn has not delivered yet.
    pub(crate) fn is_behind(&self) -> bool {
        !self.due.is_empty()
    }

    /// Drops all timers with their messages.
    pub(crate) fn clear(&mut self) {
        *self = Timers::new(0);
    }

    /// Sets a timer that fires `after` from now, and then once in every `period` if it has one.
    pub(crate) fn set(
        &mut self,
        now: u64,
        after: Duration,
        period: Option<Duration>,
        message: M,
    ) -> TimerId {
        let (at, period) = (now.saturating_add(nanos(after)), period.map(|it| nanos(it).max(1)));
        let number = self.next_number;
        self.next_number += 1;
        let timer = Timer { link: Link::default(), number, at, period, message };
        let index = self.set.insert(timer) as u32;
        self.schedule(index, at, now);
        TimerId { index, number }
    }

    /// Schedules a timer, at the next tick or later, since the current one is partly over.
    fn schedule(&mut self, index: u32, at: u64, now: u64) {
        let ahead = at.div_ceil(TICK).saturating_sub(now / TICK);
        let ahead = ahead.clamp(1, MAX_DELAY.into()) as u32;
        self.wheel.schedule(&mut self.set, index, tick_of(now).wrapping_add(ahead));
    }

    /// Cancels a timer. Returns whether it was still set.
    pub(crate) fn cancel(&mut self, id: TimerId) -> bool {
        let timer = self.set.get(id.index as usize);
        let is_set = timer.is_some_and(|timer| timer.number == id.number);
        if is_set {
            self.wheel.cancel(&mut self.set, id.index);
            self.set.remove(id.index as usize);
        }
        is_set
    }

    /// Appends the timers that have become due to the list of due timers, in order. They stay set
    /// until they fire.
    pub(crate) fn collect(&mut self, now: u64) {
        let mut expired = mem::take(&mut self.expired);
        self.wheel.advance(&mut self.set, tick_of(now), &mut expired);
        let first = self.due.len();
        for index in expired.drain(..) {
            let Timer { at, number, .. } = self.set[index as usize];
            if at > now {
                // The timer was farther away than the wheel reaches.
                self.schedule(index, at, now);
            } else {
                self.due.push_back((at, number, index));
            }
        }
        self.expired = expired;
        self.due.make_contiguous()[first..].sort_unstable();
    }

    /// The message of the next due timer, if there is one. A timer that repeats is set again.
    pub(crate) fn fire(&mut self, now: u64) -> Option<M> {
        loop {
            let (at, number, index) = self.due.pop_front()?;
            // It may have been cancelled, and another timer may have its slot.
            let timer = self.set.get_mut(index as usize);
            let Some(timer) = timer.filter(|timer| timer.number == number) else { continue };
            let Some(period) = timer.period else {
                return Some(self.set.remove(index as usize).message);
            };
            let missed = (now - at) / period;
            timer.at = at.saturating_add(period.saturating_mul(missed + 1));
            let (next, message) = (timer.at, timer.message.clone());
            self.schedule(index, next, now);
            return Some(message);
        }
    }
}
