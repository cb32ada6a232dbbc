//! Answers GET and HEAD, from the cache or from the disk.

use std::io;

use super::cached_file::{CachedFile, Check, OpenedFile};
use super::encodings::Coding;
use super::lister::status_of;
use super::path::PathError;
use super::representation::Opened;
use super::root::Files;
use super::unsized_file;
use crate::http::{Answered, Reply, Request, Status};

/// The kind of file at a path.
pub(super) enum Found {
    File(OpenedFile),
    /// A directory without an index file.
    Directory,
    /// A directory whose path does not end with a slash.
    NeedsSlash,
    /// Neither a file nor a directory.
    Other,
}

impl Files {
    /// Answers a GET or HEAD.
    pub(super) fn get(&mut self, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Answered {
        match self.decode(request) {
            Ok(()) => {}
            Err(PathError::Malformed) => return self.error(Status::BAD_REQUEST, request, reply),
            Err(PathError::NotServed) => return self.send_not_found(request, reply),
            Err(PathError::NeedsSlash) => return self.redirect(request, reply),
        }
        let is_directory = self.path.is_empty() || self.path.ends_with(b"/");
        if let Some(archives) = &self.archives
            && is_directory
            && request.query() == Some("tar")
        {
            return self.send_archive(archives, request, reply);
        }
        let check = self.check(reply.turn().now());
        if let Some(entry) = self.cache.get(&self.path)
            && entry.is_fresh(check, self.options.valid_for)
        {
            return entry.answer(Status::OK, request, reply);
        }
        let found = self.find();
        if !matches!(found, Ok(Found::File(_))) {
            self.cache.remove(&self.path);
        }
        match found {
            Ok(Found::File(opened)) => self.send_file(opened, Status::OK, check, request, reply),
            Ok(Found::Directory) => self.send_listing(request, reply),
            Ok(Found::NeedsSlash) => self.redirect(request, reply),
            Ok(Found::Other) => self.send_missing(request, reply),
            Err(error) => self.refuse(&error, request, reply),
        }
    }

    /// Opens the file at the path of the request.
    pub(super) fn find(&mut self) -> io::Result<Found> {
        let wants_directory = self.path.is_empty() || self.path.ends_with(b"/");
        if wants_directory {
            for at in 0..self.options.index.len() {
                let name = [&self.path, self.options.index[at].as_bytes()].concat();
                match self.open(&name) {
                    Ok(plain) if plain.metadata.is_file() => {
                        return Ok(Found::File(self.with_siblings(plain, name)));
                    }
                    Err(error)
                        if error.kind() != io::ErrorKind::NotFound && !self.is_special(&name) =>
                    {
                        return Err(error);
                    }
                    _ => {}
                }
            }
        }
        let path = self.path.clone();
        let plain = self.open(&path)?;
        let Opened { metadata, .. } = plain;
        Ok(match (metadata.is_dir(), wants_directory) {
            (true, true) => Found::Directory,
            (true, false) => Found::NeedsSlash,
            (false, _) if metadata.is_file() => Found::File(self.with_siblings(plain, path)),
            (false, _) => Found::Other,
        })
    }

    /// Opens the precompressed files beside a file. One that cannot be opened does not count, and
    /// neither does an empty one, as no coding makes a file empty, nor one of an older version.
    /// Only whole seconds are compared: tools that copy a date may drop the rest, and copies of a
    /// directory have the dates of their files in any order.
    fn with_siblings(&mut self, plain: Opened, name: Vec<u8>) -> OpenedFile {
        let codings = if self.options.precompressed { &Coding::ALL[..] } else { &[] };
        let encoded = codings.iter().filter_map(|coding| {
            let path = [&name, coding.extension().as_bytes()].concat();
            let opened = self.open(&path).ok()?;
            let metadata = opened.metadata;
            let is_usable = metadata.is_file()
                && metadata.len > 0
                && metadata.modified_seconds >= plain.metadata.modified_seconds;
            is_usable.then_some(Opened { coding: Some(*coding), ..opened })
        });
        OpenedFile { encoded: encoded.collect(), plain, name }
    }

    /// Answers with a file that was just opened, or from the cache if that has the same version.
    pub(super) fn send_file(
        &mut self,
        mut opened: OpenedFile,
        status: Status,
        check: Check,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        if let Some(entry) = self.cache.get(&self.path)
            && entry.is_current(&opened)
            && !entry.reuse_unloaded(&mut opened, self.options.small_body)
        {
            entry.checked = check;
            return entry.answer(status, request, reply);
        }
        if opened.plain.metadata.len == 0 && status == Status::OK {
            match unsized_file::read(&opened.plain.file, self.options.unsized_body) {
                Ok(content) if content.is_empty() => {}
                Ok(content) => return unsized_file::send(content, &opened.name, request, reply),
                Err(error) => return self.fail(&error, request, reply),
            }
        }
        let (small_body, date) = (self.options.small_body, reply.unix_time());
        match CachedFile::load(opened, small_body, check, date) {
            Ok(entry) => {
                let answered = entry.answer(status, request, reply);
                let weight = entry.weight();
                self.cache.insert(&self.path, entry, weight);
                answered
            }
            Err(error) => self.fail(&error, request, reply),
        }
    }

    /// Answers a request whose path cannot be opened.
    fn refuse(
        &mut self,
        error: &io::Error,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let is_missing = match status_of(error) {
            Some(status) => status == Status::NOT_FOUND,
            None => self.is_special(&self.path),
        };
        if is_missing {
            self.send_missing(request, reply)
        } else {
            self.fail(error, request, reply)
        }
    }

    /// Answers a request for a file that cannot be opened or read. It sends no page of the site, as
    /// that may be the file.
    pub(super) fn fail<V>(
        &self,
        error: &io::Error,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<V> {
        let status = status_of(error).unwrap_or_else(|| {
            log::warn!("{}: {error}", self.path.escape_ascii());
            Status::INTERNAL_SERVER_ERROR
        });
        self.error(status, request, reply)
    }
}
