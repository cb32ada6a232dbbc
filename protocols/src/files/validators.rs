//! Validators, which distinguish the versions of a file: its entity tag and its modification date
//! (RFC 9110, section 8.8).

use std::time::{Duration, UNIX_EPOCH};

use sluicegate_reactor::fs::Metadata;

/// The version of a file that conditions are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// The strong entity tag with its quotes.
    pub(super) etag: &'a str,
    pub(super) modified: Modified,
    /// The length of the whole file.
    pub(super) len: u64,
}

/// When a file was modified, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modified {
    /// The file system has no date. Images and packages that are built reproducibly often date
    /// their files 0, and HTTP cannot write dates before that.
    Unknown,
    /// In this second, which was the current one, or later by the clock of the file system. The
    /// file may change again within the second, so its date does not tell the versions apart
    /// (section 8.8.2.2). It is not sent.
    Recently(u64),
    /// In this second, which was over. `Last-Modified` states it.
    At(u64),
}

impl Modified {
    /// The modification date of a file at the time of a response's `Date`.
    pub(super) fn new(metadata: &Metadata, date: u64) -> Modified {
        /// The last second that HTTP can write: the end of the year 9999.
        const LAST: u64 = 253_402_300_799;

        match u64::try_from(metadata.modified_seconds) {
            Err(_) | Ok(0) => Modified::Unknown,
            Ok(second) if second < date && second <= LAST => Modified::At(second),
            Ok(_) => Modified::Recently(date),
        }
    }

    /// The line for `Last-Modified`; empty if that is not sent.
    pub(super) fn field(self) -> String {
        match self {
            Modified::At(second) => {
                let at = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
                format!("Last-Modified: {at}\r\n")
            }
            Modified::Unknown | Modified::Recently(_) => String::new(),
        }
    }

    /// Whether a client that has the version of this date has the current one: `If-Range`.
    pub(super) fn is_at(self, date: u64) -> bool {
        self == Modified::At(date)
    }

    /// Whether a client that asked at this date has the current version: `If-Modified-Since`.
    pub(super) fn is_unchanged_since(self, date: u64) -> bool {
        matches!(self, Modified::At(second) if second <= date)
    }

    /// Whether the file was modified after this date: `If-Unmodified-Since`.
    pub(super) fn is_after(self, date: u64) -> bool {
        match self {
            Modified::Unknown => false,
            Modified::Recently(second) | Modified::At(second) => second > date,
        }
    }
}

/// A strong entity tag: as far as the file system can tell, equal tags mean equal bytes. A file
/// that is replaced has another inode; one that is rewritten in place has another time of change,
/// even if its modification time is set back.
pub(super) fn etag(metadata: &Metadata) -> String {
    let Metadata { modified_seconds, modified_nanos, len, inode, .. } = metadata;
    let Metadata { changed_seconds, changed_nanos, .. } = metadata;
    let modified = format_args!("{modified_seconds:x}.{modified_nanos:x}");
    format!("\"{modified}-{changed_seconds:x}.{changed_nanos:x}-{len:x}-{inode:x}\"")
}
