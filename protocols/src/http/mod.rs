//! HTTP/1.1 for servers.
//!
//! A [`Service`] gets a [`Request`] that has been checked and that borrows from the bytes received,
//! and a [`Reply`] to answer it with. [`Http`] is the handler around it: it finds requests in what
//! arrives, enforces the rules and the [limits](HttpLimits), and sends the answers in order.
//!
//! ```
//! use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
//!         reply.header("Content-Type", "text/plain").send("Hello, World!")
//!     }
//! }
//!
//! let handler = Http::new(Hello);
//! ```
//!
//! # What a service need not think about
//!
//! - Whatever breaks a rule of RFC 9112 is answered here with 400, 413, 414, 417, 431, 501 or 505
//!   and the connection is closed; so is a head that does not arrive in time (408).
//! - Lines end with CRLF. A bare LF or CR is answered with 400, wherever it stands.
//! - `Date`, `Content-Length` and `Connection` are written here; an answer to HEAD loses its body
//!   here.
//! - CONNECT and TRACE are answered with 501: no resource of this server can support them.
//! - The body of a request goes into a file if the service [says so](Reply::save), and is never in
//!   memory as a whole. Of the others a short one is skipped, a long or chunked one closes the
//!   connection after the answer; none is ever taken for the next request.
//! - `Expect: 100-continue` is answered with 100 if the body is wanted. Otherwise it gets the final
//!   answer at once, and the connection closes if a body was announced.
//! - `Upgrade` is ignored unless the service [takes it up](Reply::upgrade).
//! - When the reactor stops, idle connections close at once and answers on their way leave whole.
//!   What has arrived by then is answered, up to the quantum of a turn. Of a request that is not
//!   all there, the rest is waited for, and its answer says `Connection: close`; so does the next
//!   answer to a client that had not taken those before it, and what it has sent beyond that is not
//!   answered. A connection that was [handed over](Reply::upgrade) is its new handler's to end.

use std::io;

use sluicegate_reactor::fs::Committed;

mod adapter;
mod body;
mod chunks;
mod date;
mod deferred;
mod exchange;
mod fields;
mod head;
mod limits;
mod log;
mod reply;
mod request;
mod session;
mod status;
mod target;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod upgrade;

pub use adapter::Http;
pub use deferred::Deferred;
pub use limits::HttpLimits;
pub use log::Record;
pub use reply::{Answered, Reply};
pub use request::{Method, Request, Version};
pub use session::Session;
pub use status::Status;
pub use upgrade::Upgrade;

/// What answers requests. One value serves all connections of a reactor.
pub trait Service: Sized + 'static {
    /// Answers one request. Only finishing `reply` makes an [`Answered`].
    ///
    /// Called for one request at a time, in order; it must not block. An answer that has to wait
    /// for another thread, a timer or another connection is [put off](Reply::defer).
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered;

    /// Answers a request whose body was to be [saved](Reply::save): it was, and has made a file or
    /// replaced one, or this is why not. By default [`Reply::saved`] does that.
    fn on_saved(
        &mut self,
        request: &Request<'_>,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let _ = request;
        reply.saved(saved)
    }

    /// Whether [`on_sent`](Service::on_sent) is to be called. Asked once for each connection.
    /// Keeping the records costs a few allocations for each request.
    fn wants_log(&self) -> bool {
        false
    }

    /// The kernel has taken the last byte of an answer, or the connection ended before. For access
    /// logs; see [`wants_log`](Service::wants_log).
    fn on_sent(&mut self, record: &Record<'_>) {
        let _ = record;
    }
}
