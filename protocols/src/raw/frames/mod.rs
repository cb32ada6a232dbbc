//! Frames: messages of one size, or each with its length in front.
//!
//! A [`Protocol`] is given one frame at a time, without its header. [`Framing`] says what they look
//! like, and sends them.

use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Receive, Timeout, Turn};

use crate::PER_TURN;

mod framing;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use framing::{Extent, FrameError, Framing, Header, Prefix};

/// An application that takes frames.
///
/// ```
/// use sluicegate_protocols::raw::frames::{Frames, Framing, Prefix, Protocol};
/// use sluicegate_reactor::{Context, Reactor};
///
/// const FRAMING: Framing = Framing::prefixed(Prefix::U32Be, 1 << 20);
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_frame(&mut self, cx: &mut Context<'_>, _: &mut (), frame: &[u8]) {
///         FRAMING.send(&mut cx.this(), frame).expect("one that was received can be sent");
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let echo = reactor.register(Frames::new(Echo, FRAMING));
/// # Ok(())
/// # }
/// ```
pub trait Protocol: Sized + 'static {
    /// What is kept for each connection.
    type Session: 'static;

    /// A connection was accepted.
    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session;

    /// A connection that was not accepted is ready for use: see [`Handler::on_ready`].
    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = (cx, session);
    }

    /// A frame has arrived; its header is not part of it.
    fn on_frame(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, frame: &[u8]);

    /// What has arrived is the beginning of no frame. The connection is closed after this, since
    /// nobody can tell where the next one would begin.
    fn on_malformed(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        error: FrameError,
    ) {
        let _ = (cx, session, error);
    }

    /// What was sent has drained: see [`Handler::on_drain`].
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = (cx, session);
    }

    /// The peer has ended its direction, maybe in the middle of a frame. By default the connection
    /// is closed once all was sent.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, ending: Ending) {
        let _ = (session, ending);
        cx.close();
    }

    /// The reactor is stopping: see [`Handler::on_stop`]. By default the connection is closed once
    /// all was sent.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = session;
        cx.close();
    }

    /// A deadline has passed. By default as [`Handler::on_timeout`].
    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        let _ = session;
        match which {
            Timeout::WriteStall => cx.abort(),
            Timeout::Idle | Timeout::Own => cx.close(),
        }
    }

    /// The connection is over: called once for each session.
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        let _ = (cx, id, session, why);
    }
}

/// What the end of a stream has cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: it came between two frames.
    Whole,
    /// A frame, or its header.
    InFrame,
}

/// Makes a [`Protocol`] a [`Handler`].
///
/// A frame that is all there is borrowed from the input. While the rest of one is awaited the
/// reactor keeps what has arrived; one longer than
/// [`Limits::keep`](sluicegate_reactor::Limits::keep) is collected in a buffer that grows with what
/// arrives, never with what its header says.
#[derive(Clone, Debug)]
pub struct Frames<P> {
    protocol: P,
    framing: Framing,
}

impl<P: Protocol> Frames<P> {
    /// Around a protocol.
    pub fn new(protocol: P, framing: Framing) -> Frames<P> {
        Frames { protocol, framing }
    }

    /// The protocol.
    pub fn protocol(&mut self) -> &mut P {
        &mut self.protocol
    }
}

/// What is kept for a connection: the protocol's own session, and the large frame it is in.
#[derive(Debug)]
pub struct Session<S> {
    partial: Option<Box<Partial>>,
    own: S,
}

impl<S> Session<S> {
    /// For a connection that begins with a frame.
    pub fn new(own: S) -> Session<S> {
        Session { partial: None, own }
    }
}

const _: () = assert!(size_of::<Session<()>>() <= 8);

/// A frame of which a part has arrived.
#[derive(Debug)]
struct Partial {
    bytes: Vec<u8>,
    len: usize,
}

impl Partial {
    /// Takes what belongs to the frame from the front of `bytes` and says how much that was. Each
    /// byte is moved a bounded number of times, and the buffer is never more than twice what has
    /// arrived.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.len - self.bytes.len());
        let (filled, size) = (self.bytes.len(), self.bytes.capacity());
        if filled + count > size {
            self.bytes.reserve_exact((2 * filled).clamp(filled + count, self.len) - filled);
        }
        self.bytes.extend_from_slice(&bytes[..count]);
        count
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() == self.len
    }
}

/// Whether there may be more in the input.
enum Step {
    Again,
    Rest,
}

impl<P: Protocol> Handler for Frames<P> {
    type Session = Session<P::Session>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session {
        Session::new(self.protocol.on_open(cx))
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.protocol.on_ready(cx, &mut session.own);
    }

    fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) {
        for _ in 0..PER_TURN {
            if !cx.wants_input() {
                return;
            }
            if let Step::Rest = self.step(cx, session, input) {
                return;
            }
        }
        if !input.is_empty() {
            cx.yield_now();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.protocol.on_drain(cx, &mut session.own);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let is_whole = session.partial.is_none() && cx.unread() == 0;
        let ending = if is_whole { Ending::Whole } else { Ending::InFrame };
        self.protocol.on_eof(cx, &mut session.own, ending);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.protocol.on_stop(cx, &mut session.own);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        self.protocol.on_timeout(cx, &mut session.own, which);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        self.protocol.on_close(cx, id, session.own, why);
    }
}

impl<M, P: Receive<M>> Receive<M> for Frames<P> {
    fn on_message(&mut self, cx: &mut Turn, message: M) {
        self.protocol.on_message(cx, message);
    }
}

impl<P: Protocol> Frames<P> {
    /// Delivers what stands at the front of the input.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<P::Session>,
        input: &mut Input<'_>,
    ) -> Step {
        if let Some(partial) = &mut session.partial {
            input.consume(partial.fill(input));
            let Some(whole) = session.partial.take_if(|partial| partial.is_whole()) else {
                return Step::Rest;
            };
            self.protocol.on_frame(cx, &mut session.own, &whole.bytes);
            return Step::Again;
        }
        let bytes = input.bytes();
        let extent = match self.framing.decode(bytes) {
            Ok(Some(extent)) => extent,
            Ok(None) => return Step::Rest,
            Err(error) => {
                self.protocol.on_malformed(cx, &mut session.own, error);
                cx.close();
                return Step::Rest;
            }
        };
        let end = extent.header.saturating_add(extent.payload);
        if let Some(frame) = bytes.get(extent.header..end) {
            input.consume(end);
            self.protocol.on_frame(cx, &mut session.own, frame);
            return Step::Again;
        }
        if end > cx.limits().keep {
            let mut partial = Box::new(Partial { bytes: Vec::new(), len: extent.payload });
            partial.fill(&bytes[extent.header..]);
            input.take();
            session.partial = Some(partial);
        }
        Step::Rest
    }
}
