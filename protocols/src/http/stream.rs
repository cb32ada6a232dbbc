//! Responses that are sent piece by piece.

use std::sync::Arc;

use sluicegate_reactor::{ConnId, Outgoing, Sent, Turn};

use super::framed::FramedBody;
use super::reply::{Answered, Reply};
use super::response::{Awaited, PendingResponse, Persistence, QueuedResponse};
use super::status::Status;
use super::writer::{Own, write_interim};

/// The rest of a response whose head has been sent: see [`Reply::stream`].
///
/// If it is dropped before it is [finished](ResponseStream::finish), the connection is reset within
/// [`response_timeout`](super::HttpLimits::response_timeout), so that the truncated response does
/// not look complete.
#[derive(Debug)]
#[must_use = "a client waits for the rest of the response"]
pub struct ResponseStream {
    connection: ConnId,
    pending: Arc<PendingResponse>,
    body: FramedBody,
    persistence: Persistence,
}

impl Reply<'_, '_> {
    /// Sends the head of a response whose length is not known yet. `then` is called with a
    /// [`ResponseStream`] and the reactor. It can send the body immediately, or keep the stream so
    /// that a later callback sends it: for a message, a timer, or another connection.
    ///
    /// A response to HEAD, or one whose status forbids content, is complete with its head: `then` is
    /// not called.
    ///
    /// The body is chunked; for an HTTP/1.0 client, closing the connection marks its end. Responses
    /// to pipelined requests wait for it, as for a [deferred](Reply::defer) response. The stream
    /// may stay silent for any length of time: neither the idle limit nor
    /// [`response_timeout`](super::HttpLimits::response_timeout) ends it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sluicegate_protocols::http::{
    ///     Answered, Http, Reply, Request, ResponseStream, Service,
    /// };
    /// use sluicegate_reactor::{ConnId, HandlerId, Reactor, Receive, Sent, Sessions, Turn};
    ///
    /// /// Sends the time to every client once a second.
    /// struct Clock {
    ///     subscribers: Vec<ResponseStream>,
    /// }
    ///
    /// impl Service for Clock {
    ///     type State = ();
    ///
    ///     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         let reply = reply.header("Content-Type", "text/event-stream");
    ///         reply.stream(|stream, _| self.subscribers.push(stream))
    ///     }
    ///
    ///     /// Otherwise the reactor waits for the streams until its grace period ends.
    ///     fn on_stop(&mut self, cx: &mut Turn, connection: ConnId) {
    ///         let is_its = |stream: &ResponseStream| stream.connection() == connection;
    ///         if let Some(at) = self.subscribers.iter().position(is_its) {
    ///             self.subscribers.swap_remove(at).finish(cx);
    ///         }
    ///     }
    ///
    ///     fn on_gone(&mut self, _: &mut Turn, connection: ConnId) {
    ///         self.subscribers.retain(|stream| stream.connection() != connection);
    ///     }
    /// }
    ///
    /// #[derive(Clone)]
    /// struct Tick;
    ///
    /// impl Receive<Tick> for Clock {
    ///     fn on_message(&mut self, cx: &mut Sessions<'_>, _: Tick) {
    ///         let event = format!("data: {}\n\n", cx.unix_time());
    ///         // A client that is too slow is cut off, or events for it would pile up.
    ///         self.subscribers.retain_mut(|stream| stream.send(cx, &event) == Sent::Accepted);
    ///     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let http = reactor.register(Http::new(Clock { subscribers: Vec::new() }));
    /// reactor.every(Duration::from_secs(1), http, Tick);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<V>(self, then: impl FnOnce(ResponseStream, &mut Turn)) -> Answered<V> {
        self.start_stream(None, then)
    }

    /// Like [`stream`](Reply::stream), for a body of known length whose content is not available
    /// yet, as in a proxy. The head states the length, and there are no trailers.
    ///
    /// The service must send exactly `length` bytes. If it sends more, or
    /// [finishes](ResponseStream::finish) early, an error is logged and the connection is reset.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply, ResponseStream};
    ///
    /// fn count(reply: Reply<'_, '_>, waiting: &mut Vec<ResponseStream>) -> Answered {
    ///     reply.stream_sized(10, |mut stream, cx| {
    ///         stream.send(cx, "01234");
    ///         waiting.push(stream); // A later callback sends the rest.
    ///     })
    /// }
    /// ```
    pub fn stream_sized<V>(
        self,
        length: u64,
        then: impl FnOnce(ResponseStream, &mut Turn),
    ) -> Answered<V> {
        self.start_stream(Some(length), then)
    }

    fn start_stream<V>(
        self,
        length: Option<u64>,
        then: impl FnOnce(ResponseStream, &mut Turn),
    ) -> Answered<V> {
        // What follows 101 is not HTTP.
        let is_switch = self.status.is_interim();
        if !is_switch && (self.mode.head_only || self.status.forbids_content()) {
            // Without a length, a client would wait for the content of a 205 response.
            let length = if self.status.forbids_content() { Some(0) } else { length };
            return self.finish_head(length);
        }
        let Reply { mut to, output, status, mut mode } = self;
        let body = match length {
            _ if is_switch => FramedBody::UntilClose,
            Some(length) => FramedBody::Sized(length),
            None if mode.is_modern => {
                let mut lines = output.fields.split(|byte| *byte == b'\n');
                let is_trailer = |name: &[u8]| name.eq_ignore_ascii_case(b"Trailer:");
                let has_trailers = lines.any(|line| line.get(..8).is_some_and(is_trailer));
                output.fields.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                FramedBody::Chunked { has_trailers }
            }
            None => {
                mode.persistence = Persistence::Close;
                FramedBody::UntilClose
            }
        };
        output.write_head(status, mode.persistence, length);
        output.flush_to(&mut to);
        let pending = to.pending(mode);
        let (connection, persistence) = (to.connection(), mode.persistence);
        let peer = to.turn().peer(connection);
        pending.start_stream(status, peer.sent() + peer.pending());
        let stream = ResponseStream { connection, pending: pending.clone(), body, persistence };
        then(stream, to.turn());
        Answered::waits(Awaited::Response(pending, None))
    }

    /// Sends an interim response before the final one, such as 103 (Early Hints). HTTP/1.0 clients
    /// do not support these and get none.
    ///
    /// ```
    /// # use sluicegate_protocols::http::{Answered, Reply, Status};
    /// fn page(reply: Reply<'_, '_>) -> Answered {
    ///     let hints = [("Link", "</style.css>; rel=preload; as=style")];
    ///     reply.interim(Status::EARLY_HINTS, &hints).send("<link rel=stylesheet href=style.css>")
    /// }
    /// ```
    ///
    /// # Panics
    /// If the status is not one of 102 to 199.
    pub fn interim(self, status: Status, fields: &[(&str, &str)]) -> Self {
        if self.mode.is_modern {
            write_interim(&mut self.output.bytes, status, fields);
        }
        self
    }
}

