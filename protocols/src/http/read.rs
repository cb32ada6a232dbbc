//! Requesting a request body: in memory, in pieces, or in a file.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile};

use super::multipart::FormLimits;
use super::reply::{Answered, Reply};
use super::response::{Awaited, BodyMode, Persistence};
use super::status::Status;

impl Reply<'_, '_> {
    /// The length of the longest body that [`read`](Reply::read) can receive.
    pub(crate) fn most_readable(&self) -> usize {
        self.to.max_exact()
    }

    /// Reads a request body of at most `limit` bytes into memory. Once it is complete,
    /// [`Service::on_body`](super::Service::on_body) is called with the body and `state`, and
    /// answers the request.
    ///
    /// A small body usually arrives together with the head. It is then borrowed, and `on_body` is
    /// called immediately. A longer body goes into a buffer that grows as data arrives; the length
    /// that the client announces is not allocated in advance. A client that sent `Expect:
    /// 100-continue` gets a 100 response. If the request has no body, `on_body` gets an empty one.
    ///
    /// A client whose body is longer than `limit`, than
    /// [`HttpLimits::body`](super::HttpLimits::body) or than the reactor's
    /// [`max_exact`](sluicegate_reactor::Limits::max_exact) gets 413, one whose body is
    /// malformed gets 400, and one that sends more slowly than
    /// [`HttpLimits::body_rate`](super::HttpLimits::body_rate) gets 408. The default of
    /// `body` is 1 GiB, and that of `max_exact` 16 MiB. To read longer bodies, raise `max_exact` in
    /// the [`Listen`](sluicegate_reactor::Listen) of the server.
    ///
    /// Each connection may hold a body of `limit` bytes, so the memory for all of them is bounded
    /// by the [number of connections](sluicegate_reactor::Listen::max_connections).
    ///
    /// The status and fields set on this reply so far are discarded. `read` works only in
    /// [`Service::call`](super::Service::call); elsewhere the response is 500.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service};
    /// use sluicegate_reactor::Payload;
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
    ///         body: Payload<'_>,
    ///         reply: Reply<'_, '_>,
    ///     ) -> Answered<String> {
    ///         reply.header("X-From", user).send(body)
    ///     }
    /// }
    /// ```
    pub fn read<V>(self, limit: usize, state: V) -> Answered<V> {
        self.ask_for(BodyMode::Memory(limit), state)
    }

    /// Passes the request body in pieces to [`Service::on_piece`](super::Service::on_piece) as they
    /// arrive, and the trailer fields of a chunked one to
    /// [`Service::on_trailers`](super::Service::on_trailers). After that,
    /// [`Service::on_body`](super::Service::on_body) is called with an empty body, and answers the
    /// request.
    ///
    /// For backpressure, a service can call [`Peer::pause`](sluicegate_reactor::Peer::pause) on the
    /// connection. Nothing more is received until the service resumes it, so the client has to
    /// wait. A pause has no deadline, so the service must resume or close the connection. The pause
    /// ends once the whole body has been delivered.
    ///
    /// Limits and errors are the same as for [`read`](Reply::read), except that there is no `limit`
    /// argument.
    pub fn read_pieces<V>(self, state: V) -> Answered<V> {
        self.ask_for(BodyMode::Pieces, state)
    }

