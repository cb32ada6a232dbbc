//! The API that an application implements and calls.

use std::ops::Deref;

use crate::core::{ConnId, Reason, Timeout};
use crate::fs::{NotSaved, Saved};

mod context;
mod guard;
mod opening;
mod payload;
mod peer;
mod receive;
mod registered;
mod transport;
mod turn;

pub use context::Context;
pub(crate) use guard::guard;
pub use payload::Payload;
pub use peer::Peer;
pub(crate) use receive::{Delivery, FOREIGN};
pub use receive::{Receive, Sessions};
pub(crate) use registered::Registered;
pub(crate) use turn::HandOver;
pub use turn::Turn;

/// A protocol: one value for all connections of a reactor, with a session for each connection.
///
/// The handler itself holds the state that its connections share. The reactor makes one callback at
/// a time, so a chat room or a cache needs neither a lock nor a reference count. The
/// [`Session`](crate::Handler::Session) holds the state of one connection. The callbacks of a
/// connection get its session; [messages and timers](crate::Receive) can access the sessions of all
/// connections.
///
/// A connection without traffic is closed after 75 seconds. If clients may stay silent while they
/// wait for messages, set [`Limits::idle`](crate::Limits::idle) to `None`.
///
/// A panic in a callback is logged and closes that connection with [`Reason::Panicked`]. The
/// reactor continues, so a handler must tolerate shared state that a panic left partially updated.
///
/// ```
/// use sluicegate_reactor::{Context, Handler, Input};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
///         cx.send(input.take());
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Handler` of connections",
    label = "not a `Handler`",
    note = "wrap a `LineHandler` in `Lines::new(..)`, a `FrameHandler` in `Frames::new(..)` and a \
            `Service` in `Http::new(..)`, or implement `Handler` for `{Self}`"
)]
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait Handler: Sized + 'static {
    /// The state of one connection.
    type Session: 'static;

    /// A connection was accepted. Output sent here is sent before any input is received.
    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session;

    /// A connection that this handler did not accept is ready for use: it was
    /// [connected](crate::Turn::connect), [adopted](crate::Turn::adopt), or [handed
    /// over](crate::Context::hand_over) to this handler. Called once, even if reading is paused,
    /// before any other event of the connection. Only a timeout of its own deadline and a
    /// [message](crate::Sessions::get) can arrive earlier. On any connection, it is called again
    /// after the handshake of a [transport that was
    /// started](crate::Context::start_transport).
    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// Bytes have arrived, or the connection has resumed reading after a pause or a full queue and
    /// has unconsumed input. Bytes that a callback does not consume are offered again, together
    /// with the bytes that arrive next.
    fn on_data(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, input: &mut Input<'_>);

    /// All bytes requested with [`Context::receive_exact`] have arrived. Called once per request.
    /// Later bytes go to [`on_data`](crate::Handler::on_data), unless this callback requests them.
    ///
    /// A long message is owned: it stays in the buffer that it was received into, and
    /// [`send`](crate::Context::send) references it. A short one is borrowed.
    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        bytes: Payload<'_>,
    ) {
    }

    /// The file of a [`Context::receive_file`] or [`Context::receive_part`] call is complete, or
    /// could not be written. Called once for each such call, unless the connection ends first; the
    /// file is then removed. By default the connection is closed if the file could not be written,
    /// so that no client waits for a response.
    ///
    /// After an error the handler can [discard](crate::Context::discard) the [rest](NotSaved::left)
    /// of the input and continue, or send a response and close the connection.
    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        saved: Result<Saved, NotSaved>,
    ) {
        if saved.is_err() {
            cx.close();
        }
    }

    /// The relay of a [part](Peer::relay_part) has ended. If `left` is 0, all of it was sent to
    /// the destination or is in its queue. Otherwise the destination is gone, and the last `left`
    /// bytes of the part are the next input. Input goes to [`on_data`](crate::Handler::on_data)
    /// again, unless this callback requests it. By default the connection is closed if bytes are
    /// left, so that no client waits for a response.
    ///
    /// Called once for each call of `relay_part`, unless the connection or its input ends first or
    /// the handler directs the input elsewhere. While the connection is paused, the call waits.
    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, left: u64) {
        if left > 0 {
            cx.close();
        }
    }

    /// A full queue has drained to [`Limits::send_low`](crate::Limits::send_low), or a queue is
    /// empty after [`Peer::request_drain`].
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// The peer has shut down its sending side; [`Context::unread`] bytes of its input were never
    /// consumed. Responses can still be sent. By default the connection is closed once its queue is
    /// empty.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        cx.close();
    }

    /// A deadline has passed. By default a stalled writer is aborted, and any other connection is
    /// closed. If a handler does neither, the deadline restarts, except for the connection's own,
    /// which the handler may set again.
    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        match which {
            Timeout::WriteStall => cx.abort(),
            Timeout::Idle | Timeout::Own => cx.close(),
        }
    }

    /// The reactor is stopping. Called once for each open session, after the input that had already
    /// arrived has been delivered, up to one turn's quantum. By default the connection is closed
    /// once its queue is empty. A handler that has not finished can keep receiving and sending, and
    /// close the connection later. Connections still open when the [grace
    /// period](crate::Reactor::set_drain) ends are closed with [`Reason::Stopped`].
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        cx.close();
    }

    /// The connection has ended. Called once for each session, as its last callback. `cx` can still
    /// reach other connections. With [`Reason::Closed`] and [`Reason::Finished`] the kernel has
    /// accepted every byte that was sent. With [`Reason::Stopped`] the peer sees a normal end of
    /// stream unless output is queued. If truncated output could then look complete, the handler
    /// should call [`Peer::abort`](crate::Peer::abort).
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {}
}

/// Bytes that have arrived. Derefs to those not consumed yet.
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes }
    }

    /// Consumes and returns all remaining bytes.
    pub fn take(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// All bytes not consumed yet. Unlike the slice this derefs to, it does not borrow the `Input`.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Consumes the first `count` bytes.
    ///
    /// # Panics
    /// If fewer bytes are left.
    pub fn consume(&mut self, count: usize) {
        self.bytes = &self.bytes[count..];
    }
}

impl Deref for Input<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}
