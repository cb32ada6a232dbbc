//! Requests that are delivered to the service again.

use sluicegate_reactor::{Sent, Turn};

use super::deferred::Deferred;
use super::reply::{Answered, Reply};
use super::status::Status;

/// A handle with which to deliver a request to the service again, or to answer it: see
/// [`Reply::postpone`].
///
/// If it is dropped in the call that created it, the client gets 503 immediately; if it is dropped
/// later, the client gets 503 after [`response_timeout`](super::HttpLimits::response_timeout).
#[derive(Debug)]
#[must_use = "a client waits for the response"]
pub struct Postponed(Deferred);

impl Reply<'_, '_> {
    /// Postpones the request until the service can decide what to do with it, for example whether
    /// the client is authorized, or which part of the service handles it. `then` is called with the
    /// reactor and a [`Postponed`], which it can store or send to another thread. Once a later
    /// callback calls [`Postponed::deliver`], [`Service::call`](super::Service::call) is called
    /// again with the same request, and can answer it or request its body.
    ///
    /// Until then nothing else is read from the connection, and a client that sent `Expect:
    /// 100-continue` does not send its body. Otherwise the rules for [deferred
    /// responses](Reply::defer) apply.
    ///
    /// The status and fields set on this reply so far are discarded. `postpone` works only in
    /// [`Service::call`](super::Service::call); elsewhere the response is 500.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Postponed, Reply, Request, Service, Status};
    /// use sluicegate_reactor::workers::Workers;
    /// use sluicegate_reactor::{Handle, Receive, Sessions};
    ///
    /// /// Saves notes, once a worker has found the key by which clients identify themselves.
    /// struct Notes {
    ///     key: Option<String>,
    ///     workers: Workers,
    ///     found: Handle<(Postponed, String)>,
    /// }
    ///
    /// impl Service for Notes {
    ///     type State = ();
    ///
    ///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         let Some(key) = &self.key else {
    ///             return reply.postpone(|postponed, _| {
    ///                 let find = move || (postponed, "a key from a slow disk".to_owned());
    ///                 if let Err(error) = self.workers.run(find, &self.found) {
    ///                     // Dropping the job drops `postponed`: the client gets 503.
    ///                     eprintln!("{error}");
    ///                 }
    ///             });
    ///         };
    ///         if request.header("X-Key") != Some(key.as_bytes()) {
    ///             return reply.error(Status::FORBIDDEN);
    ///         }
    ///         reply.read(64 << 10, ())
    ///     }
    /// }
    ///
    /// impl Receive<(Postponed, String)> for Notes {
    ///     fn on_message(&mut self, cx: &mut Sessions<'_>, (postponed, key): (Postponed, String)) {
    ///         self.key = Some(key);
    ///         postponed.deliver(cx);
    ///     }
    /// }
    /// ```
    pub fn postpone<V>(mut self, then: impl FnOnce(Postponed, &mut Turn)) -> Answered<V> {
        if !self.to.check_body_request() {
            return self.error(Status::INTERNAL_SERVER_ERROR);
        }
        self.wait_for(|deferred, cx| {
            deferred.pending.set_postponed(true);
            then(Postponed(deferred), cx);
            None
        })
    }
}

impl Postponed {
    /// Whether the client is still waiting for the response.
    #[must_use]
    pub fn is_wanted(&self, cx: &mut Turn) -> bool {
        self.0.is_wanted(cx)
    }

    /// Delivers the request to the service again, in this turn or the next one, or once the client
    /// has received the responses to the requests before it. Must be called on the reactor that
    /// received the request. If the client is gone, nothing happens.
    pub fn deliver(self, cx: &mut Turn) {
        if self.is_wanted(cx) {
            self.0.pending.deliver_again();
            let mut peer = cx.peer(self.0.connection);
            peer.set_deadline(None);
            peer.request_drain();
        }
    }

    /// Answers the request instead, as [`Deferred::answer`] does. A request body is treated as one
    /// that the service does not read.
    pub fn answer(self, cx: &mut Turn, make: impl FnOnce(Reply<'_, '_>) -> Answered) -> Sent {
        self.0.pending.set_postponed(false);
        self.0.answer(cx, make)
    }
}
