//! Bytes as they come: the smallest protocol.
//!
//! A [`Protocol`] is given every byte once, in order, in pieces of any size. It is
//! [`Handler`] without the bookkeeping of what was consumed. [`frames`] finds messages in them,
//! [`relay`] passes them on.

use std::borrow::Cow;

use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Receive, Timeout, Turn};

pub mod frames;
pub mod relay;

/// An application that takes bytes.
///
/// ```
/// use sluicegate_protocols::raw::{Protocol, Raw};
/// use sluicegate_reactor::{Context, Reactor};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_bytes(&mut self, cx: &mut Context<'_>, _: &mut (), bytes: &[u8]) {
///         cx.send(bytes);
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let echo = reactor.register(Raw(Echo));
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

    /// Bytes have arrived; all of them are consumed. There is at least one.
    fn on_bytes(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, bytes: &[u8]);

    /// The bytes are there that [`Context::receive_exact`] asked for: see [`Handler::on_received`].
    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        bytes: Cow<'_, [u8]>,
    ) {
        let _ = (cx, session, bytes);
    }

    /// What was sent has drained: see [`Handler::on_drain`].
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = (cx, session);
    }

    /// The peer has ended its direction. By default the connection is closed once all was sent.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
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

    /// The reactor is stopping: see [`Handler::on_stop`]. By default the connection is closed once
    /// all was sent.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = session;
        cx.close();
    }

    /// The connection is over: called once for each session.
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        let _ = (cx, id, session, why);
    }
}

/// Makes a [`Protocol`] a [`Handler`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw<P>(pub P);

impl<P: Protocol> Handler for Raw<P> {
    type Session = P::Session;

    fn on_open(&mut self, cx: &mut Context<'_>) -> P::Session {
        self.0.on_open(cx)
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut P::Session) {
        self.0.on_ready(cx, session);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, session: &mut P::Session, input: &mut Input<'_>) {
        self.0.on_bytes(cx, session, input.take());
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut P::Session,
        bytes: Cow<'_, [u8]>,
    ) {
        self.0.on_received(cx, session, bytes);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut P::Session) {
        self.0.on_drain(cx, session);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut P::Session) {
        self.0.on_eof(cx, session);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut P::Session, which: Timeout) {
        self.0.on_timeout(cx, session, which);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut P::Session) {
        self.0.on_stop(cx, session);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: P::Session, why: Reason) {
        self.0.on_close(cx, id, session, why);
    }
}

impl<M, P: Receive<M>> Receive<M> for Raw<P> {
    fn on_message(&mut self, cx: &mut Turn, message: M) {
        self.0.on_message(cx, message);
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use sluicegate_reactor::testing::{Harness, State, same_at_every_split};

    use super::*;

    /// Sends back what it gets in upper case, says when the rest has left, and counts its sessions.
    #[derive(Default)]
    struct Upper {
        closed: Vec<(usize, Reason)>,
    }

    impl Protocol for Upper {
        type Session = usize;

        fn on_open(&mut self, cx: &mut Context<'_>) -> usize {
            cx.send("hello ");
            0
        }

        fn on_bytes(&mut self, cx: &mut Context<'_>, count: &mut usize, bytes: &[u8]) {
            *count += bytes.len();
            cx.send(&bytes.to_ascii_uppercase()[..]);
            if bytes.ends_with(b".") {
                cx.request_drain();
            }
        }

        fn on_drain(&mut self, cx: &mut Context<'_>, _: &mut usize) {
            cx.send(" (left)");
        }

        fn on_stop(&mut self, cx: &mut Context<'_>, count: &mut usize) {
            cx.send(format!("after {count}, goodbye").as_bytes());
            cx.close();
        }

        fn on_close(&mut self, _: &mut Turn, _: ConnId, count: usize, why: Reason) {
            self.closed.push((count, why));
        }
    }

    #[test]
    fn every_byte_is_delivered_once_however_it_arrives() {
        let outcome = same_at_every_split(|| Harness::new(Raw(Upper::default())), b"some bytes.");
        assert_eq!(outcome.sent, b"hello SOME BYTES. (left)");
        assert_eq!(outcome.state, State::Open);
        assert_eq!((&*outcome.sent_at_end, outcome.state_at_end), (&b""[..], State::Closed));
    }

    #[test]
    fn a_session_ends_once_with_what_it_has_counted() {
        let mut h = Harness::new(Raw(Upper::default()));
        let (ending, resetting) = (h.open(), h.open());
        h.feed(ending, b"abc");
        h.feed(resetting, b"abcd");
        h.finish(ending);
        h.reset(resetting);
        assert_eq!(h.handler().0.closed, [(3, Reason::Closed), (4, Reason::Reset)]);
    }

    #[test]
    fn a_protocol_is_told_that_the_reactor_stops() {
        let mut h = Harness::new(Raw(Upper::default()));
        let client = h.open();
        h.feed(client, b"abc");
        h.stop();
        assert_eq!(h.sent(client), b"hello ABCafter 3, goodbye");
    }

    #[test]
    fn an_idle_connection_is_closed_and_a_stalled_one_reset() {
        let mut h = Harness::new(Raw(Upper::default()));
        let (idle, stalled) = (h.open(), h.open());
        h.set_room(stalled, 0);
        h.feed(stalled, b"abc");
        let limits = sluicegate_reactor::Limits::default();
        h.advance(limits.idle.max(limits.write_stall).unwrap_or_default() * 2);
        assert_eq!((h.state(idle), h.state(stalled)), (State::Closed, State::Reset));
    }
}
