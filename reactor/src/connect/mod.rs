//! Connections to others: how they are asked for.
//!
//! A handler that connects has a [`Connector`], made for it before the reactor runs, and calls
//! [`Turn::connect`], which returns at once with the name of the connection that will be.
//! Everything else comes later: [`on_ready`](Handler::on_ready) when it is made, or
//! [`on_close`](Handler::on_close) with [`Reason::Unconnected`](crate::Reason::Unconnected), which
//! gives the session back. Neither is ever called from inside `connect`.
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
//!     fn on_close(&mut self, cx: &mut Turn, _: ConnId, _: (), why: Reason) {
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
//!     let connector = reactor.connector(client, &Connect::default()).expect("room for a connector");
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
mod target;

pub(crate) use attempt::start;
pub use backoff::Backoff;
pub use target::Target;

use std::fmt;
use std::time::Duration;

use crate::core::{GroupId, HandlerId, Limits};

/// How connections to others are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// How long it may take until a connection is there, the search for a name's addresses and all
    /// attempts included: 10 s.
    pub timeout: Duration,
    /// How long one address may take while there is another to try: 2 s, which lets a lost first
    /// packet be sent again once (RFC 6298 waits 1 s before that).
    pub attempt_timeout: Duration,
    /// Most connections at a time, those in the making and lingering ones included: 10,000. One
    /// more fails with `ErrorKind::QuotaExceeded`.
    pub max_connections: u32,
    /// As in [`Listen::unsent`](crate::Listen::unsent).
    pub unsent: Option<u32>,
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
            limits: Limits::default(),
        }
    }
}

/// Makes connections for a handler of type `H`, with common limits: what
/// [`Turn::connect`] asks for. A small value that is copied.
pub struct Connector<H> {
    pub(crate) index: u16,
    /// Its connections'.
    pub(crate) group: u16,
    pub(crate) handler: HandlerId<H>,
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

impl<H> From<Connector<H>> for GroupId {
    fn from(connector: Connector<H>) -> GroupId {
        GroupId(connector.group)
    }
}
