//! The reactor as a handler sees it when no connection is current.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::time::Duration;

use super::{Delivery, FOREIGN, Handler, Peer, Receive};
use crate::connect::attempt::Connecting;
use crate::core::{ConnId, Core, GroupId, HandlerId, Ledger};
use crate::fs::Fs;
use crate::listen::listener::Listener;
use crate::time::timers::{TimerId, Timers};

/// The reactor as a handler sees it when no connection is current, and as its owner sees it
/// [between turns](crate::Reactor).
///
/// Time and randomness come from here, so that a simulated run can be replayed exactly.
pub struct Turn {
    pub(crate) core: Core,
    pub(crate) timers: Timers<Delivery>,
    pub(crate) connecting: Connecting,
    /// By index; a closed listener leaves its place empty.
    pub(crate) listeners: Vec<Option<Listener>>,
    /// The types of the handlers, by index.
    pub(crate) handlers: Vec<TypeId>,
    /// Sessions that are not with their handler yet, by the index of their connection.
    pub(crate) sessions: HashMap<u32, Box<dyn Any>>,
    /// What the running callback asked for. Empty between callbacks.
    pub(crate) hand_overs: Vec<HandOver>,
}

/// A connection is to go on with another handler.
pub(crate) struct HandOver {
    /// The connection.
    pub(crate) index: u32,
    pub(crate) to: u8,
    pub(crate) session: Box<dyn Any>,
}

impl Turn {
    pub(crate) fn new(core: Core) -> Turn {
        Turn {
            timers: Timers::new(core.tick),
            core,
            connecting: Connecting::default(),
            listeners: Vec::new(),
            handlers: Vec::new(),
            sessions: HashMap::new(),
            hand_overs: Vec::new(),
        }
    }

    /// Time since an arbitrary start, as of the beginning of this turn.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.core.now)
    }

    /// Seconds since 1970, for what is shown to people. May jump when the clock is set.
    #[must_use]
    pub fn unix_time(&self) -> u64 {
        self.core.kernel.realtime()
    }

    /// 64 random bits.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.core.kernel.random()
    }

    /// The file system.
    #[must_use]
    pub fn fs(&self) -> Fs {
        Fs::new(self.core.kernel.clone())
    }

    /// What the reactor has done so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.core.total()
    }

    /// The part of it that the connections of one listener or connector have done. The rest was
    /// done by adopted connections, or belongs to none: turns, events, messages, panics.
    #[must_use]
    pub fn ledger_of(&self, group: impl Into<GroupId>) -> Ledger {
        self.core.groups[usize::from(group.into().0)].ledger.clone()
    }

    /// How many connections there are, lingering ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.core.connections.0.len()
    }

    /// Any connection of this reactor, whichever handler it belongs to.
    pub fn peer(&mut self, id: ConnId) -> Peer<'_> {
        let index = self.core.find(id).map(|_| id.index);
        Peer { core: &mut self.core, index }
    }

    /// Asks the reactor to stop, and with it the other threads of its server. It begins in the next
    /// turn; see [`Reactor::set_drain`](crate::Reactor::set_drain).
    pub fn stop(&mut self) {
        self.core.stopping = true;
    }

    /// Whether the reactor was asked to stop, so that nothing long should begin.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.core.stopping
    }

    /// Whether an id may be one of this reactor: it has a handler of that type in that place.
    pub(crate) fn knows<H: Handler>(&self, id: HandlerId<H>) -> bool {
        self.handlers.get(usize::from(id.index)) == Some(&TypeId::of::<H>())
    }

    pub(crate) fn assert_known<H: Handler>(&self, id: HandlerId<H>) {
        assert!(self.knows(id), "{FOREIGN}");
    }
}

/// Timers. Each brings a message to a handler, in [`Receive::on_message`].
///
/// A timer for one connection brings a message with its [`ConnId`], by which the handler gets
/// [its session](crate::Sessions::get).
///
/// None is early. Time is looked at in ticks of about 17 ms, so one can be late by a tick, and by
/// what the turn is doing when its time comes. Those of a turn come in the order of their times,
/// and those of the same time in the order in which they were set. None comes in the turn that set
/// it, however short its time. They go on while the reactor drains; when it has stopped their
/// messages are dropped.
///
/// Setting and cancelling take constant time, whatever the number of timers; those that are due
/// together are sorted. Their number has no limit, since no peer sets one: a handler that sets a
/// timer for each of its connections cancels it in [`on_close`](crate::Handler::on_close). For what
/// belongs to one connection [a deadline of its own](crate::Context::set_deadline) is simpler, and
/// costs nothing. A timer costs one allocation when it is set, of the size of its message, and 64
/// bytes.
///
/// An id of another reactor's handler is noticed when the time comes, and counts as a panic.
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_reactor::{Context, Handler, Input, Reactor, Receive, Sessions, TimerId};
///
/// struct Clock {
///     ticking: Option<TimerId>,
///     ticks: u32,
/// }
///
/// #[derive(Clone)]
/// struct Tick;
///
/// impl Receive<Tick> for Clock {
///     fn on_message(&mut self, cx: &mut Sessions<'_>, _: Tick) {
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
impl Turn {
    /// Brings a message to a handler once, so long from [`Turn::now`].
    pub fn after<H, M>(&mut self, time: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M, H::Session>,
        M: 'static,
    {
        let now = self.core.now;
        self.timers.once(now, time, Delivery::once(to, message))
    }

    /// Brings a copy of a message to a handler again and again, the first one after `period` from
    /// [`Turn::now`]. It does not drift: each comes a multiple of the period after the beginning.
    ///
    /// Those that could not come in time because the reactor was busy are left out, so after a
    /// stall there is one, not all that were missed. Of a period shorter than a tick so many are
    /// left out that one comes in each tick. A panic over a message does not end it.
    pub fn every<H, M>(&mut self, period: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M, H::Session>,
        M: Clone + 'static,
    {
        let now = self.core.now;
        self.timers.every(now, period, Delivery::every(to, message))
    }

    /// Ends a timer, also from within what it brings: its message comes no more, even if its time
    /// has passed. Says whether it was still set.
    pub fn cancel_timer(&mut self, id: TimerId) -> bool {
        self.timers.cancel(id)
    }
}
