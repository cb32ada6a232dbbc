//! Answers PUT (RFC 9110, section 9.3.4).

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sluicegate_reactor::fs::{Committed, CreateOptions, Metadata, NewFile, is_out_of_descriptors};

use super::conditions;
use super::path::split;
use super::resume::Part;
use super::root::Files;
use super::service::Upload;
use super::validators::{Modified, Validators, etag};
use crate::http::{Answered, Reply, Request, Status, list, values};

/// The maximum number of directories on the path of a file for which they are created. Each takes a
/// few system calls.
const MAX_DIRECTORIES: usize = 64;

/// The start of an upload.
pub(super) enum Begun {
    /// The path is that of a directory.
    Directory,
    /// The path is that of neither a file nor a directory.
    Special,
    /// The new file, and the one that it replaces, if there is one.
    File(Option<Metadata>, NewFile),
}

impl Files {
    /// Answers a PUT, or starts to receive its body.
    pub(super) fn put(
        &mut self,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
        options: &CreateOptions,
    ) -> Answered<Upload> {
        let mut reply = match self.decode_to_change(request, reply) {
            Ok(reply) => reply,
            Err(answered) => return answered,
        };
        let mut codings = values(request.headers(), "Content-Encoding").flat_map(list);
        if codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            // The content is saved as it arrives, and responses would not name its coding.
            let reply = reply.header("Accept-Encoding", "identity");
            return self.error(Status::UNSUPPORTED_MEDIA_TYPE, request, reply);
        }
        let part = match Part::of(request, &self.path, self.partials.is_some()) {
            Ok(part) => part,
            Err(status) => return self.error(status, request, reply),
        };
        let (now, part) = (reply.turn().now(), part.as_ref());
        let path = std::mem::take(&mut self.path);
        let begun = match self.begin(&path, options, part, now) {
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && self.options.create_directories
                    && is_permitted(request, None, reply.unix_time()) =>
            {
                self.create_directories(&path).and_then(|()| self.begin(&path, options, part, now))
            }
            begun => begun,
        };
        self.path = path;
        match begun {
            Ok(Begun::Directory) => self.refuse_method(true, request, reply),
            Ok(Begun::Special) => self.error(Status::FORBIDDEN, request, reply),
            // Conditions come last (section 13.2.1): what cannot be created is no 412.
            Ok(Begun::File(there, _)) if !is_permitted(request, there, reply.unix_time()) => {
                self.error(Status::PRECONDITION_FAILED, request, reply)
            }
            Ok(Begun::File(_, file)) if part.is_some_and(|part| !part.continues(&file)) => {
                let reply = reply.header("Upload-Offset", file.len().to_string());
                self.error(Status::CONFLICT, request, reply)
            }
            Ok(Begun::File(there, file)) => {
                reply.save(keep_conditions(file, there, request), Upload::default())
            }
            // Another connection sends the same upload.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let reply = reply.header("Retry-After", "1");
                self.error(Status::SERVICE_UNAVAILABLE, request, reply)
            }
            Err(error) => self.refuse_unsaved(&error, reply),
        }
    }

    /// Examines the existing file at a path, and creates or continues the new file for it.
    pub(super) fn begin(
        &mut self,
        path: &[u8],
        options: &CreateOptions,
        part: Option<&Part>,
        now: Duration,
    ) -> io::Result<Begun> {
        if let Some(partials) = &mut self.partials {
            partials.remove_expired_at(now);
        }
        match self.try_to_begin(path, options, part, now) {
            Err(error) if is_out_of_descriptors(&error) => {
                // Descriptors that are kept open must not keep the process from opening others.
                self.cache.clear();
                self.parents.clear();
                self.try_to_begin(path, options, part, now)
            }
            // The directory was removed. Its path may lead to another one.
            Err(error)
                if error.kind() == ErrorKind::NotFound && self.parents.forget(split(path).0) =>
            {
                self.try_to_begin(path, options, part, now)
            }
            begun => begun,
        }
    }

    fn try_to_begin(
        &mut self,
        path: &[u8],
        options: &CreateOptions,
        part: Option<&Part>,
        now: Duration,
    ) -> io::Result<Begun> {
        let (parent, name) = split(path);
        if name.is_empty() {
            return Ok(Begun::Directory);
        }
        let dir = self.parents.open(parent, now)?;
        let name = OsStr::from_bytes(name);
        let there = match dir.metadata(name) {
            // A link may lead to another directory beneath the root.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.root.metadata(OsStr::from_bytes(path))
            }
            there => there,
        };
        let there = match there {
            Ok(metadata) if metadata.is_dir() => return Ok(Begun::Directory),
            Ok(metadata) if metadata.is_file() => Some(metadata),
            Ok(_) => return Ok(Begun::Special),
            // Nothing can be read there, whatever has the name. A link may lead into a file, as if
            // that were a directory.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let file = match (&self.partials, part) {
            (Some(partials), Some(part)) => partials.create((&dir, name), options, part)?,
            _ => dir.create(name, options)?,
        };
        Ok(Begun::File(there, file))
    }

    /// Creates the directories on the path of a file that do not exist.
    fn create_directories(&self, path: &[u8]) -> io::Result<()> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        if ends.clone().count() > MAX_DIRECTORIES {
            return Err(ErrorKind::NotFound.into());
        }
        for end in ends {
            match self.root.create_dir(OsStr::from_bytes(&path[..end])) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Answers a PUT whose body has been saved.
    pub(super) fn saved(
        &mut self,
        request: &Request<'_>,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        if self.decode(request).is_ok() {
            self.forget_current();
        }
        let reply = self.add_common_fields(request, reply);
        match saved {
            Ok(_) => reply.saved(saved),
            Err(error) => self.refuse_unsaved(error, reply),
        }
    }

    /// Answers a PUT to the current path whose file could not be created or written.
    fn refuse_unsaved(&mut self, error: &io::Error, mut reply: Reply<'_, '_>) -> Answered<Upload> {
        let now = reply.turn().now();
        reply.error(self.unsaved.status(error, self.path.escape_ascii(), now))
    }
}

/// Whether the conditions of a request hold for the current file with this name, if there is one.
pub(super) fn is_permitted(request: &Request<'_>, there: Option<Metadata>, date: u64) -> bool {
    !is_conditional(request) || permits(request.headers(), there.as_ref(), date)
}

fn is_conditional(request: &Request<'_>) -> bool {
    request.headers().any(|(name, _)| conditions::is_relevant(name))
}

/// Whether conditions hold for the current file, if there is one.
fn permits<'h>(
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    there: Option<&Metadata>,
    date: u64,
) -> bool {
    let Some(metadata) = there else { return conditions::permit_new(headers) };
    let modified = Modified::new(metadata, date);
    let etag = etag(metadata);
    conditions::permit_replacing(headers, Validators { etag: &etag, modified, len: metadata.len })
}

/// Lets the commit of a file evaluate the conditions of its request again: another request may have
/// changed the current file while the body arrived.
fn keep_conditions(file: NewFile, there: Option<Metadata>, request: &Request<'_>) -> NewFile {
    if !is_conditional(request) {
        return file;
    }
    let fields = request.headers().filter(|(name, _)| conditions::is_relevant(name));
    let fields: Vec<_> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    file.commit_if(move |now| {
        let headers = fields.iter().map(|(name, value)| (&**name, &**value));
        // A file that was changed meanwhile counts with its exact date.
        now == there.as_ref() || permits(headers, now, u64::MAX)
    })
}
