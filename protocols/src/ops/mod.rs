//! A status listener for operators: health checks, metrics and a live page; and, with the feature
//! `tracing`, spans of connections (`ConnectionSpans`).
//!
//! | path | response |
//! |---|---|
//! | `/` | a live page with charts |
//! | `/livez` | 200 while the server accepts connections; while it drains, this listener is closed too |
//! | `/readyz` | 200 or 503 according to [`Readiness`], and 503 once the server [will stop](sluicegate_reactor::Turn::will_stop); `?verbose` adds the result of each check |
//! | `/metrics` | metrics in the Prometheus text format 0.0.4, or as OpenMetrics if `Accept` requests it |
//! | `/status.json` | the same figures as JSON |
//! | `/events` | the same JSON as server-sent events, once per second; a client that reads slowly misses some |
//!
//! Every thread of the server serves the listener, on the same reactor as all other connections. A
//! thread that gets a request for metrics collects those of the other threads with messages, and
//! waits for at most two seconds. Without requests, the status listener does almost no work,
//! because the reactors count in any case, without locks and on each thread separately. Only the
//! memory in use and the slow readers are added up for each sample, over all connections of a
//! thread: for 10,000 of them, this takes well under a millisecond if they are idle, and a few
//! milliseconds if each has a long queue. Memory cannot be a running sum, because bytes that
//! several queues share count once. Two things are measured only if there is a status listener: how
//! long turns take, and HTTP responses and their times, if
//! [`Http`](crate::http::Http::with_metrics) gets the [`StatusThread::http`] of its thread. Each
//! measurement costs one clock read.
//!
//! The listener has neither authentication nor encryption, and it exposes addresses and warnings.
//! Bind it to the loopback interface or to a management network. A page in a browser there could
//! have the name of its own host resolve to the listener (DNS rebinding). Therefore all paths but
//! `/livez` and `/readyz` answer with 421 if `Host` is neither an IP address, `localhost` nor one
//! of [`StatusOptions::hosts`].
//!
//! ```no_run
//! use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
//! use sluicegate_protocols::ops::{self, Phase, Readiness, StatusOptions, StatusPart};
//! use sluicegate_reactor::{Listen, Server, ServerOptions};
//!
//! # struct Hello;
//! # impl Service for Hello {
//! #     type State = ();
//! #     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered { reply.send("") }
//! # }
//! # fn main() -> std::io::Result<()> {
//! let threads = 2;
//! let mut server = Server::new(&ServerOptions { threads, ..ServerOptions::default() });
//! let listener = server.listen("0.0.0.0:8080", &Listen::default())?;
//! let status_listener = server.listen(ops::address("9100")?, &ops::listen_options())?;
//! let readiness = Readiness::default();
//! let options = StatusOptions {
//!     name: "hello".into(),
//!     version: "1.0".into(),
//!     readiness: readiness.clone(),
//!     ..StatusOptions::default()
//! };
//! server.run_with(StatusPart::for_threads(options, threads), |shard, part| {
//!     let status = part.register(shard);
//!     shard.serve(&status_listener, status.handler)?;
//!     let http = shard.register(Http::new(Hello).with_metrics(status.http));
//!     shard.serve(&listener, http)?;
//!     readiness.set_phase(Phase::Ready);
//!     Ok(())
//! })
//! # }
//! ```

mod exposition;
mod gather;
mod json;
mod listener;
mod metrics;
mod page;
mod readiness;
mod sample;
mod service;
#[cfg(feature = "tracing")]
mod spans;
mod status;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod warnings;

pub use listener::{address, listen_options};
pub use readiness::{Phase, Readiness, ReadinessCheck};
pub use sample::StatusOptions;
pub use service::StatusService;
#[cfg(feature = "tracing")]
pub use spans::ConnectionSpans;
pub use status::{StatusPart, StatusThread};
pub use warnings::{RecentWarnings, Warning};
