//! The reactor: what it owns, and the phases of a turn.

use std::any::TypeId;
use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::dispatch::{Dispatch, Handlers};
use super::inboxes::Inboxes;
use crate::connect::resolver;
use crate::core::{Core, HandlerId, type_name};
use crate::handler::{Handler, Turn};
use crate::listen::listener::{LISTENER_BIT, Listener};
use crate::outbound;
use crate::sys::{AlignedBuffer, Kernel, Selector};
use crate::threads::jobs;
use crate::threads::snapshot::SharedLedger;
use crate::threads::stopper::Stopper;
use crate::threads::workers::Workers;

/// Size of the receive buffer that all connections of a reactor share. With a smaller one, messages
/// of a megabyte cost more.
const RECEIVE_BUFFER: usize = 512 << 10;

/// Most events taken in one wait, which bounds the length of a turn.
const EVENTS: usize = 1024;

/// Most handlers of a reactor: a connection stores the index in a byte.
const MOST_HANDLERS: usize = 1 << 8;

const WAKER_TOKEN: u64 = u64::MAX;

/// The default grace period: long enough for responses in flight, and shorter than the time after
/// which service managers kill a process (systemd: 90 s).
const GRACE: Duration = Duration::from_secs(30);

/// How many connections run before the memory budget is looked at again.
const UNTIL_MEMORY_IS_MINDED: usize = 8;

/// A single-threaded event loop: its handlers, listeners and connections.
///
/// ```no_run
/// use sluicegate_reactor::{Context, Handler, Input, Listen, Reactor};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
///         cx.send(input.take());
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let echo = reactor.register(Echo);
/// reactor.listen("127.0.0.1:7000", &Listen::default(), echo)?;
/// reactor.run()
/// # }
/// ```
pub struct Reactor {
    pub(crate) turn: Turn,
    pub(crate) handlers: Handlers,
    pub(crate) inboxes: Inboxes,
    /// The threads that wait for disks and look up names.
    workers: Workers,
    pub(crate) receive: AlignedBuffer,
    /// The worklist in progress; kept for its memory.
    pub(crate) work: Vec<u32>,
    /// Connections whose deadline has passed, the earliest first.
    pub(crate) expired: VecDeque<u32>,
    /// `None` in the simulated kernel, which has one thread.
    pub(crate) stopper: Option<Stopper>,
    /// How long connections may take to end once the reactor was asked to stop.
    pub(super) grace: Duration,
    /// Whether the stopper knows that no connections are left.
    pub(super) is_drained: bool,
    /// Called when the drain begins.
    pub(crate) on_drain: Option<Box<dyn FnOnce()>>,
    /// Once another thread has asked for a reader.
    pub(crate) shared_ledger: Option<SharedLedger>,
}

/// Between turns a reactor is a [`Turn`]: it can listen, connect, set timers and reach connections.
impl Deref for Reactor {
    type Target = Turn;
    fn deref(&self) -> &Turn {
        &self.turn
    }
}

/// Reads the clock: deadlines and timers set between two turns count from now.
impl DerefMut for Reactor {
    fn deref_mut(&mut self) -> &mut Turn {
        self.turn.core.read_clock();
        &mut self.turn
    }
}

impl Reactor {
    /// Creates a reactor that uses the operating system's kernel.
    ///
    /// # Errors
    /// The error of creating the event queue or its waker.
    pub fn new() -> io::Result<Reactor> {
        Reactor::on(Kernel::Os)
    }

    pub(crate) fn on(kernel: Kernel) -> io::Result<Reactor> {
        Reactor::with_stopper(kernel, &Stopper::new(1, Duration::ZERO), 0)
    }

    /// Creates the reactor with this index among those that a stopper stops.
    pub(crate) fn with_stopper(
        kernel: Kernel,
        stopper: &Stopper,
        index: usize,
    ) -> io::Result<Reactor> {
        let mut selector = Selector::new(&kernel, EVENTS)?;
        let waker = selector.add_waker(WAKER_TOKEN)?;
        let inboxes = Inboxes::new(waker.clone());
        let stopper = waker.map(|waker| {
            stopper.add(index, waker);
            stopper.clone()
        });
        let mut reactor = Reactor {
            turn: Turn::new(Core::new(kernel, selector)),
            handlers: Handlers::default(),
            inboxes,
            workers: Workers::new(),
            receive: AlignedBuffer::new(RECEIVE_BUFFER),
            work: Vec::new(),
            expired: VecDeque::new(),
            stopper,
            grace: GRACE,
            is_drained: false,
            on_drain: None,
            shared_ledger: None,
        };
        reactor.note_stop();
        Ok(reactor)
    }

