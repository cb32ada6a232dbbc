//! The callbacks of the connections to an origin.

use std::io::ErrorKind;
use std::rc::Rc;

use sluicegate_reactor::fs::{NotSaved, Saved};
use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Payload, Reason, Receive, Sessions, Timeout, Turn,
};

use super::error::{Cause, Phase};
use super::exchange::Exchange;
use super::pool::{Connections, Overdue, Refused, Settling};
use super::receive::{Received, fail};
use super::response::Length;
use super::session::{ExchangeId, Place, Running, Session, State};
use crate::http::sink::Sink;
use crate::quantum::{self, MESSAGES_PER_TURN};

impl<E: Exchange> Handler for Connections<E> {
    type Session = Session<E>;

    fn on_open(&mut self, _: &mut Context<'_>) -> Session<E> {
        Session::new(Rc::default())
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Session<E>) {
        session.is_established = true;
        self.shared.note_connected();
        cx.set_deadline(Some(self.shared.options.response_timeout));
    }

    fn on_data(&mut self, cx: &mut Context<'_>, session: &mut Session<E>, input: &mut Input<'_>) {
        session.adopt();
        quantum::deliver(MESSAGES_PER_TURN, cx, input, |cx, input| self.step(cx, session, input));
    }

    fn on_received(&mut self, cx: &mut Context<'_>, session: &mut Session<E>, bytes: Payload<'_>) {
        // A body of this length has its own buffer, in which nothing follows it.
        self.complete(cx, session, true, Received::Whole(bytes));
    }

    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        saved: Result<Saved, NotSaved>,
    ) {
        let State::Body(sink) = &mut session.state else { return };
        match sink.on_saved(saved) {
            None => {}
            Some((Ok(committed), _)) => {
                let is_clean = cx.unread() == 0;
                self.complete(cx, session, is_clean, Received::File(committed));
            }
            Some((Err(error), _)) => fail(cx, session, Cause::NotSaved(error)),
        }
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut Session<E>, left: u64) {
        if left == 0 {
            let is_clean = cx.unread() == 0;
            self.complete(cx, session, is_clean, Received::Pieces);
        } else {
            fail(cx, session, Cause::NotRelayed);
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Session<E>) {
        session.adopt();
        let Some(running) = &mut session.running else { return };
        let is_awaited = matches!(session.state, State::Head { .. }) && !running.is_streaming();
        if is_awaited && cx.pending() == 0 {
            cx.set_deadline(Some(self.shared.options.response_timeout));
        }
        let high = self.shared.options.connect.limits.send_high;
        let Some(state) = running.stream() else { return };
        if let Some(stream) = state.open(cx.id(), high) {
            running.exchange.on_stream(cx, stream);
        } else if state.take_full() {
            running.exchange.on_room(cx);
        }
        if running.is_abandoned() {
            fail(cx, session, Cause::UnfinishedRequest);
        }
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Session<E>) {
        session.adopt();
        // The end of a connection completes a response, but only if nobody can have cut it off (RFC
        // 9112, section 9.8).
        let is_end = session.length == Length::UntilClose && !cx.is_cut();
        match std::mem::replace(&mut session.state, State::Idle) {
            State::Idle => self.close_idle(cx),
            State::Body(Sink::Memory { bytes, .. }) if is_end => {
                self.complete(cx, session, true, Received::Whole(bytes.into()));
            }
            State::Body(Sink::Pieces { .. }) if is_end => {
                self.complete(cx, session, true, Received::Pieces);
            }
            State::Head { .. } if self.is_unanswered(cx, session) => {
                fail(cx, session, Cause::Closed);
            }
            _ => fail(cx, session, Cause::Truncated),
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Session<E>, which: Timeout) {
        session.adopt();
        let phase = match (&session.state, which) {
            (_, Timeout::WriteStall) => Phase::Request,
            (State::Body(_) | State::Short(_), Timeout::Idle) if cx.wants_input() => Phase::Body,
            (State::Skipped(..), _) => Phase::Body,
            (State::Idle, Timeout::Own) => return self.close_idle(cx),
            (State::Head { .. }, Timeout::Own) => match &session.running {
                Some(running) if running.is_abandoned() => {
                    return fail(cx, session, Cause::UnfinishedRequest);
                }
                // The origin may wait for the rest of the request.
                Some(running) if cx.pending() > 0 || running.is_streaming() => {
                    return cx.set_deadline(Some(self.shared.options.response_timeout));
                }
                _ => Phase::Response,
            },
            // The deadlines of the other states are own ones, and so are those of exchanges that
            // pause.
            _ => return,
        };
        fail(cx, session, Cause::TimedOut(phase));
    }

    /// An exchange may go on until the grace period ends.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Session<E>) {
        session.adopt();
        if let State::Idle = session.state {
            self.close_idle(cx);
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, mut session: Session<E>, why: Reason) {
        session.adopt();
        self.shared.note_closed(id, session.is_established, why);
        let mut failed = None;
        if let Some(running) = session.running.take() {
            let received = session.is_established.then(|| cx.peer(id).received());
            let cause = session.failure.take();
            let transport = cx.transport_error(id).map(|error| error.to_string());
            let cause = cause.or(transport.map(Cause::Transport));
            let cause = cause.unwrap_or_else(|| cause_of(why, received, &running));
            failed = if matches!(cause, Cause::Closed) && running.may_repeat() {
                self.shared.connect(cx, running).err().map(|running| (running, Cause::Stopped))
            } else {
                Some((running, cause))
            };
        }
        if why == Reason::Stopped {
            while let Some(waiting) = self.shared.take_waiting() {
                self.fail_exchange(cx, waiting.id, waiting.exchange, Cause::Stopped);
            }
        }
        self.shared.connect_waiting(cx);
        if let Some((running, cause)) = failed {
            self.fail_exchange(cx, running.id, running.exchange, cause);
        }
    }
}

impl<E: Exchange> Receive<Overdue, Session<E>> for Connections<E> {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session<E>>, _: Overdue) {
        while let Some(waiting) = self.shared.take_overdue(cx) {
            let cause = Cause::TimedOut(Phase::Waiting);
            self.fail_exchange(cx, waiting.id, waiting.exchange, cause);
        }
    }
}

