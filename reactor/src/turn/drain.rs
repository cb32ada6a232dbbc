//! The end of a reactor: in order while there is time for it, then at once.
//!
//! Once asked to stop, by a handler, a [`Stopper`] or a signal, a reactor
//!
//! 1. accepts what its listeners' queues hold, within their limits, and closes them: a connection
//!    that was accepted is served, one that is still in the queue would be reset;
//! 2. receives once more on every connection, so that a request which has arrived before is not
//!    taken for one that came too late;
//! 3. calls [`Handler::on_stop`](crate::Handler::on_stop) for every session that there is, once;
//!    one that is being [connected](crate::Turn::connect) hears of it when it is ready;
//! 4. goes on turning until no connection is left. All callbacks come as before, deadlines and
//!    lingering closes included, and messages are delivered. Connections that begin meanwhile get
//!    no `on_stop`: whoever made them can ask [`Turn::is_stopping`](crate::Turn::is_stopping);
//! 5. when the [time for it](crate::Reactor::set_drain) is over, closes what is left with
//!    [`Reason::Stopped`] and logs how many sessions that cut.

use std::io;
use std::time::Duration;

use super::end::close_socket;
use super::reactor::Reactor;
use crate::core::{Flags, Phase, Reason};
use crate::sys::Ready;
use crate::threads::stopper::Stopper;

/// How long connections may take to end if nobody says otherwise: long enough for the answers that
/// are on their way, and shorter than what service managers wait before they kill (systemd: 90 s).
const DRAIN: Duration = Duration::from_secs(30);

/// How far the end of a reactor has come.
pub(crate) struct Drain {
    time: Duration,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Until this time at most (nanoseconds).
    Draining {
        until: u64,
    },
    Over,
}

impl Drain {
    pub(crate) fn new() -> Drain {
        Drain { time: DRAIN, stage: Stage::Running }
    }
}

impl Reactor {
    /// How long connections may take to end once the reactor was asked to stop; 30 seconds if
    /// nothing else is said. With zero all of them are closed at once. A drain that has begun keeps
    /// its time.
    pub fn set_drain(&mut self, time: Duration) {
        self.drain.time = time;
    }

    /// Whether it has stopped: nothing is open, and another turn does nothing.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.drain.stage == Stage::Over
    }

    /// A handle with which any thread can end [`run`](crate::Reactor::run).
    ///
    /// # Panics
    /// In a test harness, whose reactor nobody else could stop.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone().expect("a reactor in a harness is stopped by its test")
    }

    /// Makes SIGINT and SIGTERM stop this reactor. One that comes while it is stopping, or has
    /// stopped, ends the process at once, whatever else runs in it. Asking again changes nothing.
    ///
    /// # Errors
    /// What installing the signal handlers says (`sigaction(2)`).
    ///
    /// # Panics
    /// In a test harness.
    pub fn stop_on_signals(&mut self) -> io::Result<()> {
        self.stopper().stop_on_signals()
    }

    /// How long the next wait may last as far as the end is concerned.
    pub(crate) fn until_drained(&self) -> Option<Duration> {
        match self.drain.stage {
            Stage::Running => self.turn.core.stopping.then_some(Duration::ZERO),
            Stage::Draining { until } => {
                Some(Duration::from_nanos(until.saturating_sub(self.turn.core.now)))
            }
            Stage::Over => None,
        }
    }

    /// Takes up what a [`Stopper`] has asked.
    pub(crate) fn note_stop(&mut self) {
        self.turn.core.stopping |= self.stopper.as_ref().is_some_and(Stopper::is_asked);
    }

    /// Begins to drain, once, if it was asked to.
    pub(crate) fn begin_drain(&mut self) {
        if !self.turn.core.stopping || self.drain.stage != Stage::Running {
            return;
        }
        let time = u64::try_from(self.drain.time.as_nanos()).unwrap_or(u64::MAX);
        self.drain.stage = Stage::Draining { until: self.turn.core.now.saturating_add(time) };
        if let Some(stopper) = &self.stopper {
            // A handler may have asked; then signals and the other threads do not know yet. Nobody
            // hears that a thread cannot be woken; there is no reason known why it could not.
            let _ = stopper.stop();
        }
        self.accept_rest();
        self.close_listeners();
        self.turn.core.draining = true;
        let mut sessions = std::mem::take(&mut self.work);
        for (index, c) in &mut self.turn.core.connections.0 {
            if c.phase <= Phase::Open {
                c.flags.set(Flags::OWES_STOP);
            }
            if c.is_open() {
                // What has arrived shall be seen before, though its event may not be here yet.
                c.ready = c.ready.and(Ready::READ);
                sessions.push(index as u32);
            }
        }
        for index in sessions.drain(..) {
            self.turn.core.schedule(index);
        }
        self.work = sessions;
    }

    /// Ends the drain when nothing is left, or its time is over.
    pub(crate) fn end_drain(&mut self) {
        let Stage::Draining { until } = self.drain.stage else { return };
        if self.turn.connections() == 0 || self.turn.core.now >= until {
            self.close_all();
        }
    }

    /// Ends everything at once: mailboxes, listeners, connections, sessions, timers.
    pub(crate) fn close_all(&mut self) {
        self.turn.core.stopping = true;
        self.drain.stage = Stage::Over;
        self.turn.core.ended = true;
        self.inboxes.close();
        self.close_listeners();
        let open: Vec<u32> =
            self.turn.core.connections.0.iter().map(|(index, _)| index as u32).collect();
        let mut cut = 0;
        // All of them before the first callback: what one sends to another now would only be cut.
        for &index in &open {
            let alive = |phase| phase < Phase::Ended;
            cut += u32::from(self.turn.core.get(index).is_some_and(|c| alive(c.phase)));
            self.turn.core.fail(index, Reason::Stopped);
        }
        for index in open {
            self.drive(index);
            close_socket(&mut self.turn.core, index);
        }
        self.free();
        self.turn.core.owed.clear();
        self.turn.core.later.clear();
        self.turn.timers.clear();
        self.turn.core.jobs.clear();
        self.leave_last_snapshot();
        if cut > 0 {
            log::warn!("stopped; {cut} connections were cut off");
        }
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.close_all();
    }
}
