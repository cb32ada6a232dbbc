//! Protocols for [`sluicegate_reactor`]: what can be said without touching the kernel.
//!
//! A protocol takes the bytes of a connection apart, gives an application whole requests or
//! messages, and puts its answers together again. Each is a
//! [`Handler`](sluicegate_reactor::Handler) of the reactor.
//!
//! | to find | look at |
//! |---|---|
//! | files and directories over HTTP | [`files`] |
//! | HTTP/1.1: a service that answers requests | [`http`] |
//! | lines, and blocks of known size between them | [`mod@line`] |
//! | frames of a fixed size, or with their length in front | [`raw::frames`] |
//! | bytes as they come | [`raw`] |
//! | passing bytes on: proxies | [`raw::relay`] |

#![forbid(unsafe_code)]

pub mod files;
pub mod http;
pub mod line;
pub mod raw;

/// Most messages of one connection that a protocol delivers in one callback unless told otherwise:
/// a receive can bring half a million.
const PER_TURN: u32 = 1024;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
