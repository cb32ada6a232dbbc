//! Connections that the reactor makes.
//!
//! A handler that connects gets a [`Connector`] before the reactor runs. It calls
//! [`Turn::connect`](crate::Turn::connect), which returns the id of the future connection at once
//! and calls no handler. Later the handler gets [`on_ready`](crate::Handler::on_ready) when the
//! connection is made, or [`on_close`](crate::Handler::on_close) with
//! [`Reason::Unconnected`](crate::Reason::Unconnected) and the session when it cannot be made.
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
//!     let connector = reactor.connector(client, &Connect::default())?;
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

pub(crate) use attempt::start;
pub use backoff::Backoff;

use std::fmt;
use std::time::Duration;

use crate::core::{GroupId, HandlerId, Limits};
use crate::sys::{Keepalive, TcpOptions};

/// The options of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Most time until a connection is made, the lookup of a name and all attempts included: 10 s.
    pub timeout: Duration,
    /// Most time for one address while there is another to try: 2 s. This allows one retransmission
    /// of a lost first packet, after 1 s (RFC 6298).
    pub attempt_timeout: Duration,
    /// Most connections, unfinished and lingering ones included: 10,000. Further ones fail with
    /// `ErrorKind::QuotaExceeded`.
    pub max_connections: u32,
    /// As [`Listen::unsent`](crate::Listen::unsent).
    pub unsent: Option<u32>,
    /// As [`Listen::congestion`](crate::Listen::congestion). With a name that the system refuses,
    /// each attempt fails with [`Reason::Unconnected`](crate::Reason::Unconnected).
    pub congestion: Option<String>,
    /// As [`Listen::keepalive`](crate::Listen::keepalive).
    pub keepalive: Option<Keepalive>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Connect {
    fn options(&self) -> TcpOptions<'_> {
        let congestion = self.congestion.as_deref();
        TcpOptions { unsent: self.unsent, congestion, keepalive: self.keepalive }
    }
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

/// Names the options with which [`Turn::connect`](crate::Turn::connect) makes connections for a
/// handler of type `H`.
pub struct Connector<H> {
    pub(crate) index: u16,
    /// The group of its connections.
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
