//! Protocols on top of [`sluicegate_reactor`]. None of them makes system calls.
//!
//! The [guide](https://github.com/sluicegate/sluicegate/blob/main/docs/guide.md) leads from an empty
//! folder to a protocol of your own.
//!
//! A protocol splits the bytes of a connection into requests or messages, calls the application for
//! each of them, and encodes its responses. Each protocol is a
//! [`Handler`](sluicegate_reactor::Handler) of the reactor.
//!
//! | module | for |
//! |---|---|
//! | [`access_log`] | writing a line for each HTTP response, off the reactor |
//! | `auth` | HTTP Basic authentication (feature `auth`) |
//! | [`files`] | serving a directory over HTTP |
//! | [`forward`] | a reverse proxy for HTTP |
//! | [`http`] | HTTP/1.1: a service that answers requests, and a client |
//! | [`mod@line`] | lines, with optional blocks of known size between them |
//! | [`ops`] | a status listener: health checks, metrics, and the state of a server |
//! | [`proxy_protocol`] | the address of a client behind a proxy |
//! | [`raw::frames`] | messages of a fixed size, or with a length prefix |
//! | [`raw::relay`] | proxies |
//! | [`raw`] | bytes as they arrive |
//! | [`resp`] | the protocol of Redis |
//! | [`upstreams`] | proxies for several servers, and which of them serves a client |
//! | [`websocket`] | WebSocket: messages for pages and other programs, as server and client |
//! | `tls` | TLS beneath any of these (feature `tls`) |
//! | `testing` | tests of a handler that also run over TLS (feature `testing`) |
//!
//! `files`, `forward`, `access_log`, `auth`, `ops` and `websocket` are built on `http`, `forward` uses
//! `raw::relay`, as `upstreams` does, and that uses `proxy_protocol` and `tls`; `resp` uses `line`.
//! The others do not use each other.

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
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
pub mod upstreams;
mod warnings;
pub mod websocket;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
