//! Running scenarios of reactors and clients while system calls fail and data arrives late.
//!
//! A [`Simulation`] runs a scenario once for each of many seeds. A scenario is a function that puts
//! files, reactors and clients into a [`Sim`] and says what the result must be. The seed decides in
//! which order they act, how the network splits and delays their data, and which system calls fail
//! ([`Faults`](super::Faults)). The handlers run unmodified.
//!
//! After each turn of each reactor, the simulation checks these invariants:
//!
//! - each queued byte was sent, was dropped or is still queued; each connection that was opened is
//!   open or was closed;
//! - each session belongs to one connection, and each connection with a session gets callbacks
//!   until `on_close` takes the session; none is left at the end;
//! - no descriptor is used after it was closed, and none is left at the end;
//! - the bytes that a client has received are a prefix of what it [expects](Client::expects), and
//!   at the end all of it. The only exception is a connection ended by a fault that no connection
//!   can survive; its client sees a truncated stream;
//! - a connection with something to receive or to send makes progress within a few turns, and when
//!   all reactors sleep, no work is left;
//! - no handler has panicked.

mod actor;
mod client;
mod progress;
mod runner;
mod steps;
mod world;

pub use actor::End;
pub use client::Client;
pub use runner::Simulation;
pub use world::Sim;
