//! Protocols on top of [`sluicegate_reactor`]: none of them makes a system call.
//!
//! A protocol splits the bytes of a connection into requests or messages, calls the application
//! with each of them, and encodes its responses. Each is a
//! [`Handler`](sluicegate_reactor::Handler) of the reactor.
//!
//! | module | for |
//! |---|---|
//! | [`files`] | serving a directory over HTTP |
//! | [`http`] | HTTP/1.1: a service that answers requests |
//! | [`mod@line`] | lines, and blocks of known size between them |
//! | [`raw::frames`] | messages of a fixed size, or with a length prefix |
//! | [`raw::relay`] | proxies |
//! | [`raw`] | bytes as they come |
//!
//! `files` is built on `http`; the others do not use each other.

#![forbid(unsafe_code)]

pub mod files;
pub mod http;
pub mod line;
mod quantum;
pub mod raw;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
