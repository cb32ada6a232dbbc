//! Asking for a request body: in memory, in pieces, or in a file.

use std::io::{self, ErrorKind};

use sluicegate_reactor::fs::{Committed, NewFile, is_out_of_descriptors};

use super::output::Output;
use super::reply::{Answered, Reply};
use super::response::Awaited;
use super::status::Status;

impl Reply<'_, '_> {
    /// Receives the request body into memory, if it has at most `limit` bytes. When it is here,
    /// [`Service::on_body`](super::Service::on_body) answers the request, and gets `state` back.
    ///
    /// The body of a small request usually arrives with its head: it is borrowed, and the answer
    /// comes in the same callback. A longer one goes into a buffer that grows with what arrives,
    /// not with what the client announces. A client that sent `Expect: 100-continue` gets 100. A
    /// request without a body has an empty one.
    ///
    /// A client whose body is longer than `limit`, than
    /// [`HttpLimits::body`](super::HttpLimits::body) or than the reactor's
    /// [`receive_exact`](sluicegate_reactor::Limits::receive_exact) gets 413, one whose body is
    /// malformed 400, and one that is slower than
    /// [`HttpLimits::body_rate`](super::HttpLimits::body_rate) 408.
    ///
    /// Each connection may hold a body of `limit` bytes, so the memory of all is bounded by the
    /// [number of connections](sluicegate_reactor::Listen::max_connections).
    ///
    /// What was set on this reply so far is discarded. `read` works only in
    /// [`Service::call`](super::Service::call); elsewhere the response is 500.
    ///
    /// ```
    /// use std::borrow::Cow;
    ///
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service};
    ///
    /// /// Answers with the body and the name of its sender.
    /// struct Echo;
    ///
    /// impl Service for Echo {
    ///     type State = String;
    ///
    ///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<String> {
    ///         let user = request.header("X-User").unwrap_or(b"nobody");
    ///         reply.read(64 << 10, String::from_utf8_lossy(user).into_owned())
    ///     }
    ///
    ///     fn on_body(
    ///         &mut self,
    ///         _: &Request<'_>,
    ///         user: String,
    ///         body: Cow<'_, [u8]>,
    ///         reply: Reply<'_, '_>,
    ///     ) -> Answered<String> {
    ///         reply.header("X-From", user).send(body)
    ///     }
    /// }
    /// ```
    pub fn read<V>(self, limit: usize, state: V) -> Answered<V> {
        self.ask_for(Awaited::Memory(limit), state)
    }

    /// Delivers the request body in pieces, as it arrives, to
    /// [`Service::on_piece`](super::Service::on_piece). After the last piece
    /// [`Service::on_body`](super::Service::on_body) answers the request; the body that it gets is
    /// empty.
    ///
    /// A service that cannot take more pauses the connection by
    /// [`Peer::pause`](sluicegate_reactor::Peer::pause). Nothing is received then, so the client
    /// has to wait. A pause has no deadline, so the service has to resume the connection or close
    /// it. Once the whole body was delivered, a pause is over.
    ///
    /// Limits and errors are those of [`read`](Reply::read), without a limit of its own.
    pub fn read_pieces<V>(self, state: V) -> Answered<V> {
        self.ask_for(Awaited::Pieces, state)
    }

    /// Receives the request body into a file, as
    /// [`Context::receive_file`](sluicegate_reactor::Context::receive_file) does: the body is never
    /// in memory as a whole, and other connections are served meanwhile. When the body is saved, or
    /// could not be, [`Service::on_saved`](super::Service::on_saved) answers the request, and gets
    /// `state` back. A client that sent `Expect: 100-continue` gets 100.
    ///
    /// The connection is closed with 413 if the body is longer than
    /// [`HttpLimits::body`](super::HttpLimits::body) (a chunked one as soon as that is known), with
    /// 400 if it is malformed, and with 408 if it arrives more slowly than
    /// [`HttpLimits::body_rate`](super::HttpLimits::body_rate). The file is removed unless the
    /// whole body arrives. A request without a body creates an empty file.
    ///
    /// What was set on this reply so far is discarded. `save` works only in
    /// [`Service::call`](super::Service::call): the body of a request that was answered otherwise
    /// is not kept, and the response is 500.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service, Status};
    /// use sluicegate_reactor::fs::{CreateOptions, Dir};
    ///
    /// /// Saves the last body, whatever its path, in one file.
    /// struct Inbox(Dir);
    ///
    /// impl Service for Inbox {
    ///     type State = ();
    ///
    ///     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         match self.0.create("last", &CreateOptions::default()) {
    ///             Ok(file) => reply.save(file, ()),
    ///             Err(_) => reply.error(Status::INTERNAL_SERVER_ERROR),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn save<V>(self, file: NewFile, state: V) -> Answered<V> {
        self.ask_for(Awaited::File(file), state)
    }

    fn ask_for<V>(self, body: Awaited, state: V) -> Answered<V> {
        if !self.output.has_body {
            log::error!("a service asked for a request body that was dealt with before");
            return self.error(Status::INTERNAL_SERVER_ERROR);
        }
        self.output.awaited = Some(body);
        Answered::later(Some(state))
    }

    /// Finishes the response to a request whose body was to be [saved](Reply::save): 201 if a file
    /// was created, 204 if one was replaced. If the file could not be written, the status is
    ///
    /// - 507 if the disk or the quota is full or the file too large,
    /// - 409 if its directory does not exist or its name is that of a directory,
    /// - 403 if permission is denied,
    /// - 400 if its name is too long,
    /// - 503 if the process is out of descriptors,
    /// - 500 otherwise.
    ///
    /// The reason for 507 and 500 is logged, at most once a second.
    pub fn saved<V>(self, saved: &io::Result<Committed>) -> Answered<V> {
        match saved {
            Ok(Committed::Created) => self.status(Status::CREATED).send(""),
            Ok(Committed::Replaced) => self.status(Status::NO_CONTENT).send(""),
            Err(error) => {
                let status = status_of(error);
                if matches!(status, Status::INSUFFICIENT_STORAGE | Status::INTERNAL_SERVER_ERROR) {
                    self.output.log_unsaved(error);
                }
                self.error(status)
            }
        }
    }
}

impl Output {
    /// Once a second: a full disk refuses every body.
    fn log_unsaved(&mut self, error: &io::Error) {
        let now = self.clock.second();
        if now != self.logged_at {
            self.logged_at = now;
            log::error!("a request body could not be saved: {error}");
        }
    }
}

/// The response to an error that has kept a file from being written.
fn status_of(error: &io::Error) -> Status {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Status::INSUFFICIENT_STORAGE
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            Status::CONFLICT
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Status::FORBIDDEN,
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput => Status::BAD_REQUEST,
        // Not logged for each request: the reactor's listeners log it too.
        _ if is_out_of_descriptors(error) => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}
