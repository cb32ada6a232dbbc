//! Protocols on top of [`sluicegate_reactor`], without `unsafe`. They reach sockets and files
//! through the reactor. In addition, `access_log` has a thread of its own, `tls` may read the
//! certificates of the system, and `sandbox` confines the process.
//!
//! The [guide](https://github.com/sluicegate/sluicegate/blob/main/docs/guide.md) takes you from an
//! empty folder to your own protocol.
//!
//! A protocol splits the bytes of a connection into requests or messages, calls the application for
//! each of them, and encodes its responses. Each protocol is a
//! [`Handler`](sluicegate_reactor::Handler) of the reactor.
//!
//! | module | for |
//! |---|---|
//! | [`access_log`] | access logs: one line per HTTP response, written on a separate thread |
//! | `auth` | HTTP Basic authentication (feature `auth`) |
//! | [`files`] | serving a directory over HTTP |
//! | [`forward`] | a reverse proxy for HTTP |
//! | [`http`] | HTTP/1.1: servers and clients |
//! | [`mod@line`] | lines, with optional blocks of known size between them |
//! | [`ops`] | a status listener: health checks, metrics and a live page; spans of connections (feature `tracing`) |
//! | [`proxy_protocol`] | the address of a client behind a proxy |
//! | [`raw::frames`] | messages of a fixed size, or with a length prefix |
//! | [`raw::relay`] | proxies |
//! | [`raw`] | bytes as they arrive |
//! | [`resp`] | the protocol of Redis |
//! | [`upstreams`] | load balancing: proxies that distribute connections across several servers |
//! | [`websocket`] | WebSocket, as server and client |
//! | `sandbox` | confining a server to what it needs, and running it as another user (feature `sandbox`, Linux) |
//! | `tls` | TLS beneath any of these (feature `tls`) |
//! | `testing` | running the tests of a handler over TLS as well (feature `testing`) |
//!
//! `files`, `forward`, `access_log`, `auth`, `ops` and `websocket` are built on `http`. `forward`
//! and `upstreams` use `raw::relay`, which uses `proxy_protocol` and `tls`. `resp` uses `line`.
//! The other modules are independent of each other.

#![forbid(unsafe_code)]

pub mod access_log;
#[cfg(feature = "auth")]
pub mod auth;
pub mod files;
pub mod forward;
pub mod http;
pub mod line;
pub mod ops;
pub mod proxy_protocol;
// Clippy 1.96 reports the initializer, which is const, on systems without `#[thread_local]`.
#[cfg(all(test, feature = "testing"))]
#[allow(clippy::missing_const_for_thread_local)]
#[path = "../../tests/reactor/logged.rs"]
mod logged;
mod quantum;
pub mod raw;
pub mod resp;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
mod unconnected;
pub mod upstreams;
mod warnings;
pub mod websocket;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
