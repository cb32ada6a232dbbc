//! The trait that an application implements.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile};
use sluicegate_reactor::{ConnId, Payload, Turn};

use super::multipart::FormPart;
use super::record::LogRecord;
use super::reply::{Answered, Reply};
use super::request::Request;
use super::status::Status;
use super::trailers::Trailers;

/// An application that answers requests. One value serves all connections of a reactor.
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait Service: Sized + 'static {
    /// The state that the service keeps while a request body arrives, and gets back with the body:
    /// the name of an upload, or the user who sends it. `()` if it requests no bodies, or needs
    /// nothing but the head. It is dropped if the body is refused or the connection ends.
    type State: 'static;

    /// Answers one request. An [`Answered`] can be created only by finishing `reply`.
    ///
    /// The requests of a connection come one at a time and in order. `call` must not block. If the
    /// response depends on another thread, a timer or another connection, [defer](Reply::defer) it.
    /// If its length is not known, [stream](Reply::stream) it.
    ///
    /// The request body has not been read yet. To get it, finish the reply with
    /// [`read`](Reply::read), [`read_pieces`](Reply::read_pieces), [`read_form`](Reply::read_form),
    /// [`save`](Reply::save) or [`defer_with_body`](Reply::defer_with_body).
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Self::State>;

    /// The next piece of a request body that is [delivered in pieces](Reply::read_pieces) has
    /// arrived. `state` is the value that the service passed to that call.
    ///
    /// # Errors
    /// Return the status with which to refuse the request. The connection closes after the
    /// response.
    fn on_piece(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        piece: &[u8],
    ) -> Result<(), Status> {
        Ok(())
    }

    /// A part of a [form](Reply::read_form) begins. Return the file in which to save its data, or
    /// `None` to have the data passed to [`on_piece`](Service::on_piece), which is the default.
    ///
    /// # Errors
    /// Return the status with which to refuse the request. The connection closes after the
    /// response.
    fn on_part(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        part: &FormPart,
    ) -> Result<Option<NewFile>, Status> {
        Ok(None)
    }

    /// The file of the current part of a form is complete and has its name.
    fn on_part_saved(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        committed: Committed,
    ) {
    }

    /// A chunked request body is complete and has trailer fields, of at most
    /// [`HttpLimits::head`](super::HttpLimits::head) bytes. [`on_body`](Service::on_body),
    /// [`on_saved`](Service::on_saved) or [`on_body_end`](Service::on_body_end) comes next. `state`
    /// is the value that the service passed when it requested the body.
    fn on_trailers(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        trailers: Trailers<'_>,
    ) {
    }

    /// A request body that is received [while the response is deferred](Reply::defer_with_body) is
    /// complete. `state` is the value that the service passed to that call.
    fn on_body_end(&mut self, cx: &mut Turn, connection: ConnId, state: Self::State) {}

    /// Answers a request whose body the service requested with [`read`](Reply::read). `state` is
    /// the value that it passed to that call.
    ///
    /// A body that arrived with its head is borrowed. A longer one is owned: it stays in
    /// the buffer that it was received into.
    ///
    /// By default the client gets 500.
    fn on_body(
        &mut self,
        request: &Request<'_>,
        state: Self::State,
        body: Payload<'_>,
        mut reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        let (method, path) = (request.method(), request.path());
        reply.to.log_misuse(format_args!("{method:?} {path}: on_body is not implemented"));
        reply.error(Status::INTERNAL_SERVER_ERROR)
    }

    /// Answers a request whose body the service requested with [`save`](Reply::save). `state` is
    /// the value that it passed to that call. `saved` says whether a file was created or replaced,
    /// or why the body could not be saved. The default is [`Reply::saved`].
    fn on_saved(
        &mut self,
        request: &Request<'_>,
        state: Self::State,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        reply.saved(saved)
    }

    /// Answers a request that `Http` refuses because it breaks a rule, exceeds a limit or times
    /// out. The default is [`Reply::error`]; a service can send its own error page instead. The
    /// response must be finished in the call. The connection closes after it, except where the rest
    /// of the request can be skipped: a body that is too long for the service, a body that is no
    /// form although the service asked for one, and a response that the service has dropped in the
    /// call.
    fn on_refused(&mut self, status: Status, reply: Reply<'_, '_>) -> Answered {
        reply.error(status)
    }

    /// There is room again for a [`ResponseStream`](super::ResponseStream) on this connection whose
    /// `send` returned [`Sent::Full`](sluicegate_reactor::Sent::Full).
    fn on_room(&mut self, cx: &mut Turn, connection: ConnId) {}

    /// The client has shut down its sending side while a [`ResponseStream`](super::ResponseStream)
    /// on this connection is in progress. Most such clients have disconnected, but a few wait for
    /// the rest. If streams may be silent for a long time, the service should finish the stream
    /// here. Otherwise it notices that the client has gone only when it sends the next part.
    fn on_client_end(&mut self, cx: &mut Turn, connection: ConnId) {}

    /// The reactor is stopping while a [`ResponseStream`](super::ResponseStream) on this connection
    /// is in progress. The reactor waits for the end of the stream until its grace period ends.
    fn on_stop(&mut self, cx: &mut Turn, connection: ConnId) {}

    /// A connection has ended while a body that the service had requested was arriving, or before
    /// the response of a [`ResponseStream`](super::ResponseStream) or a
    /// [`Deferred`](super::Deferred) was finished. If the request was refused, this is called after
    /// [`on_refused`](Service::on_refused). It is not called once the response is finished, even if
    /// its request body is incomplete.
    ///
    /// What the service keeps for a request outside of its [`State`](Service::State), such as a map
    /// by [`ConnId`](sluicegate_reactor::ConnId), must be removed here, when the service answers,
    /// and in [`on_refused`](Service::on_refused).
    fn on_gone(&mut self, cx: &mut Turn, connection: ConnId) {}

    /// Whether [`on_sent`](Service::on_sent) should be called. Asked once per connection. Records
    /// cost a few allocations per request.
    fn wants_log(&self) -> bool {
        false
    }

    /// A response has ended: the kernel has accepted its last byte, or the connection ended before
    /// that. Meant for access logs; see [`wants_log`](Service::wants_log).
    fn on_sent(&mut self, record: &LogRecord<'_>) {}
}
