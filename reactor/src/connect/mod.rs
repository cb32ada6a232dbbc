//! Outgoing connections.
//!
//! A handler that connects gets a [`Connector`] before the reactor runs. To connect, it calls
//! [`Turn::connect`](crate::Turn::connect), which returns the id of the future connection
//! immediately and calls no handler. Later [`on_ready`](crate::Handler::on_ready) is called once
//! the connection is established, or [`on_close`](crate::Handler::on_close) with
//! [`Reason::Unconnected`](crate::Reason::Unconnected) and the session if the attempt fails.
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

pub use crate::core::Connect;
pub use backoff::Backoff;

use std::fmt;

use crate::core::HandlerId;

/// Identifies the options that [`Turn::connect`](crate::Turn::connect) uses for connections of a
/// handler of type `H`.
pub struct Connector<H> {
    /// The group of its connections, which has the options.
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
        write!(f, "Connector({}, {:?})", self.group, self.handler)
    }
}
