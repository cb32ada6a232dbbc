//! Running handlers without sockets, files, threads or real time.
//!
//! A [`Harness`] is a reactor on a simulated kernel: the same loop, queues and deadlines, with
//! clients, a disk and a clock that the test controls. Nothing happens on its own, so every run of
//! a test is the same.
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
//! assert_eq!(h.sent(client), "hello");
//! h.finish(client);
//! assert_eq!(h.state(client), State::Closed);
//! ```
//!
//! Every action of a client runs the reactor until it would sleep. After each turn the harness
//! checks invariants that hold for any handler: each queued byte was sent, was dropped or is still
//! queued; no closed descriptor is used; no readiness is lost. A test of a handler therefore tests
//! the reactor as well.
//!
//! The network may split the data of a single send into many pieces: [`same_at_every_split`] checks
//! that a protocol does not depend on this. A test lets time pass with [`Harness::advance`], sets
//! the results of individual calls with [`Harness::script_recv`] and similar methods, puts files on
//! the disk with [`Harness::files`], and controls the remote hosts with [`Harness::set_remote`].
//!
//! All of this requires the feature `testing`, which a crate should enable only for its tests:
//!
//! ```toml
//! [dev-dependencies]
//! sluicegate-reactor = { version = "0.1", features = ["testing"] }
//! ```
//!
//! # Simulations
//!
//! A harness does exactly what its test says. A [`Simulation`] finds cases that you have not
//! thought of: it runs a scenario in a world of reactors and clients with hundreds of seeds. Each
//! seed makes different calls fail ([`Faults`]), splits and delays bytes differently, and chooses
//! which client or reactor acts next. A scenario does not define what happens, but what the result
//! must be. Here is the same handler:
//!
//! ```
//! # use sluicegate_reactor::{Context, Handler, Input};
//! # struct Echo;
//! # impl Handler for Echo {
//! #     type Session = ();
//! #     fn on_open(&mut self, _: &mut Context<'_>) {}
//! #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//! #         cx.send(input.take());
//! #     }
//! # }
//! use sluicegate_reactor::Listen;
//! use sluicegate_reactor::testing::Simulation;
//!
//! Simulation::new().run(|sim| {
//!     sim.reactor(|reactor| {
//!         let echo = reactor.register(Echo);
//!         reactor.listen("10.0.0.1:7", &Listen::default(), echo).unwrap();
//!     });
//!     sim.client("10.0.0.1:7").sends("hello").finishes().expects("hello");
//!     sim.client("10.0.0.1:7").sends([7; 5000]).resets();
//! });
//! ```
//!
//! A fault may end any connection, so no client can [expect](simulation::Client::expects) output
//! that depends on another client. A scenario with such clients checks afterwards which of them
//! [were affected](simulation::Client::is_spoilt):
//!
//! ```
//! # use sluicegate_reactor::{Context, Handler, Input, Receive, Sessions};
//! use sluicegate_reactor::testing::Simulation;
//! use sluicegate_reactor::{Handle, Limits, Listen, mailbox};
//!
//! /// Sends whatever one client says to all of them.
//! struct Feed {
//!     own: Handle<Vec<u8>>,
//! }
//!
//! impl Receive<Vec<u8>> for Feed {
//!     fn on_message(&mut self, cx: &mut Sessions<'_>, said: Vec<u8>) {
//!         cx.for_each(|cx, _| _ = cx.send(&said[..]));
//!     }
//! }
//! # impl Handler for Feed {
//! #     type Session = ();
//! #     fn on_open(&mut self, _: &mut Context<'_>) {}
//! #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//! #         self.own.post(input.take().to_vec()).unwrap();
//! #     }
//! # }
//!
//! Simulation::new().run(|sim| {
//!     sim.reactor(|reactor| {
//!         let (own, mailbox) = mailbox();
//!         let feed = reactor.register(Feed { own });
//!         reactor.attach(mailbox, feed);
//!         // Otherwise the subscribers would be closed in the first run below.
//!         let limits = Limits { idle: None, ..Limits::default() };
//!         reactor.listen("10.0.0.1:7", &Listen { limits, ..Listen::default() }, feed).unwrap();
//!     });
//!     let subscribers = [(); 3].map(|()| sim.client("10.0.0.1:7"));
//!     let publisher = sim.client("10.0.0.1:7");
//!     sim.run(); // All have subscribed.
//!     publisher.clone().sends("news");
//!     sim.run();
//!     for subscriber in subscribers {
//!         let received = subscriber.received();
//!         assert!(b"news".starts_with(&received), "{received:?}");
//!         let hit = subscriber.is_spoilt() || publisher.is_spoilt();
//!         assert!(received == "news" || hit, "{subscriber:?}");
//!     }
//! });
//! ```
//!
//! The [module](simulation) lists what is always checked after each turn. A scenario can also
//! inspect the [bytes that a client receives](simulation::Client::hears) as they arrive, or all of
//! them once the world has [run](Sim::run), schedule actions for [later](Sim::after), and add
//! reactors that connect to each other or share [mailboxes](crate::mailbox).
//!
//! # Running seeds
//!
//! | command | effect |
//! |---|---|
//! | `cargo test` | runs the seeds 0 to 199 of each scenario; seed 0 has no faults |
//! | `SLUICEGATE_SEEDS=100000 cargo test --release` | runs 100,000 seeds |
//! | `SLUICEGATE_SEEDS=50000..100000 cargo test --release` | runs the second half of them |
//! | `SLUICEGATE_SEED=17 cargo test NAME` | runs seed 17 only, and writes its trace to standard error |
//!
//! A seed that fails is run again immediately. The panic message ends with the last 200 lines of
//! its trace, the failure, and the command that repeats it.
//!
//! # How to read a trace
//!
//! Each line has the virtual time in seconds, the actor, and what happened:
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
//! - Reactors count from 0 in the order in which the scenario adds them, clients from 1. `scenario`
//!   is an action of [`Sim::after`].
//! - A reactor's line is a system call as `strace` would show it: descriptors and sizes, the
//!   result, and the first bytes that were moved. `wait` shows the descriptor and the readiness of
//!   each event; an event that arrives after its connection was closed is shown as `closed`. A wait
//!   without events has no line.
//! - `> ` shows bytes that arrive from a client, `< ` bytes that arrive at one. Bytes take time to
//!   travel: the line for a client's bytes has the time at which the reactor could receive them.
//! - `<- fault` marks the errors and short counts that the seed caused; a real kernel may return
//!   them at any time. `gets no time for` means that the system does not schedule a reactor for
//!   that long.
//!
//! It is usually best to find the connection's descriptor from its port, and then read backwards
//! from the last line to the first one after which something is wrong.
//!
//! # What breaks a replay
//!
//! A seed reproduces a run only if everything that matters depends on the seed. A handler must
//!
//! - take the time and random numbers from [`Turn`](crate::Turn), never from `std::time` or a
//!   generator that seeds itself;
//! - not depend on the order of a `HashMap` or `HashSet` of the standard library, which differs for
//!   each map, nor on memory addresses; a `BTreeMap` of [`ConnId`](crate::ConnId)s always has the
//!   same order;
//! - keep nothing in statics or thread-locals from one run to the next;
//! - not start threads or wait for other threads: a simulation has one thread. Its pool of workers
//!   is [inline](crate::workers::Workers::inline), or the test posts their results itself
//!   ([`Sim::after`]);
//! - open files through [`fs`](crate::fs), not through `std::fs`.
//!
//! If a seed fails but passes when it is repeated, the panic message says so. One of these is then
//! the reason.
//!
//! # What is not simulated
//!
//! A [`Server`](crate::Server) is not simulated, since its threads and signals belong to the
//! operating system. A scenario can instead add several reactors, with the mailboxes that
//! [`Server::run_with`](crate::Server::run_with) would give them, and [stop](Sim::stop) them.
//! Sockets that were [adopted](crate::Turn::adopt_listener) or [inherited](crate::activation) are
//! an error. There are no name servers: in a harness, names have the addresses set with
//! [`Harness::set_name`]; in a simulation, no name can be resolved.

mod checks;
mod clients;
mod connecting;
mod disk;
mod harness;
mod kernel;
mod received;
mod sealing;
pub mod simulation;
mod splits;

pub use crate::sys::sim::{Calls, Faults, Files, KernelTls, OpenDescriptors, Remote, State, Step};
pub use harness::{Client, Harness};
pub use received::Received;
pub use sealing::{Records, through};
pub use simulation::{Sim, Simulation};
pub use splits::{Outcome, same_at_every_split, same_at_splits};
