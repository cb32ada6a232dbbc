//! Building the response to a request.

use std::io::Write;

use sluicegate_reactor::{ConnId, Outgoing, Turn};

use super::output::{Destination, Output};
use super::response::{Awaited, Finished, Outcome, Persistence, ResponseMode};
use super::status::Status;
use super::writer::{Own, write_field};

/// Proof that a request was answered, or will be. It can be created only by finishing a [`Reply`].
///
/// `V` is the [`State`](super::Service::State) of the service.
#[derive(Debug)]
#[must_use]
pub struct Answered<V = ()>(pub(super) Outcome<V>);

impl<V> Answered<V> {
    /// Converts the state, so that one service can delegate to another. If the outer service has no
    /// state itself, [`Middleware`](super::Middleware) is simpler.
    ///
    /// ```
    /// use std::io;
    ///
    /// use sluicegate_protocols::files::{self, Files};
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service};
    /// use sluicegate_reactor::Payload;
    /// use sluicegate_reactor::fs::Committed;
    ///
    /// /// Notes, and files for everything else.
    /// struct Site {
    ///     files: Files,
    /// }
    ///
    /// enum Upload {
    ///     Own(String),
    ///     OfFiles(files::Upload),
    /// }
    ///
    /// impl Service for Site {
    ///     type State = Upload;
    ///
    ///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
    ///         match request.path().strip_prefix("/notes/") {
    ///             Some(name) => reply.read(64 << 10, Upload::Own(name.to_owned())),
    ///             None => self.files.call(request, reply).map(Upload::OfFiles),
    ///         }
    ///     }
    ///
    ///     fn on_body(
    ///         &mut self,
    ///         _: &Request<'_>,
    ///         _: Upload,
    ///         note: Payload<'_>,
    ///         reply: Reply<'_, '_>,
    ///     ) -> Answered<Upload> {
    ///         reply.send(format!("{} bytes noted", note.len()))
    ///     }
    ///
    ///     fn on_saved(
    ///         &mut self,
    ///         request: &Request<'_>,
    ///         upload: Upload,
    ///         saved: &io::Result<Committed>,
    ///         reply: Reply<'_, '_>,
    ///     ) -> Answered<Upload> {
    ///         match upload {
    ///             Upload::OfFiles(upload) => {
    ///                 self.files.on_saved(request, upload, saved, reply).map(Upload::OfFiles)
    ///             }
    ///             Upload::Own(_) => reply.saved(saved),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn map<W>(self, change: impl FnOnce(V) -> W) -> Answered<W> {
        match self.0 {
            Outcome::Finished(finished) => Answered(Outcome::Finished(finished)),
            Outcome::Waits(awaited) => Answered::waits(awaited.map(change)),
        }
    }

    /// A response that is not finished in the call.
    pub(super) fn waits(awaited: Awaited<V>) -> Answered<V> {
        Answered(Outcome::Waits(awaited))
    }
}

/// A response that is being built. Its status is 200 unless [`status`](Reply::status) sets another.
///
/// The methods that return an [`Answered`] finish it. The response is sent when the callback
/// returns, together with the responses to other pipelined requests, or later if the method says
/// so.
#[must_use]
pub struct Reply<'a, 'cx> {
    pub(super) to: Destination<'a, 'cx>,
    pub(super) output: &'a mut Output,
    pub(super) status: Status,
    pub(super) mode: ResponseMode,
}

impl<'a, 'cx> Reply<'a, 'cx> {
    #[inline]
    pub(super) fn new(
        to: Destination<'a, 'cx>,
        output: &'a mut Output,
        mode: ResponseMode,
    ) -> Self {
        output.fields.clear();
        Reply { to, output, status: Status::OK, mode }
    }

