//! Connections that the reactor makes.
//!
//! A handler that connects gets a [`Connector`] before the reactor runs, and calls
//! [`Turn::connect`], which returns at once with the id of the future connection. Everything else
//! comes later: [`on_ready`](Handler::on_ready) when it is connected, or
//! [`on_close`](Handler::on_close) with [`Reason::Unconnected`](crate::Reason::Unconnected), which
//! gives the session back. `connect` itself calls neither.
//!
//! ```
//! use sluicegate_reactor::{
//!     Connect, Connector, ConnId, Context, Handler, Input, Reactor, Reason, Target, Turn,
//! };
//!
//! /// Asks one question.
//! struct Client {
//!     answer: Vec<u8>,
//! }
//!
//! impl Handler for Client {
//!     type Session = ();
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!     fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
//!         cx.send("question\n");
//!     }
//!     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//!         self.answer.extend(input.take());
//!     }
//!     fn on_close(&mut self, cx: &mut Turn<'_>, _: ConnId, _: (), why: Reason) {
//!         if let Reason::Unconnected(kind) = why {
//!             eprintln!("not connected: {kind}");
//!         }
//!         cx.stop();
//!     }
//! }
//!
//! fn ask(target: Target) -> std::io::Result<Vec<u8>> {
//!     let mut reactor = Reactor::new()?;
//!     let client = reactor.register(Client { answer: Vec::new() });
//!     let connector = reactor.connector(client, &Connect::default());
//!     reactor.connect(connector, target, ());
//!     reactor.run()?;
//!     Ok(std::mem::take(&mut reactor.handler(client).answer))
//! }
//! # use std::io::{Read, Write};
//! # let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! # let target = server.local_addr().unwrap().into();
//! # let thread = std::thread::spawn(move || {
//! #     let mut peer = server.accept().unwrap().0;
//! #     peer.read_exact(&mut [0; 9]).unwrap();
//! #     peer.write_all(b"answer").unwrap();
//! # });
//! # assert_eq!(ask(target).unwrap(), b"answer");
//! # thread.join().unwrap();
//! ```

pub(crate) mod attempt;
mod backoff;
pub(crate) mod resolver;

pub use backoff::Backoff;

use std::any::TypeId;
use std::fmt;
use std::time::Duration;

use crate::connect::attempt::Settings;
use crate::connect::resolver::Resolver;
use crate::core::Core;
use crate::core::limits::Limits;
use crate::core::target::Target;
use crate::handler::context::{Peer, Turn};
use crate::handler::{ConnId, Handler, HandlerId};
use crate::listen::listener::Group;
use crate::sys::Keepalive;
use crate::turn::reactor::Reactor;

/// The options of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Most time until a connection is made, the lookup of a name and all attempts included: 10 s.
    pub timeout: Duration,
    /// Most time for one address while there is another to try: 2 s. That lets a lost first packet
    /// be sent again once, after 1 s (RFC 6298).
    pub attempt_timeout: Duration,
    /// Most connections, unfinished and lingering ones included: 10,000. One more fails with
    /// `ErrorKind::QuotaExceeded`.
    pub max_connections: u32,
    /// As [`Listen::unsent`](crate::Listen::unsent).
    pub unsent: Option<u32>,
    /// As [`Listen::congestion`](crate::Listen::congestion). A name that the system refuses fails
    /// each attempt, with [`Reason::Unconnected`](crate::Reason::Unconnected).
    pub congestion: Option<String>,
    /// As [`Listen::keepalive`](crate::Listen::keepalive).
    pub keepalive: Option<Keepalive>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Default for Connect {
    fn default() -> Connect {
        Connect {
            timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
            max_connections: 10_000,
            unsent: None,
            congestion: None,
            keepalive: None,
            limits: Limits::default(),
        }
    }
}

/// Names the options with which [`Turn::connect`] makes connections for a handler of type `H`.
pub struct Connector<H> {
    pub(crate) index: u16,
    /// Its connections'.
    pub(crate) group: u16,
    handler: HandlerId<H>,
}

impl<H> Clone for Connector<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Connector<H> {}

impl<H> fmt::Debug for Connector<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({}, {:?})", self.index, self.handler)
    }
}

