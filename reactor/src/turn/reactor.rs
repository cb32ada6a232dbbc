//! The loop. One turn has a fixed order of phases:
//!
//! 1. **wait** for events, not at all while anything is owed;
//! 2. **note** what the events say, in the connections; call nothing;
//! 3. **accept**, within each listener's budget, and open what was accepted; in the turn that
//!    begins to [drain](Reactor::set_drain), accept the rest and close the listeners;
//! 4. **drive** each connection with something to do, within its quantum;
//! 5. run the **deadlines** and the **timers** whose time has come: all are collected first;
//! 6. deliver the **messages** that were posted, within each mailbox's budget;
//! 7. **settle** what those phases left owed: closes, drains, queues that others filled;
//! 8. **free** the places of connections that are gone.
//!
//! A handler is called in phases 3 to 7 only, one at a time, and never from inside a call it makes.
//! A place is not used again before the turn is over, so no event of the turn can reach a
//! successor.

use std::io;
use std::time::Duration;

use crate::core::Core;
use crate::core::ledger::{GroupId, Ledger};
use crate::fs::Fs;
use crate::listen::listener::Listener;
use crate::sys::{AlignedBuffer, Kernel, Selector};
use crate::threads::handle::Mail;
use crate::threads::jobs::Jobs;
use crate::threads::snapshot::Read;
use crate::threads::workers::Workers;
use crate::turn::dispatch::{Dispatch, Handlers};
use crate::turn::drain::{Drain, Stopper};

/// Size of the buffer that all connections of a reactor receive into. With 64 KiB an echo of 1 MiB
/// messages costs 1.5 times as much, with 256 KiB 1.05 times, with 1 MiB 0.6 to 1.1 times (bench
/// `inbound`; Linux 6.18, loopback).
const RECEIVE_BUFFER: usize = 512 << 10;

/// Most events taken in one wait. It bounds how long a turn is; to echo on 1024 connections costs
/// as much with 16, 64 or 256 at a time (bench `turn`).
const EVENTS: usize = 1024;

const WAKER_TOKEN: u64 = u64::MAX;

/// Tokens of listeners have this bit. In those of connections it belongs to the index, which counts
/// open descriptors and never gets that high.
pub(crate) const LISTENER_BIT: u64 = 1 << 31;

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
    pub(crate) core: Core,
    pub(crate) handlers: Handlers,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) mail: Mail,
    pub(crate) receive: AlignedBuffer,
    /// Worklist being worked on, and connections just opened; kept for their memory.
    pub(crate) work: Vec<u32>,
    /// None in a simulated kernel, which has one thread.
    pub(crate) stopper: Option<Stopper>,
    pub(crate) drain: Drain,
    /// Who asks for the ledger, if anybody may.
    pub(crate) read: Option<Read>,
}

impl Reactor {
    /// A reactor on the operating system's kernel.
    ///
    /// # Errors
    /// What creating the event queue and its waker says.
    pub fn new() -> io::Result<Reactor> {
        Reactor::on(Kernel::Os)
    }

    pub(crate) fn on(kernel: Kernel) -> io::Result<Reactor> {
        Reactor::stopped_by(kernel, &Stopper::new(1), 0)
    }

    /// The `index`th of the reactors that a stopper stops.
    pub(crate) fn stopped_by(
        kernel: Kernel,
        stopper: &Stopper,
        index: usize,
    ) -> io::Result<Reactor> {
        let mut selector = Selector::new(&kernel, EVENTS)?;
        let waker = selector.add_waker(WAKER_TOKEN)?;
        let mail = Mail::new(waker.clone());
        let stopper = waker.map(|waker| {
            stopper.add(index, waker);
            stopper.clone()
        });
        let mut reactor = Reactor {
            core: Core::new(kernel, selector),
            handlers: Handlers::default(),
            listeners: Vec::new(),
            mail,
            receive: AlignedBuffer::new(RECEIVE_BUFFER),
            work: Vec::new(),
            stopper,
            drain: Drain::new(),
            read: None,
        };
        reactor.note_stop();
        Ok(reactor)
    }

    /// The file system. From now on the reactor has [workers](crate::workers), which wait for its
    /// disks.
    #[must_use]
    pub fn fs(&mut self) -> Fs {
        if self.core.jobs.is_none() {
            self.set_workers(&Workers::new());
        }
        Fs::new(self.core.kernel.clone())
    }

    /// Lets these workers wait for the disks of the files that are sent and received, so that the
    /// reactor does not. Without threads until there is something to wait for.
    pub fn set_workers(&mut self, workers: &Workers) {
        let reply = self.mail.own(Core::job_done);
        self.core.jobs = Some(Jobs::new(reply, workers.clone()));
    }

