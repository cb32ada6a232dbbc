//! A request body that is being received, for a service that has requested it.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile, NotSaved, Saved};
use sluicegate_reactor::{ConnId, Context, Input, Payload};

use super::form::{FormBody, FormProgress};
use super::limits::HttpLimits;
use super::multipart::{FormDecoder, FormError, FormPart};
use super::request::Request;
use super::response::BodyMode;
use super::sink::Sink;
use super::status::Status;
use super::trailers::Trailers;

/// A request body that is being received.
pub(super) struct RequestBody<V> {
    /// The head of the request, which is answered when the body is complete.
    head: Box<[u8]>,
    /// What the service has set aside.
    state: V,
    content: Content,
    /// Bytes that the connection had received when its rate was last checked.
    received: u64,
    /// Whether the connection was not read at some time since then.
    has_waited: bool,
}

/// How a body is received.
enum Content {
    Plain(Sink),
    Form(Box<FormBody>),
}

/// The action after the reactor has saved a file or a part of one.
pub(super) enum AfterSaving {
    /// The rest of the body.
    Rest,
    /// The rest of a form, of which a part was committed.
    RestOfForm(Committed),
    /// Nothing: a part of a form was not saved, and the request is refused.
    Refusal(io::Error),
    /// The response.
    Response(Received<'static>),
}

/// A request body that has arrived, or failed to.
pub(super) enum Received<'a> {
    /// All of it.
    Whole(Payload<'a>),
    /// It was saved, or not. `left` says how many bytes are still to come, if that is known.
    Saved { saved: io::Result<Committed>, left: Option<u64> },
}

impl<V> RequestBody<V> {
    /// Starts to receive a body as the service has asked for it.
    ///
    /// # Errors
    /// The status that refuses the request: 413 if its body is known to be too long, and 415 or 400
    /// if it is no form although the service has asked for one.
    pub(super) fn start(
        cx: &mut Context<'_>,
        head: &[u8],
        request: &Request<'_>,
        (mode, state): (BodyMode, V),
    ) -> Result<RequestBody<V>, Status> {
        let length = request.body_length.known();
        let content = match mode {
            BodyMode::File(file) => Content::Plain(save(cx, length, *file)),
            BodyMode::Memory(limit) => Content::Plain(read(cx, length, limit)?),
            BodyMode::Pieces => Content::Plain(Sink::pieces(length)),
            BodyMode::Form(limits) => {
                let content_type = request.header("Content-Type").unwrap_or_default();
                let decoder = FormDecoder::new(content_type, limits).map_err(FormError::status)?;
                if length == Some(0) {
                    return Err(Status::BAD_REQUEST);
                }
                Content::Form(Box::new(FormBody::new(Sink::pieces(length), decoder)))
            }
        };
        Ok(RequestBody::new(cx, head, state, content))
    }

    /// Starts to deliver a body in pieces while its response is deferred.
    pub(super) fn deliver(cx: &Context<'_>, length: Option<u64>, state: V) -> RequestBody<V> {
        RequestBody::new(cx, &[], state, Content::Plain(Sink::pieces(length)))
    }

    /// Relays a body of known length to another connection.
    pub(super) fn relay(
        cx: &mut Context<'_>,
        (length, to): (u64, ConnId),
        state: V,
    ) -> RequestBody<V> {
        cx.relay_part(to, length);
        RequestBody::new(cx, &[], state, Content::Plain(Sink::Reactor))
    }

    fn new(cx: &Context<'_>, head: &[u8], state: V, content: Content) -> RequestBody<V> {
        let (received, has_waited) = (cx.received(), !cx.wants_input());
        RequestBody { head: head.into(), state, content, received, has_waited }
    }

    /// Notes that the destination of a relayed body has ended, and that `left` bytes are still to
    /// come.
    pub(super) fn on_relayed(&mut self, left: u64) {
        self.content = Content::Plain(Sink::pieces(Some(left)));
    }

