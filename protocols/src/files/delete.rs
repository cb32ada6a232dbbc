//! Answers DELETE (RFC 9110, section 9.3.5).

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;

use super::path::PathError;
use super::root::Files;
use super::upload::is_permitted;
use crate::http::{Answered, Reply, Request, Status};

impl Files {
    /// Removes a file.
    pub(super) fn delete<V>(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<V> {
        match self.decode(request) {
            Ok(()) => {}
            Err(PathError::Malformed) => return reply.error(Status::BAD_REQUEST),
            Err(PathError::NotServed) => return reply.error(Status::FORBIDDEN),
            Err(PathError::NeedsSlash) => return self.refuse_method(true, request, reply),
        }
        let name = OsStr::from_bytes(&self.path);
        let metadata = match self.root.metadata(name) {
            Ok(metadata) if metadata.is_dir() => return self.refuse_method(true, request, reply),
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return reply.error(Status::FORBIDDEN),
            Err(error) => return self.fail(&error, request, reply),
        };
        if !is_permitted(request, Some(metadata), reply.unix_time()) {
            return reply.error(Status::PRECONDITION_FAILED);
        }
        let removed = self.root.remove_file(name);
        let path = std::mem::take(&mut self.path);
        self.forget(&path);
        self.path = path;
        match removed {
            Ok(()) => reply.status(Status::NO_CONTENT).send(""),
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
                reply.error(Status::FORBIDDEN)
            }
            Err(error) => self.fail(&error, request, reply),
        }
    }
}
