//! Files and directories as a server needs them: opened beneath a directory and never outside of
//! it.
//!
//! [`Fs`] comes from [`Reactor::fs`](crate::Reactor::fs) or [`Turn::fs`](crate::Turn::fs), so that
//! a handler under test sees the files of the simulated kernel. A [`File`] is a cheap, counted
//! handle of an open descriptor: a file cache and ten thousand outbound queues share one.
//!
//! A [`NewFile`] is one that comes to be: it gets its name when it is whole, or goes away.
//!
//! Opening, reading, listing, creating and committing may block on a slow disk.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sys::{self, Fd, Kernel};

mod new_file;

pub use crate::inbound::{NotSaved, Saved};
pub use new_file::{Committed, CreateOptions, NewFile, is_temporary};

/// Access to the file system of a reactor's kernel.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = sluicegate_reactor::Reactor::new()?;
/// let root = reactor.fs().open_dir(".")?;
/// assert!(root.metadata("Cargo.toml")?.is_file());
/// assert!(root.open("../outside").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Fs {
    kernel: Kernel,
}

impl Fs {
    pub(crate) fn new(kernel: Kernel) -> Fs {
        Fs { kernel }
    }

    /// Opens a directory by an ordinary path. What is opened through it stays beneath it.
    ///
    /// # Errors
    /// What `open(2)` says; `NotADirectory` for a file.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> io::Result<Dir> {
        let fd = self.kernel.open_dir(path.as_ref())?;
        Ok(Dir { file: File::new(self.kernel.clone(), fd) })
    }
}

impl fmt::Debug for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fs")
    }
}

/// An open directory, the root of everything opened through it.
///
/// Paths are relative to it. On Linux the kernel keeps them beneath it (`openat2(2)` with
/// `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS`), elsewhere they are walked one component at a time.
/// Symbolic links that stay beneath are followed.
#[derive(Clone, Debug)]
pub struct Dir {
    file: File,
}

impl Dir {
    /// Opens a file for reading, without ever blocking on a FIFO or a device.
    ///
    /// # Errors
    /// `NotFound`, and `PermissionDenied` also for a path that would leave the directory.
    pub fn open(&self, path: impl AsRef<OsStr>) -> io::Result<File> {
        let kernel = &self.file.0.kernel;
        let fd = kernel.open_beneath(self.file.0.fd, path.as_ref())?;
        Ok(File::new(kernel.clone(), fd))
    }

    /// What is known of a name beneath the directory; symbolic links that stay beneath are
    /// followed.
    ///
    /// # Errors
    /// As [`open`](Dir::open), without the need for permission to read the file.
    pub fn metadata(&self, path: impl AsRef<OsStr>) -> io::Result<Metadata> {
        self.file.0.kernel.metadata_beneath(self.file.0.fd, path.as_ref())
    }
}

impl From<File> for Dir {
    /// Takes an opened directory as a root. Using it as one fails if it is not a directory.
    fn from(file: File) -> Dir {
        Dir { file }
    }
}

/// An open file, closed when the last clone is dropped.
#[derive(Clone)]
pub struct File(Rc<Open>);

struct Open {
    kernel: Kernel,
    fd: Fd,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.kernel.close(self.fd);
    }
}

impl File {
    fn new(kernel: Kernel, fd: Fd) -> File {
        File(Rc::new(Open { kernel, fd }))
    }

    pub(crate) fn fd(&self) -> Fd {
        self.0.fd
    }

    /// What is known of the file now.
    ///
    /// # Errors
    /// What `fstat(2)` says.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.kernel.metadata(self.0.fd)
    }

    /// Reads at an offset; fewer bytes than asked for mean the end of the file or a short read.
    ///
    /// # Errors
    /// What `pread(2)` says; `IsADirectory` for a directory.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.kernel.read_at(self.0.fd, buffer, offset)
    }

    /// The names in this directory, in no order, without `.` and `..`; at most `limit`.
    ///
    /// # Errors
    /// `NotADirectory` if this is not one; what `readdir(3)` says.
    pub fn read_dir(&self, limit: usize) -> io::Result<Vec<Entry>> {
        self.0.kernel.read_dir(self.0.fd, limit)
    }

    /// `len` bytes of this file from `offset`, to be sent with
    /// [`Context::send`](crate::Context::send). The descriptor stays open until they are gone.
    #[must_use]
    pub fn region(&self, offset: u64, len: u64) -> Region {
        Region { file: self.clone(), offset, len }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.0.fd).finish()
    }
}

/// A descriptor that workers may use while its owner is done with it: the operating system's is
/// closed when the last who has it drops it, in whatever thread. The simulated kernel has one
/// thread, and there the owner [releases](Descriptor::release) it.
pub(crate) struct Descriptor {
    fd: Fd,
    closes: bool,
}

impl Descriptor {
    fn new(kernel: &Kernel, fd: Fd) -> Descriptor {
        Descriptor { fd, closes: matches!(kernel, Kernel::Os) }
    }

    /// Notes that its owner is done with it.
    fn release(&self, kernel: &Kernel) {
        if !self.closes {
            kernel.close(self.fd);
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.closes {
            Kernel::Os.close(self.fd);
        }
    }
}

/// A part of a file, as something to send. Made by [`File::region`].
///
/// If the file turns out to end before the region does, the connection is reset: what was promised
/// can no longer be sent, and padding it would be a lie.
#[derive(Clone, Debug)]
pub struct Region {
    pub(crate) file: File,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Region {
    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Whether an error says that the process or the system has no descriptor left (`EMFILE`,
/// `ENFILE`), for which there is no [`io::ErrorKind`]. Closing some may help.
///
/// ```
/// use std::io;
/// use sluicegate_reactor::fs::is_out_of_descriptors;
///
/// assert!(!is_out_of_descriptors(&io::ErrorKind::NotFound.into()));
/// ```
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    sys::is_out_of_descriptors(error)
}

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link (only in an [`Entry`]).
    Symlink,
    /// A FIFO, socket or device.
    Other,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Its length in bytes.
    pub len: u64,
    /// When its content changed last: whole seconds since 1970.
    pub modified_seconds: i64,
    /// The nanoseconds beside them.
    pub modified_nanos: u32,
    /// Its number in its file system.
    pub inode: u64,
}

impl Metadata {
    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// When its content changed last.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        let seconds = Duration::from_secs(self.modified_seconds.unsigned_abs());
        let base =
            if self.modified_seconds < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds };
        base + Duration::from_nanos(u64::from(self.modified_nanos))
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without a path.
    pub name: OsString,
    /// What it is, where the directory itself says so.
    pub kind: Option<FileKind>,
}
