//! Answers PUT (RFC 9110, section 9.3.4).

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;

use sluicegate_reactor::fs::{Committed, CreateOptions, Metadata, is_out_of_descriptors};

use super::conditions;
use super::path::{self, PathError};
use super::root::Files;
use super::validators::{Modified, Validators, etag};
use crate::http::{Answered, Reply, Request, Status};

/// The value of `Allow` without uploads, and for directories.
pub(super) const ALLOW_READ: &str = "GET, HEAD, OPTIONS";

/// The value of `Allow` with uploads.
pub(super) const ALLOW_UPLOAD: &str = "GET, HEAD, OPTIONS, PUT";

impl Files {
    /// Answers a PUT, or starts to receive its body.
    pub(super) fn put(
        &mut self,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
        options: &CreateOptions,
    ) -> Answered {
        // A part must not replace the whole file (section 14.5).
        if request.header("Content-Range").is_some() {
            return reply.error(Status::BAD_REQUEST);
        }
        match path::decode(request.path(), self.options.hidden, &mut self.path) {
            Ok(()) => {}
            Err(PathError::Malformed) => return reply.error(Status::BAD_REQUEST),
            Err(PathError::NotServed) => return reply.error(Status::FORBIDDEN),
        }
        let is_directory = self.path.is_empty() || self.path.ends_with(b"/");
        let name = OsStr::from_bytes(&self.path);
        let there = match self.root.metadata(name) {
            _ if is_directory => return not_for_directories(reply),
            Ok(metadata) if metadata.is_dir() => return not_for_directories(reply),
            Ok(metadata) if metadata.is_file() => Some(metadata),
            Ok(_) => return reply.error(Status::FORBIDDEN),
            // Nothing can be read there, whatever has the name. A link may lead into a file, as if
            // that were a directory.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                None
            }
            Err(error) => return reply.saved(&Err(error)),
        };
        let created = match self.root.create(name, options) {
            Err(error) if is_out_of_descriptors(&error) => {
                self.cache.clear();
                self.root.create(name, options)
            }
            created => created,
        };
        match created {
            // Conditions come last (section 13.2.1): what cannot be created is no 412.
            Ok(_) if !is_permitted(request, there, reply.unix_time()) => {
                reply.error(Status::PRECONDITION_FAILED)
            }
            Ok(file) => reply.save(file, ()),
            Err(error) => reply.saved(&Err(error)),
        }
    }

    /// Answers a PUT whose body has been saved. A service that passed the request to
    /// [`serve`](Files::serve) must call this in [`on_saved`](crate::http::Service::on_saved).
    pub fn saved(
        &mut self,
        request: &Request<'_>,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        if path::decode(request.path(), self.options.hidden, &mut self.path).is_ok() {
            self.cache.remove(&self.path);
            let name = self.path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            let (directory, name) = self.path.split_at(name);
            if self.options.index.iter().any(|index| index.as_bytes() == name) {
                self.cache.remove(directory);
            }
        }
        reply.saved(saved)
    }
}

fn not_for_directories(reply: Reply<'_, '_>) -> Answered {
    reply.header("Allow", ALLOW_READ).error(Status::METHOD_NOT_ALLOWED)
}

/// Whether the conditions of a request hold for the file that has the name now, if there is one.
fn is_permitted(request: &Request<'_>, there: Option<Metadata>, date: u64) -> bool {
    let Some(metadata) = there else { return conditions::permit_new(request.headers()) };
    let modified = Modified::new(&metadata, date);
    let etag = etag(&metadata);
    let file = Validators { etag: &etag, modified, len: metadata.len };
    conditions::permit_replacing(request.headers(), file)
}
