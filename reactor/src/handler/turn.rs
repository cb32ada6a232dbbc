//! The reactor as a handler sees it outside of a connection's callback.

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Delivery, FOREIGN, Handler, Peer, Receive};
use crate::core::{ConnId, Core, HandlerId, Ledger, Lifecycle};
use crate::fs::Dir;
use crate::listen::listener::Listener;
use crate::sys::ProcessUsage;
use crate::threads::snapshot::Snapshot;
use crate::time::timers::{TimerId, Timers};

/// The reactor as seen by a handler outside of a connection's callback, and by its owner [between
/// turns](crate::Reactor).
///
/// Time and randomness come from here, so that a simulated run can be replayed exactly.
pub struct Turn {
    pub(crate) core: Core,
    pub(crate) timers: Timers<Delivery>,
    /// By index. A closed listener leaves its place empty.
    pub(crate) listeners: Vec<Option<Listener>>,
    /// The types of the handlers and their names, by index.
    pub(crate) handlers: Vec<(TypeId, fn() -> String)>,
    /// Sessions that have not reached their handler yet, by the index of their connection.
    pub(crate) sessions: HashMap<u32, Box<dyn Any>>,
    /// The hand-overs that the running callback requested. Empty between callbacks.
    pub(crate) hand_overs: Vec<HandOver>,
}

/// A connection that continues with another handler.
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
            listeners: Vec::new(),
            handlers: Vec::new(),
            sessions: HashMap::new(),
            hand_overs: Vec::new(),
        }
    }

    /// Time since an arbitrary start, as of the beginning of this turn.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.core.now)
    }

    /// Seconds since 1970 as of this turn, for display. It may jump when the clock is set.
    pub fn unix_time(&self) -> u64 {
        self.core.unix_time()
    }

    /// 64 random bits, for anything but secrets.
    pub fn random(&self) -> u64 {
        self.core.kernel.random()
    }

    /// Opens a directory by an ordinary path, as the root for everything opened through it.
    ///
    /// # Errors
    /// The error of `open(2)`, with the path; `NotADirectory` for a file.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> io::Result<Dir> {
        Dir::open_root(&self.core.kernel, &self.core.closing, path)
    }

    /// The reactor's counters so far.
    pub fn ledger(&self) -> Ledger {
        self.core.total()
    }

    /// The counters of this reactor and of each listener, and their current state, such as peaks,
    /// slow readers and timers. The time that this takes grows with the number of connections:
    /// about a millisecond for 100,000.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.core, self.timers.len())
    }

    /// The resources that this process uses. Takes a few system calls. In a simulated reactor,
    /// nothing is known.
    pub fn process(&self) -> ProcessUsage {
        self.core.kernel.process()
    }

    /// How long this turn has taken so far. Reads the clock.
    pub fn turn_time(&self) -> Duration {
        self.core.since_clock()
    }

    /// The number of connections, lingering ones included.
    pub fn connections(&self) -> usize {
        self.core.connections.len()
    }

    /// Any connection of this reactor, whichever handler it belongs to.
    pub fn peer(&mut self, id: ConnId) -> Peer<'_> {
        let index = self.core.find(id).map(|_| id.index);
        Peer { turn: self, index }
    }

    /// The details that the [transport](crate::transport) of a connection has about the peer, if
    /// they are of type `T`. For the current connection, use
    /// [`Context::transport`](crate::Context::transport).
    pub fn transport_of<T: 'static>(&self, id: ConnId) -> Option<&T> {
        let mut transports = self.core.find(id)?.special.as_ref()?.transports();
        transports.find_map(|transport| transport.details(TypeId::of::<T>()))?.downcast_ref()
    }

    /// The error of a connection's [transport](crate::transport), for use in
    /// [`on_close`](crate::Handler::on_close). It explains
    /// [`Reason::Transport`](crate::Reason::Transport), and `Unconnected(InvalidInput)` if
    /// [`Connect::transport`](crate::Connect) could not make a transport. In all other cases it is
    /// `None`.
    ///
    /// ```
    /// use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Turn};
    ///
    /// struct Client;
    ///
    /// impl Handler for Client {
    ///     type Session = ();
    ///     fn on_open(&mut self, _: &mut Context<'_>) {}
    ///     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    ///         input.take();
    ///     }
    ///     fn on_close(&mut self, cx: &mut Turn, id: ConnId, _: (), why: Reason) {
    ///         match cx.transport_error(id) {
    ///             Some(error) => eprintln!("{error}"),
    ///             None => eprintln!("{why:?}"),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn transport_error(&self, id: ConnId) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.core.find(id)?.special.as_ref()?.failure.as_deref()
    }

    /// Asks the reactor and the other threads of its server to stop. Stopping begins in the next
    /// turn; see [`Reactor::set_drain`](crate::Reactor::set_drain).
    pub fn stop(&mut self) {
        self.core.lifecycle = self.core.lifecycle.max(Lifecycle::Asked);
    }

    /// Whether the reactor was asked to stop. If so, a handler should not start anything that takes
    /// long.
    pub fn is_stopping(&self) -> bool {
        self.core.lifecycle >= Lifecycle::Asked
    }

    /// Whether the reactor was asked to stop, or is in its [shutdown
    /// delay](crate::ServerOptions::shutdown_delay), after which it will stop. Load balancers
    /// should not send it new clients.
    pub fn will_stop(&self) -> bool {
        self.core.lifecycle > Lifecycle::Running
    }

    /// The session that came with a connection, unless it has been stored.
    pub(crate) fn take_session<S: 'static>(&mut self, index: u32) -> Option<S> {
        Some(*self.sessions.remove(&index)?.downcast().ok()?)
    }

    /// Whether an id may belong to this reactor: its place holds a handler of that type.
    pub(crate) fn knows<H: Handler>(&self, id: HandlerId<H>) -> bool {
        self.handlers.get(usize::from(id.index)).is_some_and(|(of, _)| *of == TypeId::of::<H>())
    }

    pub(crate) fn assert_known<H: Handler>(&self, id: HandlerId<H>) {
        assert!(self.knows(id), "{FOREIGN}");
    }
}