impl ResponseStream {
    /// The connection of the response.
    #[must_use]
    pub fn connection(&self) -> ConnId {
        self.connection
    }

    /// Sends the next part of the body, from any callback of the reactor that received the request.
    /// The part is sent at the end of the turn.
    ///
    /// [`Sent::Full`] means that the part was queued, but the service should wait until
    /// [`Service::on_room`](super::Service::on_room) is called before it sends the next.
    /// [`Sent::Gone`] means that the connection has ended, which
    /// [`Service::on_gone`](super::Service::on_gone) reports too, or that `cx` is the reactor of
    /// another thread.
    pub fn send<'b>(&mut self, cx: &mut Turn, part: impl Into<Outgoing<'b>>) -> Sent {
        let (part, mut peer) = (part.into(), cx.peer(self.connection));
        if !self.pending.is_here() {
            return Sent::Gone;
        }
        let length = part.len();
        let sent = self.body.send(&mut peer, part);
        if sent != Sent::Gone
            && let Some(stream) = self.pending.stream()
        {
            stream.note_part(length, sent);
        }
        sent
    }

    /// Whether the head has announced trailers.
    pub(crate) fn has_trailers(&self) -> bool {
        self.body.has_trailers()
    }

    /// Notes that another connection relays this many bytes of the body.
    pub(crate) fn note_relayed(&mut self, count: u64) {
        self.body.note_relayed(count);
        if let Some(stream) = self.pending.stream() {
            stream.note_part(count, Sent::Accepted);
        }
    }

    /// Ends the body.
    pub fn finish(self, cx: &mut Turn) -> Sent {
        self.finish_with::<&str>(cx, &[])
    }

    /// Ends the body with trailer fields. They are omitted, and a warning is logged, unless the
    /// head had a [`Trailer`](Reply::header) field that announces them (RFC 9110, section 6.6.2).
    /// HTTP/1.0 clients do not get them.
    pub fn finish_with<B: AsRef<[u8]>>(self, cx: &mut Turn, trailers: &[(&str, B)]) -> Sent {
        let (time, mut peer) = (cx.unix_time(), cx.peer(self.connection));
        if !self.pending.is_here() {
            return Sent::Gone;
        }
        let sent = self.body.finish(&mut peer, trailers, Own::Date);
        if sent != Sent::Gone
            && let Some(stream) = self.pending.stream()
        {
            let (status, body) = (stream.status, stream.body());
            let end = peer.sent() + peer.pending();
            let response = QueuedResponse { status, body, end, time };
            self.pending.finish(peer, response, self.persistence);
        }
        sent
    }
}
