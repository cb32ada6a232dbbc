//! Frames: messages of a fixed size, or with a length prefix.
//!
//! A [`FrameHandler`] gets one frame at a time. A [`Framing`] defines the format of the frames, and
//! sends them: what the length counts, and what precedes it, such as the type of a packet in MQTT or
//! PostgreSQL. If the first frames of a connection have another format, as in PostgreSQL, their
//! handler [hands over](Context::hand_over) to the one for the others, with a [`FrameSession`].

use std::ops::ControlFlow;

use sluicegate_reactor::fs::{NotSaved, Saved};
use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Payload, Reason, Receive, Sessions, Timeout, Turn,
};

use crate::quantum::{self, MESSAGES_PER_TURN};

mod framing;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use framing::{Extent, FrameError, FrameHeader, Framing, Prefix};

/// An application that handles frames.
///
/// Delivery stops as soon as a callback pauses or closes the connection, fills its send queue, or
/// directs its input elsewhere. It continues with the next frame once the connection reads again.
///
/// ```
/// use sluicegate_protocols::raw::frames::{FrameHandler, Frames, Framing, Prefix};
/// use sluicegate_reactor::{Context, Payload, Reactor};
///
/// const FRAMING: Framing = Framing::prefixed(Prefix::U32Be, 1 << 20);
///
/// struct Echo;
///
/// impl FrameHandler for Echo {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_frame(&mut self, cx: &mut Context<'_>, _: &mut (), frame: Payload<'_>) {
///         FRAMING.send(cx, frame).expect("received frames can be sent");
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let echo = reactor.register(Frames::new(Echo, FRAMING));
/// # Ok(())
/// # }
/// ```
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait FrameHandler: Sized + 'static {
    /// The state of a connection.
    type Session: 'static;

    /// A connection was accepted.
    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session;

    /// A connection that was not accepted is ready for use, or a transport that was started is: see
    /// [`Handler::on_ready`].
    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// A frame has arrived. `frame` does not contain its header, unless something
    /// [precedes the length](Framing::length_offset).
    ///
    /// A frame longer than [`Limits::max_unread`](sluicegate_reactor::Limits::max_unread) and
    /// [`Limits::receive_direct`](sluicegate_reactor::Limits::receive_direct) is
    /// [owned](Payload::Owned) unless it arrives in one receive: the handler gets the buffer that
    /// it was received into, and can keep it or pass it to a worker.
    fn on_frame(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, frame: Payload<'_>);

    /// The input is not a valid frame. The connection is closed after this call, as the start of
    /// the next frame is not known.
    fn on_malformed(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        error: FrameError,
    ) {
    }

    /// A file that a callback has requested is complete, or could not be written: see
    /// [`Handler::on_saved`]. By default the connection is closed if the file could not be written.
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

    /// The relay of a part has ended: see [`Handler::on_relayed`]. By default the connection is
    /// closed if `left` is not 0.
    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, left: u64) {
        if left > 0 {
            cx.close();
        }
    }

    /// The send queue has drained: see [`Handler::on_drain`].
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// The peer has shut down its sending side. By default the connection is closed when the send
    /// queue is empty.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, eof: FrameEof) {
        cx.close();
    }

    /// The reactor is stopping: see [`Handler::on_stop`]. By default the connection is closed when
    /// the send queue is empty.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        cx.close();
    }

    /// A deadline has passed. The default is that of [`Handler::on_timeout`].
    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        match which {
            Timeout::WriteStall => cx.abort(),
            Timeout::Idle | Timeout::Own => cx.close(),
        }
    }

    /// The connection is closed. Called once for each session.
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {}
}

/// Where in the input the stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameEof {
    /// Between two frames, or in bytes that a callback has directed elsewhere.
    Clean,
    /// In a frame or its header.
    InFrame,
}