/// Connecting: see [`connect`](crate::connect).
impl Reactor {
    /// Lets a handler connect to others.
    ///
    /// A handler that is to know its own connector can be made with both:
    ///
    /// ```
    /// # use sluicegate_reactor::{Connect, Connector, Context, Handler, Input, Reactor};
    /// # struct Proxy { upstream: Connector<Proxy> }
    /// # impl Handler for Proxy {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         input.take();
    /// #     }
    /// # }
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let proxy = reactor.reserve();
    /// let upstream = reactor.connector(proxy, &Connect::default());
    /// reactor.install(proxy, Proxy { upstream });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// With more than 65,536 listeners and connectors in one reactor, and with a handler's id of
    /// another reactor, unless one of the same type has that number here.
    pub fn connector<H: Handler>(
        &mut self,
        handler: HandlerId<H>,
        connect: &Connect,
    ) -> Connector<H> {
        assert!(self.handlers.has(handler), "an id of another reactor");
        let group = self.core.add_group(Group::new(connect.limits.clone()));
        let index = self.core.connecting.add(Settings {
            group,
            handler: handler.index,
            kind: TypeId::of::<H>(),
            timeout: connect.timeout,
            attempt_timeout: connect.attempt_timeout,
            max_connections: connect.max_connections,
            unsent: connect.unsent,
            congestion: connect.congestion.clone(),
            keepalive: connect.keepalive,
        });
        let mail = &mut self.mail;
        self.core.connecting.use_resolver(|| Resolver::new(mail.own(Core::take_answer)));
        Connector { index, group, handler }
    }

    /// A connection, between the turns of the reactor: to send to one that was just asked for. See
    /// [`Turn::peer`].
    pub fn peer(&mut self, id: ConnId) -> Peer<'_> {
        // What it sets counts from now, not from the turn before.
        self.core.read_clock();
        self.core.peer(id)
    }

    /// Connects before the reactor runs, or between its turns. See [`Turn::connect`].
    ///
    /// # Panics
    /// With a connector of another reactor, and if its handler was reserved and not installed yet.
    pub fn connect<H: Handler>(
        &mut self,
        connector: Connector<H>,
        target: impl Into<Target>,
        session: H::Session,
    ) -> ConnId {
        check(&self.core, connector);
        self.handlers.get(connector.handler);
        // The time to connect begins now, not in the turn before.
        self.core.read_clock();
        connect(&mut self.core, connector, target.into(), session)
    }
}

impl Turn<'_> {
    /// Asks for a connection and returns its name at once.
    ///
    /// What is sent to it by that name from now on is queued, and leaves first when the connection
    /// is made. [`close`](crate::Peer::close) lets it be made if something was sent, to deliver
    /// that; else, as [`abort`](crate::Peer::abort) always does, it gives the attempt up. In every
    /// case [`on_close`](Handler::on_close) gives the session back, once.
    ///
    /// The addresses of a name are looked up by another thread, and tried one after the other, in
    /// the order of RFC 8305, until one answers. If none does, the reason is that of the last.
    ///
    /// A reactor that has stopped connects no more: what is asked for in an `on_close` with
    /// [`Reason::Stopped`](crate::Reason::Stopped) is gone from the start, and its session dropped.
    ///
    /// # Panics
    /// With a connector of another reactor.
    pub fn connect<H: Handler>(
        &mut self,
        connector: Connector<H>,
        target: impl Into<Target>,
        session: H::Session,
    ) -> ConnId {
        check(self.core, connector);
        connect(self.core, connector, target.into(), session)
    }
}

fn check<H: Handler>(core: &Core, connector: Connector<H>) {
    let known = core.connecting.has(connector.index, connector.handler);
    assert!(known, "a connector of another reactor");
}

fn connect<H: Handler>(
    core: &mut Core,
    connector: Connector<H>,
    target: Target,
    session: H::Session,
) -> ConnId {
    // The handler may be the one that is running. Its sessions are out of reach until it returns.
    let store = Box::new(move |handlers: &mut crate::turn::dispatch::Handlers| {
        handlers.store(connector.handler, session)
    });
    core.connect(connector.index, target, store)
}