    /// Sets the status.
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Adds a header field.
    ///
    /// Invalid fields, with which an attacker could split the response, are omitted and logged:
    /// those whose name is not a token or whose value contains CR, LF or NUL. The same applies to
    /// `Connection`, `Content-Length`, `Date` and `Transfer-Encoding`, which [`Http`](super::Http)
    /// writes itself.
    #[inline]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        write_field(&mut self.output.fields, name, value.as_ref(), Own::Date);
        self
    }

    /// Adds preformatted `Name: value\r\n` lines. They are not checked. If they are the first
    /// fields and begin with `Date: `, that date replaces the server's.
    #[inline]
    pub fn fields(self, lines: &[u8]) -> Self {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"), "the last line has no CRLF");
        self.output.fields.extend_from_slice(lines);
        self
    }

    /// Closes the connection after this response, also if that is finished later.
    pub fn close(mut self) -> Self {
        (self.mode.persistence, self.mode.after_body) = (Persistence::Close, Persistence::Close);
        self
    }

    /// Finishes the response with a body of known length: bytes, or a region of a file.
    ///
    /// A response to HEAD states the length but omits the body. Responses with status 204, 205 or
    /// 304 never have a body.
    #[inline]
    pub fn send<'b, V>(self, body: impl Into<Outgoing<'b>>) -> Answered<V> {
        Answered(Outcome::Finished(self.write(body.into())))
    }

    /// Finishes the response with a body that consists of several pieces, each bytes or a region of
    /// a file. `Content-Length` states their sum.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply};
    /// use sluicegate_reactor::fs::File;
    ///
    /// /// The first kilobyte of a file between two lines.
    /// fn excerpt(file: &File, reply: Reply<'_, '_>) -> Answered {
    ///     let region = file.region(0, 1024);
    ///     reply.send_all(vec!["begin\n".into(), region.into(), "end\n".into()])
    /// }
    /// ```
    pub fn send_all<V>(self, pieces: Vec<Outgoing<'_>>) -> Answered<V> {
        let length = pieces.iter().map(Outgoing::len).sum();
        Answered(Outcome::Finished(self.finish(length, |output, to| {
            pieces.into_iter().map(|piece| output.push(to, piece)).sum()
        })))
    }

    /// Finishes the response to a HEAD request without stating the length of the body. RFC 9110,
    /// section 9.3.2, allows this where the body would have to be generated to know its length. To
    /// any other method this is a response with an empty body.
    pub fn send_head<V>(self) -> Answered<V> {
        let length = (!self.mode.head_only).then_some(0);
        self.finish_head(length)
    }

    /// Finishes the response without a body. `length` is stated if there is one.
    pub(crate) fn finish_head<V>(self, length: Option<u64>) -> Answered<V> {
        let Reply { mut to, output, status, mode: ResponseMode { persistence, .. } } = self;
        output.write_head(status, persistence, length);
        output.flush_batch(&mut to);
        Answered(Outcome::Finished(Finished { status, body: 0, persistence }))
    }

    /// Finishes the response with a line of text that states the status.
    pub fn error<V>(self, status: Status) -> Answered<V> {
        Answered(Outcome::Finished(self.write_error(status)))
    }

    pub(super) fn write_error(self, status: Status) -> Finished {
        let mut page = [0; 64];
        let mut rest = &mut page[..];
        let written = writeln!(rest, "{} {}", status.code(), status.reason());
        debug_assert!(written.is_ok(), "the reason phrase is too long for its page");
        let length = 64 - rest.len();
        self.status(status)
            .fields(b"Content-Type: text/plain; charset=utf-8\r\n")
            .write(Outgoing::from(&page[..length]))
    }

    /// The details that the connection's [transport](sluicegate_reactor::transport) has about the
    /// client, such as the certificates of a TLS client, if they are of type `T`.
    ///
    #[cfg_attr(feature = "tls", doc = "```")]
    #[cfg_attr(not(feature = "tls"), doc = "```ignore")]
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service, Status};
    /// use sluicegate_protocols::tls::Connection;
    ///
    /// /// Serves one client, whose certificate it knows.
    /// struct Private {
    ///     certificate: Vec<u8>,
    /// }
    ///
    /// impl Service for Private {
    ///     type State = ();
    ///
    ///     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         let tls = reply.transport::<Connection>();
    ///         match tls.and_then(|tls| tls.peer_certificates().next()) {
    ///             Some(certificate) if certificate == self.certificate => reply.send("welcome"),
    ///             _ => reply.error(Status::FORBIDDEN),
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn transport<T: 'static>(&self) -> Option<&T> {
        self.to.transport()
    }

    /// The reactor: its files, its time, and its other connections.
    pub fn turn(&mut self) -> &mut Turn {
        self.to.turn()
    }

    /// The connection, for cases in which there is no [`Request`](super::Request): when a request
    /// is [refused](super::Service::on_refused), or in a [deferred](Reply::defer) response.
    #[must_use]
    pub fn connection(&self) -> ConnId {
        self.to.connection()
    }

    /// The time in the response's `Date`, in seconds since 1970.
    #[must_use]
    pub fn unix_time(&self) -> u64 {
        self.output.clock.second()
    }

    #[inline]
    fn write(self, body: Outgoing<'_>) -> Finished {
        self.finish(body.len(), |output, to| output.push(to, body))
    }

    /// Finishes the response with a body of this length. `push` queues it and returns how many
    /// bytes were queued.
    #[inline]
    fn finish(
        self,
        length: u64,
        push: impl FnOnce(&mut Output, &mut Destination<'_, '_>) -> u64,
    ) -> Finished {
        let Reply { mut to, output, status, mode: ResponseMode { persistence, head_only, .. } } =
            self;
        let has_content = !status.forbids_content();
        output.write_head(status, persistence, Some(if has_content { length } else { 0 }));
        let sent = if has_content && !head_only { push(output, &mut to) } else { 0 };
        output.flush_batch(&mut to);
        Finished { status, body: sent, persistence }
    }
}
