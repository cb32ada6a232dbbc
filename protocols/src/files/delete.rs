//! Answers DELETE (RFC 9110, section 9.3.5).

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;

use super::root::Files;
use super::upload::is_permitted;
use crate::http::{Answered, Reply, Request, Status};

impl Files {
    /// Removes a file.
    pub(super) fn delete<V>(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<V> {
        let reply = match self.decode_to_change(request, reply) {
            Ok(reply) => reply,
            Err(answered) => return answered,
        };
        let name = OsStr::from_bytes(&self.path);
        let metadata = match self.root.metadata(name) {
            Ok(metadata) if metadata.is_dir() => return self.refuse_method(true, request, reply),
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return self.error(Status::FORBIDDEN, request, reply),
            Err(error) => return self.fail(&error, request, reply),
        };
        if !is_permitted(request, Some(metadata), reply.unix_time()) {
            return self.error(Status::PRECONDITION_FAILED, request, reply);
        }
        let removed = self.root.remove_file(name);
        self.forget_current();
        match removed {
            Ok(()) => reply.status(Status::NO_CONTENT).send(""),
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
                self.error(Status::FORBIDDEN, request, reply)
            }
            Err(error) => self.fail(&error, request, reply),
        }
    }
}
