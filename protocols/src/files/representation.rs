//! A version of a file, plain or precompressed: its contents, and the header fields that all
//! responses with it share.

use std::io;
use std::ops::Range;

use sluicegate_reactor::fs::{File, Metadata};
use sluicegate_reactor::{Bytes, Outgoing};

use super::byteranges;
use super::conditions::{self, Outcome};
use super::encodings::Coding;
use super::ranges::Selection;
use super::validators::{Modified, Validators, etag};
use crate::http::{Answered, Reply, Request, Status};

/// The weight of an open file in the cache. With the default of 16 MiB each thread's cache holds at
/// most 64 descriptors, of the 256 (macOS) or 1024 that a process usually has. A file that is this
/// long costs far more to send than to open.
const DESCRIPTOR_WEIGHT: usize = 256 << 10;

/// A regular file, as it was when it was loaded.
pub(super) struct Representation {
    content: Content,
    pub(super) coding: Option<Coding>,
    /// The formatted header fields: first the type, and last those of responses with status 304.
    fields: String,
    /// The position in `fields` after the type.
    content_type: usize,
    /// The position in `fields` of those of 304: `Vary` and the validators.
    unmodified: usize,
    /// The position in `fields` of the validators, which error pages do not have.
    validators: usize,
    etag: String,
    modified: Modified,
    metadata: Metadata,
    /// Whether it was read after the second of its last change. Within that second it may change
    /// again without a change to its metadata, as the clocks of file systems are coarse; and its
    /// date is not sent before the second is over.
    is_settled: bool,
}

/// A file that was just opened.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    pub(super) coding: Option<Coding>,
}

/// How files are loaded.
#[derive(Clone, Copy)]
pub(super) struct Loading<'a> {
    /// The media type of the file without a coding.
    pub(super) content_type: &'a str,
    /// Whether the representation depends on `Accept-Encoding`.
    pub(super) varies: bool,
    /// The longest file that is read into memory, in bytes.
    pub(super) small_body: usize,
    /// The time in the `Date` of the response.
    pub(super) date: u64,
}

/// The contents of a file.
enum Content {
    /// In memory, read while the metadata stayed the same.
    Memory(Bytes),
    /// On the disk, in a file that is kept open.
    Disk(File),
}

impl Representation {
    /// Loads a file that was just opened, and reads it if it is small.
    pub(super) fn load(opened: Opened, loading: Loading<'_>) -> io::Result<Representation> {
        let Opened { file, metadata, coding } = opened;
        let content = match usize::try_from(metadata.len) {
            Ok(len) if len <= loading.small_body => read(file, &metadata, len)?,
            _ => Content::Disk(file),
        };
        let modified = Modified::new(&metadata, loading.date);
        let etag = etag(&metadata);
        let mut fields = format!("Content-Type: {}\r\n", loading.content_type);
        let content_type = fields.len();
        fields.push_str("X-Content-Type-Options: nosniff\r\n");
        if let Some(coding) = coding {
            fields.extend(["Content-Encoding: ", coding.name(), "\r\n"]);
        }
        let unmodified = fields.len();
        if loading.varies {
            fields.push_str("Vary: Accept-Encoding\r\n");
        }
        let validators = fields.len();
        fields.push_str(&modified.field());
        fields.extend(["ETag: ", &etag, "\r\nAccept-Ranges: bytes\r\n"]);
        let is_settled = !matches!(modified, Modified::Recently(_));
        Ok(Representation {
            content,
            coding,
            fields,
            content_type,
            unmodified,
            validators,
            etag,
            modified,
            metadata,
            is_settled,
        })
    }