/// Turns a [`FrameHandler`] into a [`Handler`].
///
/// A frame that arrives in one piece is borrowed from the input. The reactor keeps the start of an
/// incomplete frame up to [`Limits::max_unread`](sluicegate_reactor::Limits::max_unread) bytes;
/// longer frames, up to [`Limits::max_exact`](sluicegate_reactor::Limits::max_exact), are
/// received into a buffer that grows as bytes arrive. A connection delivers at most 1,024 frames in
/// one turn.
#[derive(Clone, Debug)]
pub struct Frames<H> {
    handler: H,
    framing: Framing,
}

impl<H: FrameHandler> Frames<H> {
    /// Creates a handler for frames in this format.
    pub fn new(handler: H, framing: Framing) -> Frames<H> {
        Frames { handler, framing }
    }

    /// The frame handler.
    pub fn handler(&mut self) -> &mut H {
        &mut self.handler
    }
}

/// The state of a connection.
#[derive(Debug)]
pub struct FrameSession<S> {
    own: S,
    /// Whether the payload of a long frame is being received.
    in_payload: bool,
}

impl<S> FrameSession<S> {
    /// Creates the session of a connection whose input starts with a frame.
    pub fn new(own: S) -> FrameSession<S> {
        FrameSession { own, in_payload: false }
    }
}

impl<H: FrameHandler> Handler for Frames<H> {
    type Session = FrameSession<H::Session>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session {
        FrameSession::new(self.handler.on_open(cx))
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_ready(cx, &mut session.own);
    }

    fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) {
        quantum::deliver(MESSAGES_PER_TURN, cx, input, |cx, input| self.step(cx, session, input));
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        payload: Payload<'_>,
    ) {
        session.in_payload = false;
        self.handler.on_frame(cx, &mut session.own, payload);
    }

    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        saved: Result<Saved, NotSaved>,
    ) {
        self.handler.on_saved(cx, &mut session.own, saved);
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, left: u64) {
        self.handler.on_relayed(cx, &mut session.own, left);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_drain(cx, &mut session.own);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let is_clean = !session.in_payload && cx.unread() == 0;
        let eof = if is_clean { FrameEof::Clean } else { FrameEof::InFrame };
        self.handler.on_eof(cx, &mut session.own, eof);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_stop(cx, &mut session.own);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        self.handler.on_timeout(cx, &mut session.own, which);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        self.handler.on_close(cx, id, session.own, why);
    }
}

impl<M, S, H: Receive<M, S>> Receive<M, FrameSession<S>> for Frames<H> {
    fn on_message(&mut self, cx: &mut Sessions<'_, FrameSession<S>>, message: M) {
        cx.map(|session| &mut session.own, |cx| self.handler.on_message(cx, message));
    }
}

impl<H: FrameHandler> Frames<H> {
    /// Delivers what is at the front of the input.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut FrameSession<H::Session>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        let bytes = input.bytes();
        // A frame of a fixed size needs no header, but begins with its first byte.
        if bytes.is_empty() {
            return ControlFlow::Break(());
        }
        let extent = match self.framing.decode(bytes) {
            Ok(Some(extent)) => extent,
            Ok(None) => return ControlFlow::Break(()),
            Err(error) => return self.refuse(cx, session, error),
        };
        let start = if self.framing.delivers_headers() { 0 } else { extent.header };
        let end = extent.header.saturating_add(extent.payload);
        if let Some(frame) = bytes.get(start..end) {
            input.consume(end);
            self.handler.on_frame(cx, &mut session.own, frame.into());
            return ControlFlow::Continue(());
        }
        if end > cx.limits().max_unread {
            input.consume(start);
            if cx.receive_exact(end - start).is_err() {
                let (len, max) = ((end - start) as u64, cx.limits().max_exact);
                return self.refuse(cx, session, FrameError::TooLong { len, max });
            }
            session.in_payload = true;
        }
        ControlFlow::Break(())
    }

    fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut FrameSession<H::Session>,
        error: FrameError,
    ) -> ControlFlow<()> {
        self.handler.on_malformed(cx, &mut session.own, error);
        cx.close();
        ControlFlow::Break(())
    }
}
