//! Forwarding bytes between two connections, for proxies.
//!
//! [`join`] makes each of two connections relay to the other.
//! [`Peer::relay_to`](sluicegate_reactor::Peer::relay_to) describes how ends of streams, resets,
//! pauses and deadlines are handled.
//!
//! If clients name their target, as in SOCKS, your own handler joins the two as soon as it begins
//! to connect. It sends the answer when the target is connected, or when it cannot be:
//!
//! ```
//! use sluicegate_protocols::line::{LineHandler, LineSession, Lines, Next};
//! use sluicegate_protocols::raw::relay::join;
//! use sluicegate_reactor::{ConnId, Connector, Context, Reason, Target, Turn};
//!
//! /// Connects each client to the target that its first line names.
//! struct Gate {
//!     connector: Connector<Lines<Gate>>,
//! }
//!
//! impl LineHandler for Gate {
//!     /// The client of a target that is not connected yet.
//!     type Session = Option<ConnId>;
//!
//!     fn on_open(&mut self, _: &mut Context<'_>) -> Option<ConnId> {
//!         None
//!     }
//!
//!     fn on_line(&mut self, cx: &mut Context<'_>, _: &mut Option<ConnId>, line: &[u8]) -> Next {
//!         match String::from_utf8_lossy(line).parse::<Target>() {
//!             Ok(target) => {
//!                 let client = LineSession::new(Some(cx.id()));
//!                 let target = cx.connect(self.connector, target, client);
//!                 join(cx, target);
//!             }
//!             Err(error) => {
//!                 cx.send(format!("{error}\n"));
//!                 cx.close();
//!             }
//!         }
//!         Next::Line
//!     }
//!
//!     fn on_ready(&mut self, cx: &mut Context<'_>, client: &mut Option<ConnId>) {
//!         if let Some(client) = client.take() {
//!             cx.peer(client).send("connected\n");
//!         }
//!     }
//!
//!     /// The reactor closes the client afterwards.
//!     fn on_close(&mut self, cx: &mut Turn, _: ConnId, client: Option<ConnId>, why: Reason) {
//!         if let Some(client) = client {
//!             cx.peer(client).send(format!("{why:?}\n"));
//!         }
//!     }
//! }
//! # #[cfg(feature = "testing")] {
//! # use sluicegate_reactor::testing::{Harness, Remote, State};
//! # use sluicegate_reactor::{Connect, Listen, Reactor};
//! # let mut h = Harness::build(&Listen::default(), |_| {}, |reactor: &mut Reactor| {
//! #     let gate = reactor.reserve();
//! #     let connector = reactor.connector(gate, &Connect::default()).unwrap();
//! #     reactor.install(gate, Lines::new(Gate { connector }));
//! #     gate
//! # });
//! # let client = h.open();
//! # h.feed(client, "10.0.0.1:80\nearly");
//! # assert_eq!(h.sent(client), "Unconnected(ConnectionRefused)\n");
//! # assert_eq!(h.state(client), State::Shut);
//! # let target = "10.0.0.1:80".parse().unwrap();
//! # h.set_remote(&target, Remote::Listens);
//! # let client = h.open();
//! # h.feed(client, "10.0.0.1:80\nearly");
//! # let far_end = h.accept(&target);
//! # h.feed(far_end, "answer");
//! # assert_eq!(h.sent(client), "connected\nanswer");
//! # assert_eq!(h.sent(far_end), "early");
//! # h.finish(far_end);
//! # h.feed(client, " and late");
//! # h.finish(client);
//! # assert_eq!(h.sent(far_end), " and late");
//! # assert_eq!((h.state(client), h.state(far_end)), (State::Closed, State::Closed));
//! # }
//! ```
//!
//! [`Relay`] is a proxy that only relays:
//!
//! ```
//! use std::rc::Rc;
//!
//! use sluicegate_protocols::raw::relay::Relay;
//! use sluicegate_reactor::{Connect, Listen, Reactor, Target};
//!
//! # fn main() -> std::io::Result<()> {
//! let to: Target = "localhost:5432".parse()?;
//! let mut reactor = Reactor::new()?;
//! let relay = Relay::register(&mut reactor, Rc::new(to), &Connect::default(), None)?;
//! reactor.listen("127.0.0.1:0", &Listen::default(), relay)?;
//! # Ok(())
//! # }
//! ```
//!
//! A relay can also [choose](Choose) the target of each connection from the first bytes that the
//! client sends. `ServerNames` (feature `tls`) does this for TLS.

use std::fmt;
use std::io;
use std::rc::Rc;

use sluicegate_reactor::transport;
use sluicegate_reactor::{
    ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Reactor, Reason, Target, Turn,
};

use crate::proxy_protocol::{Header, Outgoing, Tlv, Version};
use crate::unconnected;
use crate::warnings::Warnings;

mod choose;
#[cfg(feature = "tls")]
mod server_names;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use choose::{Choice, Choose};
#[cfg(feature = "tls")]
pub use server_names::ServerNames;

/// Makes the current connection and `peer` relay to each other until both have ended.
pub fn join(cx: &mut Context<'_>, peer: ConnId) {
    let me = cx.id();
    cx.relay_to(peer);
    cx.peer(peer).relay_to(me);
}

