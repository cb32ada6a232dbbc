//! Bodies that a service wants to have, in a file.

use std::io::{self, ErrorKind};

use sluicegate_reactor::fs::{Committed, NewFile, NotSaved, Saved, is_out_of_descriptors};
use sluicegate_reactor::{Context, Input};

use super::adapter::Step;
use super::chunks::{Chunk, Chunks};
use super::reply::{Open, Persistence, Scratch};
use super::request::Framing;
use super::session::{Session, Stage};
use super::{Answered, Http, HttpLimits, Reply, Request, Service, Status};

/// A body on its way into a file.
pub(super) struct Incoming {
    /// The head of its request, which is answered when it is there.
    head: Box<[u8]>,
    /// The file and what stands between the chunks of the body; none if its length is known, and
    /// while a chunk is received: then the reactor has the file.
    chunked: Option<(Option<NewFile>, Chunks)>,
    /// Bytes received when the deadline began to run.
    received: u64,
}

/// What became of a body.
pub(super) struct Received {
    pub(super) saved: io::Result<Committed>,
    /// How many of its bytes are still to come, if it is known.
    pub(super) left: Option<u64>,
}

impl Reply<'_, '_> {
    /// Receives the request's body into a file, with
    /// [`Context::receive_file`](sluicegate_reactor::Context::receive_file): it is never in memory
    /// as a whole, and the reactor goes on meanwhile. When it is there, or could not be written,
    /// [`Service::on_saved`] answers the request. A client that expects it is told to continue.
    ///
    /// A body over [`HttpLimits::body`] is refused with 413 (a chunked one as soon as it is known),
    /// a broken one with 400, one that comes more slowly than [`HttpLimits::body_rate`] with 408;
    /// each closes the connection. Whatever ends it before it is whole, the file is removed. A
    /// request without a body makes an empty file.
    ///
    /// What was set on this reply so far is forgotten. It can only be used in
    /// [`call`](Service::call): the body of a request that was answered otherwise is not kept.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service, Status};
    /// use sluicegate_reactor::fs::{CreateOptions, Dir};
    ///
    /// /// Keeps what is put, under any path, in one file.
    /// struct Inbox(Dir);
    ///
    /// impl Service for Inbox {
    ///     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         match self.0.create("last", &CreateOptions::default()) {
    ///             Ok(file) => reply.save(file),
    ///             Err(_) => reply.error(Status::INTERNAL_SERVER_ERROR),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn save(self, file: NewFile) -> Answered {
        if !self.scratch.has_body {
            log::error!("a file for the body of a request that is not there any more");
            return self.error(Status::INTERNAL_SERVER_ERROR);
        }
        self.scratch.open = Some(Open::Body(file));
        Answered { status: Status::OK, body: 0, persistence: Persistence::Open }
    }

    /// Finishes the answer to a body that was to be [saved](Reply::save): 201 if it made a file,
    /// 204 if it replaced one. If it could not be written, 507 if there is no room, 409 if there is
    /// no directory for it or one in its place, 403 if it is not allowed, 400 if its name is too
    /// long, 503 if no descriptor is left; else 500. The log says why it is 507 or 500, at most
    /// once a second.
    pub fn saved(self, saved: &io::Result<Committed>) -> Answered {
        match saved {
            Ok(Committed::Created) => self.status(Status::CREATED).send(""),
            Ok(Committed::Replaced) => self.status(Status::NO_CONTENT).send(""),
            Err(error) => {
                let status = refusal(error);
                if matches!(status, Status::INSUFFICIENT_STORAGE | Status::INTERNAL_SERVER_ERROR) {
                    self.scratch.log_unsaved(error);
                }
                self.error(status)
            }
        }
    }
}

impl Scratch {
    /// Once a second: a full disk refuses every body.
    fn log_unsaved(&mut self, error: &io::Error) {
        let now = self.clock.second();
        if now != self.logged_at {
            self.logged_at = now;
            log::error!("a body is not saved: {error}");
        }
    }
}

/// What is answered if a file cannot be written.
fn refusal(error: &io::Error) -> Status {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Status::INSUFFICIENT_STORAGE
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            Status::CONFLICT
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Status::FORBIDDEN,
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput => Status::BAD_REQUEST,
        // The reactor's listeners log it too, and not once for each request.
        _ if is_out_of_descriptors(error) => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

impl<S: Service> Http<S> {
    /// Begins to receive a body.
    pub(super) fn begin_body(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        (head, request): (&[u8], &Request<'_>),
        file: NewFile,
    ) {
        let is_empty = matches!(request.framing, Framing::None | Framing::Length(0));
        if request.expects_continue && !is_empty {
            self.scratch.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let chunked = match request.framing {
            Framing::None => {
                cx.receive_file(file, Some(0));
                None
            }
            Framing::Length(length) => {
                cx.receive_file(file, Some(length));
                None
            }
            Framing::Chunked => Some((Some(file), Chunks::default())),
        };
        let incoming = Incoming { head: head.into(), chunked, received: cx.received() };
        session.receive(cx, Box::new(incoming), &self.limits);
    }

    /// Looks at what stands between the chunks of a body.
    pub(super) fn step_chunks(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Step {
        let Stage::Receiving(incoming) = &mut session.stage else { return Step::Rest };
        let Some((file, chunks)) = &mut incoming.chunked else { return Step::Rest };
        let mut rest = input.bytes();
        let chunk = chunks.next(&mut rest, &self.limits);
        input.consume(input.len() - rest.len());
        match chunk {
            Ok(Chunk::Incomplete) => return Step::Incomplete,
            Ok(Chunk::Data(size)) => {
                if let Some(file) = file.take() {
                    cx.receive_part(file, size);
                }
            }
            Ok(Chunk::End) => {
                if let Some(file) = file.take() {
                    cx.receive_file(file, Some(0));
                }
            }
            Err(status) => {
                let head = std::mem::take(&mut incoming.head);
                self.refuse(cx, session, &head, status);
            }
        }
        Step::Rest
    }

    /// A file is there, or a part of it, or it cannot be written.
    pub(super) fn body_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        saved: Result<Saved, NotSaved>,
    ) {
        let Stage::Receiving(incoming) = &mut session.stage else { return };
        let (saved, left) = match (saved, &mut incoming.chunked) {
            (Ok(Saved::Part(part)), Some((file, _))) => {
                *file = Some(part);
                return;
            }
            (Ok(Saved::Part(_)), None) => return,
            (Ok(Saved::Committed(committed)), _) => (Ok(committed), Some(0)),
            (Err(NotSaved { error, left }), None) => (Err(error), left),
            // Where a chunked body ends is not known.
            (Err(NotSaved { error, .. }), Some(_)) => (Err(error), None),
        };
        let head = std::mem::take(&mut incoming.head);
        session.received(cx);
        self.answer(cx, session, &head, Some(&Received { saved, left }));
    }

    /// A body has had the time of one deadline.
    pub(super) fn judge_rate(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        let Stage::Receiving(incoming) = &mut session.stage else { return };
        let HttpLimits { head_timeout, body_rate, .. } = self.limits;
        let least = u128::from(body_rate) * head_timeout.as_millis() / 1000;
        let came = cx.received() - incoming.received;
        if u128::from(came) >= least || !cx.wants_input() {
            incoming.received = cx.received();
            return cx.set_deadline(Some(head_timeout));
        }
        let head = std::mem::take(&mut incoming.head);
        self.refuse_late(cx, session, &head, Status::REQUEST_TIMEOUT);
    }
}
