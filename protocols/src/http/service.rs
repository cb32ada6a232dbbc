//! What an application implements.

use std::io;

use sluicegate_reactor::fs::Committed;

use super::record::LogRecord;
use super::reply::{Answered, Reply};
use super::request::Request;

/// An application that answers requests. One value serves all connections of a reactor.
pub trait Service: Sized + 'static {
    /// Answers one request. Only finishing `reply` makes an [`Answered`].
    ///
    /// The requests of a connection come one at a time and in order. `call` must not block: a
    /// response that waits for another thread, a timer or another connection is
    /// [deferred](Reply::defer).
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered;

    /// Answers a request whose body was to be [saved](Reply::save). `saved` says whether a file was
    /// created or replaced, or why the body could not be saved. By default [`Reply::saved`]
    /// answers.
    fn on_saved(
        &mut self,
        request: &Request<'_>,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let _ = request;
        reply.saved(saved)
    }

    /// Whether [`on_sent`](Service::on_sent) is to be called. Asked once for each connection. The
    /// records cost a few allocations per request.
    fn wants_log(&self) -> bool {
        false
    }

    /// A response has left: the kernel has taken its last byte, or the connection has ended before
    /// that. Meant for access logs; see [`wants_log`](Service::wants_log).
    fn on_sent(&mut self, record: &LogRecord<'_>) {
        let _ = record;
    }
}