/// Connects to a target for each connection that it accepts, and joins the two. `C`
/// [chooses](Choose) the target; by default there is only one.
///
/// If the target cannot be reached, or the handshake with it fails, the client's connection is
/// closed or reset, and a warning is logged, at most once per second. When the reactor stops,
/// relays continue until they have ended or the [grace period](Reactor::set_drain) is over.
///
/// An end of stream is forwarded, but never synthesized: after a deadline or the grace period, a
/// side that has not received all data and the end of the other side's stream is reset.
#[derive(Debug)]
pub struct Relay<C = Rc<Target>> {
    upstream: Connector<Relay<C>>,
    choose: C,
    outgoing: Outgoing,
    warnings: Warnings,
}

/// The state of a connection.
#[derive(Debug)]
pub struct RelaySession(Side);

#[derive(Debug)]
enum Side {
    /// A client whose target is not known yet.
    Undecided,
    Client,
    /// A connection to this target that is not established yet.
    Connecting(Rc<Target>),
    Upstream(Rc<Target>),
}

impl<C: Choose> Relay<C> {
    /// Registers a proxy whose targets `choose` determines, for any number of listeners. The
    /// listener sets the limits and deadlines of clients, and `connect` those of connections to
    /// targets. If there is a `version`, each connection to a target starts with a [PROXY protocol
    /// header](Header::of), which precedes the transport of `connect` and the client's bytes.
    ///
    /// # Errors
    /// The same as those of [`Turn::connector`](sluicegate_reactor::Turn::connector).
    pub fn register(
        reactor: &mut Reactor,
        choose: C,
        connect: &Connect,
        version: Option<Version>,
    ) -> io::Result<HandlerId<Relay<C>>> {
        let mut connect = connect.clone();
        let outgoing = Outgoing { announce: version, transport: connect.transport.take() };
        let relay = reactor.reserve();
        let upstream = reactor.connector(relay, &connect)?;
        let warnings = Warnings::of(module_path!());
        reactor.install(relay, Relay { upstream, choose, outgoing, warnings });
        Ok(relay)
    }

    /// Chooses the target of a client that has sent `first`, if that is enough.
    fn choose(&mut self, cx: &mut Context<'_>, first: &[u8]) -> Side {
        match self.choose.choose(cx, first) {
            Choice::Wait => return Side::Undecided,
            Choice::Connect { target, authority } => {
                match self.connect(cx, &target, authority.as_deref()) {
                    Ok(upstream) => join(cx, upstream),
                    Err(error) => {
                        self.warn(cx, format_args!("cannot connect to {target}: {error}"));
                        cx.abort();
                    }
                }
            }
            Choice::Refuse { reason, reply } => {
                log::debug!("{}: refused: {reason}", cx.describe());
                cx.send(reply);
                cx.close();
            }
        }
        Side::Client
    }

    /// Starts to connect to a target for a client.
    fn connect(
        &self,
        cx: &mut Context<'_>,
        to: &Rc<Target>,
        authority: Option<&str>,
    ) -> Result<ConnId, transport::Error> {
        let session = RelaySession(Side::Connecting(to.clone()));
        let header = self.outgoing.announce.map(|_| header(cx, authority)).transpose()?;
        self.outgoing.connect(cx, self.upstream, (to, to), header.as_ref(), session)
    }

    fn warn(&mut self, cx: &Turn, what: fmt::Arguments<'_>) {
        self.warnings.warn(cx.now(), what);
    }
}

impl<C: Choose> Handler for Relay<C> {
    type Session = RelaySession;

    fn on_open(&mut self, cx: &mut Context<'_>) -> RelaySession {
        let side = self.choose(cx, b"");
        if let Side::Undecided = side {
            let time = cx.limits().handshake;
            cx.set_deadline(Some(time));
        }
        RelaySession(side)
    }

    fn on_ready(&mut self, _: &mut Context<'_>, session: &mut RelaySession) {
        if let Side::Connecting(to) = &session.0 {
            session.0 = Side::Upstream(to.clone());
        }
    }

    /// Called until the target is known: then all input is relayed.
    fn on_data(&mut self, cx: &mut Context<'_>, session: &mut RelaySession, input: &mut Input<'_>) {
        if let Side::Undecided = session.0 {
            session.0 = self.choose(cx, input);
            if let Side::Client = session.0 {
                cx.set_deadline(None);
            }
        }
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut RelaySession) {
        if let Side::Undecided = session.0 {
            cx.close();
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: RelaySession, why: Reason) {
        let is_failure = matches!(
            why,
            Reason::Unconnected(_) | Reason::TimedOut | Reason::Reset | Reason::Transport
        );
        match &session.0 {
            Side::Connecting(to) if is_failure => {
                let why = describe(cx, id, why);
                self.warn(cx, format_args!("cannot connect to {to}: {why}"));
            }
            Side::Upstream(to) if let Some(error) = cx.transport_error(id) => {
                let error = error.to_string();
                self.warn(cx, format_args!("connection to {to}: {error}"));
            }
            _ => {}
        }
    }
}

/// The header for a client that asks for this name, if that is known.
fn header(cx: &Context<'_>, authority: Option<&str>) -> Result<Header, transport::Error> {
    let header = Header::of(cx)?;
    match authority.filter(|_| header.authority().is_none()) {
        Some(name) => Ok(header.with(Tlv::AUTHORITY, name.as_bytes())?),
        None => Ok(header),
    }
}

/// Why a connection could not be established.
pub(crate) fn describe(cx: &Turn, id: ConnId, why: Reason) -> String {
    match why {
        _ if let Some(error) = cx.transport_error(id) => error.to_string(),
        Reason::Unconnected(kind) => unconnected::text(kind).into_owned(),
        Reason::TimedOut => "the handshake timed out".to_owned(),
        _ => "the connection was lost in the handshake".to_owned(),
    }
}
