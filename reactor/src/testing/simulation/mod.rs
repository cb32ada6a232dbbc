//! Running scenarios of reactors and clients while everything goes wrong that can.
//!
//! A [`Simulation`] runs a scenario once for each of many seeds. A scenario is a function that puts
//! files, reactors and clients into a [`Sim`] and says what has to come of it; the seed decides in
//! which order they act, how the network cuts and delays what they send, and which calls of the
//! kernel fail ([`Faults`](super::Faults)). The handlers are the ones that run on a real kernel,
//! unmodified.
//!
//! After each turn of each reactor the simulation checks what has to be true whatever a handler
//! does:
//!
//! - each byte queued was sent, was dropped or waits; each connection begun is open or was closed;
//! - each session belongs to one connection, and each connection that has one is called about it
//!   until `on_close` takes it away; none is left at the end;
//! - no descriptor is used after it was closed, and none is left at the end;
//! - what a client has received is the beginning of what it [expects](Client::expects), and in the
//!   end all of it, unless a fault has ended the connection that none survives, which then looks
//!   cut to its client;
//! - a connection with something to receive or to send gets on with it within some turns, and when
//!   all sleep nothing is left that could be done;
//! - no handler has panicked.

mod client;
mod runner;
mod steps;
mod world;

pub use client::{Client, End};
pub use runner::Simulation;
pub use world::Sim;
