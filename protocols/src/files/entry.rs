//! A file as the cache holds it: what is the same in every answer with it, made once.

use std::io;
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use sluicegate_reactor::Bytes;
use sluicegate_reactor::fs::{File, Metadata};

use super::conditions::{self, Outcome, Validators};
use super::types::push_content_type;
use crate::http::{Answered, Reply, Request, Status};

/// What an open descriptor weighs in the cache, which is bounded in bytes: with the default of
/// 16 MiB at most 64 of the process's descriptors are held, of the 256 (macOS) or 1024 it usually
/// has. Opening costs little beside sending so long a file.
const DESCRIPTOR_WEIGHT: usize = 256 << 10;

/// A regular file, as it was when it was loaded.
pub(super) struct Entry {
    content: Content,
    /// Ready-made header fields.
    fields: Vec<u8>,
    /// Where those begin that say which version it is.
    validators: usize,
    etag: String,
    /// What `Last-Modified` says.
    modified: u64,
    metadata: Metadata,
    /// It was last changed in a second that had passed when it was read. Otherwise it may change
    /// again without a change to its metadata: the clock of a file system ticks.
    is_settled: bool,
    /// When it was last compared with the disk, by the reactor's clock.
    pub(super) checked: Duration,
}

/// Where the bytes of a file are.
enum Content {
    /// In memory, all of them read while the metadata stayed the same.
    Memory(Bytes),
    /// In the file, held open.
    Disk(File),
}

impl Entry {
    /// Makes an entry of a file that was just opened, by reading it if it has at most `small_body`
    /// bytes. `now` is the reactor's clock, `date` what the answer's `Date` says.
    pub(super) fn load(
        file: File,
        metadata: Metadata,
        name: &[u8],
        small_body: usize,
        now: Duration,
        date: u64,
    ) -> io::Result<Entry> {
        let content = match usize::try_from(metadata.len) {
            Ok(len) if len <= small_body => read(file, &metadata, len)?,
            _ => Content::Disk(file),
        };
        let changed = u64::try_from(metadata.modified_seconds).unwrap_or(0);
        let modified = changed.min(date);
        let etag = etag(&metadata);
        let mut fields = b"Content-Type: ".to_vec();
        push_content_type(name, &mut fields);
        fields.extend_from_slice(b"\r\nX-Content-Type-Options: nosniff\r\n");
        fields.extend_from_slice(b"Accept-Ranges: bytes\r\n");
        let validators = fields.len();
        let at = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(modified));
        fields.extend_from_slice(format!("Last-Modified: {at}\r\nETag: {etag}\r\n").as_bytes());
        let is_settled = changed < date;
        Ok(Entry {
            content,
            fields,
            validators,
            etag,
            modified,
            metadata,
            is_settled,
            checked: now,
        })
    }

    /// What it adds to the weight of the cache.
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
        self.send(0..self.metadata.len, reply.fields(&self.fields))
    }

    fn answer_conditional(&self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let Entry { fields, etag, modified, metadata, .. } = self;
        let file = Validators { etag, modified: *modified, len: metadata.len };
        match conditions::evaluate(request.method(), request.headers(), file) {
            Outcome::Whole => self.send(0..file.len, reply.fields(fields)),
            Outcome::Part(Range { start, end }) => {
                let range = format!("bytes {start}-{}/{}", end - 1, file.len);
                let reply = reply.status(Status::PARTIAL_CONTENT).header("Content-Range", range);
                self.send(start..end, reply.fields(fields))
            }
            Outcome::NotModified => {
                reply.status(Status::NOT_MODIFIED).fields(&fields[self.validators..]).send("")
            }
            Outcome::PreconditionFailed => reply.error(Status::PRECONDITION_FAILED),
            Outcome::NotSatisfiable => {
                let range = format!("bytes */{}", file.len);
                reply.header("Content-Range", range).error(Status::RANGE_NOT_SATISFIABLE)
            }
        }
    }

    /// Sends some of its bytes; the range is within the file.
    fn send(&self, part: Range<u64>, reply: Reply<'_, '_>) -> Answered {
        match &self.content {
            Content::Memory(bytes) => {
                reply.send(bytes.slice(part.start as usize..part.end as usize))
            }
            Content::Disk(file) => reply.send(file.region(part.start, part.end - part.start)),
        }
    }

    /// The file, if it could be in memory as a whole and is not: on the disk it was, when it was
    /// loaded, and has been sent from there since.
    pub(super) fn to_load(&self, small_body: usize) -> Option<&File> {
        match &self.content {
            Content::Disk(file) if self.metadata.len <= small_body as u64 => Some(file),
            _ => None,
        }
    }

    /// Whether it can be used without asking the disk.
    pub(super) fn is_fresh(&self, now: Duration, valid_for: Duration) -> bool {
        now.saturating_sub(self.checked) < valid_for
    }

    /// Whether this is what the disk has under the name now.
    pub(super) fn is_current(&self, metadata: &Metadata) -> bool {
        let is_certain = self.is_settled || matches!(self.content, Content::Disk(_));
        is_certain && self.metadata == *metadata
    }
}

/// The whole of a file, if no disk has to be waited for. If it changes meanwhile it stays on the
/// disk, as what was read may be neither the old nor the new one.
fn read(file: File, metadata: &Metadata, len: usize) -> io::Result<Content> {
    let mut body = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_resident(&mut body[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The queue has it read by a worker.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let is_whole = filled == len && file.metadata()? == *metadata;
    Ok(if is_whole { Content::Memory(body.into()) } else { Content::Disk(file) })
}

/// A strong entity tag: as far as a file system can tell, the same bytes.
pub(super) fn etag(metadata: &Metadata) -> String {
    let Metadata { modified_seconds, modified_nanos, len, inode, .. } = metadata;
    format!("\"{modified_seconds:x}.{modified_nanos:x}-{len:x}-{inode:x}\"")
}
