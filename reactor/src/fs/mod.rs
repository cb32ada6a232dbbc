//! Files and directories as a server needs them: opened beneath a directory and never outside of
//! it.
//!
//! [`Fs`] comes from [`Reactor::fs`](crate::Reactor::fs) or [`Turn::fs`](crate::Turn::fs), so that
//! a handler under test sees the files of the simulated kernel. A [`File`] is a cheap, counted
//! handle of an open descriptor: a file cache and ten thousand outbound queues share one.
//!
//! A [`NewFile`] is one that comes to be: it gets its name when it is whole, or goes away.
//!
//! Opening, reading, listing, creating and committing may block on a slow disk. Sending a region
//! does not: see [`outbound`](crate::outbound).

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sys::{self, Fd, Kernel};

mod new_file;

pub use crate::inbound::{NotSaved, Saved};
pub(crate) use new_file::Part;
pub use new_file::{Committed, CreateOptions, NewFile, is_temporary};

/// Access to the file system of a reactor's kernel.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let reactor = sluicegate_reactor::Reactor::new()?;
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
    disk: Cell<Disk>,
}

/// What is known of where a file's bytes are.
#[derive(Clone, Copy, Default)]
enum Disk {
    /// The kernel says it if it is asked, or nobody has asked.
    #[default]
    Told,
    /// In memory, all of them: the file system has no disk.
    None,
    /// The kernel does not say it. A worker has read what is between two offsets, beginning at a
    /// time of the monotonic clock.
    Hidden { from: u64, to: u64, since: u64 },
}

/// For how many nanoseconds what was read is taken to be in memory where the kernel does not say
/// it: 10 s.
const STAYS: u64 = 10_000_000_000;

impl Drop for Open {
    fn drop(&mut self) {
        self.kernel.close(self.fd);
    }
}

impl File {
    fn new(kernel: Kernel, fd: Fd) -> File {
        File(Rc::new(Open { kernel, fd, disk: Cell::default() }))
    }

    pub(crate) fn fd(&self) -> Fd {
        self.0.fd
    }

    /// Whether it is the same open file.
    pub(crate) fn is(&self, other: &File) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whether all of it is known to be in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.0.disk.get(), Disk::None)
    }

    /// Whether the kernel is known not to say what of it is in memory.
    pub(crate) fn is_hidden(&self) -> bool {
        matches!(self.0.disk.get(), Disk::Hidden { .. })
    }

    /// Finds out, if the kernel does not say what of a file is in memory, whether all of it is.
    pub(crate) fn find_out(&self) -> bool {
        if let Disk::Told = self.0.disk.get() {
            let in_memory = self.0.kernel.is_in_memory(self.0.fd).unwrap_or(false);
            let hidden = Disk::Hidden { from: 0, to: 0, since: 0 };
            self.0.disk.set(if in_memory { Disk::None } else { hidden });
        }
        self.is_in_memory()
    }

    /// Notes that a worker has read a part of it.
    pub(crate) fn note_warmed(&self, offset: u64, bytes: u64) {
        let Disk::Hidden { from, to, since } = self.0.disk.get() else { return };
        let (end, now) = (offset.saturating_add(bytes), self.0.kernel.monotonic());
        let joins = now - since < STAYS && offset <= to && end >= from;
        self.0.disk.set(if joins {
            Disk::Hidden { from: from.min(offset), to: to.max(end), since }
        } else {
            Disk::Hidden { from: offset, to: end, since: now }
        });
    }

    /// Whether a worker has read a part of it so lately that it must still be in memory.
    pub(crate) fn was_warmed(&self, offset: u64, bytes: u64) -> bool {
        let Disk::Hidden { from, to, since } = self.0.disk.get() else { return false };
        from <= offset
            && offset.saturating_add(bytes) <= to
            && self.0.kernel.monotonic() - since < STAYS
    }

    /// Reads at an offset what is in memory: as [`read_at`](File::read_at), without waiting for a
    /// disk. Where the system has no way to do that it is the same.
    ///
    /// # Errors
    /// `WouldBlock` if the first byte is not in memory, or may not be: some file systems do not say
    /// it ([`ColdFiles`](crate::ColdFiles)). There, what was [sent](File::region) moments ago is.
    pub fn read_resident(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Open { kernel, fd, .. } = &*self.0;
        if sys::HAS_NOWAIT && !buffer.is_empty() {
            match kernel.read_nowait(*fd, buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    if !self.find_out() && !self.was_warmed(offset, buffer.len() as u64) {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                }
                result => return result,
            }
        }
        self.read_at(buffer, offset)
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
