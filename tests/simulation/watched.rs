//! A handler that sees to it that another one is called as was promised.

use std::collections::BTreeSet;

use sluicegate_reactor::fs::{NotSaved, Saved};
use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Payload, Reason, Receive, Sessions, Timeout, Turn,
};

/// Calls the handler in it, and asserts that a connection has one session, a session is only called
/// about with its own connection, and both are closed once and in the end.
pub(crate) struct Watched<H> {
    pub(crate) inner: H,
    /// The connections with a session.
    open: BTreeSet<ConnId>,
}

/// A session, and the connection it belongs to: none before it is known which.
pub(crate) struct Session<S> {
    inner: S,
    id: Option<ConnId>,
}

impl<S> From<S> for Session<S> {
    /// One that comes along with its connection.
    fn from(inner: S) -> Session<S> {
        Session { inner, id: None }
    }
}

impl<H: Handler> Watched<H> {
    pub(crate) fn new(inner: H) -> Watched<H> {
        Watched { inner, open: BTreeSet::new() }
    }

    fn check(&mut self, id: ConnId, session: &mut Session<H::Session>) {
        if session.id.is_none() {
            self.opened(id);
        }
        assert_eq!(*session.id.get_or_insert(id), id, "called with the session of another");
        assert!(self.open.contains(&id), "called about a connection that was closed");
    }

    fn opened(&mut self, id: ConnId) {
        assert!(self.open.insert(id), "a connection with two sessions");
    }
}

impl<H: Handler> Handler for Watched<H> {
    type Session = Session<H::Session>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session {
        self.opened(cx.id());
        Session { id: Some(cx.id()), inner: self.inner.on_open(cx) }
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.check(cx.id(), session);
        self.inner.on_ready(cx, &mut session.inner);
    }

    fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) {
        self.check(cx.id(), session);
        assert!(!input.is_empty() && cx.wants_input(), "data that nobody waits for");
        self.inner.on_data(cx, &mut session.inner, input);
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        bytes: Payload<'_>,
    ) {
        self.check(cx.id(), session);
        assert!(cx.wants_input(), "a message that nobody waits for");
        self.inner.on_received(cx, &mut session.inner, bytes);
    }

    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        saved: Result<Saved, NotSaved>,
    ) {
        self.check(cx.id(), session);
        self.inner.on_saved(cx, &mut session.inner, saved);
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, left: u64) {
        self.check(cx.id(), session);
        // The connection's own queue may be full, which does not stop a relay.
        assert!(cx.is_open(), "the end of a part of a connection that is over");
        self.inner.on_relayed(cx, &mut session.inner, left);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.check(cx.id(), session);
        self.inner.on_drain(cx, &mut session.inner);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.check(cx.id(), session);
        self.inner.on_eof(cx, &mut session.inner);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        self.check(cx.id(), session);
        self.inner.on_timeout(cx, &mut session.inner, which);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.check(cx.id(), session);
        self.inner.on_stop(cx, &mut session.inner);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, mut session: Self::Session, why: Reason) {
        self.check(id, &mut session);
        self.open.remove(&id);
        self.inner.on_close(cx, id, session.inner, why);
    }
}

impl<M, S, H: Receive<M, S>> Receive<M, Session<S>> for Watched<H> {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session<S>>, message: M) {
        cx.map(|session| &mut session.inner, |cx| self.inner.on_message(cx, message));
    }
}

impl<H> Drop for Watched<H> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.open.is_empty(), "sessions that were never closed: {:?}", self.open);
        }
    }
}