    /// How many bytes are still to come, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self.content {
            Content::Plain(Sink::Pieces { decoder: None, left }) => Some(left),
            _ => None,
        }
    }

    /// What the service has set aside.
    pub(super) fn state(&mut self) -> &mut V {
        &mut self.state
    }

    /// The state of the service, and the trailer fields of a complete body.
    pub(super) fn trailers(&mut self) -> (&mut V, Trailers<'_>) {
        let trailers = match &self.content {
            Content::Plain(sink) => sink.trailers(),
            Content::Form(form) => form.trailers(),
        };
        (&mut self.state, trailers)
    }

    /// The part of a form whose head has just arrived, and the state of the service.
    pub(super) fn part(&mut self) -> Option<(FormPart, &mut V)> {
        let Content::Form(form) = &mut self.content else { return None };
        Some((form.take_part(), &mut self.state))
    }

    /// Receives the part of a form whose head has just arrived into a file.
    pub(super) fn save_part(&mut self, file: NewFile) {
        if let Content::Form(form) = &mut self.content {
            form.save(file);
        }
    }

    /// Whether all of a body that is delivered in pieces was delivered.
    ///
    /// # Errors
    /// 400 if it is a form that is not complete.
    pub(super) fn is_delivered(&self) -> Result<bool, Status> {
        match &self.content {
            Content::Plain(sink) => Ok(sink.is_delivered()),
            Content::Form(form) => form.is_delivered(),
        }
    }

    /// Takes what the input has of the body.
    ///
    /// # Errors
    /// The status that refuses the request.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input<'_>,
        limits: &HttpLimits,
    ) -> Result<FormProgress, Status> {
        match &mut self.content {
            Content::Plain(sink) => {
                Ok(FormProgress::Body(sink.advance(cx, input, limits.chunks())?))
            }
            Content::Form(form) => form.advance(cx, input, limits),
        }
    }

    /// Takes back the file after a piece of it was received.
    pub(super) fn on_saved(&mut self, saved: Result<Saved, NotSaved>) -> AfterSaving {
        match &mut self.content {
            Content::Plain(sink) => match sink.on_saved(saved) {
                Some((saved, left)) => AfterSaving::Response(Received::Saved { saved, left }),
                None => AfterSaving::Rest,
            },
            Content::Form(form) => match form.on_saved(saved) {
                Ok(Some(committed)) => AfterSaving::RestOfForm(committed),
                Ok(None) => AfterSaving::Rest,
                Err(error) => AfterSaving::Refusal(error),
            },
        }
    }

    /// Notes after a piece whether the service has paused the connection.
    pub(super) fn note_pause(&mut self, cx: &Context<'_>) {
        self.has_waited |= !cx.wants_input();
    }

    /// Whether fewer bytes have arrived since the last check than [`HttpLimits::body_rate`] asks
    /// for. A client whose input was not read all the time is not to blame.
    pub(super) fn is_too_slow(&mut self, cx: &Context<'_>, limits: &HttpLimits) -> bool {
        let expected = u128::from(limits.body_rate) * limits.head_timeout.as_millis() / 1000;
        let arrived = cx.received() - std::mem::replace(&mut self.received, cx.received());
        let is_waiting = !cx.wants_input();
        let has_waited = std::mem::replace(&mut self.has_waited, is_waiting);
        u128::from(arrived) < expected && !is_waiting && !has_waited
    }

    /// The head of the request, and the state of the service.
    pub(super) fn into_parts(self) -> (Box<[u8]>, V) {
        (self.head, self.state)
    }

    /// The head of the request, to refuse it.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }
}

/// Starts to receive a body into a file.
fn save(cx: &mut Context<'_>, length: Option<u64>, file: NewFile) -> Sink {
    match length {
        Some(length) => {
            cx.receive_file(file, Some(length));
            Sink::Reactor
        }
        None => Sink::chunked_file(file),
    }
}

/// Starts to receive a body of at most `limit` bytes into memory.
///
/// # Errors
/// 413 if it is known to be longer than that, or than the reactor's limit.
fn read(cx: &mut Context<'_>, length: Option<u64>, limit: usize) -> Result<Sink, Status> {
    let Some(length) = length else {
        return Ok(Sink::memory(None, limit.min(cx.limits().max_exact)));
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= limit);
    let asked = length.map(|length| cx.receive_exact(length));
    asked.and_then(Result::ok).ok_or(Status::CONTENT_TOO_LARGE)?;
    Ok(Sink::Reactor)
}
