//! Counting responses, and how long requests take.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::Histogram;

use super::status::Status;

/// The counters of the HTTP servers of a thread: see [`Http::with_metrics`](super::Http).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpCounters {
    /// The number of final responses by the class of their status, from 1xx to 5xx. The first entry
    /// counts 101, the response to an upgrade. A [streamed](super::Reply::stream) response is
    /// counted when it ends, also if it was cut off, and an upgrade that
    /// [`Forward`](crate::forward::Forward) forwards when its connection ends.
    pub responses: [u64; 5],
    /// How long requests took. The time starts in the turn in which the head, and the body if the
    /// service has requested it, was complete. It ends when the response is passed to the kernel
    /// or, for a [deferred](super::Reply::defer) or [streamed](super::Reply::stream) response, when
    /// the kernel has accepted its last byte. Streams that were cut off and forwarded upgrades are
    /// left out: they end when somebody leaves.
    pub times: Histogram,
}

/// Counts the responses of the HTTP servers of a thread. Clones share the counters.
///
/// The counters belong to the thread: counting takes no lock and touches no memory that another
/// thread uses. The [status listener](crate::ops) copies them on request.
///
/// ```
/// use sluicegate_protocols::http::{Answered, Http, HttpMetrics, Reply, Request, Service};
///
/// # struct Hello;
/// # impl Service for Hello {
/// #     type State = ();
/// #     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered { reply.send("") }
/// # }
/// let metrics = HttpMetrics::default();
/// let handler = Http::new(Hello).with_metrics(metrics.clone());
/// assert_eq!(metrics.counters().responses, [0; 5]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct HttpMetrics(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    counters: HttpCounters,
    /// Responses of the current callback whose time has not been counted yet.
    untimed: u64,
}

impl HttpMetrics {
    /// A copy of the counters.
    #[must_use]
    pub fn counters(&self) -> HttpCounters {
        self.0.borrow().counters.clone()
    }

    /// Counts a response that leaves at the end of the current callback.
    #[inline]
    pub(super) fn note(&self, status: Status) {
        let mut state = self.0.borrow_mut();
        state.counters.note(status);
        state.untimed += 1;
    }

    /// Counts the times of those responses, if there are any.
    #[inline]
    pub(super) fn finish_callback(&self, time: impl FnOnce() -> Duration) {
        let mut state = self.0.borrow_mut();
        if state.untimed > 0 {
            let count = std::mem::take(&mut state.untimed);
            state.counters.times.record_many(time(), count);
        }
    }

    /// Counts a streamed response whose connection has ended before it was finished.
    pub(super) fn note_cut(&self, status: Status) {
        self.0.borrow_mut().counters.note(status);
    }

    /// Counts a response that was finished after the callback of its request.
    pub(super) fn note_later(&self, status: Status, time: Duration) {
        let mut state = self.0.borrow_mut();
        state.counters.note(status);
        state.counters.times.record(time);
    }
}

impl HttpCounters {
    fn note(&mut self, status: Status) {
        // A status from 600 to 999 counts as 5xx, as clients treat it (RFC 9110, section 15).
        let class = usize::from(status.code() / 100).clamp(1, 5);
        self.responses[class - 1] += 1;
    }
}
