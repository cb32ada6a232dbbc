//! The types that describe files, the same for every kernel.

use std::ffi::OsString;
use std::io;

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link. Only an [`Entry`] has this kind: everything else follows links.
    Symlink,
    /// A FIFO, socket or device.
    Other,
}

/// The attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The type of the file.
    pub kind: FileKind,
    /// The length in bytes.
    pub len: u64,
    /// When the content was last modified, in whole seconds since 1970.
    pub modified_seconds: i64,
    /// The nanoseconds to add to [`modified_seconds`](Metadata::modified_seconds).
    pub modified_nanos: u32,
    /// When the content or an attribute was last changed, in whole seconds since 1970. Unlike the
    /// modification time, programs cannot set it.
    pub changed_seconds: i64,
    /// The nanoseconds to add to [`changed_seconds`](Metadata::changed_seconds).
    pub changed_nanos: u32,
    /// The inode number, unique within the file system.
    pub inode: u64,
}

impl Metadata {
    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file name, without a path.
    pub name: OsString,
    /// The type of the file, if the directory records it. Some file systems do not.
    pub kind: Option<FileKind>,
}

/// The entries of a directory: see [`File::read_dir`](crate::fs::File::read_dir).
///
/// It reads the directory as it advances, some hundreds of entries at a time, and has a descriptor
/// of its own open. An item is an error of `readdir(3)` where reading failed; no useful item
/// follows it.
pub type ReadDir = Box<dyn Iterator<Item = io::Result<Entry>>>;
