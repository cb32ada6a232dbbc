//! [`Http`] as a handler: it finds requests in the input and answers them in order.

use std::ops::ControlFlow;
use std::time::Duration;

use sluicegate_reactor::fs::{NotSaved, Saved};
use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Payload, Reason, Receive, Sessions, Timeout, Turn,
};

use super::body::{AfterSaving, Received};
use super::delivery::Step;
use super::exchange::Arrived;
use super::head;
use super::in_flight::InFlight;
use super::response::StreamedResponse;
use super::scan::HeadScan;
use super::server::Http;
use super::service::Service;
use super::session::{HttpSession, State};
use super::sink::at_most;
use super::status::Status;
use crate::quantum::{self, MESSAGES_PER_TURN};

/// Empty lines before a request line that are ignored (RFC 9112, section 2.2).
const MAX_BLANK_LINES: u8 = 4;

/// How long a client that has just connected may take to send its first request once the reactor
/// stops. Longer than a round trip, and short compared with the time that a reactor has to drain.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

impl<S: Service> Handler for Http<S> {
    type Session = HttpSession<S::State>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> HttpSession<S::State> {
        let mut session = HttpSession::new();
        self.open_log(cx, &mut session);
        session
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>) {
        self.open_log(cx, session);
    }

    fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        input: &mut Input<'_>,
    ) {
        self.output.begin(cx);
        self.read_requests(cx, session, input);
        self.finish_callback(cx, session, input.is_empty());
    }

    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        saved: Result<Saved, NotSaved>,
    ) {
        self.output.begin(cx);
        if let State::ReceivingBody(body) = &mut session.state {
            match body.on_saved(saved) {
                AfterSaving::Rest => {
                    self.after_piece(cx, session, Ok(()));
                }
                AfterSaving::RestOfForm(committed) => {
                    let connection = cx.id();
                    self.service.on_part_saved(cx, connection, body.state(), committed);
                    self.after_piece(cx, session, Ok(()));
                }
                AfterSaving::Refusal(error) => {
                    let status = self.output.unsaved.status(&error, cx.describe(), cx.now());
                    self.after_piece(cx, session, Err(status));
                }
                AfterSaving::Response(saved) => self.finish_body(cx, session, saved),
            }
        }
        let nothing_left = cx.unread() == 0;
        self.finish_callback(cx, session, nothing_left);
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        bytes: Payload<'_>,
    ) {
        self.output.begin(cx);
        self.finish_body(cx, session, Received::Whole(bytes));
        let nothing_left = cx.unread() == 0;
        self.finish_callback(cx, session, nothing_left);
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>, left: u64) {
        self.output.begin(cx);
        if left == 0 {
            self.end_body(cx, session);
        } else if let Some(body) = session.state.body() {
            body.on_relayed(left);
        }
        let nothing_left = cx.unread() == 0;
        self.finish_callback(cx, session, nothing_left);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>) {
        self.note_finished(cx, session);
        session.finish_response(cx);
        if let Some(head) = session.take_postponed(cx) {
            self.output.begin(cx);
            self.answer(cx, session, &head, Arrived::Head(None));
            let nothing_left = cx.unread() == 0;
            self.finish_callback(cx, session, nothing_left);
        }
        // The access log asks for this callback too.
        if session.stream().is_some_and(StreamedResponse::take_full) {
            let connection = cx.id();
            self.service.on_room(cx, connection);
        }
        let Some(in_flight) = &mut session.in_flight else { return };
        in_flight.report(cx.sent(), &mut |record| self.service.on_sent(record));
        if in_flight.has_paused && !in_flight.is_full() {
            in_flight.has_paused = false;
            cx.resume();
        }
        if in_flight.is_waiting() {
            cx.request_drain();
        }
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>) {
        let is_streaming = session.stream().is_some();
        match &session.state {
            // The request will never be complete.
            State::AwaitingResponse(awaited) if awaited.receives_body() && is_streaming => {
                cx.abort();
            }
            State::AwaitingResponse(awaited) if !awaited.receives_body() => {
                session.is_closing = true;
                if is_streaming {
                    let connection = cx.id();
                    self.service.on_client_end(cx, connection);
                }
            }
            _ => cx.close(),
        }
    }

    fn on_timeout(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        which: Timeout,
    ) {
        match which {
            Timeout::WriteStall => cx.abort(),
            // The request has a deadline of its own.
            Timeout::Idle if session.is_waiting() => {}
            Timeout::Idle => cx.close(),
            Timeout::Own => self.time_out(cx, session),
        }
    }

    /// All complete requests have been answered before, unless the client does not read.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>) {
        if cx.unread() == 0 && session.has_sent_nothing() {
            // The client has just connected, and its first request may be under way. A browser that
            // connects ahead of time sends none.
            session.is_closing = true;
            session.start_deadline(cx, FIRST_REQUEST.min(self.limits.head_timeout));
        } else if cx.unread() == 0 && !session.is_waiting() {
            // The connection is idle, or its last response is in flight and leaves whole.
            cx.close();
        } else {
            session.is_closing = true;
            if session.stream().is_some() {
                let connection = cx.id();
                self.service.on_stop(cx, connection);
            }
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: HttpSession<S::State>, why: Reason) {
        match &session.state {
            State::ReceivingBody(_) => self.service.on_gone(cx, id),
            State::AwaitingResponse(awaited)
                if awaited.pending.finished().is_none() && !awaited.pending.is_postponed() =>
            {
                if awaited.pending.is_streaming() && !awaited.pending.mode.is_modern {
                    // The end of the connection would be that of the body.
                    cx.peer(id).abort();
                }
                self.service.on_gone(cx, id);
            }
            _ => {}
        }
        self.note_finished(cx, &session);
        if let (Some(metrics), Some(stream)) = (&self.metrics, session.stream()) {
            metrics.note_cut(stream.status);
        }
        let Some(mut in_flight) = session.in_flight else { return };
        let time = cx.unix_time();
        if let State::AwaitingResponse(awaited) = &session.state
            && let Some(response) = awaited.pending.queued(time)
        {
            in_flight.complete(response);
        }
        // After a hand-over the queue is still sent, but this handler does not learn when.
        let sent = match why {
            Reason::HandedOver => u64::MAX,
            _ => cx.peer(id).sent(),
        };
        in_flight.report_all((sent, time), &mut |record| self.service.on_sent(record));
    }
}

