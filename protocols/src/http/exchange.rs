//! One request and its response.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_reactor::{ConnId, Context, Input};

use super::body::{Received, RequestBody};
use super::head;
use super::limits::MAX_HEADERS;
use super::output::Destination;
use super::reply::Reply;
use super::request::{BodyLength, Connection, Request, Version};
use super::response::{
    Awaited, BodyMode, Finished, Outcome, PendingResponse, Persistence, QueuedResponse,
    ResponseMode,
};
use super::server::Http;
use super::service::Service;
use super::session::{HttpSession, Rest};
use super::status::Status;

/// The effect of a request on what follows its response.
#[derive(Clone, Copy)]
struct Aftermath {
    /// How many bytes of the request body are still skipped.
    skip: u64,
    /// Whether the connection closes.
    close: bool,
    /// Whether it closes even if the whole body is received.
    is_last: bool,
}

impl Aftermath {
    /// The mode of the response.
    fn mode(self, request: &Request<'_>) -> ResponseMode {
        let persistence = |closes| match request.version {
            _ if closes => Persistence::Close,
            Version::Http10 => Persistence::KeepAlive,
            Version::Http11 => Persistence::Implied,
        };
        ResponseMode {
            persistence: persistence(self.close),
            after_body: persistence(self.is_last),
            head_only: request.method == "HEAD",
            is_modern: request.version == Version::Http11,
        }
    }
}

