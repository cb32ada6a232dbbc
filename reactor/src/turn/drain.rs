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
//! 5. when the [time for it](Reactor::set_drain) is over, closes what is left with
//!    [`Reason::Stopped`] and logs how many sessions that cut.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::core::connection::{Flags, Phase};
use crate::handler::Reason;
use crate::sys::{self, Ready, Waker};
use crate::turn::reactor::Reactor;

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

    /// Whether it was asked to stop, by a handler, a [`Stopper`] or a signal.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.core.stopping
    }

    /// Whether it has stopped: nothing is open, and another turn does nothing.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.drain.stage == Stage::Over
    }

    /// A handle with which any thread can end [`run`](Reactor::run).
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
            Stage::Running => self.core.stopping.then_some(Duration::ZERO),
            Stage::Draining { until } => {
                Some(Duration::from_nanos(until.saturating_sub(self.core.now)))
            }
            Stage::Over => None,
        }
    }

    /// Takes up what a [`Stopper`] has asked.
    pub(crate) fn note_stop(&mut self) {
        self.core.stopping |= self.stopper.as_ref().is_some_and(Stopper::is_asked);
    }

    /// Begins to drain, once, if it was asked to.
    pub(crate) fn begin_drain(&mut self) {
        if !self.core.stopping || self.drain.stage != Stage::Running {
            return;
        }
        let time = u64::try_from(self.drain.time.as_nanos()).unwrap_or(u64::MAX);
        self.drain.stage = Stage::Draining { until: self.core.now.saturating_add(time) };
        if let Some(stopper) = &self.stopper {
            // A handler may have asked; then signals and the other threads do not know yet. Nobody
            // hears that a thread cannot be woken; there is no reason known why it could not.
            let _ = stopper.stop();
        }
        self.accept_rest();
        self.close_listeners();
        self.core.draining = true;
        let mut sessions = std::mem::take(&mut self.work);
        for (index, c) in &mut self.core.connections.0 {
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
            self.core.list(index);
        }
        self.work = sessions;
    }

    /// Ends the drain when nothing is left, or its time is over.
    pub(crate) fn end_drain(&mut self) {
        let Stage::Draining { until } = self.drain.stage else { return };
        if self.connections() == 0 || self.core.now >= until {
            self.close_all();
        }
    }

    /// Ends everything at once: mailboxes, listeners, connections, sessions, timers.
    pub(crate) fn close_all(&mut self) {
        self.core.stopping = true;
        self.drain.stage = Stage::Over;
        self.core.connecting.ended = true;
        self.inboxes.close();
        self.close_listeners();
        let open: Vec<u32> =
            self.core.connections.0.iter().map(|(index, _)| index as u32).collect();
        let mut cut = 0;
        // All of them before the first callback: what one sends to another now would only be cut.
        for &index in &open {
            let alive = |phase| phase < Phase::Dead;
            cut += u32::from(self.core.get(index).is_some_and(|c| alive(c.phase)));
            self.core.fail(index, Reason::Stopped);
        }
        for index in open {
            self.drive(index);
            self.core.close_socket(index);
        }
        self.free();
        self.core.owed.clear();
        self.core.later.clear();
        self.core.timers.clear();
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

/// Asks a reactor to stop, or all reactors of a server: from any thread, and as often as one likes.
#[derive(Clone)]
pub struct Stopper(Arc<StopRequest>);

/// What threads share to stop together. Only stopping writes to it.
struct StopRequest {
    /// By itself, since the signal handlers keep it.
    asked: Arc<AtomicBool>,
    on_signals: AtomicBool,
    /// One for each reactor, there as soon as the reactor is.
    wakers: Box<[OnceLock<Waker>]>,
}

impl Stopper {
    /// For so many reactors, which are yet to be made.
    pub(crate) fn new(reactors: usize) -> Stopper {
        Stopper(Arc::new(StopRequest {
            asked: Arc::default(),
            on_signals: AtomicBool::new(false),
            wakers: (0..reactors).map(|_| OnceLock::new()).collect(),
        }))
    }

    /// Lets the `index`th reactor be woken. Afterwards it must ask [`is_asked`](Self::is_asked)
    /// before it waits.
    pub(crate) fn add(&self, index: usize, waker: Waker) {
        let new = self.0.wakers[index].set(waker).is_ok();
        debug_assert!(new, "a reactor is made once");
        // Either the reactor sees that it was asked, or whoever asks sees the waker.
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Asks to stop. The connections get time to end, see [`Reactor::set_drain`].
    ///
    /// # Errors
    /// What waking a thread says; the others are woken all the same.
    pub fn stop(&self) -> io::Result<()> {
        self.0.asked.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let wake = |waker: &OnceLock<Waker>| waker.get().map_or(Ok(()), Waker::wake);
        self.0.wakers.iter().map(wake).fold(Ok(()), io::Result::and)
    }

    pub(crate) fn stop_on_signals(&self) -> io::Result<()> {
        // Arranged twice, the first signal would be taken for the second.
        if self.0.on_signals.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let stopper = self.clone();
        let stop = move || {
            // Nothing can be reported from inside a signal handler; an eventfd or event filter that
            // exists does not refuse.
            let _ = stopper.stop();
        };
        sys::on_termination(self.0.asked.clone(), stop)
            .inspect_err(|_| self.0.on_signals.store(false, Ordering::Relaxed))
    }
}
