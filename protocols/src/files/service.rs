//! [`Files`] as a service.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile};
use sluicegate_reactor::{ConnId, Payload, Turn};

use super::path::PathError;
use super::root::Files;
use crate::http::multipart::FormPart;
use crate::http::{Answered, Method, Reply, Request, Service, Status};

/// The state that [`Files`] keeps while it receives an upload.
#[derive(Debug, Default)]
pub struct Upload {
    /// The directory that a form is sent to, and the name of the file that is being received.
    pub(super) path: Vec<u8>,
    /// The length of the directory in `path`.
    pub(super) directory: usize,
}

impl Files {
    /// The methods for directories or files.
    fn allow(&self, is_directory: bool) -> &'static str {
        match (is_directory, self.options.upload, self.options.delete) {
            (true, None, _) | (false, None, false) => "GET, HEAD, OPTIONS",
            (true, Some(_), _) => "GET, HEAD, OPTIONS, POST",
            (false, Some(_), false) => "GET, HEAD, OPTIONS, PUT",
            (false, None, true) => "GET, HEAD, OPTIONS, DELETE",
            (false, Some(_), true) => "GET, HEAD, OPTIONS, PUT, DELETE",
        }
    }

    /// Refuses a method that a directory or a file does not allow.
    pub(super) fn refuse_method<V>(
        &self,
        is_directory: bool,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<V> {
        let reply = reply.header("Allow", self.allow(is_directory));
        self.error(Status::METHOD_NOT_ALLOWED, request, reply)
    }

    /// Decodes the path of a request that changes files. Gives the reply back if the path is
    /// served, and answers otherwise.
    pub(super) fn decode_to_change<'a, 'cx, V>(
        &mut self,
        request: &Request<'_>,
        reply: Reply<'a, 'cx>,
    ) -> Result<Reply<'a, 'cx>, Answered<V>> {
        Err(match self.decode(request) {
            Ok(()) => return Ok(reply),
            Err(PathError::Malformed) => self.error(Status::BAD_REQUEST, request, reply),
            Err(PathError::NotServed) => self.error(Status::FORBIDDEN, request, reply),
            Err(PathError::NeedsSlash) => self.redirect(request, reply),
        })
    }

    /// Adds the header fields that all responses have.
    pub(super) fn add_common_fields<'a, 'cx>(
        &self,
        request: &Request<'_>,
        reply: Reply<'a, 'cx>,
    ) -> Reply<'a, 'cx> {
        let lines = self.common_fields.lines(request);
        if lines.is_empty() { reply } else { reply.fields(lines.as_bytes()) }
    }
}

impl Service for Files {
    type State = Upload;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
        let reply = self.add_common_fields(request, reply);
        let is_directory = request.path().ends_with('/');
        match (request.method(), self.options.upload) {
            (Method::Get | Method::Head, _) => self.get(request, reply).map(|()| Upload::default()),
            (Method::Options, _) => {
                let allow = self.allow(is_directory);
                let reply = self.common_fields.add_preflight(request, reply);
                reply.status(Status::NO_CONTENT).header("Allow", allow).send("")
            }
            (Method::Put, Some(options)) => self.put(request, reply, &options),
            (Method::Post, Some(_)) => self.post(request, reply),
            (Method::Delete, _) if self.options.delete => self.delete(request, reply),
            (Method::Other(_), _) => self.error(Status::NOT_IMPLEMENTED, request, reply),
            _ => self.refuse_method(is_directory, request, reply),
        }
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        _: Upload,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        self.saved(request, saved, reply)
    }

    fn on_part(
        &mut self,
        cx: &mut Turn,
        _: ConnId,
        upload: &mut Upload,
        part: &FormPart,
    ) -> Result<Option<NewFile>, Status> {
        self.create_part(upload, part, cx.now())
    }

    fn on_part_saved(&mut self, _: &mut Turn, _: ConnId, upload: &mut Upload, _: Committed) {
        self.forget(&upload.path);
    }

    fn on_room(&mut self, _: &mut Turn, connection: ConnId) {
        if let Some(archives) = &self.archives {
            archives.on_room(connection);
        }
    }

    fn on_gone(&mut self, _: &mut Turn, connection: ConnId) {
        if let Some(archives) = &self.archives {
            archives.on_gone(connection);
        }
    }

    fn on_refused(&mut self, status: Status, reply: Reply<'_, '_>) -> Answered {
        reply.fields(self.common_fields.of_refusals().as_bytes()).error(status)
    }

    /// Answers a form whose files have been saved: the browser goes back to the directory.
    fn on_body(
        &mut self,
        request: &Request<'_>,
        _: Upload,
        _: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        let reply = self.add_common_fields(request, reply);
        reply.status(Status::SEE_OTHER).header("Location", "./").send("")
    }
}
