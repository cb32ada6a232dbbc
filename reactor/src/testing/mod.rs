//! Running handlers without sockets, files, threads or time that passes by itself.
//!
//! A [`Harness`] is a reactor on a simulated kernel: the same loop, the same queues, the same
//! deadlines, with clients, a disk and a clock in the hands of the test. Nothing happens by itself,
//! so a test always does the same.
//!
//! ```
//! use sluicegate_reactor::testing::{Harness, State};
//! use sluicegate_reactor::{Context, Handler, Input};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = ();
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//!         cx.send(input.take());
//!     }
//! }
//!
//! let mut h = Harness::new(Echo);
//! let client = h.open();
//! h.feed(client, b"hello");
//! assert_eq!(h.sent(client), b"hello");
//! h.finish(client);
//! assert_eq!(h.state(client), State::Closed);
//! ```
//!
//! Every action of a client runs the reactor until it would sleep. After each turn the harness
//! checks what has to be true whatever a handler does: each byte queued was sent, was dropped or
//! waits; no closed descriptor is used; no readiness is forgotten. A test of a handler is so a test
//! of the reactor as well.
//!
//! What a peer does in one piece, the network may deliver in many: [`same_at_every_split`] shows
//! that a protocol does not mind.

mod checks;
mod connecting;
mod harness;
mod splits;

pub use crate::sys::sim::{Calls, Files, OpenDescriptors, Remote, State, Step};
pub use harness::{Client, Harness};
pub use splits::{Outcome, same_at_every_split};
