//! The response of the origin on its way to the client.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use sluicegate_reactor::{ConnId, Context, Sent, Turn};

use super::attempt::Attempt;
use super::failure::{counts, is_of_origin, is_unsent, status_of};
use super::fields;
use super::origins::Origins;
use super::shared::Shared;
use crate::http::client::{
    ClientError, Exchange, ExchangeId, Request, RequestStream, Response, Take,
};
use crate::http::{Answered, Deferred, Reply, ResponseStream, Trailers};
use crate::upstreams::UpstreamId;

/// Bodies of at least this many bytes are relayed by the reactor, which splices them where it can.
/// Shorter ones are sent in the same call as their head.
pub(super) const BULK: u64 = 128 << 10;

/// The body of a request that is streamed to the origin. It is empty until the request has a
/// connection, and again when the origin wants no more.
pub(super) type Upload = Rc<Cell<Option<RequestStream>>>;

/// One request on its way to the origin, and the response on its way back.
pub(super) struct Passage {
    pub(super) shared: Rc<Shared>,
    pub(super) client: ConnId,
    pub(super) answer: Answer,
    pub(super) attempt: Attempt,
    /// `None` if there is no other origin, or if the request body is streamed.
    pub(super) retry: Option<Box<Retry>>,
    /// `None` unless the request body is streamed.
    pub(super) upload: Option<Upload>,
}

/// The part of the response that the client has received.
pub(super) enum Answer {
    /// No final response.
    Awaited(Deferred),
    /// The head of one, whose body is being sent.
    Streamed(ResponseStream),
    /// All of one.
    Complete,
}

/// The exchange of a client's connection that was begun last, and its origin.
pub(super) type Current = Rc<RefCell<Option<(UpstreamId, ExchangeId)>>>;

/// A request that is sent to another origin if it cannot be sent to the first.
pub(super) struct Retry {
    /// Weak: the clients of the origins own the exchanges that wait, which own this.
    pub(super) origins: Weak<Origins<Passage>>,
    pub(super) request: Request,
    pub(super) source: Option<IpAddr>,
    /// The origins that were tried before the present one.
    pub(super) tried: Vec<UpstreamId>,
    pub(super) current: Current,
}

impl Retry {
    /// Sends the request of an exchange that has failed to the next origin.
    ///
    /// # Errors
    /// Returns the exchange if there is no other origin.
    pub(super) fn next(mut self, cx: &mut Turn, mut passage: Passage) -> Result<(), Passage> {
        self.tried.push(passage.attempt.id());
        let Some(origins) = self.origins.upgrade() else { return Err(passage) };
        let Some(attempt) = origins.choose(cx.now(), self.source, &self.tried) else {
            return Err(passage);
        };
        let (id, current) = (attempt.id(), self.current.clone());
        let request = self.request.clone();
        passage.attempt = attempt;
        passage.retry = Some(Box::new(self));
        let exchange = origins.client(id).send(cx, request, passage);
        current.replace(Some((id, exchange)));
        Ok(())
    }
}

impl Passage {
    /// Answers with the status and fields of the response; `finish` adds the body.
    fn answer(
        &mut self,
        cx: &mut Turn,
        response: &Response<'_>,
        finish: impl FnOnce(Reply<'_, '_>) -> Answered,
    ) {
        let Answer::Awaited(deferred) = std::mem::replace(&mut self.answer, Answer::Complete)
        else {
            return;
        };
        let lines = &mut *self.shared.lines.borrow_mut();
        fields::write_response(lines, response, &self.shared, false);
        deferred.answer(cx, |reply| finish(reply.status(response.status()).fields(lines)));
    }

    /// Starts to send a body of this length, if it is known.
    fn stream(&mut self, cx: &mut Turn, response: &Response<'_>, length: Option<u64>) {
        let mut started = None;
        self.answer(cx, response, |reply| match length {
            Some(length) => reply.stream_sized(length, |stream, _| started = Some(stream)),
            None => reply.stream(|stream, _| started = Some(stream)),
        });
        if let Some(stream) = started {
            self.answer = Answer::Streamed(stream);
        }
    }
}

impl Exchange for Passage {
    fn on_response(&mut self, cx: &mut Turn, response: &Response<'_>) -> Take {
        self.attempt.note_answer(cx.now());
        let length = response.body_length();
        if length == Some(0) {
            let stated = response.content_length();
            self.answer(cx, response, |reply| reply.finish_head(stated));
            return Take::Nothing;
        }
        self.stream(cx, response, length);
        match (&mut self.answer, length) {
            (Answer::Streamed(stream), Some(length)) if length >= BULK => {
                stream.note_relayed(length);
                Take::Relay(self.client)
            }
            (Answer::Streamed(_), _) => Take::Pieces,
            // The client has left, or takes no body.
            _ => Take::Nothing,
        }
    }

    fn on_interim(&mut self, cx: &mut Turn, response: &Response<'_>) {
        // `Http` has sent 100 itself.
        if let Answer::Awaited(deferred) = &self.answer
            && response.status().code() > 101
        {
            deferred.interim(
                cx,
                response.status(),
                &fields::interim(response, &self.shared.response_rules),
            );
        }
    }

    fn on_stream(&mut self, cx: &mut Turn, stream: RequestStream) {
        if let Some(upload) = &self.upload {
            upload.set(Some(stream));
            cx.peer(self.client).resume();
        }
    }

    fn on_room(&mut self, cx: &mut Turn) {
        cx.peer(self.client).resume();
    }

    fn on_piece(&mut self, cx: &mut Turn, connection: ConnId, piece: &[u8]) {
        let Answer::Streamed(stream) = &mut self.answer else { return };
        match stream.send(cx, piece) {
            Sent::Accepted => {}
            // `Service::on_room` resumes it.
            Sent::Full => cx.peer(connection).pause(),
            Sent::Gone => cx.peer(connection).abort(),
        }
    }

    fn on_end(self, cx: &mut Turn, trailers: Trailers<'_>) {
        if let Answer::Streamed(stream) = self.answer {
            let rules = &self.shared.response_rules;
            let trailers = fields::trailers(trailers, stream.has_trailers(), rules);
            stream.finish_with(cx, &trailers);
        }
    }

    fn on_upgrade(mut self, cx: &mut Context<'_>, response: &Response<'_>) {
        self.attempt.note_answer(cx.now());
        let Answer::Awaited(deferred) = self.answer else { return };
        let lines = &mut *self.shared.lines.borrow_mut();
        fields::write_response(lines, response, &self.shared, true);
        match deferred.switch(cx, lines) {
            Some(client) => cx.hand_over(self.shared.tunnel, Some((client, self.attempt))),
            None => cx.abort(),
        }
    }

    fn on_failed(mut self, cx: &mut Turn, error: ClientError) {
        if is_of_origin(error.cause()) {
            self.shared.warnings.borrow_mut().warn(cx.now(), &error);
        }
        if counts(error.cause()) {
            self.attempt.note_failure(cx.now());
        }
        if let Answer::Awaited(_) = self.answer
            && let Some(retry) =
                self.retry.take_if(|retry| is_unsent(error.cause(), &retry.request))
        {
            match retry.next(cx, self) {
                Ok(()) => return,
                Err(passage) => self = passage,
            }
        }
        match self.answer {
            Answer::Awaited(deferred) => {
                deferred.answer(cx, |reply| reply.error(status_of(error.cause())));
            }
            // What was sent must not look complete.
            Answer::Streamed(_) => cx.peer(self.client).abort(),
            Answer::Complete => {}
        }
    }
}
