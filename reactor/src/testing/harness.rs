//! A reactor with everything around it under the control of a test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::checks::{self, NothingOpen};
use super::sealing::{self, ClientEnd, Sealing};
use crate::core::{HandlerId, Ledger};
use crate::handler::{Handler, Receive};
use crate::listen::{Listen, ListenerId};
use crate::sys::Kernel;
use crate::sys::sim::{self, Files, World};
use crate::turn::reactor::Reactor;

/// The address at which a harness listens for [`Harness::open`].
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

/// The seed of the random numbers.
const SEED: u64 = 1;

/// Most turns that one action can cause, and most times that [`Harness::sent`] makes room. More
/// counts as an endless loop.
pub(super) const MOST_TURNS: u32 = 100_000;

/// A client of a [`Harness`]: the far end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub(super) usize);

/// A reactor on a simulated kernel, with clients, a disk and a clock that the test controls.
///
/// Each action of a client takes effect immediately: the reactor turns until it would sleep. To
/// make several things happen before it wakes, do them inside [`at_once`](Harness::at_once).
///
/// When a harness is dropped, it closes everything, as [`Reactor::run`] does at the end of a drain,
/// and panics if a session, a connection or an open file is left. If a test holds a
/// [`File`](crate::fs::File) itself, it must drop that first.
///
/// # Panics
/// All calls that run the reactor panic if it breaks an invariant, if it never becomes idle, or if
/// a handler has panicked: the reactor survives that, but an assertion in a handler must fail the
/// test. For tests of such panics see [`expect_panics`](Harness::expect_panics).
pub struct Harness<H: Handler> {
    pub(super) reactor: Reactor,
    handler: HandlerId<H>,
    pub(super) listener: ListenerId,
    pub(super) clients: Vec<sim::Client>,
    /// The transports of the clients, if [`through`](super::through) is running.
    pub(super) sealing: Option<Sealing>,
    pub(super) ends: Vec<Option<ClientEnd>>,
    pub(super) world: World,
    /// Whether [`at_once`](Harness::at_once) is running, so that actions do not run the reactor.
    held: bool,
    /// Whether handlers may panic.
    expects_panics: bool,
    /// Dropped after the reactor.
    _nothing_open: NothingOpen,
}

impl<H: Handler> Harness<H> {
    /// Creates a harness for one handler, with default limits.
    #[must_use]
    pub fn new(handler: H) -> Harness<H> {
        Harness::with(handler, &Listen::default())
    }

    /// Creates a harness for one handler, with these listener options.
    ///
    /// ```
    /// # use sluicegate_reactor::{Context, Handler, Input};
    /// # struct Silent;
    /// # impl Handler for Silent {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         input.take();
    /// #     }
    /// # }
    /// use sluicegate_reactor::testing::{Harness, State};
    /// use sluicegate_reactor::{Limits, Listen};
    /// use std::time::Duration;
    ///
    /// let limits = Limits { idle: Some(Duration::from_secs(10)), ..Limits::default() };
    /// let mut h = Harness::with(Silent, &Listen { limits, ..Listen::default() });
    /// let client = h.open();
    /// h.advance(Duration::from_secs(9));
    /// assert_eq!(h.state(client), State::Open);
    /// h.advance(Duration::from_secs(2));
    /// assert_eq!(h.state(client), State::Shut);
    /// ```
    #[must_use]
    pub fn with(handler: H, listen: &Listen) -> Harness<H> {
        Harness::build(listen, |_| {}, |reactor| reactor.register(handler))
    }

    /// Creates a harness with files and several handlers: `files` puts files on the disk, then
    /// `make` registers handlers and returns the one that serves the clients.
    ///
    /// ```
    /// # use sluicegate_reactor::{Context, Handler, Input, fs::Dir};
    /// # struct Open(Dir);
    /// # impl Handler for Open {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         let file = self.0.open(std::str::from_utf8(input.take()).unwrap()).unwrap();
    /// #         let len = file.metadata().unwrap().len;
    /// #         cx.send(file.region(0, len));
    /// #     }
    /// # }
    /// use sluicegate_reactor::Listen;
    /// use sluicegate_reactor::testing::Harness;
    ///
    /// let mut h = Harness::build(
    ///     &Listen::default(),
    ///     |files| files.put_file("/www/hello.txt", b"hello", 0),
    ///     |reactor| {
    ///         let root = reactor.open_dir("/www").unwrap();
    ///         reactor.register(Open(root))
    ///     },
    /// );
    /// let client = h.open();
    /// h.feed(client, b"hello.txt");
    /// assert_eq!(h.sent(client), "hello");
    /// ```
    #[must_use]
    pub fn build(
        listen: &Listen,
        files: impl FnOnce(&mut Files),
        make: impl FnOnce(&mut Reactor) -> HandlerId<H>,
    ) -> Harness<H> {
        let world = World::new(SEED);
        files(&mut world.files());
        let mut reactor = Reactor::on(Kernel::Sim(world.clone())).expect("a simulated reactor");
        let handler = make(&mut reactor);
        let sealing = sealing::current();
        let mut listen = listen.clone();
        if let Some(sealing) = &sealing {
            listen.transport = Some(sealing.server.clone());
        }
        let listener =
            reactor.listen(ADDRESS, &listen, handler).expect("port 80 is free in a new world");
        Harness {
            reactor,
            handler,
            listener,
            clients: Vec::new(),
            sealing,
            ends: Vec::new(),
            _nothing_open: NothingOpen(world.clone()),
            world,
            held: false,
            expects_panics: false,
        }
    }
}