/// The part of a request that has arrived.
pub(super) enum Arrived<'i, 'a, V> {
    /// Its head. The input continues after it; `None` if the request was postponed and is delivered
    /// again, outside of the callback for input.
    Head(Option<&'i mut Input<'a>>),
    /// Its body, for which the service has set this aside.
    Body(Received<'a>, V),
}

impl<S: Service> Http<S> {
    /// Answers the request with this head: when the head is complete, and again when the body that
    /// the service asked for is here.
    ///
    /// Both cases are one function, so that the parser is inlined in one place only.
    pub(super) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        head: &[u8],
        arrived: Arrived<'_, '_, S::State>,
    ) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..self.limits.headers.min(MAX_HEADERS)];
        let endpoints = cx.endpoints();
        let connection = Connection::of(cx, &endpoints);
        let request = match head::parse(head, slots, &self.limits, &mut self.hosts, &connection) {
            Ok(request) => request,
            Err(status) => return self.refuse_head(cx, session, head, arrived, status),
        };
        let mut aftermath = match &arrived {
            Arrived::Head(input) => {
                session.requests = session.requests.saturating_add(input.is_some().into());
                self.aftermath(session, &request)
            }
            Arrived::Body(body, _) => self.aftermath_of_body(session, &request, body),
        };
        // Of these requests, only one that was postponed has waited.
        let since = session.waiting_since();
        session.finish_request(aftermath.skip);
        let finished = 'finished: {
            let outcome = match arrived {
                Arrived::Head(input) => {
                    let to = Destination::Call(cx);
                    let reply = Reply::new(to, &mut self.output, aftermath.mode(&request));
                    match self.service.call(&request, reply).0 {
                        Outcome::Waits(awaited) => {
                            let awaited = (awaited, input);
                            self.deliver_at_once(cx, session, &request, awaited, &mut aftermath)
                        }
                        // Leaves the block directly: a copy of the whole `Outcome`, right after its
                        // fields were stored one by one, would wait for those stores.
                        Outcome::Finished(finished) => break 'finished finished,
                    }
                }
                Arrived::Body(body, state) => {
                    self.deliver_body(cx, &request, aftermath, (body, state))
                }
            };
            match outcome {
                Outcome::Finished(finished) => finished,
                Outcome::Waits(awaited) => {
                    let times = (aftermath.skip, since.unwrap_or(cx.now()));
                    match self.wait(cx, session, (head, &request), times, awaited) {
                        Ok(()) => return,
                        Err(status) => self.refusal(cx, aftermath.mode(&request), status),
                    }
                }
            }
        };
        self.finish_answer(cx, session, head, Some(&request), finished, since);
    }

    /// Lets the service answer a request at once if it has asked for a body that is here.
    fn deliver_at_once(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        request: &Request<'_>,
        (awaited, input): (Awaited<S::State>, Option<&mut Input<'_>>),
        aftermath: &mut Aftermath,
    ) -> Outcome<S::State> {
        if awaited.is_last() {
            session.is_closing = true;
            *aftermath = self.aftermath(session, request);
        }
        let Awaited::Body { mode, state, is_last } = awaited else {
            return Outcome::Waits(awaited);
        };
        let Some(body) = Self::take_body(cx, request, &mode, input) else {
            return Outcome::Waits(Awaited::Body { mode, state, is_last });
        };
        *aftermath = self.aftermath_of_body(session, request, &body);
        session.finish_request(aftermath.skip);
        self.deliver_body(cx, request, *aftermath, (body, state))
    }

    /// The body of a request, if the service has asked for it in memory and all of it is in the
    /// input; or if it is empty.
    #[inline]
    fn take_body<'a>(
        cx: &Context<'_>,
        request: &Request<'_>,
        mode: &BodyMode,
        input: Option<&mut Input<'a>>,
    ) -> Option<Received<'a>> {
        let limit = match mode {
            BodyMode::Memory(limit) => (*limit).min(cx.limits().max_exact),
            BodyMode::Pieces => 0,
            BodyMode::File(_) | BodyMode::Form(_) => return None,
        };
        let length = usize::try_from(request.body_length.known()?).ok()?;
        let here = input.as_ref().map_or(0, |input| input.len());
        if length > limit || length > here {
            return None;
        }
        let body = input.map_or(&[][..], |input| {
            let (body, _) = input.bytes().split_at(length);
            input.consume(length);
            body
        });
        Some(Received::Whole(body.into()))
    }

    /// Lets the service answer a request whose body is here.
    fn deliver_body(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        aftermath: Aftermath,
        (body, state): (Received<'_>, S::State),
    ) -> Outcome<S::State> {
        let mode = aftermath.mode(request);
        let reply = Reply::new(Destination::Current(cx), &mut self.output, mode);
        let answered = match body {
            Received::Whole(bytes) => self.service.on_body(request, state, bytes, reply),
            Received::Saved { saved, .. } => self.service.on_saved(request, state, &saved, reply),
        };
        answered.0
    }

    /// Waits for what the response needs. `skip` is how many bytes of the request body are skipped
    /// if the service does not receive it, `since` when the request began to wait.
    ///
    /// # Errors
    /// The status of the response if there is nothing to wait for.
    #[cold]
    fn wait(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        (head, request): (&[u8], &Request<'_>),
        (skip, since): (u64, Duration),
        awaited: Awaited<S::State>,
    ) -> Result<(), Status> {
        if let Some(pending) = awaited.response()
            && pending.is_abandoned()
        {
            if !pending.is_streaming() {
                return Err(Status::SERVICE_UNAVAILABLE);
            }
            // The head has left, and the rest will never come.
            cx.abort();
        }
        if let Some(in_flight) = &mut session.in_flight {
            in_flight.note_pending(head, request);
        }
        match awaited {
            Awaited::Body { mode, state, .. } => {
                let body = RequestBody::start(cx, head, request, (mode, state))?;
                self.send_continue(request);
                session.receive_body(cx, body, &self.limits);
            }
            Awaited::Response(pending, Some(body)) if pending.finished().is_none() => {
                self.receive_body_meanwhile(cx, session, request, body, (pending, since));
            }
            // The body is skipped if the response is complete already.
            Awaited::Response(pending, _) => {
                let rest = match pending.is_postponed() {
                    true => Rest::Postponed { head: head.into(), left: skip },
                    false => Rest::Skipped(skip),
                };
                session.await_response(cx, (pending, since), rest, &self.limits);
            }
        }
        Ok(())
    }

    /// Starts to receive a body while its response is deferred.
    fn receive_body_meanwhile(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        request: &Request<'_>,
        (state, to): (S::State, Option<ConnId>),
        (pending, since): (Arc<PendingResponse>, Duration),
    ) {
        let length = request.body_length.known();
        let body = match (length, to) {
            (Some(length), Some(to)) if length > 0 => RequestBody::relay(cx, (length, to), state),
            _ => RequestBody::deliver(cx, length, state),
        };
        if !pending.has_begun() {
            self.send_continue(request);
            // The service may answer as soon as it gets a piece, which may be here already.
            self.output.flush(cx);
        }
        session.await_response(cx, (pending, since), Rest::Received(body), &self.limits);
        if length == Some(0) {
            self.end_body(cx, session);
        }
    }

    /// Answers `Expect: 100-continue` if a body follows.
    fn send_continue(&mut self, request: &Request<'_>) {
        if request.expects_continue && request.body_length.known() != Some(0) {
            self.output.bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// What follows the response to a request whose body nobody reads.
    fn aftermath(&self, session: &HttpSession<S::State>, request: &Request<'_>) -> Aftermath {
        let is_last = self.is_last(session, request);
        let (skip, close) = match request.body_length {
            BodyLength::None | BodyLength::Exact(0) => (0, is_last),
            // A client that did not get 100 may send its body or not.
            BodyLength::Exact(_) if request.expects_continue => (0, true),
            BodyLength::Exact(length) if length <= self.limits.drain => (length, is_last),
            BodyLength::Exact(_) | BodyLength::Chunked => (0, true),
        };
        Aftermath { skip, close, is_last }
    }

    /// What follows the response to a request whose body the service has got.
    fn aftermath_of_body(
        &self,
        session: &HttpSession<S::State>,
        request: &Request<'_>,
        body: &Received<'_>,
    ) -> Aftermath {
        let left = match body {
            Received::Whole(_) => Some(0),
            Received::Saved { left, .. } => *left,
        };
        let skip = left.filter(|left| *left <= self.limits.drain);
        let is_last = self.is_last(session, request);
        Aftermath { skip: skip.unwrap_or(0), close: skip.is_none() || is_last, is_last }
    }

    /// Whether a request is the last one of its connection, whatever its body.
    fn is_last(&self, session: &HttpSession<S::State>, request: &Request<'_>) -> bool {
        let is_over_limit = self.limits.requests.is_some_and(|most| session.requests >= most);
        is_over_limit || session.is_closing || !request.keep_alive
    }

    /// Logs a response, and closes the connection if that was the last. `since` is when its request
    /// began to wait, unless that was in this callback.
    // Inlined, so that `Finished` is not copied.
    #[inline(always)]
    fn finish_answer(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        head: &[u8],
        request: Option<&Request<'_>>,
        Finished { status, body, persistence }: Finished,
        since: Option<Duration>,
    ) {
        if persistence == Persistence::Upgrade {
            // The reactor tells the new handler that it is stopping.
            session.is_closing = false;
        }
        if let Some(metrics) = &self.metrics {
            match since {
                Some(since) => {
                    metrics.note_later(status, cx.now() + cx.turn_time() - since);
                }
                None => metrics.note(status),
            }
        }
        if let Some(in_flight) = &mut session.in_flight {
            let end = cx.sent() + cx.pending() + self.output.bytes.len() as u64;
            let time = self.output.clock.second();
            in_flight.note(head, request, QueuedResponse { status, body, end, time });
            if in_flight.is_full() {
                in_flight.has_paused = true;
                cx.pause();
            }
        }
        if persistence == Persistence::Close {
            self.output.flush(cx);
            cx.close();
        }
    }

    /// Refuses a head that breaks a rule, unless its only fault is a later minor version.
    #[cold]
    fn refuse_head(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        head: &[u8],
        arrived: Arrived<'_, '_, S::State>,
        status: Status,
    ) {
        match head::later_minor_version(head) {
            Some(digit) => {
                let mut head = head.to_vec();
                head[digit] = b'1';
                self.answer(cx, session, &head, arrived);
            }
            None => self.refuse(cx, session, head, status),
        }
    }

    /// Answers with an error and closes the connection. `head` is what has arrived of the head.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        head: &[u8],
        status: Status,
    ) {
        let head_only = head.starts_with(b"HEAD ") || session.awaits_head();
        // The service may still have the `Deferred` when it is asked for the refusal.
        session.note_refused();
        let persistence = Persistence::Close;
        let mode =
            ResponseMode { persistence, after_body: persistence, head_only, is_modern: false };
        let finished = self.refusal(cx, mode, status);
        self.finish_answer(cx, session, head, None, finished, session.waiting_since());
    }

    /// Lets the service answer a request that is refused. Such a response cannot wait for anything:
    /// it must be finished in the call.
    #[cold]
    fn refusal(
        &mut self,
        cx: &mut Context<'_>,
        mut mode: ResponseMode,
        status: Status,
    ) -> Finished {
        let reply = Reply::new(Destination::Current(cx), &mut self.output, mode);
        let awaited = match self.service.on_refused(status, reply).0 {
            Outcome::Finished(finished) => return finished,
            Outcome::Waits(awaited) => awaited,
        };
        let pending = awaited.response();
        if let Some(QueuedResponse { status, body, .. }) = pending.and_then(|it| it.finished()) {
            return Finished { status: *status, body: *body, persistence: mode.persistence };
        }
        log::error!("{}: on_refused has not finished its response", cx.describe());
        mode.persistence = Persistence::Close;
        if pending.is_some_and(|pending| pending.is_streaming()) {
            // What was sent must not look complete.
            cx.abort();
        }
        Reply::new(Destination::Current(cx), &mut self.output, mode).write_error(status)
    }

    /// Refuses a request whose body or response is late.
    #[cold]
    pub(super) fn refuse_late(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        status: Status,
    ) {
        self.output.begin(cx);
        self.refuse_waiting(cx, session, status);
        self.flush(cx);
    }
}
