//! [`Files`] as a service.

use std::io;

use sluicegate_reactor::fs::Committed;

use super::root::Files;
use super::upload::{ALLOW_READ, ALLOW_UPLOAD};
use crate::http::{Answered, Method, Reply, Request, Service, Status};

impl Files {
    /// Answers a request for a file.
    pub fn serve(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let reply = self.add_common_fields(request, reply);
        let upload = self.options.upload;
        let allow = if upload.is_some() { ALLOW_UPLOAD } else { ALLOW_READ };
        match (request.method(), upload) {
            (Method::Get | Method::Head, _) => self.get(request, reply),
            (Method::Options, _) => {
                let reply = self.common_fields.add_preflight(request, reply, allow);
                reply.status(Status::NO_CONTENT).header("Allow", allow).send("")
            }
            (Method::Put, Some(options)) => self.put(request, reply, &options),
            (Method::Other(_), _) => self.error(Status::NOT_IMPLEMENTED, request, reply),
            _ => {
                let reply = reply.header("Allow", allow);
                self.error(Status::METHOD_NOT_ALLOWED, request, reply)
            }
        }
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
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        self.serve(request, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        (): (),
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        self.saved(request, saved, reply)
    }
}