    /// Registers a handler.
    ///
    /// # Panics
    /// If the reactor already has 256 handlers.
    pub fn register<H: Handler>(&mut self, handler: H) -> HandlerId<H> {
        let id = self.reserve();
        self.install(id, handler);
        id
    }

    /// Reserves an id for a handler that others must refer to before it exists, such as two
    /// handlers that refer to each other.
    ///
    /// The id can be used like any other. A reactor panics instead of turning if a reserved id has
    /// no handler, so no connection or message is ever sent to one.
    ///
    /// ```
    /// # use sluicegate_reactor::{Context, Handler, HandlerId, Input};
    /// # impl Handler for Greeter {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// # impl Handler for Talk {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// use sluicegate_reactor::Reactor;
    ///
    /// struct Greeter { then: HandlerId<Talk> }
    /// struct Talk { after: HandlerId<Greeter> }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let talk = reactor.reserve::<Talk>();
    /// let greeter = reactor.register(Greeter { then: talk });
    /// reactor.install(talk, Talk { after: greeter });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the reactor already has 256 handlers.
    #[must_use = "the reactor does not run until the handler is installed"]
    pub fn reserve<H: Handler>(&mut self) -> HandlerId<H> {
        let index = self.handlers.reserve();
        assert!(index < MOST_HANDLERS, "a reactor has at most {MOST_HANDLERS} handlers");
        self.turn.handlers.push((TypeId::of::<H>(), type_name::<H>));
        HandlerId::new(index as u8)
    }

    /// Installs a handler under the id that was [reserved](crate::Reactor::reserve) for it.
    ///
    /// # Panics
    /// If the id already has a handler, or belongs to another reactor and was not reserved in this
    /// one.
    pub fn install<H: Handler>(&mut self, id: HandlerId<H>, handler: H) {
        self.turn.assert_known(id);
        self.handlers.install(id, handler);
    }

    /// Returns a registered handler.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor, or is reserved and has no handler yet.
    pub fn handler<H: Handler>(&mut self, id: HandlerId<H>) -> &mut H {
        &mut self.handlers.get(id).handler
    }

    /// Replaces the pool of threads for this reactor's disk access and name lookups: see
    /// [`workers`](crate::workers). Disk jobs queued in the previous pool still run. Lookups queued
    /// there are dropped, and their connections time out, unless a clone keeps that pool alive.
    pub fn set_workers(&mut self, workers: &Workers) {
        self.workers = workers.clone();
    }

