//! Files and directories, opened beneath a root directory and never outside it.
//!
//! [`Turn::open_dir`](crate::Turn::open_dir) opens a [`Dir`] of the reactor's kernel, so a handler
//! under test works on the files of the simulated kernel. A [`File`] is a reference-counted
//! descriptor: a file cache and ten thousand outbound queues can share one.
//!
//! A [`NewFile`] is written under a temporary name. When it is complete, it gets its final name. If
//! it is dropped before that, it is removed, unless it is [resumable](Dir::create_resumable). A
//! [temporary file](Dir::create_unnamed) never has a name.
//!
//! Opening, reading, listing, creating and committing may block on a slow disk. Sending a
//! [`Region`] does not: see [`outbound`](crate::outbound).

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};

use crate::sys::{self, Fd, Kernel, Shared};

mod condition;
mod names;
mod new_file;
mod resumable;
mod saving;

pub use crate::sys::{Entry, FileKind, Metadata, ReadDir, is_out_of_descriptors};
pub use condition::ConditionFailed;
pub use new_file::{Committed, CreateOptions, NewFile, is_temporary};
pub(crate) use saving::{Batch, Finished, GATHER, Need, Saving, WhenWhole};
pub use saving::{NotSaved, Saved};

/// Closing a removed file of this length or more is left to a worker, since it blocks until the
/// space of the file is free (benches/README.md).
const LARGE: u64 = 1 << 20;

/// Large removed files that a worker is to close. Their reactor owns the list.
pub(crate) type Closing = RefCell<Vec<Shared>>;

/// An open directory, the root of everything opened through it.
///
/// Paths are relative to it and cannot leave it. Linux enforces that (`openat2(2)` with
/// `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS`); on other systems the reactor walks the path one
/// component at a time. Symbolic links that stay beneath the directory are followed. An absolute
/// link is followed if its target passes through the directory; the remaining path is then resolved
/// like a relative link. Such links cost a few more system calls on all systems.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let reactor = sluicegate_reactor::Reactor::new()?;
/// let root = reactor.open_dir(".")?;
/// assert!(root.metadata("Cargo.toml")?.is_file());
/// assert!(root.open("../outside").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dir {
    file: File,
}

impl Dir {
    /// Opens a directory by an ordinary path.
    pub(crate) fn open_root(
        kernel: &Kernel,
        closing: &Rc<Closing>,
        path: impl AsRef<Path>,
    ) -> io::Result<Dir> {
        let fd = kernel.open_dir(path.as_ref())?;
        Ok(File::new(kernel, Rc::downgrade(closing), fd).into())
    }

    /// Opens a file or a directory for reading. Never blocks on a FIFO or a device.
    ///
    /// # Errors
    /// The error of `openat(2)`, such as `NotFound`; `PermissionDenied` also if the path leads
    /// outside the directory.
    pub fn open(&self, path: impl AsRef<OsStr>) -> io::Result<File> {
        self.opened(|kernel, dir| kernel.open_beneath(dir, path.as_ref()))
    }

    /// Opens a directory beneath this one, as the root for everything opened through it. Creating
    /// files in it does not require permission to read it.
    ///
    /// # Errors
    /// The same as those of [`open`](Dir::open); `NotADirectory` for a file.
    pub fn open_dir(&self, path: impl AsRef<OsStr>) -> io::Result<Dir> {
        self.opened(|kernel, dir| kernel.open_dir_beneath(dir, path.as_ref())).map(Dir::from)
    }

    /// Returns the attributes of a file beneath the directory. Symbolic links that stay beneath it
    /// are followed.
    ///
    /// # Errors
    /// The same as those of [`open`](Dir::open), but permission to read the file is not needed.
    pub fn metadata(&self, path: impl AsRef<OsStr>) -> io::Result<Metadata> {
        self.file.0.kernel.metadata_beneath(self.file.fd(), path.as_ref())
    }

    /// The file that a call opens in this directory.
    fn opened(&self, call: impl FnOnce(&Kernel, Fd) -> io::Result<Fd>) -> io::Result<File> {
        let Open { kernel, closing, .. } = &*self.file.0;
        Ok(File::new(kernel, closing.clone(), call(kernel, self.file.fd())?))
    }
}

impl From<File> for Dir {
    /// Uses an open directory as a root. If it is not a directory, its methods fail with
    /// `NotADirectory`.
    fn from(file: File) -> Dir {
        Dir { file }
    }
}

/// An open file, closed when the last clone is dropped. If it has been removed or replaced, and is
/// known to be large, a worker closes it, since that blocks until its space is free.
#[derive(Clone, Debug)]
pub struct File(Rc<Open>);

#[derive(Debug)]
struct Open {
    kernel: Kernel,
    shared: Shared,
    reporting: Cell<Reporting>,
    closing: Weak<Closing>,
    /// Whether the file may be large. When a small one is dropped, the kernel is not asked whether
    /// it has a name.
    may_be_large: Cell<bool>,
}

/// How it is known which bytes of a file are in memory.
#[derive(Clone, Copy, Debug, Default)]
enum Reporting {
    /// The kernel reports it, or has not been asked yet.
    #[default]
    Reported,
    /// All are: the file system is in memory.
    InMemory,
    /// The kernel does not report it. A worker has read the bytes from `from` to `to`, beginning at
    /// the monotonic time `since`, in nanoseconds.
    Unreported { from: u64, to: u64, since: u64 },
}