/// The reactor.
impl<H: Handler> Harness<H> {
    /// The handler that serves the clients.
    pub fn handler(&mut self) -> &mut H {
        self.reactor.handler(self.handler)
    }

    /// The id of the handler that serves the clients.
    #[must_use]
    pub fn handler_id(&self) -> HandlerId<H> {
        self.handler
    }

    /// The reactor: to register other handlers, get handles, or listen elsewhere.
    pub fn reactor(&mut self) -> &mut Reactor {
        &mut self.reactor
    }

    /// The reactor's counters so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.reactor.ledger()
    }

    /// Posts a message through a mailbox to the handler that serves the clients.
    ///
    /// # Panics
    /// If the reactor has stopped.
    ///
    /// ```
    /// # use sluicegate_reactor::testing::Harness;
    /// # use sluicegate_reactor::{Context, Handler, Input, Receive, Sessions};
    /// # struct Chat;
    /// # impl Handler for Chat {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         input.take();
    /// #     }
    /// # }
    /// struct Announce(&'static str);
    ///
    /// impl Receive<Announce> for Chat {
    ///     fn on_message(&mut self, cx: &mut Sessions<'_>, Announce(text): Announce) {
    ///         cx.for_each(|cx, _| _ = cx.send(text));
    ///     }
    /// }
    ///
    /// let mut h = Harness::new(Chat);
    /// let client = h.open();
    /// h.post(Announce("maintenance at noon"));
    /// assert_eq!(h.sent(client), "maintenance at noon");
    /// ```
    pub fn post<M: Send + 'static>(&mut self, message: M)
    where
        H: Receive<M, H::Session>,
    {
        let posted = self.reactor.handle(self.handler).post(message);
        assert!(posted.is_ok(), "the reactor was stopped");
        self.run();
    }

    /// Asks the reactor to stop, as [`Turn::stop`](crate::Turn::stop) does: see
    /// [`Reactor::set_drain`]. The grace period passes with [`advance`](Harness::advance).
    pub fn stop(&mut self) {
        self.reactor.turn.stop();
        self.run();
    }

    /// Performs several actions before the reactor wakes, so that it sees them together.
    ///
    /// ```
    /// # use sluicegate_reactor::testing::{Harness, State};
    /// # use sluicegate_reactor::{Context, Handler, Input};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         cx.send(input.take());
    /// #     }
    /// # }
    /// let mut h = Harness::new(Echo);
    /// let client = h.open();
    /// h.at_once(|h| {
    ///     h.feed(client, b"hello");
    ///     h.finish(client);
    /// });
    /// assert_eq!(h.sent(client), "hello");
    /// assert_eq!(h.state(client), State::Closed);
    /// ```
    pub fn at_once<R>(&mut self, actions: impl FnOnce(&mut Harness<H>) -> R) -> R {
        let before = std::mem::replace(&mut self.held, true);
        let result = actions(self);
        self.held = before;
        self.run();
        result
    }

    /// Lets handlers panic from now on. As in production, the connection is closed and the reactor
    /// continues; [`Ledger::panics`] counts them.
    pub fn expect_panics(&mut self) {
        self.expects_panics = true;
    }

    /// Panics if a handler has, unless the test expects that.
    fn check_handlers(&self) {
        let has_panicked = self.reactor.ledger().panics > 0;
        assert!(self.expects_panics || !has_panicked, "a handler has panicked");
    }

    /// Runs one turn of the reactor, for tests that depend on single turns. All other calls run the
    /// reactor themselves.
    pub fn turn(&mut self) {
        self.reactor.turn(Some(Duration::ZERO)).expect("a simulated wait does not fail");
        checks::after_turn(&self.reactor, &self.world);
        checks::sockets([&self.reactor].into_iter(), &self.world);
        self.check_handlers();
    }

    /// Lets time pass. Deadlines and timers within that time run when they are due, which is up to
    /// about 17 ms late: to see a timer of ten seconds run, advance by a little more.
    pub fn advance(&mut self, time: Duration) {
        let mut left = time;
        self.run();
        while let Some(next) = self.reactor.timeout(None).filter(|next| *next <= left) {
            self.world.advance(next);
            left -= next;
            self.turn();
            self.run();
        }
        self.stall(left);
    }

    /// Lets time pass in one step, as during a long callback: anything that becomes due in between
    /// is late.
    pub fn stall(&mut self, time: Duration) {
        self.run();
        self.world.advance(time);
        self.turn();
        self.run();
    }

    /// Turns until the reactor would sleep. Only actions that the harness does not see need it,
    /// such as a message posted with a [`Handle`](crate::Handle) of the test.
    pub fn run(&mut self) {
        if self.held {
            return;
        }
        for _ in 0..MOST_TURNS {
            if self.reactor.has_stopped() {
                return checks::at_end(&self.reactor, &self.world);
            }
            if !self.world.has_edges() && self.reactor.timeout(None) != Some(Duration::ZERO) {
                return checks::at_rest(&self.reactor, &self.world);
            }
            self.turn();
        }
        panic!("the reactor never becomes idle");
    }
}

impl<H: Handler> Drop for Harness<H> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.reactor.close_all();
            checks::at_end(&self.reactor, &self.world);
            self.check_handlers();
        }
    }
}
