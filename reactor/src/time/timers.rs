//! Timers of the reactor: messages that come later, beside the deadlines of connections.
//!
//! They lie in a timing wheel of their own, whose links are in the timers. What the wheel rounds to
//! ticks is put in exact order when it is due.

use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use crate::core::Core;
use crate::handler::context::Turn;
use crate::handler::{Handler, HandlerId, Receive};
use crate::time::deadlines::{TICK, tick_of};
use crate::time::wheel::{Link, Links, MAX_DELAY, Wheel};
use crate::turn::dispatch::Handlers;
use crate::turn::reactor::Reactor;

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

/// Timers. Each brings a message to a handler, in [`Receive::on_message`].
///
/// None is early. Time is looked at in ticks of about 17 ms, so one can be late by a tick, and by
/// what the turn is doing when its time comes. Those of a turn come in the order of their times,
/// and those of the same time in the order in which they were set. None comes in the turn that set
/// it, however short its time. They go on while the reactor drains; when it has stopped their
/// messages are dropped.
///
/// Setting and cancelling take constant time, whatever the number of timers; those that are due
/// together are sorted. Their number has no limit, since no peer sets one: a handler that sets a
/// timer for each of its connections cancels it in [`on_close`](Handler::on_close). For what
/// belongs to one connection [a deadline of its own](crate::Context::set_deadline) is simpler, and
/// costs nothing. A timer costs one allocation when it is set, of the size of its message, and 56
/// bytes.
///
/// An id of another reactor's handler is noticed when the time comes, and counts as a panic.
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_reactor::{Context, Handler, HandlerId, Input, Reactor, Receive, TimerId, Turn};
///
/// struct Clock {
///     ticking: Option<TimerId>,
///     ticks: u32,
/// }
///
/// struct Tick;
/// struct Enough;
///
/// impl Receive<Tick> for Clock {
///     fn on_message(&mut self, cx: &mut Turn<'_>, _: Tick) {
///         self.ticks += 1;
///         if self.ticks == 3 {
///             self.ticking.take().map(|ticking| cx.cancel_timer(ticking));
///             cx.stop();
///         }
///     }
/// }
/// # impl Handler for Clock {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
/// # }
/// # impl Clone for Tick { fn clone(&self) -> Tick { Tick } }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let clock = reactor.register(Clock { ticking: None, ticks: 0 });
/// let ticking = reactor.every(Duration::from_millis(1), clock, Tick);
/// reactor.handler(clock).ticking = Some(ticking);
/// reactor.run()?;
/// assert_eq!(reactor.handler(clock).ticks, 3);
/// # Ok(())
/// # }
/// ```
impl Turn<'_> {
    /// Brings a message to a handler once, so long from [`Turn::now`].
    pub fn after<H, M>(&mut self, time: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M>,
        M: 'static,
    {
        let action = Action::Once(Box::new(move |handlers, core| {
            handlers.get(to).on_message(&mut Turn { core }, message);
        }));
        self.core.set_timer(time, action)
    }

    /// Brings a copy of a message to a handler again and again, the first one after `period` from
    /// [`Turn::now`]. It does not drift: each comes a multiple of the period after the beginning.
    ///
    /// Those that could not come in time because the reactor was busy are left out, so after a
    /// stall there is one, not all that were missed. Of a period shorter than a tick so many are
    /// left out that one comes in each tick. A panic over a message does not end it.
    pub fn every<H, M>(&mut self, period: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M>,
        M: Clone + 'static,
    {
        let deliver = Rc::new(move |handlers: &mut Handlers, core: &mut Core| {
            handlers.get(to).on_message(&mut Turn { core }, message.clone());
        });
        self.core.set_timer(period, Action::Every { period: nanos(period).max(1), deliver })
    }

    /// Ends a timer, also from within what it brings: its message comes no more, even if its time
    /// has passed. Says whether it was still set.
    pub fn cancel_timer(&mut self, id: TimerId) -> bool {
        self.core.timers.remove(id).is_some()
    }
}

/// Timers from outside of a turn: see [`Turn::after`].
impl Reactor {
    /// Brings a message to a handler once, so long from now. See [`Turn::after`].
    pub fn after<H, M>(&mut self, time: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M>,
        M: 'static,
    {
        self.core.read_clock();
        Turn { core: &mut self.core }.after(time, to, message)
    }

    /// Brings a copy of a message to a handler again and again, the first one after `period`. See
    /// [`Turn::every`].
    pub fn every<H, M>(&mut self, period: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M>,
        M: Clone + 'static,
    {
        self.core.read_clock();
        Turn { core: &mut self.core }.every(period, to, message)
    }

    /// Ends a timer. See [`Turn::cancel_timer`].
    pub fn cancel_timer(&mut self, id: TimerId) -> bool {
        Turn { core: &mut self.core }.cancel_timer(id)
    }

    /// Delivers what is due. All of it is collected first, then each is looked up again: one may
    /// cancel another.
    pub(crate) fn run_timers(&mut self) {
        let mut due = self.core.timers.take_due(self.core.now);
        for due in due.drain(..) {
            let (handlers, core) = (&mut self.handlers, &mut self.core);
            let Some(action) = core.timers.fire(&due, core.now) else { continue };
            core.ledger.messages += 1;
            let result = catch_unwind(AssertUnwindSafe(|| match action {
                Action::Once(deliver) => deliver(handlers, core),
                Action::Every { deliver, .. } => deliver(handlers, core),
            }));
            if result.is_err() {
                self.core.ledger.panics += 1;
                log::error!("a handler panicked over a timer's message; the others are delivered");
            }
        }
        self.core.timers.due = due;
    }
}

type Once = dyn FnOnce(&mut Handlers, &mut Core);
type Again = dyn Fn(&mut Handlers, &mut Core);

/// Delivers the message.
enum Action {
    Once(Box<Once>),
    Every {
        /// In nanoseconds, at least 1.
        period: u64,
        /// Counted, so that it can cancel itself while it runs.
        deliver: Rc<Again>,
    },
}

struct Timer {
    link: Link,
    number: u64,
    /// Not before this time, in nanoseconds.
    at: u64,
    action: Action,
}

const _: () = assert!(size_of::<Timer>() <= 56);

/// A timer whose time has come, in the order in which they are delivered.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: u64,
    number: u64,
    index: u32,
}

/// The timers of a reactor.
pub(crate) struct Timers {
    wheel: Wheel,
    set: Set,
    /// For each timer its own, in the order in which they are set; 2^64 are never used up.
    next_number: u64,
    /// Empty between turns; kept for their memory.
    expired: Vec<u32>,
    due: Vec<Due>,
}

/// The timers by index. A type of its own so that the wheel can be given the links in it.
struct Set(Slab<Timer>);

impl Links for Set {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

impl Timers {
    pub(crate) fn new(tick: u32) -> Timers {
        Timers {
            wheel: Wheel::new(tick),
            set: Set(Slab::new()),
            next_number: 0,
            expired: Vec::new(),
            due: Vec::new(),
        }
    }

    /// The next tick at which to look; `None` if no timer is set.
    pub(crate) fn next(&self) -> Option<u32> {
        self.wheel.next()
    }

    /// Drops all timers with their messages.
    pub(crate) fn clear(&mut self) {
        *self = Timers::new(0);
    }

    fn insert(&mut self, at: u64, now: u64, action: Action) -> TimerId {
        let number = self.next_number;
        self.next_number += 1;
        let timer = Timer { link: Link::default(), number, at, action };
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

    fn remove(&mut self, id: TimerId) -> Option<Timer> {
        self.set.0.get(id.index as usize).filter(|timer| timer.number == id.number)?;
        self.wheel.cancel(&mut self.set, id.index);
        Some(self.set.0.remove(id.index as usize))
    }

    /// Those whose time has come, in order. They stay until they are fired.
    fn take_due(&mut self, now: u64) -> Vec<Due> {
        let (mut due, mut expired) = (mem::take(&mut self.due), mem::take(&mut self.expired));
        self.wheel.advance(&mut self.set, tick_of(now), &mut expired);
        for index in expired.drain(..) {
            let Timer { at, number, .. } = self.set.0[index as usize];
            if at > now {
                // Farther away than the wheel reaches.
                self.schedule(index, at, now);
            } else {
                due.push(Due { at, number, index });
            }
        }
        self.expired = expired;
        due.sort_unstable();
        due
    }

    /// What a due timer does, unless it was cancelled meanwhile. Sets it again if it repeats.
    fn fire(&mut self, due: &Due, now: u64) -> Option<Action> {
        let &Due { at, number, index } = due;
        let timer = self.set.0.get_mut(index as usize).filter(|timer| timer.number == number)?;
        let Action::Every { period, ref deliver } = timer.action else {
            return Some(self.set.0.remove(index as usize).action);
        };
        let deliver = deliver.clone();
        let missed = (now - at) / period;
        let next = at.saturating_add(period.saturating_mul(missed + 1));
        timer.at = next;
        self.schedule(index, next, now);
        Some(Action::Every { period, deliver })
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Core {
    fn set_timer(&mut self, time: Duration, action: Action) -> TimerId {
        self.timers.insert(self.now.saturating_add(nanos(time)), self.now, action)
    }
}