/// Timers. Each one delivers a message to a handler, through [`Receive::on_message`].
///
/// A timer for one connection delivers a message with its [`ConnId`], with which the handler looks
/// up [its session](crate::Sessions::get).
///
/// Timers are never early. The clock is read in ticks of about 17 ms, so a timer can be late by a
/// tick, plus the work that the turn does first. Timers that are due in one turn run in the order
/// of their times, and those with the same time in the order in which they were set. No timer runs
/// in the turn that set it, however short its delay. Timers keep running while the reactor drains;
/// once it has stopped, their messages are dropped.
///
/// Setting and cancelling take constant time, whatever the number of timers; timers that are due
/// together are sorted. The number of timers is not limited, since peers cannot set any. A handler
/// that sets a timer for each connection should cancel it in
/// [`on_close`](crate::Handler::on_close). For the time limit of one connection, [its own
/// deadline](crate::Peer::set_deadline) is simpler and costs nothing. A timer costs 64 bytes
/// plus one allocation of the size of its message.
///
/// # Panics
/// Setting a timer panics if the [`HandlerId`] belongs to another reactor. This is not detected if
/// this reactor has a handler of the same type with that number.
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
    /// Delivers a message to a handler once, `time` after [`Turn::now`]: up to about 17 ms late,
    /// and never early.
    pub fn after<H, M>(&mut self, time: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M, H::Session>,
        M: 'static,
    {
        self.assert_known(to);
        let message = Cell::new(Some(message));
        self.timers.set(self.core.now, time, None, Delivery::new(to, move || message.take()))
    }

    /// Delivers a copy of a message to a handler periodically, for the first time `period` after
    /// [`Turn::now`]. The timer does not drift: each copy is due at a multiple of the period after
    /// the start.
    ///
    /// If a busy reactor misses several periods, it delivers one copy, not all that were missed. If
    /// the period is shorter than a tick, one copy is delivered per tick. A panic in the handler
    /// does not end the timer.
    pub fn every<H, M>(&mut self, period: Duration, to: HandlerId<H>, message: M) -> TimerId
    where
        H: Handler + Receive<M, H::Session>,
        M: Clone + 'static,
    {
        self.assert_known(to);
        let delivery = Delivery::new(to, move || Some(message.clone()));
        self.timers.set(self.core.now, period, Some(period), delivery)
    }

    /// Cancels a timer, even from within its own message. Its message is no longer delivered, even
    /// if its time has passed. Returns whether the timer was still set.
    pub fn cancel_timer(&mut self, id: TimerId) -> bool {
        self.timers.cancel(id)
    }
}