/// How long bytes that a worker has read are assumed to stay in memory if the kernel does not
/// report it: 10 s, in nanoseconds.
const ASSUMED_RESIDENT: u64 = 10_000_000_000;

impl Drop for Open {
    fn drop(&mut self) {
        if self.may_be_large.get()
            && self.kernel.removed_len(self.shared.fd()) >= LARGE
            && let Some(closing) = self.closing.upgrade()
        {
            closing.borrow_mut().push(self.shared.clone());
        }
        self.shared.close_simulated(&self.kernel);
    }
}

impl File {
    fn new(kernel: &Kernel, closing: Weak<Closing>, fd: Fd) -> File {
        let (kernel, shared) = (kernel.clone(), Shared::new(kernel, fd));
        let (reporting, may_be_large) = (Cell::default(), Cell::default());
        File(Rc::new(Open { kernel, shared, reporting, closing, may_be_large }))
    }

    pub(crate) fn fd(&self) -> Fd {
        self.0.shared.fd()
    }

    /// The descriptor, for a worker.
    pub(crate) fn share(&self) -> Shared {
        self.0.shared.clone()
    }

    /// Whether the whole file is known to be in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.0.reporting.get(), Reporting::InMemory)
    }

    /// Whether the kernel is known not to report which bytes are in memory.
    pub(crate) fn is_unreported(&self) -> bool {
        matches!(self.0.reporting.get(), Reporting::Unreported { .. })
    }

    /// Whether the file system is in memory. Asks the kernel the first time; to be called when it
    /// does not report which bytes are in memory.
    pub(crate) fn find_out(&self) -> bool {
        if let Reporting::Reported = self.0.reporting.get() {
            let in_memory = self.0.kernel.is_in_memory(self.fd()).unwrap_or(false);
            let unreported = Reporting::Unreported { from: 0, to: 0, since: 0 };
            self.0.reporting.set(if in_memory { Reporting::InMemory } else { unreported });
        }
        self.is_in_memory()
    }

    /// Records that a worker has read these bytes.
    pub(crate) fn note_warmed(&self, offset: u64, bytes: u64) {
        let Reporting::Unreported { from, to, since } = self.0.reporting.get() else { return };
        let (end, now) = (offset.saturating_add(bytes), self.0.kernel.monotonic());
        let joins = now - since < ASSUMED_RESIDENT && offset <= to && end >= from;
        self.0.reporting.set(if joins {
            Reporting::Unreported { from: from.min(offset), to: to.max(end), since }
        } else {
            Reporting::Unreported { from: offset, to: end, since: now }
        });
    }

    /// Whether a worker has read these bytes so recently that they should still be in memory.
    pub(crate) fn was_warmed(&self, offset: u64, bytes: u64) -> bool {
        let Reporting::Unreported { from, to, since } = self.0.reporting.get() else {
            return false;
        };
        from <= offset
            && offset.saturating_add(bytes) <= to
            && self.0.kernel.monotonic() - since < ASSUMED_RESIDENT
    }

    /// Reads bytes at an offset if they are in memory. Like [`read_at`](File::read_at), but does
    /// not block on the disk on Linux; other systems have no such call.
    ///
    /// # Errors
    /// The same as those of [`read_at`](File::read_at), and `WouldBlock` if the first byte is not
    /// in memory. Some file systems do not report this (see [`ColdFiles`](crate::ColdFiles)). On
    /// those, only bytes that a worker has read in the last few seconds, to [send](File::region)
    /// them, count as being in memory.
    pub fn read_resident(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if sys::HAS_NOWAIT && !buffer.is_empty() {
            match self.0.kernel.read_nowait(self.fd(), buffer, offset) {
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

    /// Returns the current attributes of the file.
    ///
    /// # Errors
    /// The error of `fstat(2)`.
    pub fn metadata(&self) -> io::Result<Metadata> {
        let metadata = self.0.kernel.metadata(self.fd())?;
        if metadata.len >= LARGE {
            self.0.may_be_large.set(true);
        }
        Ok(metadata)
    }

    /// Reads at an offset into `buffer` and returns the number of bytes read: 0 at the end of the
    /// file. A read may also be short before the end.
    ///
    /// # Errors
    /// The error of `pread(2)`; `IsADirectory` for a directory.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.kernel.read_at(self.fd(), buffer, offset)
    }

    /// Lists this directory: its entries, unsorted, without `.` and `..`.
    ///
    /// # Errors
    /// `NotADirectory` if this is not a directory; the error of `openat(2)`.
    pub fn read_dir(&self) -> io::Result<ReadDir> {
        self.0.kernel.read_dir(self.fd())
    }

    /// Returns `len` bytes of this file from `offset`, to be sent with
    /// [`Context::send`](crate::Context::send). The descriptor stays open until they are sent.
    #[must_use]
    pub fn region(&self, offset: u64, len: u64) -> Region {
        Region { file: self.clone(), offset, len }
    }
}

/// A range of a file to send. Created by [`File::region`].
///
/// If the file ends before the region does, the connection is reset
/// ([`Reason::Truncated`](crate::Reason::Truncated)): otherwise the peer could mistake a part of
/// the promised bytes for all of them.
#[derive(Clone, Debug)]
pub struct Region {
    pub(crate) file: File,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Region {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the region has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
