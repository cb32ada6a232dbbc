//! What is kept for a connection, and how far its present exchange has come.

use std::sync::Arc;

use sluicegate_reactor::Context;

use super::HttpLimits;
use super::body::Incoming;
use super::deferred::Pending;
use super::head::Scan;
use super::log::Journal;

/// What is kept for a connection.
pub struct Session {
    pub(super) stage: Stage,
    pub(super) requests: u32,
    /// Whether the deadline for the present stage is running.
    timed: bool,
    /// Whether the next answer is the last, because the reactor is stopping or the client has ended
    /// its direction.
    pub(super) last: bool,
    /// What is still to be logged, if that is wanted at all.
    pub(super) journal: Option<Box<Journal>>,
}

const _: () = assert!(size_of::<Session>() <= 32);

/// What comes next.
pub(super) enum Stage {
    /// A head, of which so much was looked at.
    Head { scan: Scan, blank_lines: u8 },
    /// The rest of a body that nobody reads.
    Body { left: u64 },
    /// An answer that was put off.
    Deferred(Box<PutOff>),
    /// A body that is received.
    Receiving(Box<Incoming>),
}

/// What few sessions are waiting for.
pub(super) struct PutOff {
    /// The rest of a body that nobody reads.
    left: u64,
    pub(super) pending: Arc<Pending>,
}

impl Stage {
    pub(super) fn start() -> Stage {
        Stage::Head { scan: Scan::default(), blank_lines: 0 }
    }

    /// Behind a request of whose body so much is to be skipped.
    #[inline]
    pub(super) fn after(left: u64) -> Stage {
        if left == 0 { Stage::start() } else { Stage::Body { left } }
    }

    /// How much is left of a body that nobody reads, while one may be.
    pub(super) fn body_left(&mut self) -> Option<&mut u64> {
        match self {
            Stage::Body { left } => Some(left),
            Stage::Deferred(put_off) => Some(&mut put_off.left),
            Stage::Head { .. } | Stage::Receiving(_) => None,
        }
    }
}

impl Default for Session {
    fn default() -> Session {
        Session::new()
    }
}

impl Session {
    /// For a connection that another handler [hands over](Context::hand_over): after a preface, or
    /// when its first bytes have shown that it speaks HTTP.
    #[must_use]
    pub fn new() -> Session {
        Session { stage: Stage::start(), requests: 0, timed: false, last: false, journal: None }
    }

    /// Goes on behind a request of whose body so much is to be skipped.
    #[inline]
    pub(super) fn go_on(&mut self, left: u64) {
        match &mut self.stage {
            // In place, as there is nothing to be dropped.
            Stage::Head { scan, blank_lines } if left == 0 => {
                (*scan, *blank_lines) = (Scan::default(), 0);
            }
            stage => *stage = Stage::after(left),
        }
    }

    /// Whether a request was taken up and is not answered yet: there is a deadline for that.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Deferred(_) | Stage::Receiving(_))
    }

    /// Receives a body, whose rate is looked at from time to time.
    #[cold]
    pub(super) fn receive(
        &mut self,
        cx: &mut Context<'_>,
        incoming: Box<Incoming>,
        limits: &HttpLimits,
    ) {
        self.stage = Stage::Receiving(incoming);
        self.timed = true;
        cx.set_deadline(Some(limits.head_timeout));
    }

    /// A body is received, or will not be.
    pub(super) fn received(&mut self, cx: &mut Context<'_>) {
        self.stage = Stage::start();
        self.stop_clock(cx);
    }

    /// Waits for the answer, which has a deadline of its own from now on.
    #[cold]
    pub(super) fn defer(
        &mut self,
        cx: &mut Context<'_>,
        left: u64,
        pending: Arc<Pending>,
        limits: &HttpLimits,
    ) {
        self.timed = true;
        if pending.made().is_none() {
            cx.set_deadline(Some(limits.answer_timeout));
        }
        self.stage = Stage::Deferred(Box::new(PutOff { left, pending }));
    }

    /// Goes on behind an answer that was put off, if it was made meanwhile. Its deadline went with
    /// it.
    pub(super) fn take_answered(&mut self, cx: &mut Context<'_>) {
        let Stage::Deferred(put_off) = &self.stage else { return };
        let Some(made) = put_off.pending.made() else { return };
        if let Some(journal) = &mut self.journal {
            journal.complete(made.status, made.body, made.end);
        }
        self.timed = false;
        self.stage = Stage::after(put_off.left);
        if self.last && cx.unread() == 0 {
            cx.close();
        } else {
            cx.resume();
        }
    }

    /// Lets the deadline run, unless it does: what trickles in does not move it.
    #[inline]
    pub(super) fn start_clock(&mut self, cx: &mut Context<'_>, limits: &HttpLimits) {
        if !self.timed {
            self.timed = true;
            cx.set_deadline(Some(limits.head_timeout));
        }
    }

    /// Stops it, as a stage is over; the time for what a request waits for goes on.
    #[inline]
    pub(super) fn stop_clock(&mut self, cx: &mut Context<'_>) {
        if self.timed && !self.is_busy() {
            self.timed = false;
            cx.set_deadline(None);
        }
    }
}
