//! What an application implements and calls.

use std::borrow::Cow;
use std::ops::Deref;

use crate::core::{ConnId, Reason, Timeout};
use crate::fs::{NotSaved, Saved};

mod context;
mod opening;
mod peer;
mod receive;
mod turn;

pub use context::Context;
pub use peer::Peer;
pub(crate) use receive::{Delivery, FOREIGN, Message, Registered};
pub use receive::{Receive, Sessions};
pub(crate) use turn::HandOver;
pub use turn::Turn;

/// A protocol: one value per reactor, with a session for each connection.
///
/// The handler itself is the state its connections share; it is never called from two places at
/// once, so a chat room or a cache needs neither lock nor counted pointer. What belongs to one
/// connection is its [`Session`](crate::Handler::Session). Callbacks of a connection get its
/// session, [messages and timers](crate::Receive) reach those of all connections.
///
/// A connection on which nothing moves for 75 seconds is closed. If clients may be silent while
/// they wait for messages, set [`Limits::idle`](crate::Limits::idle) to `None`.
///
/// A panic in a callback closes that connection with [`Reason::Panicked`], is logged, and the
/// reactor goes on: a handler must tolerate that a change to its shared state was left half made.
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
pub trait Handler: Sized + 'static {
    /// What is kept for each connection.
    type Session: 'static;

    /// A connection was accepted. Bytes sent here leave before any are received.
    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session;

    /// A connection that this handler did not accept is ready for use: one it [asked
    /// for](crate::Turn::connect) is made, or one was [handed over](crate::Context::hand_over) to
    /// it. Called once, before anything that the connection brings and even if reading is paused;
    /// only a deadline of its own and a [message](crate::Sessions::get) can come before.
    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = (cx, session);
    }

    /// Bytes have arrived, or the connection reads again after a pause or a full queue and input
    /// was left. What is not consumed is offered again together with what arrives next.
    fn on_data(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, input: &mut Input<'_>);

    /// All the bytes are there that [`Context::receive_exact`] asked for. Called once for each such
    /// request; what comes behind them goes to [`on_data`](crate::Handler::on_data) unless it is
    /// asked for here.
    ///
    /// Many bytes are owned: `bytes.into_owned()` is the buffer they were received into, without a
    /// copy, and so is what [`send`](crate::Context::send) references. Few are borrowed.
    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        bytes: Cow<'_, [u8]>,
    ) {
        let _ = (cx, session, bytes);
    }

    /// What [`Context::receive_file`] or [`Context::receive_part`] has asked for is there, or the
    /// file could not be written. Called once for each, unless the connection ends before: then the
    /// file is removed. By default an answer that nobody gives is made up for by closing the
    /// connection if the file could not be written.
    ///
    /// After an error the handler has the choice: [discard](crate::Context::discard) what is
    /// [left](NotSaved::left) of the input and talk on, or answer and close.
    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        saved: Result<Saved, NotSaved>,
    ) {
        let _ = session;
        if saved.is_err() {
            cx.close();
        }
    }

    /// A queue that was full has fallen to [`Limits::send_low`](crate::Limits::send_low), or one
    /// for which [`Context::request_drain`] was called is empty.
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = (cx, session);
    }

    /// The peer has ended its direction; [`Context::unread`] bytes of it were never consumed.
    /// Answers can still be sent. By default the connection is closed once its queue is empty.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = session;
        cx.close();
    }

    /// A deadline has passed. By default a stalled writer is aborted and others are closed. A
    /// handler that does neither gives the connection the same time again, except for its own
    /// deadline, which it may set anew.
    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        let _ = session;
        match which {
            Timeout::WriteStall => cx.abort(),
            Timeout::Idle | Timeout::Own => cx.close(),
        }
    }

    /// The reactor is stopping: called once for each session that there is then, after what had
    /// arrived by then was delivered, within one turn's quantum. By default the connection is
    /// closed once all was sent. A handler that has not finished may go on, receiving and sending
    /// as before, and close later; what is open when
    /// [the time is over](crate::Reactor::set_drain) is closed with [`Reason::Stopped`].
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = session;
        cx.close();
    }

    /// The connection is over: called once for each session, and nothing is called after it.
    /// `cx` can still reach others. For [`Reason::Closed`] and [`Reason::Finished`] the kernel has
    /// taken every byte that was sent.
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        let _ = (cx, id, session, why);
    }
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

    /// All bytes not consumed yet, consumed.
    pub fn take(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// All bytes not consumed yet. Unlike the slice this derefs to, it does not borrow the `Input`.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Consumes the first `count` bytes.
    ///
    /// # Panics
    /// If there are fewer.
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