impl<M, S: Service + Receive<M>> Receive<M, HttpSession<S::State>> for Http<S> {
    fn on_message(&mut self, cx: &mut Sessions<'_, HttpSession<S::State>>, message: M) {
        cx.map(|session| &mut session.own, |cx| self.service.on_message(cx, message));
    }
}

impl<S: Service> Http<S> {
    /// Begins the log of a connection. If the client has already reset it, its address is not known
    /// any more, and no request that has arrived may be served without one in the log.
    fn open_log(&self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>) {
        if !self.service.wants_log() {
            return;
        }
        match cx.peer_address() {
            Ok(address) => {
                session.in_flight = Some(Box::new(InFlight::new(address.ip_and_port())));
            }
            // Except on Linux, the address of a Unix socket's peer is lost when that closes.
            Err(_) if cx.local_address().is_ok_and(|it| it.is_unix()) => {
                session.in_flight = Some(Box::new(InFlight::new(None)));
            }
            Err(error) => {
                log::debug!("{}: closed, as its client is unknown: {error}", cx.describe());
                cx.abort();
            }
        }
    }

    /// Ends a callback.
    #[inline]
    fn finish_callback(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        nothing_left: bool,
    ) {
        self.flush(cx);
        if session.is_closing && nothing_left && !session.is_waiting() {
            cx.close();
        }
        if session.in_flight.as_ref().is_some_and(|in_flight| in_flight.is_waiting()) {
            cx.request_drain();
        }
    }

