//! Request bodies that are sent piece by piece.

use std::cell::Cell;
use std::rc::Rc;

use sluicegate_reactor::{ConnId, Outgoing, Sent, Turn};

use crate::http::framed::FramedBody;
use crate::http::writer::Own;

/// The body of a request whose head has been sent: see [`Request::stream`](super::Request::stream).
///
/// If it is dropped before it is [finished](RequestStream::finish), the exchange fails, so that the
/// truncated request does not look complete. It fails immediately if the stream is dropped in
/// [`on_stream`](super::Exchange::on_stream) or [`on_room`](super::Exchange::on_room), otherwise
/// within [`response_timeout`](super::ClientOptions::response_timeout), unless the head of the
/// response arrives before. If the response is complete before the request, the exchange succeeds,
/// the rest of the body is not sent, and the connection is closed.
#[derive(Debug)]
#[must_use = "the origin waits for the rest of the body"]
pub struct RequestStream {
    connection: ConnId,
    state: Rc<StreamState>,
    body: FramedBody,
    /// With this many bytes queued, there is no room for more.
    high: u64,
}

/// The state that a connection shares with the stream of its request.
#[derive(Debug)]
pub(super) struct StreamState {
    /// The body of the stream; `None` once the stream exists.
    unopened: Cell<Option<FramedBody>>,
    is_finished: Cell<bool>,
    /// Whether the exchange waits for room.
    is_full: Cell<bool>,
}

impl StreamState {
    /// For a body of this length, or a chunked one.
    pub(super) fn new(length: Option<u64>, has_trailers: bool) -> Rc<StreamState> {
        let body = length.map_or(FramedBody::Chunked { has_trailers }, FramedBody::Sized);
        Rc::new(StreamState {
            unopened: Cell::new(Some(body)),
            is_finished: Cell::new(false),
            is_full: Cell::new(false),
        })
    }

    /// Creates the stream, the first time that this is called. With `high` bytes queued on the
    /// connection, it has no room.
    pub(super) fn open(
        self: &Rc<StreamState>,
        connection: ConnId,
        high: usize,
    ) -> Option<RequestStream> {
        let body = self.unopened.take()?;
        Some(RequestStream { connection, state: self.clone(), body, high: high as u64 })
    }

    /// Whether the body is complete.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished.get()
    }

    /// Whether the stream was dropped, so that the body will never be complete.
    pub(super) fn is_abandoned(self: &Rc<StreamState>) -> bool {
        let is_open = self.unopened.get().is_none();
        is_open && Rc::strong_count(self) == 1 && !self.is_finished()
    }

    /// Whether the exchange waits for room; it is notified now.
    pub(super) fn take_full(&self) -> bool {
        self.is_full.take()
    }
}

impl RequestStream {
    /// The connection that the request is sent on.
    #[must_use]
    pub fn connection(&self) -> ConnId {
        self.connection
    }

    /// Sends the next part of the body, from any callback of the reactor. The part is sent at the
    /// end of the turn.
    ///
    /// [`Sent::Full`] means that the part was queued, but the exchange should wait until
    /// [`Exchange::on_room`](super::Exchange::on_room) is called before it sends the next.
    /// [`Sent::Gone`] means that the connection has ended, or that the part is longer than what is
    /// left of the stated length; an error is then logged, and the exchange fails.
    pub fn send<'b>(&mut self, cx: &mut Turn, part: impl Into<Outgoing<'b>>) -> Sent {
        let (part, mut peer) = (part.into(), cx.peer(self.connection));
        let sent = self.body.send(&mut peer, part);
        // The connection itself has no mark: it reads whatever is queued.
        if sent == Sent::Gone || peer.pending() < self.high {
            return sent;
        }
        self.state.is_full.set(true);
        peer.request_drain();
        Sent::Full
    }

    /// Whether the head has announced trailers.
    pub(crate) fn has_trailers(&self) -> bool {
        self.body.has_trailers()
    }

    /// Notes that another connection relays this many bytes of the body, which has a known length.
    pub(crate) fn note_relayed(&mut self, count: u64) {
        self.body.note_relayed(count);
    }

    /// Ends the body.
    pub fn finish(self, cx: &mut Turn) -> Sent {
        self.finish_with::<&str>(cx, &[])
    }

    /// Ends the body with trailer fields. They are omitted, and a warning is logged, unless the
    /// body is chunked and the head has a [`Trailer`](super::Request::header) field that announces
    /// them (RFC 9110, section 6.6.2).
    pub fn finish_with<B: AsRef<[u8]>>(self, cx: &mut Turn, trailers: &[(&str, B)]) -> Sent {
        let mut peer = cx.peer(self.connection);
        let sent = self.body.finish(&mut peer, trailers, Own::Host);
        if sent != Sent::Gone {
            self.state.is_finished.set(true);
            // From then on the origin has time to respond.
            peer.request_drain();
        }
        sent
    }
}
