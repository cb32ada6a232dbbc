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
//!
//! # When everything goes wrong
//!
//! A harness does what its test says. What nobody has thought of a [`Simulation`] finds: it runs a
//! scenario in a world of several reactors and clients for hundreds of seeds, and each of them lets
//! other calls fail, cuts and delays bytes differently, and chooses who acts next. A scenario does
//! not say what happens, but what must come of it. A handler and its test:
//!
//! ```
//! use sluicegate_reactor::testing::Simulation;
//! use sluicegate_reactor::{ConnId, Context, Handler, HandlerId, Input, Listen, Turn, Receive};
//! use std::time::Duration;
//!
//! /// Answers each line, in order, a second after it has come.
//! struct Slow(Option<HandlerId<Slow>>);
//!
//! impl Handler for Slow {
//!     type Session = ();
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//!         while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
//!             let answer = (cx.id(), input[..=end].to_vec());
//!             input.consume(end + 1);
//!             cx.after(Duration::from_secs(1), self.0.unwrap(), answer);
//!         }
//!     }
//! }
//!
//! impl Receive<(ConnId, Vec<u8>)> for Slow {
//!     fn on_message(&mut self, cx: &mut Turn<'_>, (to, answer): (ConnId, Vec<u8>)) {
//!         cx.peer(to).send(answer);
//!     }
//! }
//!
//! Simulation::new().run(|sim| {
//!     sim.reactor(|reactor| {
//!         let slow = reactor.reserve();
//!         reactor.install(slow, Slow(Some(slow)));
//!         reactor.listen("10.0.0.1:7", &Listen::default(), slow).unwrap();
//!     });
//!     let patient = sim.client("10.0.0.1:7").sends("one\ntwo\n").expects("one\ntwo\n");
//!     sim.client("10.0.0.1:7").sends("three\n").resets();
//!     sim.run();
//!     assert!(patient.is_spoilt() || patient.received() == b"one\ntwo\n");
//! });
//! ```
//!
//! A seed that fails is run again, and the panic ends with what led to it and the command that
//! repeats it; with `SLUICEGATE_SEED` in the environment a run writes all of its trace to standard
//! error. Each line is a call of the kernel, or what arrives from a client (`>`) and at one (`<`),
//! with its virtual time in seconds and whether a fault decided how it went:
//!
//! ```text
//!    0.003177  client 1   connects to 10.0.0.1:7 from 127.0.0.1:32768
//!    0.003190  reactor 0  wait = 3 READ
//!    0.003190  reactor 0  accept(3) = 4 from 127.0.0.1:32768
//!    0.003190  reactor 0  accept(3) = EMFILE   <- fault
//!    0.003207  client 1   > 5 bytes "hello"
//!    0.003214  reactor 0  wait = 4 READ|WRITE
//!    0.003214  reactor 0  recv(4, 524288) = 2 "he"   <- fault
//! ```
//!
//! `SLUICEGATE_SEEDS=100000 cargo test --release` runs as many seeds of each scenario.
//!
//! # What breaks a replay
//!
//! The same seed does the same only if all that decides comes from it. A handler must
//!
//! - take the time and random numbers from [`Turn`](crate::Turn), never from `std::time` or a
//!   generator that seeds itself;
//! - not depend on the order of a `HashMap` or `HashSet` of the standard library, which is another
//!   one in each process, nor on addresses of memory;
//! - not start threads, nor wait for what others do: a simulation has one thread. What
//!   [`workers`](crate::workers) would do, a test posts itself ([`Sim::after`]);
//! - open files through [`fs`](crate::fs), not through `std::fs`.

mod checks;
mod connecting;
mod harness;
pub mod simulation;
mod splits;

pub use crate::sys::sim::{Calls, Faults, Files, OpenDescriptors, Remote, State, Step};
pub use harness::{Client, Harness};
pub use simulation::{Sim, Simulation};
pub use splits::{Outcome, same_at_every_split};
