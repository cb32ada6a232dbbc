//! What operators need of a running server: a status listener with health checks, metrics and a
//! live page, and the state that it shows.
//!
//! | path | response |
//! |---|---|
//! | `/` | a page that draws the figures as they change |
//! | `/livez` | 200 while the server accepts; while it drains, this listener is closed too |
//! | `/readyz` | 200 or 503, as [`Readiness`] says, and 503 once the server [will stop](sluicegate_reactor::Turn::will_stop); with `?verbose`, the result of each check |
//! | `/metrics` | the metrics for Prometheus: its text format 0.0.4, or OpenMetrics if `Accept` names that |
//! | `/status.json` | the same figures as JSON |
//! | `/events` | the JSON as server-sent events, once a second |
//!
//! Every thread of the server serves the listener, on the same reactor as everything else. A thread
//! that is asked for figures asks the others by message, and waits for at most two seconds. So a
//! server that nobody asks does no work for its status: it counts anyway, without locks, and every
//! thread on its own. Two things are counted only if there is a status listener: how long turns
//! take, and, if [`Http`](crate::http::Http::with_metrics) gets the [`StatusThread::http`] of its
//! thread, HTTP responses and their times. Each costs a look at the clock.
//!
//! The listener has no password and no encryption, and tells addresses and warnings. Listen on the
//! loopback address, or on a network of the operators.
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
mod metrics;
mod page;
mod readiness;
mod sample;
mod service;
mod status;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod warnings;

pub use readiness::{Phase, Readiness, ReadinessCheck};
pub use sample::StatusOptions;
pub use service::StatusService;
pub use status::{StatusPart, StatusThread, address, listen_options};
pub use warnings::{RecentWarnings, Warning};
