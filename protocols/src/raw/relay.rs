//! Forwarding bytes between two connections, for proxies.
//!
//! [`join`] makes each of two connections relay to the other. See
//! [`Peer::relay_to`](sluicegate_reactor::Peer::relay_to) for what happens to ends, resets, pauses
//! and deadlines. Your own handler can first read which target the client wants, or send a
//! greeting. [`Relay`] is a proxy that only relays:
//!
//! ```
//! use sluicegate_protocols::raw::relay::Relay;
//! use sluicegate_reactor::{Connect, Listen, Reactor, Target};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let to: Target = "localhost:5432".parse()?;
//! let mut reactor = Reactor::new()?;
//! let relay = Relay::register(&mut reactor, to, &Connect::default())?;
//! reactor.listen("127.0.0.1:0", &Listen::default(), relay)?;
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::io::{self, ErrorKind};

use sluicegate_reactor::transport::{self, Factory};
use sluicegate_reactor::{
    ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Reactor, Reason, Target, Turn,
};

use crate::proxy_protocol::{Header, SendProxy, Version};
use crate::warnings::Warnings;

/// Makes the current connection and `peer` relay to each other until both have ended.
pub fn join(cx: &mut Context<'_>, peer: ConnId) {
    let me = cx.id();
    cx.relay_to(peer);
    cx.peer(peer).relay_to(me);
}

/// Connects to one target for each connection that it accepts, and joins the two.
///
/// If the target cannot be reached, the client's connection is closed and a warning is logged, at
/// most once a second. When the reactor stops, relays continue until they have ended or the [grace
/// period](Reactor::set_drain) is over.
///
/// An end of stream is only forwarded, never invented: after a deadline or the grace period, a side
/// that has not received all data and the end of the other side is reset.
#[derive(Debug)]
pub struct Relay {
    upstream: Connector<Relay>,
    to: Target,
    announces: Option<Announces>,
    warnings: Warnings,
}

/// How the target is told about a client.
#[derive(Debug)]
struct Announces {
    version: Version,
    /// Makes what comes behind the header.
    inner: Option<Factory<Target>>,
}

impl Relay {
    /// Registers a proxy to one target, for any number of listeners. The listener sets the limits
    /// and deadlines of clients, and `connect` those of connections to the target.
    ///
    /// # Errors
    /// If the target is text that is not one; the message says why. Otherwise the same as those of
    /// [`Reactor::connector`].
    pub fn register(
        reactor: &mut Reactor,
        to: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        connect: &Connect,
    ) -> io::Result<HandlerId<Relay>> {
        Relay::install(reactor, to, connect, None)
    }

    /// Like [`register`](Relay::register), but the target gets a [PROXY protocol
    /// header](Header::of) in front of each client's bytes, and of the transport of `connect`.
    ///
    /// # Errors
    /// The same as those of [`register`](Relay::register).
    pub fn register_announcing(
        reactor: &mut Reactor,
        to: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        connect: &Connect,
        version: Version,
    ) -> io::Result<HandlerId<Relay>> {
        let announces = Announces { version, inner: connect.transport.clone() };
        Relay::install(reactor, to, connect, Some(announces))
    }

    fn install(
        reactor: &mut Reactor,
        to: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        connect: &Connect,
        announces: Option<Announces>,
    ) -> io::Result<HandlerId<Relay>> {
        let to = Target::of(to)
            .map_err(|error| io::Error::new(error.kind(), format!("relay to {error}")))?;
        let relay = reactor.reserve();
        let upstream = reactor.connector(relay, connect)?;
        let warnings = Warnings::of(module_path!());
        reactor.install(relay, Relay { upstream, to, announces, warnings });
        Ok(relay)
    }

    /// Starts to connect to the target for a client.
    fn connect(&self, cx: &mut Context<'_>) -> Result<ConnId, transport::Error> {
        let Some(Announces { version, inner }) = &self.announces else {
            return Ok(cx.connect(self.upstream, &self.to, ()));
        };
        let mut transport = SendProxy::new(&Header::of(cx)?, *version);
        if let Some(inner) = inner.as_ref().and_then(|inner| inner.make(&self.to).transpose()) {
            transport = transport.then(inner?);
        }
        Ok(cx.connect_through(self.upstream, &self.to, Box::new(transport), ()))
    }
}

impl Handler for Relay {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        match self.connect(cx) {
            Ok(upstream) => join(cx, upstream),
            Err(error) => {
                let to = &self.to;
                self.warnings.warn(cx.now(), format_args!("cannot connect to {to}: {error}"));
                cx.abort();
            }
        }
    }

    /// Never called: all input is relayed.
    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
    }

    fn on_stop(&mut self, _: &mut Context<'_>, _: &mut ()) {}

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, _: (), why: Reason) {
        if let Reason::Unconnected(error) = why {
            let to = &self.to;
            let error = match error {
                ErrorKind::NotFound => "no such host or socket".to_owned(),
                other => other.to_string(),
            };
            self.warnings.warn(cx.now(), format_args!("cannot connect to {to}: {error}"));
        }
    }
}