    /// Runs turns until the reactor has stopped. When a [`Stopper`], a signal or a handler asks it
    /// to stop, the reactor accepts no more connections and calls
    /// [`on_stop`](crate::Handler::on_stop) for each session. When the [grace
    /// period](crate::Reactor::set_drain) ends, the remaining connections are closed: queued output
    /// is cut off, and on Linux unread input causes a reset. To run again, create a new reactor.
    ///
    /// # Errors
    /// The error of waiting for events; never an error caused by a peer.
    ///
    /// # Panics
    /// If an id was [reserved](crate::Reactor::reserve) but no handler was installed.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.has_stopped() {
            self.turn(None).inspect_err(|_| self.close_all())?;
        }
        Ok(())
    }

    /// Runs one turn, which waits for events for at most `limit`. A custom loop should end once the
    /// reactor [has stopped](crate::Reactor::has_stopped); further turns do nothing.
    ///
    /// # Errors
    /// The error of waiting for events.
    ///
    /// # Panics
    /// If an id was [reserved](crate::Reactor::reserve) but no handler was installed.
    pub fn turn(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.handlers.assert_installed();
        if self.has_stopped() {
            return Ok(());
        }
        self.turn.core.ledger.turns += 1;
        let timeout = self.inboxes.sleep(self.timeout(limit));
        let events = self.turn.core.selector.wait(timeout)?;
        self.inboxes.awake();
        self.turn.core.read_clock();
        let core = &mut self.turn.core;
        core.owed.append(&mut core.later);
        self.note(events);
        self.accept(Listener::accept);
        self.begin_drain();
        self.run_owed();
        self.run_deadlines();
        self.run_timers();
        self.deliver_messages();
        self.run_owed();
        outbound::flush_waiting(&mut self.turn.core);
        self.submit_jobs();
        self.mind_memory();
        self.free();
        self.end_drain();
        self.turn.core.note_turn();
        Ok(())
    }

    /// Submits disk jobs and lookups to the workers.
    fn submit_jobs(&mut self) {
        let core = &mut self.turn.core;
        let closing = std::mem::take(&mut *core.closing.borrow_mut());
        if !closing.is_empty() {
            core.push_job(move |_| drop(closing), |_, ()| {});
        }
        if !core.jobs.is_empty() || !core.lookups.is_empty() {
            let results = self.inboxes.results();
            jobs::submit(core, &self.workers, results);
            resolver::submit(core, &self.workers, results);
        }
    }

    /// How long the wait of phase 1 may last.
    pub(crate) fn timeout(&self, limit: Option<Duration>) -> Option<Duration> {
        if self.is_owed() {
            return Some(Duration::ZERO);
        }
        let core = &self.turn.core;
        let accept = self.turn.listeners.iter().flatten().filter_map(|l| l.wait(core)).min();
        let memory = core.budget.as_ref().and_then(|budget| budget.wait(core.now));
        let next = [core.wheel.next(), self.turn.timers.next()].into_iter().flatten();
        let expiry = next.map(|tick| core.until(tick)).min();
        let soonest = [accept, memory].into_iter().flatten().min().map(Duration::from_nanos);
        [limit, soonest, expiry, self.until_drained()].into_iter().flatten().min()
    }

    /// Whether there is work that no event announces.
    pub(crate) fn is_owed(&self) -> bool {
        let core = &self.turn.core;
        !core.owed.is_empty()
            || !core.later.is_empty()
            || !core.closing.borrow().is_empty()
            || self.inboxes.is_owed()
            || self.is_behind()
    }

    fn note(&mut self, events: usize) {
        for index in 0..events {
            let event = self.turn.core.selector.event(index);
            if event.token == WAKER_TOKEN {
                self.note_stop();
            } else if event.token & LISTENER_BIT != 0 {
                // A closed listener may be open in another process, and its events go on
                // (`epoll(7)`).
                let place = self.turn.listeners.get_mut((event.token & 0xffff) as usize);
                if let Some(Some(listener)) = place {
                    listener.note(event.ready);
                }
            } else {
                self.turn.core.note_event(event.token, event.ready);
            }
        }
    }

    /// Accepts on all listeners.
    pub(super) fn accept(&mut self, accept: fn(&mut Listener, &mut Core)) {
        for listener in self.turn.listeners.iter_mut().flatten() {
            accept(listener, &mut self.turn.core);
        }
        self.shed();
    }

    pub(super) fn close_listeners(&mut self) {
        for listener in &mut self.turn.listeners {
            listener.take().into_iter().for_each(|listener| listener.close(&mut self.turn.core));
        }
    }

    /// Makes the callback of this name to a connection's handler.
    #[inline]
    pub(super) fn call(
        &mut self,
        index: u32,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Dispatch, &mut Turn, u32),
    ) {
        self.handlers.call(&mut self.turn, index, name, callback);
    }

    /// Drives every connection on the worklist once. Connections scheduled meanwhile wait for the
    /// next round, so a round is bounded.
    fn run_owed(&mut self) {
        let next = std::mem::take(&mut self.work);
        let mut work = std::mem::replace(&mut self.turn.core.owed, next);
        for some in work.chunks(UNTIL_MEMORY_IS_MINDED) {
            for &index in some {
                self.run_connection(index);
            }
            self.mind_memory();
        }
        work.clear();
        self.work = work;
    }

    pub(super) fn free(&mut self) {
        while let Some(index) = self.turn.core.gone.pop() {
            self.turn.core.connections.remove(index as usize);
        }
    }
}
