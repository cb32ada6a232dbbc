//! Running handlers without sockets, files, threads or real time.
//!
//! A [`Harness`] is a reactor on a simulated kernel: the same loop, queues and deadlines, with
//! clients, a disk and a clock that the test controls. Nothing happens by itself, so a test always
//! does the same.
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
//! checks what must hold whatever a handler does: each queued byte was sent, was dropped or waits;
//! no closed descriptor is used; no readiness is forgotten. A test of a handler is therefore a test
//! of the reactor as well.
//!
//! The network may deliver in many pieces what a peer sends in one: [`same_at_every_split`] shows
//! that a protocol does not depend on that. A test lets time pass with [`Harness::advance`], sets
//! the results of single calls with [`Harness::script_recv`] and its neighbours, puts files on the
//! disk with [`Harness::files`], and controls what the handler connects to with
//! [`Harness::set_remote`].
//!
//! All of this requires the feature `testing`, which is for the tests of a crate only:
//!
//! ```toml
//! [dev-dependencies]
//! sluicegate-reactor = { version = "0.1", features = ["testing"] }
//! ```
//!
//! # Simulations
//!
//! A harness does what its test says. A [`Simulation`] finds what nobody has thought of: it runs a
//! scenario in a world of reactors and clients for hundreds of seeds. Each seed lets other calls
//! fail ([`Faults`]), cuts and delays bytes differently, and chooses who acts next. A scenario does
//! not say what happens, but what the result must be. The same handler:
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
//! A fault may end any connection, and no client can [expect](simulation::Client::expects) what
//! another one should have caused. A scenario with such clients asks them afterwards which of them
//! [were hit](simulation::Client::is_spoilt):
//!
//! ```
//! # use sluicegate_reactor::{Context, Handler, Input, Receive, Sessions};
//! use sluicegate_reactor::testing::Simulation;
//! use sluicegate_reactor::{Handle, Limits, Listen, mailbox};
//!
//! /// Sends what one client says to all of them.
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
//!         // Or the subscribers would be closed in the first run below.
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
//! The [module](simulation) lists what is checked after each turn in any case. A scenario can also
//! look at [what arrives](simulation::Client::hears) at a client while it arrives, and at all of it
//! once the world has [run](Sim::run), do things [later](Sim::after), and add reactors that connect
//! to each other or share [mailboxes](crate::mailbox).
//!
//! # Running seeds
//!
//! | command | what it does |
//! |---|---|
//! | `cargo test` | runs the seeds 0 to 199 of each scenario; seed 0 has no faults |
//! | `SLUICEGATE_SEEDS=100000 cargo test --release` | runs 100,000 seeds |
//! | `SLUICEGATE_SEED=17 cargo test NAME` | runs seed 17 only, and writes its trace to standard error |
//!
//! A seed that fails is run again immediately. The panic ends with the last 200 lines of its trace,
//! the failure, and the command that repeats it.
//!
//! # How to read a trace
//!
//! A line has the virtual time in seconds, the actor, and what happens:
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
//!   each event; an event that came too late for its connection belongs to `closed`. A wait without
//!   events has no line.
//! - `> ` shows bytes that arrive from a client, `< ` bytes that arrive at one. Bytes spend time on
//!   the way: the line of a client's bytes is at the time at which the reactor could receive them.
//! - `<- fault` marks the errors and short counts that the seed caused; a real kernel may return
//!   them at any time. `gets no time for` is a reactor that the system does not schedule.
//!
//! It is usually best to follow the connection from its port to its descriptor, and then backwards
//! from the last line, to the first line after which something is wrong.
//!
//! # What breaks a replay
//!
//! The same seed does the same only if everything that matters depends on it. A handler must
//!
//! - take the time and random numbers from [`Turn`](crate::Turn), never from `std::time` or a
//!   generator that seeds itself;
//! - not depend on the order of a `HashMap` or `HashSet` of the standard library, which differs in
//!   each map, nor on memory addresses; a `BTreeMap` of [`ConnId`](crate::ConnId)s always has the
//!   same order;
//! - keep nothing in statics or thread-locals from one run to the next;
//! - not start threads or wait for other threads: a simulation has one thread. A test posts the
//!   results of [`workers`](crate::workers) itself ([`Sim::after`]);
//! - open files through [`fs`](crate::fs), not through `std::fs`.
//!
//! If a seed fails but does not fail again, the panic says so; then one of these is the reason.
//!
//! # What is not simulated
//!
//! A [`Server`](crate::Server), whose threads and signals belong to the operating system. A
//! scenario can instead add several reactors, with the mailboxes that
//! [`Server::run_with`](crate::Server::run_with) would give them, and [stop](Sim::stop) them.
//! Sockets that were [adopted](crate::Turn::adopt_listener) or [inherited](crate::activation) are
//! an error. There are no name servers: names have the addresses that [`Harness::set_name`] sets,
//! and none in a simulation.

mod checks;
mod connecting;
mod disk;
mod harness;
mod kernel;
mod received;
pub mod simulation;
mod splits;

pub use crate::sys::sim::{Calls, Faults, Files, OpenDescriptors, Remote, State, Step};
pub use harness::{Client, Harness};
pub use received::Received;
pub use simulation::{Sim, Simulation};
pub use splits::{Outcome, same_at_every_split};
