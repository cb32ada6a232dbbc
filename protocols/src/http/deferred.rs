//! Answers that are made later than in the call.

use std::sync::{Arc, OnceLock};

use sluicegate_reactor::{ConnId, Sent, Turn};

use super::reply::{Open, Persistence, Scratch, To};
use super::{Answered, Reply, Status};

/// The answer to a request that is still to be made: see [`Reply::defer`].
///
/// It can wait in another thread, but is answered in the reactor in which it was made. Dropped in
/// the call that made it, it is answered with 503 at once; dropped later, when
/// [`answer_timeout`](super::HttpLimits::answer_timeout) has passed.
#[derive(Debug)]
#[must_use = "a client waits for it"]
pub struct Deferred {
    connection: ConnId,
    pending: Arc<Pending>,
}

/// What the connection and the token of an answer have in common.
#[derive(Debug)]
pub(super) struct Pending {
    persistence: Persistence,
    pub(super) head_only: bool,
    made: OnceLock<Made>,
}

/// An answer that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) status: Status,
    pub(super) body: u64,
    /// Position behind its last byte, in bytes sent on the connection.
    pub(super) end: u64,
}

impl Pending {
    pub(super) fn made(&self) -> Option<&Made> {
        self.made.get()
    }

    /// Whether nobody can make the answer any more.
    pub(super) fn is_given_up(self: &Arc<Pending>) -> bool {
        Arc::strong_count(self) == 1 && self.made().is_none()
    }
}

impl Reply<'_, '_> {
    /// Puts the answer off: until a worker has computed it, a timer has fired, or another
    /// connection has brought it. `then` gets the token to keep or to send along, and the reactor.
    /// From then on any callback can make the answer, with [`Deferred::answer`].
    ///
    /// Meanwhile nothing else is answered on this connection: requests that the client has sent
    /// behind this one wait, unread as soon as the first of them has come, and answers keep their
    /// order. If the client resets the connection the answer is no longer wanted; one that has only
    /// ended its direction still gets it. After
    /// [`answer_timeout`](super::HttpLimits::answer_timeout) the client is answered with 503. A
    /// reactor that stops waits for it as long as its drain lasts.
    ///
    /// What was set on this reply so far is forgotten.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Deferred, Http, Reply, Request, Service, Status};
    /// use sluicegate_reactor::workers::Workers;
    /// use sluicegate_reactor::{Handle, Reactor, Receive, Turn, mailbox};
    ///
    /// struct Primes {
    ///     workers: Workers,
    ///     done: Handle<(Deferred, usize)>,
    /// }
    ///
    /// impl Service for Primes {
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
    ///                 // The token came back with the job and is dropped: that is a 503.
    ///                 eprintln!("{error}");
    ///             }
    ///         })
    ///     }
    /// }
    ///
    /// impl Receive<(Deferred, usize)> for Primes {
    ///     fn on_message(&mut self, cx: &mut Turn, (deferred, count): (Deferred, usize)) {
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
    pub fn defer(self, then: impl FnOnce(Deferred, &mut Turn)) -> Answered {
        let Reply { mut to, scratch, persistence, head_only, .. } = self;
        // It may be answered before this returns; what is put together here comes before it.
        scratch.flush_to(&mut to);
        let pending = match &scratch.open {
            // It was put off before.
            Some(Open::Answer(pending)) => pending.clone(),
            _ => Arc::new(Pending { persistence, head_only, made: OnceLock::new() }),
        };
        scratch.open = Some(Open::Answer(pending.clone()));
        let deferred = Deferred { connection: to.connection(), pending };
        then(deferred, to.turn());
        Answered { status: Status::OK, body: 0, persistence: Persistence::Open }
    }
}

impl Deferred {
    /// Answers the request, from any callback of the reactor in which it was made. What `make` puts
    /// together leaves at the end of the turn. It may [put the answer off](Reply::defer) again; the
    /// time of the first runs on.
    ///
    /// [`Sent::Gone`] says that there is nobody to answer any more, or that the client was answered
    /// because the time was over; `make` is not called then.
    pub fn answer(self, cx: &mut Turn, make: impl FnOnce(Reply<'_, '_>) -> Answered) -> Sent {
        let Deferred { connection, pending } = self;
        if !cx.peer(connection).is_open() {
            return Sent::Gone;
        }
        let mut scratch = Scratch::for_one(cx.unix_time());
        scratch.open = Some(Open::Answer(pending.clone()));
        let persistence = if cx.is_stopping() { Persistence::Close } else { pending.persistence };
        let to = To::Later(cx, connection);
        let answered = make(Reply::new(to, &mut scratch, persistence, pending.head_only));
        if answered.persistence == Persistence::Open {
            return Sent::Accepted;
        }
        let mut peer = cx.peer(connection);
        let sent = peer.send(&scratch.out[..]);
        let end = peer.sent() + peer.pending();
        let Answered { status, body, persistence } = answered;
        let made = pending.made.set(Made { status, body, end });
        debug_assert!(made.is_ok(), "one token, one answer");
        peer.set_deadline(None);
        // The session goes on when the answer has left.
        match persistence {
            Persistence::Close => peer.close(),
            _ => peer.request_drain(),
        }
        sent
    }
}
