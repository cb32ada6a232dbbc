//! Connections as spans of the crate `tracing`.

use std::time::Duration;

use sluicegate_reactor::{Observed, Observer, Reason};
use tracing::field;
use tracing::span::Id;
use tracing::{Span, debug, debug_span, trace};

/// Passes on what a reactor does to the subscriber of the crate
/// [`tracing`](https://docs.rs/tracing), with a span for each connection (feature `tracing`).
///
/// | what | level | fields |
/// |---|---|---|
/// | the span `connection`, from open to close | debug | `id`, `peer`, `listener`; at its end `received` and `sent` (bytes) and `reason` |
/// | the events `opened` and `closed`, in the span | debug | |
/// | the events `received` and `sent`, in the span | trace | `bytes` |
/// | the event `failed`, for a connection that was not opened | debug | `id`, `peer`, `listener`, `reason` |
/// | the event `turn` | trace | `seconds`: how long the turn took |
///
/// What handlers trace themselves is not in the span of their connection. Levels that the
/// subscriber does not want cost a test for each event, and nothing looks up an address for them.
/// For what the reactor logs, use the crate `tracing-log`.
///
/// ```
/// use sluicegate_protocols::ops::ConnectionSpans;
/// use sluicegate_reactor::Reactor;
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// reactor.observe(ConnectionSpans::default());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct ConnectionSpans {
    /// By the slots of the connections; disabled where there is none.
    spans: Vec<Span>,
}

impl ConnectionSpans {
    /// The span of a connection. There is none if the connection was open before.
    fn of(&self, connection: &Observed<'_>) -> Option<Id> {
        self.spans.get(connection.id().slot())?.id()
    }
}

impl Observer for ConnectionSpans {
    fn opened(&mut self, connection: &Observed<'_>) {
        let span = debug_span!(
            "connection",
            id = ?connection.id(),
            peer = connection.peer().ok().map(field::display),
            listener = connection.listener().map(field::display),
            received = field::Empty,
            sent = field::Empty,
            reason = field::Empty,
        );
        debug!(parent: &span, "opened");
        let slot = connection.id().slot();
        if self.spans.len() <= slot {
            self.spans.resize_with(slot + 1, Span::none);
        }
        self.spans[slot] = span;
    }

    fn received(&mut self, connection: &Observed<'_>, bytes: u64) {
        trace!(parent: self.of(connection), bytes, "received");
    }

    fn sent(&mut self, connection: &Observed<'_>, bytes: u64) {
        trace!(parent: self.of(connection), bytes, "sent");
    }

    fn closed(&mut self, connection: &Observed<'_>, why: Reason) {
        let place = self.spans.get_mut(connection.id().slot());
        let span = place.map_or_else(Span::none, |span| std::mem::replace(span, Span::none()));
        span.record("received", connection.received());
        span.record("sent", connection.sent());
        span.record("reason", field::debug(why));
        debug!(parent: &span, "closed");
    }

    fn failed(&mut self, connection: &Observed<'_>, why: Reason) {
        debug!(
            id = ?connection.id(),
            peer = connection.peer().ok().map(field::display),
            listener = connection.listener().map(field::display),
            reason = ?why,
            "failed"
        );
    }

    fn turn(&mut self, time: Duration) {
        trace!(seconds = time.as_secs_f64(), "turn");
    }
}
