//! Stopping a reactor: gracefully within a grace period, then immediately.
//!
//! When a handler, a [`Stopper`] or a signal asks a reactor to stop, the reactor
//!
//! 0. after a signal, continues to serve for the [shutdown
//!    delay](crate::ServerOptions::shutdown_delay), which is zero by default;
//! 1. accepts the connections in the backlogs of its listeners, within their limits, and closes the
//!    listeners: the kernel would reset the connections left in a backlog;
//! 2. receives once more on every connection, so that requests that have already arrived are still
//!    delivered;
//! 3. calls [`Handler::on_stop`](crate::Handler::on_stop) once for every session; a connection that
//!    is still [being established](crate::Turn::connect) gets it once it is ready;
//! 4. keeps turning until no connection is left. In a [`Server`](crate::Server), it waits until no
//!    thread has one or is still starting: a handler may need an answer from a thread without
//!    connections. All callbacks continue, including those for deadlines, timers, lingering closes
//!    and messages. New connections get no `on_stop`, and delay the end of all threads: a handler
//!    that opens connections should check [`Turn::is_stopping`](crate::Turn::is_stopping);
//! 5. when the [grace period](crate::Reactor::set_drain) ends, closes the remaining connections
//!    with [`Reason::Stopped`] and logs how many it cut off.

use std::io;
use std::time::Duration;

use super::end::close_socket;
use super::reactor::Reactor;
use crate::core::{Flags, Lifecycle, Phase, Reason, nanos};
use crate::listen::listener::Listener;
use crate::sys::Ready;
use crate::threads::stopper::Stopper;

impl Reactor {
    /// Sets the grace period: how long connections may take to finish once the reactor is asked to
    /// stop. The default is 30 seconds. With zero all connections close immediately. A change
    /// during a drain does not affect that drain.
    pub fn set_drain(&mut self, time: Duration) {
        self.grace = time;
    }

    /// Whether the reactor has stopped. If so, nothing is open, and another turn does nothing.
    pub fn has_stopped(&self) -> bool {
        self.turn.core.has_stopped()
    }

    /// Returns a handle that any thread can use to end [`run`](crate::Reactor::run).
    ///
    /// # Panics
    /// In a test harness, where the test stops the reactor.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone().expect("in a harness, the test stops the reactor")
    }

    /// Makes SIGINT and SIGTERM stop this reactor. A second signal, while the reactor is stopping
    /// or after it has stopped, ends the process immediately, whatever else it is doing. Calling
    /// this again has no effect.
    ///
    /// # Errors
    /// The error of installing the signal handlers (`sigaction(2)`).
    ///
    /// # Panics
    /// In a test harness.
    pub fn stop_on_signals(&mut self) -> io::Result<()> {
        self.stopper().stop_on_signals()
    }

    /// How long the next wait may last before the drain begins or ends.
    pub(crate) fn until_drained(&self) -> Option<Duration> {
        match self.turn.core.lifecycle {
            Lifecycle::Asked => Some(Duration::ZERO),
            Lifecycle::Announced { until } | Lifecycle::Draining { until } => {
                Some(Duration::from_nanos(until.saturating_sub(self.turn.core.now)))
            }
            Lifecycle::Running | Lifecycle::Stopped => None,
        }
    }

    /// Notes the request of a [`Stopper`], or a signal that announces one.
    pub(crate) fn note_stop(&mut self) {
        let Some(stopper) = &self.stopper else { return };
        let core = &mut self.turn.core;
        if let Some(delay) = stopper.delay() {
            let until = core.now.saturating_add(nanos(delay));
            if core.lifecycle == Lifecycle::Running {
                core.lifecycle = Lifecycle::Announced { until };
            }
        } else if stopper.is_asked() {
            self.turn.stop();
        }
    }

    /// Begins to drain, once, if the reactor was asked to stop.
    pub(crate) fn begin_drain(&mut self) {
        if let Lifecycle::Announced { until } = self.turn.core.lifecycle
            && self.turn.core.now >= until
        {
            self.turn.stop();
        }
        if self.turn.core.lifecycle != Lifecycle::Asked {
            return;
        }
        if let Some(stopper) = self.stopper.as_ref().filter(|stopper| !stopper.is_asked()) {
            // If a handler asked, the signals and the other threads do not know yet. If another
            // process has taken over, they do, and the next signal must not end this one. An error
            // to wake a thread has no one to go to, and no known cause.
            let _ = stopper.stop();
        }
        self.on_drain.take().into_iter().for_each(|call| call());
        self.accept(Listener::accept_rest);
        self.close_listeners();
        let until = self.turn.core.now.saturating_add(nanos(self.grace));
        self.turn.core.lifecycle = Lifecycle::Draining { until };
        for index in self.turn.core.indexes() {
            let Some(c) = self.turn.core.get_mut(index).filter(|c| c.phase <= Phase::Open) else {
                continue;
            };
            c.flags.set(Flags::OWES_STOP);
            if c.is_open() {
                // Receives first what has already arrived, even if its event is not here yet.
                c.ready = c.ready.union(Ready::READ);
                self.turn.core.schedule(index);
            }
        }
    }

    /// Ends the drain when no connection is left or the grace period is over.
    pub(crate) fn end_drain(&mut self) {
        let Lifecycle::Draining { until } = self.turn.core.lifecycle else { return };
        self.note_drained(self.turn.connections() == 0);
        let others_are_drained = self.stopper.as_ref().is_none_or(Stopper::are_drained);
        // A message that was posted before the others had drained is handled first.
        let is_over = self.is_drained && others_are_drained && !self.inboxes.is_owed();
        if is_over || self.turn.core.now >= until {
            self.close_all();
        }
    }

    /// Tells the other threads of a server when this one has no connections any more.
    fn note_drained(&mut self, is_drained: bool) {
        if self.is_drained != is_drained {
            self.is_drained = is_drained;
            self.stopper.iter().for_each(|stopper| stopper.note_drained(is_drained));
        }
    }

    /// Ends everything immediately: mailboxes, listeners, connections, sessions, timers.
    pub(crate) fn close_all(&mut self) {
        self.turn.core.lifecycle = Lifecycle::Stopped;
        self.inboxes.close();
        self.close_listeners();
        let open = self.turn.core.indexes();
        let cut = self.turn.core.connections.iter().filter(|(_, c)| c.phase < Phase::Ended).count();
        // Fails all connections before the first callback: output that a callback sends to another
        // connection now would be cut off.
        open.iter().for_each(|index| self.turn.core.fail(*index, Reason::Stopped));
        for index in open {
            self.run_connection(index);
            close_socket(&mut self.turn.core, index);
        }
        self.free();
        self.note_drained(true);
        self.turn.core.owed.clear();
        self.turn.core.later.clear();
        self.turn.timers.clear();
        self.turn.core.jobs.clear();
        self.shared_ledger.iter_mut().for_each(|shared| shared.end(|| self.turn.snapshot()));
        if cut > 0 {
            log::warn!("stopped; cut off {cut} connections that were still open");
        }
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.close_all();
    }
}