    /// What the reactor has done so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.core.total()
    }

    /// What the connections of one listener or connector have done of it. The rest was done by
    /// adopted connections, or belongs to none: turns, events, messages, panics.
    #[must_use]
    pub fn ledger_of(&self, group: impl Into<GroupId>) -> Ledger {
        self.core.total_of(group.into())
    }

    /// How many connections are open, lingering ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.core.connections.0.len()
    }

    /// Turns until it was [asked to stop](Stopper) and has done so: no more is accepted, each
    /// session is told with [`on_stop`](crate::Handler::on_stop), and when [its
    /// time](Reactor::set_drain) is over, what is left is closed at once: what is queued is cut,
    /// and input that nobody has read turns into a reset. It stays stopped: what shall run again is
    /// made anew.
    ///
    /// # Errors
    /// What waiting for events says; nothing that a peer does.
    ///
    /// # Panics
    /// If a place was [reserved](Reactor::reserve) and has no handler.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.has_stopped() {
            self.turn(None).inspect_err(|_| self.close_all())?;
        }
        Ok(())
    }

    /// One turn, which waits for events no longer than `limit`. A loop of one's own ends when the
    /// reactor [has stopped](Reactor::has_stopped); a further turn does nothing.
    ///
    /// # Errors
    /// What waiting for events says.
    ///
    /// # Panics
    /// If a place was [reserved](Reactor::reserve) and has no handler.
    pub fn turn(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.handlers.assert_installed();
        if self.has_stopped() {
            return Ok(());
        }
        self.core.ledger.turns += 1;
        let timeout = self.mail.sleep(self.timeout(limit));
        let events = self.core.selector.wait(timeout)?;
        self.mail.awake();
        self.core.read_clock();
        self.core.owed.append(&mut self.core.later);
        self.note(events);
        self.accept();
        self.begin_drain();
        self.drive_owed();
        self.run_deadlines();
        self.run_timers();
        self.deliver_messages();
        self.drive_owed();
        self.free();
        self.end_drain();
        Ok(())
    }

    /// How long phase 1 may wait.
    pub(crate) fn timeout(&self, limit: Option<Duration>) -> Option<Duration> {
        if self.is_owed() {
            return Some(Duration::ZERO);
        }
        let accept = self.listeners.iter().filter_map(|l| l.wait(&self.core)).min();
        let accept = accept.map(Duration::from_nanos);
        [limit, accept, self.core.until_deadline(), self.until_drained()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether there is work that no event announces.
    pub(crate) fn is_owed(&self) -> bool {
        !self.core.owed.is_empty() || !self.core.later.is_empty() || self.mail.is_owed()
    }

    fn note(&mut self, events: usize) {
        for index in 0..events {
            let event = self.core.selector.event(index);
            if event.token == WAKER_TOKEN {
                self.note_stop();
            } else if event.token & LISTENER_BIT != 0 {
                // One that was closed may be open elsewhere, and its events go on (`epoll(7)`).
                if let Some(listener) = self.listeners.get_mut((event.token & 0xffff) as usize) {
                    listener.note(event.ready);
                }
            } else {
                self.core.note(event.token, event.ready);
            }
        }
    }

    fn accept(&mut self) {
        self.accept_with(|listener, core, opened| {
            if listener.ready {
                listener.accept(core, opened);
            }
        });
    }

    /// Accepts all that waits, as far as the limits allow.
    pub(crate) fn accept_rest(&mut self) {
        self.accept_with(Listener::accept_rest);
    }

    fn accept_with(&mut self, accept: impl Fn(&mut Listener, &mut Core, &mut Vec<u32>)) {
        let mut opened = std::mem::take(&mut self.work);
        for listener in &mut self.listeners {
            accept(listener, &mut self.core, &mut opened);
        }
        for index in opened.drain(..) {
            self.open(index);
        }
        self.work = opened;
    }

    pub(crate) fn close_listeners(&mut self) {
        for listener in self.listeners.drain(..) {
            listener.close(&mut self.core);
        }
    }

    /// Calls `on_open` for a new connection.
    pub(crate) fn open(&mut self, index: u32) {
        self.call(index, |handler, core, _| handler.open(core, index));
        self.core.list(index);
    }

    /// Calls a connection's handler.
    pub(crate) fn call<R>(
        &mut self,
        index: u32,
        callback: impl FnOnce(&mut dyn Dispatch, &mut Core, u32) -> R,
    ) -> Option<R> {
        self.handlers.call(&mut self.core, index, callback)
    }

    /// Drives every connection on the worklist once. What they list meanwhile waits for the next
    /// round, so a round is bounded.
    fn drive_owed(&mut self) {
        let mut work = std::mem::replace(&mut self.core.owed, std::mem::take(&mut self.work));
        for &index in &work {
            self.drive(index);
        }
        self.core.send_onward();
        work.clear();
        self.work = work;
    }

    fn run_deadlines(&mut self) {
        let core = &mut self.core;
        let mut due = std::mem::take(&mut self.work);
        core.wheel.advance(&mut core.connections, core.tick, &mut due);
        for index in due.drain(..) {
            if let Some(which) = self.core.passed_deadline(index) {
                self.time_out(index, which);
            }
        }
        self.core.end_due_holds();
        self.work = due;
    }

    pub(crate) fn free(&mut self) {
        while let Some(index) = self.core.gone.pop() {
            self.core.connections.0.remove(index as usize);
        }
    }
}
