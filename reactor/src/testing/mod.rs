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
//! assert_eq!(h.sent(client), "hello");
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
//! that a protocol does not mind. A test lets time pass with [`Harness::advance`], says what single
//! calls of the kernel do with [`Harness::script_recv`] and its neighbours, puts files on the disk
//! with [`Harness::files`], and plays the far end of what the handler connects to with
//! [`Harness::set_remote`].
//!
//! All of this is behind the feature `testing`, for the tests of a crate alone:
//!
//! ```toml
//! [dev-dependencies]
//! sluicegate-reactor = { version = "0.1", features = ["testing"] }
//! ```
//!
//! # When everything goes wrong
//!
//! A harness does what its test says. What nobody has thought of a [`Simulation`] finds: it runs a
//! scenario in a world of reactors and clients for hundreds of seeds, and each of them lets other
//! calls fail ([`Faults`]), cuts and delays bytes differently, and chooses who acts next. A
//! scenario does not say what happens, but what must come of it. The same handler:
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
//! another one should have caused. Such a scenario asks the clients afterwards which of them
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
//! The [module](simulation) lists what is checked after each turn without being asked for. Beyond
//! that a scenario can look at [what arrives](simulation::Client::hears) at a client as it does,
//! and at all of it when the world has [run](Sim::run), do things [later](Sim::after), and add
//! reactors that connect to each other or share [mailboxes](crate::mailbox).
//!
//! # Running seeds
//!
//! | command | what it does |
//! |---|---|
//! | `cargo test` | runs the seeds 0 to 199 of each scenario; 0 has no faults |
//! | `SLUICEGATE_SEEDS=100000 cargo test --release` | runs so many |
//! | `SLUICEGATE_SEED=17 cargo test NAME` | runs this one, and writes its trace to standard error |
//!
//! A seed that fails is run again at once, and the panic ends with the last 200 lines of its trace,
//! what was wrong, and the command that repeats it.
//!
//! # How to read a trace
//!
//! A line has the virtual time in seconds, who acts, and what happens:
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
//! - Reactors count from 0 in the order in which the scenario adds them, clients from 1; `scenario`
//!   is what [`Sim::after`] does.
//! - A reactor's line is a call of the kernel, as `strace` would show it: its descriptors and
//!   sizes, what it has returned, and the first bytes that were moved. `wait` shows the descriptor
//!   and the readiness of each event; one that came too late for its connection is of `closed`. A
//!   wait without events has no line.
//! - `> ` is what arrives from a client, `< ` what arrives at one. Between the two ends there is
//!   time on the way: a client's bytes show when the reactor could receive them.
//! - `<- fault` marks what the dice have made go wrong: the errors and the short counts that a
//!   kernel may always give. `gets no time for` is a reactor that the system does not run.
//!
//! Most often the connection is best followed by its port to its descriptor, and from there
//! backwards from the last line, until the first one after which things are not as they should be.
//!
//! # What breaks a replay
//!
//! The same seed does the same only if all that decides comes from it. A handler must
//!
//! - take the time and random numbers from [`Turn`](crate::Turn), never from `std::time` or a
//!   generator that seeds itself;
//! - not depend on the order of a `HashMap` or `HashSet` of the standard library, which is another
//!   one in each map, nor on addresses of memory; a `BTreeMap` of [`ConnId`](crate::ConnId)s is
//!   always in the same order;
//! - keep nothing in statics or thread-locals from one run to the next;
//! - not start threads, nor wait for what others do: a simulation has one thread. What
//!   [`workers`](crate::workers) would do, a test posts itself ([`Sim::after`]);
//! - open files through [`fs`](crate::fs), not through `std::fs`.
//!
//! A seed that fails and does not fail again says so: then one of these is the reason.
//!
//! # What is not simulated
//!
//! A [`Server`](crate::Server): its threads and signals are the operating system's. What its
//! threads do are reactors, and a scenario adds some of them, with the mailboxes that
//! [`Server::run_with`](crate::Server::run_with) would give them, and [stops](Sim::stop) them.
//! Neither are sockets that were [adopted](crate::Turn::adopt_listener) or
//! [inherited](crate::activation), which are an error there, and name servers: names have the
//! addresses that [`Harness::set_name`] gives them, and none in a simulation.

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
