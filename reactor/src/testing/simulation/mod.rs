//! Running scenarios of reactors and clients while calls fail and data is late.
//!
//! A [`Simulation`] runs a scenario once for each of many seeds. A scenario is a function that puts
//! files, reactors and clients into a [`Sim`] and says what the result must be. The seed decides in
//! which order they act, how the network cuts and delays what they send, and which system calls
//! fail ([`Faults`](super::Faults)). The handlers run unmodified, as on a real kernel.
//!
//! After each turn of each reactor, the simulation checks what must hold whatever a handler does:
//!
//! - each queued byte was sent, was dropped or waits; each connection that began is open or was
//!   closed;
//! - each session belongs to one connection, and each connection with a session gets callbacks
//!   until `on_close` takes the session; none is left at the end;
//! - no descriptor is used after it was closed, and none is left at the end;
//! - what a client has received is the beginning of what it [expects](Client::expects), and at the
//!   end all of it. The only exception is a connection that was ended by a fault that none
//!   survives; its client sees it cut;
//! - a connection with something to receive or to send makes progress within some turns, and when
//!   all sleep, nothing is left that could be done;
//! - no handler has panicked.

mod client;
mod runner;
mod steps;
mod world;

pub use client::{Client, End};
pub use runner::Simulation;
pub use world::Sim;
