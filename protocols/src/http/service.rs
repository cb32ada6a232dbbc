//! What an application implements.

use std::borrow::Cow;
use std::io;

use sluicegate_reactor::fs::Committed;
use sluicegate_reactor::{ConnId, Turn};

use super::record::LogRecord;
use super::reply::{Answered, Reply};
use super::request::Request;
use super::status::Status;

/// An application that answers requests. One value serves all connections of a reactor.
pub trait Service: Sized + 'static {
    /// What the service sets aside while a request body arrives, and gets back with the body: the
    /// name of an upload, or the user who sends it. `()` if it asks for no bodies, or needs nothing
    /// but the head.
    type State: 'static;

    /// Answers one request. Only finishing `reply` makes an [`Answered`].
    ///
    /// The requests of a connection come one at a time and in order. `call` must not block: a
    /// response that waits for another thread, a timer or another connection is
    /// [deferred](Reply::defer), and one whose length is not known is [streamed](Reply::stream).
    ///
    /// The body of the request is not here yet. To get it, finish the reply with
    /// [`read`](Reply::read), [`read_pieces`](Reply::read_pieces) or [`save`](Reply::save).
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Self::State>;

    /// The next piece of a request body that is [delivered in pieces](Reply::read_pieces) has
    /// arrived. `state` is what the service set aside for this request.
    ///
    /// # Errors
    /// The status with which to refuse the request. The connection closes behind the response.
    fn on_piece(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        piece: &[u8],
    ) -> Result<(), Status> {
        let _ = (cx, connection, state, piece);
        Ok(())
    }

    /// Answers a request whose body was to be [read](Reply::read). `state` is what the service set
    /// aside for this request.
    ///
    /// A body that arrived with its head is borrowed. A longer one is owned: `into_owned` returns
    /// the buffer that it was received into, without a copy.
    ///
    /// By default the client gets 500.
    fn on_body(
        &mut self,
        request: &Request<'_>,
        state: Self::State,
        body: Cow<'_, [u8]>,
        reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        let _ = (state, body);
        log::error!("{:?} {}: on_body is not implemented", request.method(), request.path());
        reply.error(Status::INTERNAL_SERVER_ERROR)
    }

    /// Answers a request whose body was to be [saved](Reply::save). `state` is what the service set
    /// aside for this request, and `saved` says whether a file was created or replaced, or why the
    /// body could not be saved. By default [`Reply::saved`] answers.
    fn on_saved(
        &mut self,
        request: &Request<'_>,
        state: Self::State,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        let _ = (request, state);
        reply.saved(saved)
    }

    /// Answers a request that `Http` refuses: because it breaks a rule, exceeds a limit or is late.
    /// By default [`Reply::error`] answers; a service can send a page of its own instead. The
    /// response has to be finished in the call. The connection closes behind it, unless only the
    /// body was too long and is short enough to be skipped.
    fn on_refused(&mut self, status: Status, reply: Reply<'_, '_>) -> Answered {
        reply.error(status)
    }

    /// There is room again behind a [`ResponseStream`](super::ResponseStream) on this connection
    /// whose `send` returned [`Sent::Full`](sluicegate_reactor::Sent::Full).
    fn on_room(&mut self, cx: &mut Turn, connection: ConnId) {
        let _ = (cx, connection);
    }

    /// The client has ended its direction while a [`ResponseStream`](super::ResponseStream) on this
    /// connection goes on. Most such clients have left; a few wait for the rest. A service whose
    /// streams may be quiet for long should drop or finish the stream here: the end of a client
    /// that has left shows only at the next part that is sent to it.
    fn on_client_end(&mut self, cx: &mut Turn, connection: ConnId) {
        let _ = (cx, connection);
    }

    /// The reactor is stopping while a [`ResponseStream`](super::ResponseStream) on this connection
    /// goes on. The reactor waits for the end of the stream until its grace period is over.
    fn on_stop(&mut self, cx: &mut Turn, connection: ConnId) {
        let _ = (cx, connection);
    }

    /// The connection of a [`ResponseStream`](super::ResponseStream) has ended before the stream
    /// was finished.
    fn on_gone(&mut self, cx: &mut Turn, connection: ConnId) {
        let _ = (cx, connection);
    }

    /// Whether [`on_sent`](Service::on_sent) is to be called. Asked once for each connection. The
    /// records cost a few allocations per request.
    fn wants_log(&self) -> bool {
        false
    }

    /// A response has left: the kernel has taken its last byte, or the connection has ended before
    /// that. Meant for access logs; see [`wants_log`](Service::wants_log).
    fn on_sent(&mut self, record: &LogRecord<'_>) {
        let _ = record;
    }
}