    /// Its weight in the cache.
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Content::Memory(bytes) => bytes.len(),
            Content::Disk(_) => DESCRIPTOR_WEIGHT,
        }
    }

    /// Answers a GET or HEAD with it.
    pub(super) fn answer(&self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        if request.headers().any(|(name, _)| conditions::is_relevant(name)) {
            return self.answer_conditional(request, reply);
        }
        self.send(Selection::Whole, reply)
    }

    /// Answers with it in place of what was requested, to which conditions and ranges refer.
    pub(super) fn answer_error(&self, status: Status, reply: Reply<'_, '_>) -> Answered {
        let fields = &self.fields.as_bytes()[..self.validators];
        reply.status(status).fields(fields).send(self.part(0..self.metadata.len))
    }

    fn answer_conditional(&self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let Representation { etag, modified, metadata, .. } = self;
        let file = Validators { etag, modified: *modified, len: metadata.len };
        match conditions::evaluate(request.method(), request.headers(), file) {
            Outcome::Send(selection) => self.send(selection, reply),
            Outcome::NotModified => {
                let fields = &self.fields.as_bytes()[self.unmodified..];
                reply.status(Status::NOT_MODIFIED).fields(fields).send("")
            }
            Outcome::PreconditionFailed => reply.error(Status::PRECONDITION_FAILED),
        }
    }

    fn send(&self, selection: Selection, reply: Reply<'_, '_>) -> Answered {
        let (fields, len) = (self.fields.as_bytes(), self.metadata.len);
        match selection {
            Selection::Whole => reply.fields(fields).send(self.part(0..len)),
            Selection::Part(Range { start, end }) => {
                let range = format!("bytes {start}-{}/{len}", end - 1);
                let reply = reply.status(Status::PARTIAL_CONTENT).header("Content-Range", range);
                reply.fields(fields).send(self.part(start..end))
            }
            // It is not defined whether a coding would apply to the parts or to all of the body.
            Selection::Parts(_) if self.coding.is_some() => self.send(Selection::Whole, reply),
            Selection::Parts(parts) => self.send_parts(parts, reply),
            Selection::NotSatisfiable => {
                let range = format!("bytes */{len}");
                reply.header("Content-Range", range).error(Status::RANGE_NOT_SATISFIABLE)
            }
        }
    }

    fn send_parts(&self, parts: Vec<Range<u64>>, reply: Reply<'_, '_>) -> Answered {
        let boundary = byteranges::boundary(&self.metadata);
        let (content_type, others) = self.fields.split_at(self.content_type);
        let read = |part| self.part(part);
        let body = byteranges::body(parts, &boundary, content_type, self.metadata.len, read);
        reply
            .status(Status::PARTIAL_CONTENT)
            .header("Content-Type", format!("multipart/byteranges; boundary={boundary}"))
            .fields(others.as_bytes())
            .send_all(body)
    }

    /// A range of its bytes, which must be within the file.
    fn part(&self, part: Range<u64>) -> Outgoing<'static> {
        match &self.content {
            Content::Memory(bytes) => bytes.slice(part.start as usize..part.end as usize).into(),
            Content::Disk(file) => file.region(part.start, part.end - part.start).into(),
        }
    }

    /// The open file, if it is short enough for memory, but its contents were not in the page cache
    /// when it was loaded.
    pub(super) fn to_load(&self, small_body: usize) -> Option<&File> {
        match &self.content {
            Content::Disk(file) if self.metadata.len <= small_body as u64 => Some(file),
            _ => None,
        }
    }

    /// Whether this is the version that the disk has now, by its metadata.
    pub(super) fn is_current(&self, opened: &Opened) -> bool {
        self.is_settled && self.metadata == opened.metadata && self.coding == opened.coding
    }
}

/// Reads a whole file, unless that would wait for the disk or the file changes meanwhile: what was
/// read may be neither the old nor the new version.
fn read(file: File, metadata: &Metadata, len: usize) -> io::Result<Content> {
    let mut body = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_resident(&mut body[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Not in the page cache. The send queue lets a worker read it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let is_whole = filled == len && file.metadata()? == *metadata;
    Ok(if is_whole { Content::Memory(body.into()) } else { Content::Disk(file) })
}