    /// Receives the request body into a file, as
    /// [`Context::receive_file`](sluicegate_reactor::Context::receive_file) does: the whole body is
    /// never in memory at once, and other connections are served in the meantime. Once the body is
    /// saved, or saving has failed, [`Service::on_saved`](super::Service::on_saved) is called with
    /// `state`, and answers the request. A client that sent `Expect: 100-continue` gets a 100
    /// response.
    ///
    /// The connection is closed with 413 if the body is longer than
    /// [`HttpLimits::body`](super::HttpLimits::body) (a chunked one as soon as that is known), with
    /// 400 if it is malformed, and with 408 if it arrives more slowly than
    /// [`HttpLimits::body_rate`](super::HttpLimits::body_rate). The file is removed unless the
    /// whole body arrives. A request without a body creates an empty file.
    ///
    /// The status and fields set on this reply so far are discarded. `save` works only in
    /// [`Service::call`](super::Service::call); elsewhere the response is 500.
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
    ///
    /// To keep the body in a file that never has a name, pass one that
    /// [`Dir::create_unnamed`](sluicegate_reactor::fs::Dir::create_unnamed) has created. The
    /// service reads or sends it afterwards:
    ///
    /// ```
    /// use std::io;
    ///
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service, Status};
    /// use sluicegate_reactor::fs::{Committed, Dir, File};
    ///
    /// /// Sends each body back, however long it is.
    /// struct Mirror(Dir);
    ///
    /// impl Service for Mirror {
    ///     type State = File;
    ///
    ///     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered<File> {
    ///         match self.0.create_unnamed() {
    ///             Ok((file, content)) => reply.save(file, content),
    ///             Err(_) => reply.error(Status::INTERNAL_SERVER_ERROR),
    ///         }
    ///     }
    ///
    ///     fn on_saved(
    ///         &mut self,
    ///         _: &Request<'_>,
    ///         content: File,
    ///         saved: &io::Result<Committed>,
    ///         reply: Reply<'_, '_>,
    ///     ) -> Answered<File> {
    ///         match (saved, content.metadata()) {
    ///             (Ok(_), Ok(metadata)) => reply.send(content.region(0, metadata.len)),
    ///             (Ok(_), Err(error)) => reply.saved(&Err(error)),
    ///             (saved, _) => reply.saved(saved),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn save<V>(self, file: NewFile, state: V) -> Answered<V> {
        self.ask_for(BodyMode::File(Box::new(file)), state)
    }

    /// Receives a form in the format `multipart/form-data` (RFC 7578), such as one with files that
    /// a browser sends. For each part, [`Service::on_part`](super::Service::on_part) decides where
    /// its data goes: into a file, received as by [`save`](Reply::save), or to
    /// [`Service::on_piece`](super::Service::on_piece). The file of a part is committed as soon as
    /// the part is complete, and [`Service::on_part_saved`](super::Service::on_part_saved) is
    /// called. The file stays even if a later part fails. After the last part,
    /// [`Service::on_body`](super::Service::on_body) is called with an empty body, and answers the
    /// request.
    ///
    /// A client whose body has another type gets 415, one whose form is malformed or ends early
    /// 400, and one that exceeds `limits` 413. If a file could not be written, the status is that
    /// of [`saved`](Reply::saved). Other limits and errors are the same as for
    /// [`read_pieces`](Reply::read_pieces).
    ///
    /// Any other site can make a browser send such a form. A service that changes anything should
    /// check for this: see [`Request::is_cross_origin`](super::Request::is_cross_origin).
    ///
    /// ```
    /// use sluicegate_protocols::http::multipart::{FormLimits, FormPart};
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service, Status};
    /// use sluicegate_reactor::fs::{CreateOptions, Dir, NewFile};
    /// use sluicegate_reactor::{ConnId, Payload, Turn};
    ///
    /// /// Saves the files of a form under numbers.
    /// struct Inbox(Dir);
    ///
    /// impl Service for Inbox {
    ///     type State = u32;
    ///
    ///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<u32> {
    ///         if request.is_cross_origin() {
    ///             return reply.error(Status::FORBIDDEN);
    ///         }
    ///         reply.read_form(FormLimits::default(), 0)
    ///     }
    ///
    ///     fn on_part(
    ///         &mut self,
    ///         _: &mut Turn,
    ///         _: ConnId,
    ///         files: &mut u32,
    ///         part: &FormPart,
    ///     ) -> Result<Option<NewFile>, Status> {
    ///         if part.file_name().is_none() {
    ///             return Ok(None);
    ///         }
    ///         *files += 1;
    ///         let file = self.0.create(files.to_string(), &CreateOptions::default());
    ///         file.map(Some).map_err(|error| Status::for_unsaved(&error))
    ///     }
    ///
    ///     fn on_body(
    ///         &mut self,
    ///         _: &Request<'_>,
    ///         files: u32,
    ///         _: Payload<'_>,
    ///         reply: Reply<'_, '_>,
    ///     ) -> Answered<u32> {
    ///         reply.send(format!("{files} files saved"))
    ///     }
    /// }
    /// ```
    pub fn read_form<V>(self, limits: FormLimits, state: V) -> Answered<V> {
        self.ask_for(BodyMode::Form(limits), state)
    }

    fn ask_for<V>(mut self, mode: BodyMode, state: V) -> Answered<V> {
        if !self.to.check_body_request() {
            return self.error(Status::INTERNAL_SERVER_ERROR);
        }
        let is_last = self.mode.after_body == Persistence::Close;
        Answered::waits(Awaited::Body { mode, state, is_last })
    }

    /// Finishes the response to a request whose body the service asked to [save](Reply::save): 201
    /// if a file was created, 204 if one was replaced, or else the status [for the
    /// error](Status::for_unsaved). The reason for 507 and 500 is logged, at most once per second.
    pub fn saved<V>(mut self, saved: &io::Result<Committed>) -> Answered<V> {
        match saved {
            Ok(Committed::Created) => self.status(Status::CREATED).send(""),
            Ok(Committed::Replaced) => self.status(Status::NO_CONTENT).send(""),
            Err(error) => {
                let id = self.to.connection();
                let turn = self.to.turn();
                let now = turn.now();
                let status = self.output.unsaved.status(error, turn.peer(id).describe(), now);
                self.error(status)
            }
        }
    }
}
