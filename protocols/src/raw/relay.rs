//! Passing bytes on between two connections: proxies.
//!
//! [`join`] lets each of two connections relay to the other; what that means for ends, resets,
//! pauses and deadlines says [`Peer::relay_to`](sluicegate_reactor::Peer::relay_to). A handler of
//! one's own can first read who is asked for, or send a greeting. [`Relay`] is the proxy that does
//! nothing else:
//!
//! ```
//! use sluicegate_protocols::raw::relay::Relay;
//! use sluicegate_reactor::{Connect, Listen, Reactor, Target};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let to: Target = "localhost:5432".parse()?;
//! let mut reactor = Reactor::new()?;
//! let relay = Relay::register(&mut reactor, to, &Connect::default());
//! reactor.listen("127.0.0.1:0", &Listen::default(), relay)?;
//! # Ok(())
//! # }
//! ```

use sluicegate_reactor::{
    ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Reactor, Target,
};

/// Lets the current connection and `peer` relay to each other, until both have ended.
pub fn join(cx: &mut Context<'_>, peer: ConnId) {
    let me = cx.id();
    cx.relay_to(peer);
    cx.peer(peer).relay_to(me);
}

/// Connects for each connection that it accepts to one target, and joins the two.
///
/// A client whose target cannot be reached is closed. When the reactor stops, connections go on
/// until they have ended or the [time for it](Reactor::set_drain) is over.
#[derive(Debug)]
pub struct Relay {
    upstream: Connector<Relay>,
    to: Target,
}

impl Relay {
    /// Registers a proxy to a target, for any number of listeners. Limits and deadlines of clients
    /// are those of the listener, those towards the target of `connect`.
    pub fn register(
        reactor: &mut Reactor,
        to: impl Into<Target>,
        connect: &Connect,
    ) -> HandlerId<Relay> {
        let relay = reactor.reserve();
        let upstream = reactor.connector(relay, connect).expect("room for a connector");
        reactor.install(relay, Relay { upstream, to: to.into() });
        relay
    }
}

impl Handler for Relay {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let upstream = cx.connect(self.upstream, &self.to, ());
        join(cx, upstream);
    }

    /// Nothing comes here: all input is relayed.
    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
    }

    fn on_stop(&mut self, _: &mut Context<'_>, _: &mut ()) {}
}
