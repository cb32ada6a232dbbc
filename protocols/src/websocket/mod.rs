//! WebSocket (RFC 6455): messages in both directions, for browsers and other programs.
//!
//! A [`WebSocketHandler`] gets one [`Message`] at a time and sends others. A WebSocket starts as an
//! HTTP request: a [`Service`](crate::http::Service) checks it with a [`Handshake`] and hands the
//! connection over, so HTTP and WebSockets share a port. This server echoes all messages:
//!
//! ```no_run
//! use sluicegate_protocols::{http::*, websocket::*};
//! use sluicegate_reactor::{Context, HandlerId, Listen, Reactor};
//!
//! struct Echo;
//! impl WebSocketHandler for Echo {
//!     type Session = ();
//!     fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
//!         socket.send(cx, m);
//!     }
//! }
//!
//! struct Site(HandlerId<WebSockets<Echo>>);
//! impl Service for Site {
//!     type State = ();
//!     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
//!         match Handshake::new(request) {
//!             Ok(handshake) => handshake.accept(reply, self.0, ()),
//!             Err(error) => error.answer(reply),
//!         }
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let mut reactor = Reactor::new()?;
//!     let echo = reactor.register(WebSockets::new(Echo));
//!     let site = reactor.register(Http::new(Site(echo)));
//!     reactor.listen("127.0.0.1:8080", &Listen::default(), site)?;
//!     reactor.run()
//! }
//! ```
//!
//! # Tasks
//!
//! | to | use |
//! |---|---|
//! | decide who may connect | [`Handshake::new`], [`Handshake::from_any_origin`] |
//! | choose a subprotocol | [`Handshake::offers`], [`Handshake::protocol`] |
//! | compress messages (feature `websocket-deflate`) | `Handshake::deflate` |
//! | send to one connection | [`WebSocket::send`] |
//! | send the same message to many connections | [`Frame`], [`WebSocket::send_frame`] |
//! | send no faster than the peer reads | [`Sent::Full`](sluicegate_reactor::Sent::Full), then [`WebSocketHandler::on_drain`] |
//! | close | [`WebSocket::close`] |
//! | limit what a peer may send | [`WebSocketLimits`] |
//! | connect to a server | [`ClientHandshake`] |
//!
//! # What `WebSockets` does for a handler
//!
//! - It closes a connection whose peer breaks a rule, with the code and the reason of the
//!   [`Fault`]. A text message is checked as it arrives, and fails at the first invalid byte.
//! - It joins fragments, up to a limit.
//! - It answers pings, in order with other messages. If a peer does not read the pongs, its input
//!   is not read either.
//! - It sends a ping after [`Limits::idle`] without traffic, and ends the connection if nothing
//!   arrives for the same time again.
//! - It answers a Close frame once, with the same code, and closes the connection. Input after the
//!   frame is ignored.
//! - When the reactor stops, it closes with 1001 (Going Away).
//!
//! [`Limits::idle`]: sluicegate_reactor::Limits::idle
//!
//! # Inside
//!
//! Each line uses those below it:
//!
//! | | |
//! |---|---|
//! | `handshake`, `client` | the opening handshake of servers and of clients |
//! | `adapter` | the callbacks: frames, deadlines, and a reactor that stops |
//! | `socket` | sending, and the closing handshake |
//! | `incoming` | messages in pieces |
//! | `deflate`, `codec` | negotiating compression, and compressing |
//! | `frame` | the format of frames |
//! | `message`, `fault`, `limits` | data |

use sluicegate_reactor::{ConnId, Context, Turn};

mod adapter;
mod client;
#[cfg(feature = "websocket-deflate")]
mod codec;
#[cfg(feature = "websocket-deflate")]
mod deflate;
mod fault;
mod frame;
mod handshake;
mod incoming;
mod limits;
mod message;
mod socket;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use adapter::WebSockets;
pub use client::{ClientHandshake, ResponseError};
pub use fault::{CloseCode, Closed, Fault};
pub use handshake::{Handshake, HandshakeError};
pub use limits::WebSocketLimits;
pub use message::{Frame, Message};
pub use socket::WebSocket;

/// An application that handles WebSockets.
///
/// Delivery stops as soon as a callback pauses or closes the connection, or fills its send queue.
/// It continues with the next message once the connection reads again.
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait WebSocketHandler: Sized + 'static {
    /// The application's state of a connection: [`WebSocket::session`].
    type Session: 'static;

    /// The handshake is complete.
    fn on_open(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Self::Session>) {}

    /// A message has arrived.
    fn on_message(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut WebSocket<Self::Session>,
        message: Message<'_>,
    );

    /// The send queue has drained: see
    /// [`Handler::on_drain`](sluicegate_reactor::Handler::on_drain).
    fn on_drain(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Self::Session>) {}

    /// The deadline that the application has set with
    /// [`set_deadline`](sluicegate_reactor::Peer::set_deadline) has passed. By default the
    /// connection is closed with 1008 (Policy Violation).
    fn on_timeout(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Self::Session>) {
        socket.close(cx, CloseCode::POLICY_VIOLATION, "");
    }

    /// The reactor is stopping. By default the connection is closed with 1001 (Going Away). A
    /// handler can close it later, until the grace period ends.
    fn on_stop(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Self::Session>) {
        socket.close(cx, CloseCode::GOING_AWAY, "");
    }

    /// The connection is closed. Called once for each session.
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, closed: Closed) {}
}
