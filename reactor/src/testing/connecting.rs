//! Remotes and names, for reactors that connect.

use std::net::IpAddr;

use super::harness::{Client, Harness};
use crate::connect::{Connect, Connector};
use crate::core::ConnId;
use crate::core::Target;
use crate::handler::Handler;
use crate::sys::Address;
use crate::sys::sim::{Remote, Step};

/// Connections that the reactor makes.
impl<H: Handler> Harness<H> {
    /// Creates a [`Connector`] for the handler that serves the clients.
    pub fn connector(&mut self, connect: &Connect) -> Connector<H> {
        let handler = self.handler_id();
        self.reactor.connector(handler, connect).expect("a reactor has room for a connector")
    }

    /// Connects from outside of a callback, as the owner of a reactor can: see
    /// [`Turn::connect`](crate::Turn::connect).
    pub fn connect<O: Handler>(
        &mut self,
        connector: Connector<O>,
        target: impl Into<Target>,
        session: O::Session,
    ) -> ConnId {
        let id = self.reactor.connect(connector, target, session);
        self.run();
        id
    }

    /// Sets how the remote at an address behaves from now on, including towards connections that
    /// are already waiting ([`Remote::Silent`]). If there is no remote at an address and the
    /// reactor does not listen on it, connections are refused.
    ///
    /// ```
    /// # use sluicegate_reactor::{Connect, Context, Handler, Input, Reason};
    /// # struct Greeter;
    /// # impl Handler for Greeter {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
    /// #         cx.send("hello");
    /// #     }
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         input.take();
    /// #     }
    /// # }
    /// use sluicegate_reactor::Address;
    /// use sluicegate_reactor::testing::{Harness, Remote};
    ///
    /// let mut h = Harness::new(Greeter);
    /// let upstream = Address::from_path("/run/upstream.sock").unwrap();
    /// h.set_remote(&upstream, Remote::Listens);
    /// let connector = h.connector(&Connect::default());
    /// h.connect(connector, &upstream, ());
    /// let far_end = h.accept(&upstream);
    /// assert_eq!(h.sent(far_end), "hello");
    /// ```
    pub fn set_remote(&mut self, address: &Address, remote: Remote) {
        self.world.set_remote(address, remote);
        self.run();
    }

    /// Accepts the oldest pending connection of the reactor to an address, and returns its far end.
    /// This is a [`Client`] like any other, except that the reactor has connected to it.
    ///
    /// # Panics
    /// If no connection is pending.
    pub fn accept(&mut self, address: &Address) -> Client {
        self.try_accept(address).unwrap_or_else(|| panic!("no connection to {address} is pending"))
    }

    /// Like [`accept`](Harness::accept), but returns `None` if no connection is pending.
    pub fn try_accept(&mut self, address: &Address) -> Option<Client> {
        let client = self.world.accept_remote(address)?;
        Some(self.add_client(client))
    }

    /// Sets the addresses of a host name, in the order in which the resolver returns them. A name
    /// that is not set, or that is set without addresses, is not found.
    ///
    /// ```
    /// # use sluicegate_reactor::{Connect, Context, Handler, Input};
    /// # struct Quiet;
    /// # impl Handler for Quiet {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// # let mut h = sluicegate_reactor::testing::Harness::new(Quiet);
    /// # let connector = h.connector(&Connect::default());
    /// use sluicegate_reactor::testing::{Remote, State};
    /// use std::net::SocketAddr;
    ///
    /// let upstream: SocketAddr = "10.0.0.1:5432".parse().unwrap();
    /// h.set_name("db.example", [upstream.ip()]);
    /// h.set_remote(&upstream.into(), Remote::Listens);
    /// h.connect(connector, ("db.example", 5432), ());
    /// let far_end = h.accept(&upstream.into());
    /// assert_eq!(h.state(far_end), State::Open);
    /// ```
    pub fn set_name(&mut self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        self.world.set_name(name, addresses.into_iter().collect());
        self.run();
    }

    /// Makes lookups of a name wait for [`set_name`](Harness::set_name).
    pub fn hold_name(&mut self, name: &str) {
        self.world.hold_name(name);
    }

    /// Queues the results of the next calls that start a connection, one step per call.
    pub fn script_connect(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.world.script_connect(steps);
    }
}