impl<E: Exchange> Receive<Settling, Session<E>> for Connections<E> {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session<E>>, settling: Settling) {
        let Some((mut cx, session)) = cx.get(settling.connection) else { return };
        if !cx.is_open() {
            return;
        }
        match settling.turns {
            // The body may have used up the quantum of the connection.
            0 => self.shared.release_later(&mut cx, 1),
            _ => self.release(&mut cx, session, true),
        }
    }
}

impl<E: Exchange> Receive<Refused<E>, Session<E>> for Connections<E> {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session<E>>, refused: Refused<E>) {
        self.fail_exchange(cx, refused.id, refused.exchange, refused.cause);
    }
}

/// Why an exchange fails whose connection ended for this reason. `received` is how many bytes the
/// connection had received, if it was established.
fn cause_of<E: Exchange>(why: Reason, received: Option<u64>, running: &Running<E>) -> Cause {
    match why {
        Reason::Unconnected(kind) => Cause::Unconnected(kind),
        // A deadline of an open connection sets a failure, so this was that of the handshake.
        Reason::TimedOut => Cause::Unconnected(ErrorKind::TimedOut),
        Reason::Stopped => Cause::Stopped,
        Reason::MemoryBudget => Cause::MemoryBudget,
        Reason::Panicked => Cause::Panicked,
        Reason::Aborted if running.is_streaming() => Cause::UnfinishedRequest,
        Reason::Failed | Reason::Truncated => Cause::Failed,
        Reason::Reset => match received {
            // In the handshake: nothing of the request was sent.
            None => Cause::Unconnected(ErrorKind::ConnectionReset),
            Some(count) if running.is_unanswered(count) => Cause::Closed,
            Some(_) => Cause::Truncated,
        },
        _ => Cause::Truncated,
    }
}

impl<E: Exchange> Connections<E> {
    /// Lets an exchange fail, unless it was cancelled.
    fn fail_exchange(&self, cx: &mut Turn, id: ExchangeId, exchange: E, cause: Cause) {
        if id.place() != Place::Over {
            id.set(Place::Over);
            exchange.on_failed(cx, self.shared.error(cause));
        }
    }

    fn is_unanswered(&self, cx: &Context<'_>, session: &Session<E>) -> bool {
        session.running.as_ref().is_some_and(|running| running.is_unanswered(cx.received()))
    }
}
