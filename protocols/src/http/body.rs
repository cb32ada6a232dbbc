//! A request body that is being received, for a service that has asked for it.

use std::borrow::Cow;
use std::io;

use sluicegate_reactor::fs::{Committed, NewFile, NotSaved, Saved};
use sluicegate_reactor::{Context, Input};

use super::chunks::ChunkDecoder;
use super::limits::HttpLimits;
use super::request::BodyLength;
use super::sink::{Progress, Sink};
use super::status::Status;
use super::trailers::Trailers;

/// A request body that is being received.
pub(super) struct RequestBody<V> {
    /// The head of the request, which is answered when the body is complete.
    head: Box<[u8]>,
    /// What the service has set aside.
    state: V,
    sink: Sink,
    /// Bytes that the connection had received when its rate was last checked.
    received: u64,
}

/// A request body that has arrived, or failed to.
pub(super) enum Received<'a> {
    /// All of it.
    Whole(Cow<'a, [u8]>),
    /// It was saved, or not. `left` says how many bytes are still to come, if that is known.
    Saved { saved: io::Result<Committed>, left: Option<u64> },
}

impl<V> RequestBody<V> {
    /// Starts to receive a body into a file.
    pub(super) fn save(
        cx: &mut Context<'_>,
        head: &[u8],
        length: BodyLength,
        (state, file): (V, NewFile),
    ) -> RequestBody<V> {
        let sink = match length.known() {
            Some(length) => {
                cx.receive_file(file, Some(length));
                Sink::Reactor
            }
            None => Sink::File { decoder: ChunkDecoder::default(), file: Some(file) },
        };
        RequestBody { head: head.into(), state, sink, received: cx.received() }
    }

    /// Starts to receive a body of at most `limit` bytes into memory.
    ///
    /// # Errors
    /// 413 if it is known to be longer than that, or than the reactor's limit.
    pub(super) fn read(
        cx: &mut Context<'_>,
        head: &[u8],
        length: BodyLength,
        (state, limit): (V, usize),
    ) -> Result<RequestBody<V>, Status> {
        let sink = match length.known() {
            Some(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= limit);
                let asked = length.map(|length| cx.receive_exact(length));
                asked.and_then(Result::ok).ok_or(Status::CONTENT_TOO_LARGE)?;
                Sink::Reactor
            }
            None => {
                let limit = limit.min(cx.limits().receive_exact);
                let decoder = Some(ChunkDecoder::default());
                Sink::Memory { decoder, bytes: Vec::new(), limit, left: 0 }
            }
        };
        Ok(RequestBody { head: head.into(), state, sink, received: cx.received() })
    }

    /// Starts to deliver a body in pieces.
    pub(super) fn deliver(
        cx: &Context<'_>,
        head: &[u8],
        length: BodyLength,
        state: V,
    ) -> RequestBody<V> {
        let (decoder, left) = match length.known() {
            Some(length) => (None, length),
            None => (Some(ChunkDecoder::default()), 0),
        };
        let sink = Sink::Pieces { decoder, left };
        RequestBody { head: head.into(), state, sink, received: cx.received() }
    }

    /// What the service has set aside.
    pub(super) fn state(&mut self) -> &mut V {
        &mut self.state
    }

    /// What the service has set aside, and the trailer fields of a body that is complete.
    pub(super) fn trailers(&mut self) -> (&mut V, Trailers<'_>) {
        (&mut self.state, self.sink.trailers())
    }

    /// Whether all of a body that is delivered in pieces was delivered.
    pub(super) fn is_delivered(&self) -> bool {
        self.sink.is_delivered()
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
    ) -> Result<Progress, Status> {
        Ok(self.sink.advance(cx, input, limits.chunks())?)
    }

    /// Takes back the file after a chunk. Returns the result when the body is complete or failed.
    pub(super) fn on_saved(&mut self, saved: Result<Saved, NotSaved>) -> Option<Received<'static>> {
        let (saved, left) = self.sink.on_saved(saved)?;
        Some(Received::Saved { saved, left })
    }

    /// Whether fewer bytes have arrived since the last check than [`HttpLimits::body_rate`] asks
    /// for. A client whose input is not read is not to blame.
    pub(super) fn is_too_slow(&mut self, cx: &Context<'_>, limits: &HttpLimits) -> bool {
        let expected = u128::from(limits.body_rate) * limits.head_timeout.as_millis() / 1000;
        let arrived = cx.received() - std::mem::replace(&mut self.received, cx.received());
        u128::from(arrived) < expected && cx.wants_input()
    }

    /// The head of the request, and what the service has set aside.
    pub(super) fn into_parts(self) -> (Box<[u8]>, V) {
        (self.head, self.state)
    }

    /// The head of the request, to refuse it.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }
}
