//! Responses that are finished after the call.

use std::sync::Arc;

use sluicegate_reactor::{ConnId, Sent, Turn};

use super::output::{Destination, Output};
use super::reply::{Answered, Reply};
use super::response::{Awaited, Finished, Outcome, PendingResponse, Persistence, QueuedResponse};
use super::status::Status;
use super::stream::ResponseStream;
use super::writer::write_interim;

/// A handle with which to answer a request later: see [`Reply::defer`].
///
/// It can be sent to another thread, but the request must be answered on the reactor that received
/// it. If the handle is dropped in the call that created it, the client gets 503 immediately; if it
/// is dropped later, the client gets 503 after
/// [`response_timeout`](super::HttpLimits::response_timeout).
#[derive(Debug)]
#[must_use = "a client waits for the response"]
pub struct Deferred {
    pub(super) connection: ConnId,
    pub(super) pending: Arc<PendingResponse>,
}

impl Reply<'_, '_> {
    /// Defers the response until a worker has computed it, a timer has fired, or another connection
    /// has delivered it. `then` is called with the reactor and a [`Deferred`], which it can store
    /// or send to another thread. Any later callback can answer the request with
    /// [`Deferred::answer`].
    ///
    /// Until then the connection answers no other request. Pipelined requests wait, and reading
    /// pauses once the first of them has arrived, so responses keep their order. A client that
    /// resets the connection gets no response, but one that has only shut down its sending side
    /// does. While reading is paused, a reset is noticed only when the response is sent.
    ///
    /// After [`response_timeout`](super::HttpLimits::response_timeout) the client gets 503. When
    /// the reactor stops, it waits for the response until its grace period ends.
    ///
    /// The status and fields set on this reply so far are discarded.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Deferred, Http, Reply, Request, Service, Status};
    /// use sluicegate_reactor::workers::Workers;
    /// use sluicegate_reactor::{Handle, Reactor, Receive, Sessions, Turn, mailbox};
    ///
    /// struct Primes {
    ///     workers: Workers,
    ///     done: Handle<(Deferred, usize)>,
    /// }
    ///
    /// impl Service for Primes {
    ///     type State = ();
    ///
    ///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         let Ok(below) = request.path()[1..].parse::<u32>() else {
    ///             return reply.error(Status::NOT_FOUND);
    ///         };
    ///         reply.defer(|deferred, _| {
    ///             let slow = move || {
    ///                 let is_prime = |n: &u32| (2..*n).all(|d| n % d != 0);
    ///                 (deferred, (2..below).filter(is_prime).count())
    ///             };
    ///             if let Err(error) = self.workers.run(slow, &self.done) {
    ///                 // Dropping the job drops `deferred`: the client gets 503.
    ///                 eprintln!("{error}");
    ///             }
    ///         })
    ///     }
    /// }
    ///
    /// impl Receive<(Deferred, usize)> for Primes {
    ///     fn on_message(&mut self, cx: &mut Sessions<'_>, (deferred, count): (Deferred, usize)) {
    ///         deferred.answer(cx, |reply| reply.send(format!("{count} primes\n")));
    ///     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let (done, mailbox) = mailbox();
    /// let http = reactor.register(Http::new(Primes { workers: Workers::new(), done }));
    /// reactor.attach(mailbox, http);
    /// # Ok(())
    /// # }
    /// ```
    pub fn defer<V>(self, then: impl FnOnce(Deferred, &mut Turn)) -> Answered<V> {
        self.wait_for(|deferred, cx| {
            then(deferred, cx);
            None
        })
    }

    /// [Defers](Reply::defer) the response and receives the request body in the meantime, as a
    /// proxy does. `then` returns the state for the callbacks, and optionally a connection that the
    /// body is [relayed](sluicegate_reactor::Peer::relay_part) to, which needs a body of [known
    /// length](super::Request::content_length).
    ///
    /// A body that is not relayed is delivered to [`Service::on_piece`](super::Service::on_piece).
    /// If the destination of a relay ends, the rest of the body is delivered there too. Then
    /// [`Service::on_body_end`](super::Service::on_body_end) is called. Pauses, limits and errors
    /// are the same as for [`read_pieces`](Reply::read_pieces).
    ///
    /// A response that is dropped is noticed when the [rate](super::HttpLimits::body_rate) of the
    /// body is checked, or after [`response_timeout`](super::HttpLimits::response_timeout) once the
    /// body is complete.
    ///
    /// The response may begin before the body is complete. It then has `Connection: close`, unless
    /// the body is short enough to be [skipped](super::HttpLimits::drain). Once the response is
    /// complete, the rest of the body is not delivered.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply, Request, ResponseStream, Service, Status};
    /// use sluicegate_reactor::{ConnId, Sent, Turn};
    ///
    /// /// Sends each piece of a body back as it arrives.
    /// struct Echo;
    ///
    /// impl Service for Echo {
    ///     type State = Option<ResponseStream>;
    ///
    ///     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Self::State> {
    ///         reply.defer_with_body(|deferred, cx| {
    ///             let mut started = None;
    ///             deferred.answer(cx, |reply| reply.stream(|stream, _| started = Some(stream)));
    ///             (started, None)
    ///         })
    ///     }
    ///
    ///     fn on_piece(
    ///         &mut self,
    ///         cx: &mut Turn,
    ///         client: ConnId,
    ///         stream: &mut Self::State,
    ///         piece: &[u8],
    ///     ) -> Result<(), Status> {
    ///         if stream.as_mut().is_some_and(|stream| stream.send(cx, piece) == Sent::Full) {
    ///             cx.peer(client).pause();
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn on_room(&mut self, cx: &mut Turn, client: ConnId) {
    ///         cx.peer(client).resume();
    ///     }
    ///
    ///     fn on_body_end(&mut self, cx: &mut Turn, _: ConnId, stream: Self::State) {
    ///         if let Some(stream) = stream {
    ///             stream.finish(cx);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn defer_with_body<V>(
        mut self,
        then: impl FnOnce(Deferred, &mut Turn) -> (V, Option<ConnId>),
    ) -> Answered<V> {
        if !self.to.check_body_request() {
            return self.error(Status::INTERNAL_SERVER_ERROR);
        }
        self.wait_for(|deferred, cx| Some(then(deferred, cx)))
    }