    /// Hands the responses of a callback to the reactor.
    #[inline]
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        self.output.flush(cx);
        if let Some(metrics) = &self.metrics {
            metrics.finish_callback(|| cx.turn_time());
        }
    }

    /// Counts a deferred response, if it is finished.
    fn note_finished(&self, cx: &Turn, session: &HttpSession<S::State>) {
        if let (Some(metrics), Some((status, since))) = (&self.metrics, session.finished()) {
            metrics.note_later(status, cx.now() + cx.turn_time() - since);
        }
    }

    /// The deadline of the current state has passed.
    fn time_out(&mut self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>) {
        if let State::AwaitingResponse(awaited) = &session.state
            && awaited.pending.is_abandoned()
        {
            return self.refuse_late(cx, session, Status::SERVICE_UNAVAILABLE);
        }
        if let Some(body) = session.state.body() {
            if body.is_too_slow(cx, &self.limits) {
                self.refuse_late(cx, session, Status::REQUEST_TIMEOUT);
            } else {
                cx.set_deadline(Some(self.limits.head_timeout));
            }
            return;
        }
        match &mut session.state {
            State::AwaitingResponse(awaited) if awaited.pending.is_streaming() => {
                cx.set_deadline(Some(self.limits.response_timeout));
            }
            State::AwaitingResponse(_) => {
                self.refuse_late(cx, session, Status::SERVICE_UNAVAILABLE);
            }
            // The rest may have arrived: nothing is read while the client reads no responses.
            _ if !cx.wants_input() => cx.set_deadline(Some(self.limits.head_timeout)),
            State::Head { .. } if cx.unread() == 0 => cx.close(),
            // The response depends on what has arrived of the head.
            State::Head { .. } => session.look_again(cx),
            // The request was answered before.
            State::SkippingBody { .. } | State::ReceivingBody(_) => cx.close(),
        }
    }

    /// Answers the requests in the input, up to the quantum of a turn.
    fn read_requests(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        input: &mut Input<'_>,
    ) {
        quantum::deliver(MESSAGES_PER_TURN, cx, input, |cx, input| {
            match self.step(cx, session, input) {
                Step::Again => {
                    session.clear_deadline(cx);
                    return ControlFlow::Continue(());
                }
                Step::Incomplete => session.start_deadline(cx, self.limits.head_timeout),
                Step::Rest => {}
            }
            ControlFlow::Break(())
        });
    }

    /// Deals with what is at the front of the input.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        input: &mut Input<'_>,
    ) -> Step {
        if input.is_empty() {
            return Step::Rest;
        }
        if session.state.receives_body() {
            return self.step_body(cx, session, input);
        }
        match &mut session.state {
            State::Head { scan, blank_lines } if input.starts_with(b"\r\n") => {
                input.consume(2);
                (*scan, *blank_lines) = (HeadScan::default(), *blank_lines + 1);
                if *blank_lines > MAX_BLANK_LINES {
                    self.refuse(cx, session, b"", Status::BAD_REQUEST);
                }
            }
            State::Head { scan, .. } => match head::find_end(input, scan, &self.limits) {
                Ok(None) if session.is_late() => {
                    self.refuse(cx, session, input.bytes(), Status::REQUEST_TIMEOUT);
                }
                Ok(None) => return Step::Incomplete,
                Ok(Some(end)) => {
                    let head = &input.bytes()[..end];
                    input.consume(end);
                    self.answer(cx, session, head, Arrived::Head(Some(input)));
                }
                Err(status) => self.refuse(cx, session, input.bytes(), status),
            },
            _ => return Self::skip_body(cx, session, input),
        }
        Step::Again
    }

    /// Skips the rest of an unread body.
    #[inline(never)]
    fn skip_body(
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        input: &mut Input<'_>,
    ) -> Step {
        let Some(left) = session.state.unread_body() else {
            // The next request waits for the deferred response, or the body until the service has
            // decided about it. It is not even received.
            cx.pause();
            return Step::Rest;
        };
        let count = at_most(input.len(), *left);
        input.consume(count);
        *left -= count as u64;
        if *left > 0 {
            return Step::Incomplete;
        }
        if let State::SkippingBody { .. } = session.state {
            session.state = State::next_head();
        }
        Step::Again
    }
}
