//! A reverse proxy for HTTP: forwards requests to an origin.
//!
//! [`Forward`] is a [`Service`] for [`Http`](crate::http::Http). It sends each request to the
//! origin through a [`Client`](crate::http::client::Client), and answers with the origin's
//! response.
//!
//! ```
//! use sluicegate_protocols::forward::{Forward, ForwardOptions};
//! use sluicegate_protocols::http::Http;
//! use sluicegate_reactor::{Listen, Reactor};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let forward = Forward::new(&mut reactor, "localhost:8080", &ForwardOptions::default())?;
//! let http = reactor.register(Http::new(forward));
//! reactor.listen("127.0.0.1:0", &Listen::default(), http)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is forwarded
//!
//! - The proxy parses messages strictly in both directions and writes new ones, so nothing reaches
//!   the origin that it has not understood. Framing is never copied.
//! - Hop-by-hop fields are removed in both directions: those of RFC 9110, section 7.6.1, those that
//!   `Connection` names, and `Expect`, which `Http` answers. `Via` is added. See [`ForwardOptions`]
//!   for `Host`, `X-Forwarded-For` and `Forwarded`.
//! - Bodies are streamed in both directions. A known length stays known, and a chunked body stays
//!   chunked, with its trailers if the head has announced them. Backpressure works in both
//!   directions: while one connection is full, the other is not read. Long bodies of known length
//!   are [relayed](sluicegate_reactor::Peer::relay_part) by the reactor. Those of requests get 413
//!   if they exceed [`HttpLimits::body`](crate::http::HttpLimits::body), 1 GiB by default.
//! - Interim responses such as 103 are forwarded.
//! - An accepted [upgrade](ForwardOptions::upgrades), such as that of a WebSocket, joins the two
//!   connections.
//! - The proxy itself answers an OPTIONS request with `Max-Forwards: 0`.
//! - All other fields are forwarded unchanged unless the [options](FieldChanges) remove, replace or
//!   add some. `Authorization` is forwarded too: remove it if the password is for this proxy. If
//!   the origin writes its own address in `Location` or `Set-Cookie`, configure it to use the
//!   address of the proxy.
//!
//! # Failures
//!
//! | status | cause |
//! |---|---|
//! | 500 | a callback of the proxy panicked |
//! | 502 | the origin cannot be reached, closes early, or breaks a rule of HTTP |
//! | 503 | too many requests wait for a connection to the origin, all origins have reached their limit, or the process has no room for a connection |
//! | 504 | a deadline of the [client](crate::http::client::ClientOptions), or [`response_timeout`](crate::http::HttpLimits::response_timeout), has passed |
//!
//! A client that had left before its request was read counts as 499, as in nginx.
//!
//! A warning names the origin and the cause, at most once per second. If the response has already
//! begun, the client's connection is reset instead, so that a truncated body never looks complete.
//! If the client disconnects, the connection to the origin is closed. If the client has pipelined
//! another request before, that is noticed only when the response is sent. A client that has only
//! shut down its sending side still gets its response.
//!
//! An origin may close an idle connection just as a request is sent on it. The client sends such a
//! request [again](crate::http::client::Client::send) on a new connection, unless its method is not
//! idempotent or its body is streamed: the proxy does not keep what it has passed on, so even a
//! long PUT gets 502 then. This is rare if the
//! [`idle_timeout`](crate::http::client::ClientOptions::idle_timeout) of the client is shorter than
//! that of the origin.
//!
//! # Several origins
//!
//! [`Forward::balanced`] balances requests across several origins, according to
//! [`ForwardOptions::upstreams`]:
//!
//! - If a request cannot be sent to the first origin, it is sent to the next one. This is the case
//!   if the connection is not established, also because the handshake of its transport takes too
//!   long or the origin ends it; and if one side refuses the other in the handshake and the method
//!   is idempotent. A request is not retried if its body is streamed, or if an origin may
//!   have received it, unless that has closed an idle connection and accepts no other: then an
//!   idempotent request is sent to the next one.
//! - An origin is ejected for a while after several consecutive failures before a response, unless
//!   all origins are. A response with any status counts as a success.
//! - An origin with [`max_connections`](crate::upstreams::UpstreamsOptions::max_connections)
//!   active requests gets no more. A tunnel counts as one until it ends. If all origins have
//!   reached this limit, the client gets 503. The
//!   [client](crate::http::client::ClientOptions::waiting) of each origin limits how many requests
//!   wait for a connection. Streams of events keep their connections: if there can be many, raise
//!   [`connections`](crate::http::client::ClientOptions::connections).
//! - With [`ForwardOptions::health_check`], the proxy sends a request to each origin at an
//!   interval. While the checks of an origin fail, it gets requests only if those of all others
//!   fail too.
//!
//! The list of origins is fixed. The message
//! [`Inspect`](crate::upstreams::Inspect) reads the state of the origins, and the status listener
//! shows it ([`StatusOptions::upstreams`](crate::ops::StatusOptions::upstreams)).
//!
//! # Answering some requests in the proxy
//!
//! A [`Middleware`](crate::http::Middleware) can answer some requests itself and forward the
//! others:
//!
//! ```
//! use sluicegate_protocols::forward::{Body, Forward};
//! use sluicegate_protocols::http::{Answered, Middleware, Reply, Request, Service};
//!
//! struct Gate {
//!     forward: Forward,
//! }
//!
//! impl Middleware for Gate {
//!     type Inner = Forward;
//!
//!     fn inner(&self) -> &Forward {
//!         &self.forward
//!     }
//!
//!     fn inner_mut(&mut self) -> &mut Forward {
//!         &mut self.forward
//!     }
//!
//!     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Body> {
//!         match request.path() {
//!             "/health" => reply.send("healthy\n"),
//!             _ => self.forward.call(request, reply),
//!         }
//!     }
//! }
//! ```
//!
//! A service that wraps [`Forward`] and also reads bodies itself must pass on these callbacks:
//! `on_body`, `on_piece`, `on_trailers`, `on_body_end`, `on_refused`, `on_room` and `on_gone`.
//! Without `on_room`, a long response stops; without `on_gone`, the origin sends a response that
//! nobody reads; without `on_refused`, the client of a late origin gets 503.
//!
//! [`Service`]: crate::http::Service
//!
//! # Inside
//!
//! Each line uses those below it:
//!
//! | | |
//! |---|---|
//! | `service` | requests on their way to the origin |
//! | `passage` | responses on their way back |
//! | `origins` | choosing the origin of a request |
//! | `checks` | health checks |
//! | `tunnel` | connections after an upgrade |
//! | `attempt`, `shared` | a request as its origin counts it, and what all exchanges share |
//! | `fields`, `rules`, `failure`, `options` | header fields, failures, options |

mod attempt;
mod checks;
mod failure;
mod fields;
mod options;
mod origins;
mod passage;
mod rules;
mod service;
mod shared;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod tunnel;

pub use options::{FieldChanges, ForwardOptions, HealthCheck, HostField, Provenance};
pub use service::{Body, Forward};