    /// Defers the response to the owner of the handle that `then` gets. If `then` returns a state,
    /// the service receives the request body in the meantime.
    pub(super) fn wait_for<V>(
        self,
        then: impl FnOnce(Deferred, &mut Turn) -> Option<(V, Option<ConnId>)>,
    ) -> Answered<V> {
        let Reply { mut to, output, mode, .. } = self;
        // `then` may answer at once. The responses in the buffer come before that.
        output.flush_to(&mut to);
        let pending = to.pending(mode);
        let deferred = Deferred { connection: to.connection(), pending: pending.clone() };
        let body = then(deferred, to.turn());
        Answered::waits(Awaited::Response(pending, body))
    }
}

impl Deferred {
    /// Whether the client is still waiting for the response. Check this before you start long work.
    #[must_use]
    pub fn is_wanted(&self, cx: &mut Turn) -> bool {
        self.pending.is_here() && !self.pending.is_refused() && cx.peer(self.connection).is_open()
    }

    /// The connection of the request.
    #[must_use]
    pub fn connection(&self) -> ConnId {
        self.connection
    }

    /// Sends an interim response before the final one, as [`Reply::interim`] does.
    ///
    /// # Panics
    /// If the status is not one of 102 to 199.
    pub fn interim<B: AsRef<[u8]>>(
        &self,
        cx: &mut Turn,
        status: Status,
        fields: &[(&str, B)],
    ) -> Sent {
        if !self.is_wanted(cx) {
            return Sent::Gone;
        }
        if !self.pending.mode.is_modern {
            return Sent::Accepted;
        }
        let mut head = Vec::with_capacity(256);
        write_interim(&mut head, status, fields);
        cx.peer(self.connection).send(&head[..])
    }

    /// Answers an upgrade with 101 and these header lines. The stream stands for what the
    /// connection sends in the new protocol: the connection is not used for HTTP any more, and is
    /// reset if the stream is dropped.
    pub(crate) fn switch(self, cx: &mut Turn, lines: &[u8]) -> Option<ResponseStream> {
        let mut switched = None;
        self.answer(cx, |mut reply| {
            reply.mode.persistence = Persistence::Upgrade;
            let reply = reply.fields(lines).status(Status::SWITCHING_PROTOCOLS);
            reply.stream(|stream, _| switched = Some(stream))
        });
        switched
    }

    /// Answers the request, from any callback of the reactor that received it. The response is sent
    /// at the end of the turn. `make` may [defer](Reply::defer) it again; the deadline stays the
    /// same.
    ///
    /// Returns [`Sent::Gone`] without calling `make` if the connection is closed, if the request
    /// was [refused](super::Service::on_refused), as after the deadline, or if `cx` is the reactor
    /// of another thread.
    pub fn answer(self, cx: &mut Turn, make: impl FnOnce(Reply<'_, '_>) -> Answered) -> Sent {
        if !self.is_wanted(cx) {
            return Sent::Gone;
        }
        Output::for_one(cx.unix_time(), |output| self.build(cx, output, make))
    }

    fn build(
        self,
        cx: &mut Turn,
        output: &mut Output,
        make: impl FnOnce(Reply<'_, '_>) -> Answered,
    ) -> Sent {
        let Deferred { connection, pending } = self;
        let mut mode = pending.mode_now();
        if cx.is_stopping() {
            mode.persistence = Persistence::Close;
        }
        let to = Destination::Deferred(cx, connection, &pending);
        let Outcome::Finished(finished) = make(Reply::new(to, output, mode)).0 else {
            return Sent::Accepted;
        };
        let mut peer = cx.peer(connection);
        let sent = peer.send(&output.bytes[..]);
        let lost = if sent == Sent::Gone { output.bytes.len() as u64 } else { 0 };
        let end = peer.sent() + peer.pending() + lost;
        let Finished { status, body, persistence } = finished;
        let time = output.clock.second();
        pending.finish(peer, QueuedResponse { status, body, end, time }, persistence);
        sent
    }
}
