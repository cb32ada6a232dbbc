//! New files: written under a temporary name, then renamed; or never named.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::condition::{self, Condition};
use super::{Dir, File};
use crate::sys::{Fd, Kernel, Shared, invalid, retry};

#[cfg(all(test, feature = "testing"))]
mod tests;

/// The longest file name in bytes that the usual file systems take (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// How [`Dir::create`] creates a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    /// The permissions, reduced by the process's `umask(2)`. Default: `0o644`.
    pub mode: u32,
    /// Whether a commit syncs to disk (`fsync(2)`): first the content, before the file gets its
    /// name, and then the directory, before the commit returns. Without this, a file that was
    /// committed seconds ago may be lost in a power failure. The directory must be readable.
    /// Default: false.
    pub sync: bool,
}

impl Default for CreateOptions {
    fn default() -> CreateOptions {
        CreateOptions { mode: 0o644, sync: false }
    }
}

/// A file that is being written and does not have its final name yet.
///
/// [`Dir::create`] and [`Dir::create_unnamed`] create it. Until it is committed, a file with a name
/// is called `.RANDOM.part`, in the same directory. [`commit`](NewFile::commit) renames it
/// atomically: opening the final name returns either the old file or the complete new one. A file
/// that is dropped without a commit is removed; a process that is killed leaves it behind.
///
/// Like its directory, it stays on the thread of its reactor. [`append`](NewFile::append) suits a
/// start-up or a test; to write to a disk without blocking the reactor, pass the file to
/// [`Context::receive_file`](crate::Context::receive_file) or
/// [`Context::receive_part`](crate::Context::receive_part).
///
/// ```
/// use sluicegate_reactor::Reactor;
/// use sluicegate_reactor::fs::{Committed, CreateOptions};
///
/// # fn main() -> std::io::Result<()> {
/// # let place = tempfile::tempdir()?;
/// # let path = place.path();
/// let dir = Reactor::new()?.open_dir(path)?;
/// for expected in [Committed::Created, Committed::Replaced] {
///     let mut file = dir.create("hello.txt", &CreateOptions::default())?;
///     file.append(b"hello")?;
///     assert_eq!(file.commit()?, expected);
/// }
/// assert_eq!(dir.metadata("hello.txt")?.len, 5);
/// # Ok(())
/// # }
/// ```
pub struct NewFile {
    /// In the simulated kernel, this also keeps the directories of `writer` open.
    _dirs: (Dir, Option<Dir>),
    file: File,
    pub(super) writer: Arc<Writer>,
    /// The number of bytes written.
    pub(super) written: u64,
    /// The bytes after them that were received and are not written yet.
    pub(super) unwritten: Vec<u8>,
    pub(super) committed: Option<Committed>,
    /// Whether a write has failed because there was no room for it.
    lacks_room: bool,
    /// Whether the connection ended first: a worker then closes the file if it is large. After a
    /// failure its space is free before the handler hears of it, and the next file may fit.
    pub(super) is_given_up: bool,
}

/// Writes to a [`NewFile`] and completes it. The file shares it with workers.
pub(super) struct Writer {
    file: Shared,
    /// Whether the file system is in memory.
    pub(super) in_memory: bool,
    /// `None` for an unnamed file.
    name: Option<Name>,
    pub(super) condition: Option<Box<Condition>>,
}

/// The name that a file gets when it is complete.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) dir: Shared,
    /// The directory of a [resumable](Dir::create_resumable) file until it is complete. Others are
    /// in `dir`.
    pub(super) partials: Option<Shared>,
    pub(super) temporary: OsString,
    pub(super) target: OsString,
    pub(super) sync: bool,
}

impl Name {
    /// The directory of the temporary name.
    fn temporary_dir(&self) -> Fd {
        self.partials.as_ref().unwrap_or(&self.dir).fd()
    }
}

/// The effect of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// No file with that name existed, or only a dangling symbolic link, or the file is
    /// [unnamed](Dir::create_unnamed).
    Created,
    /// An old file with that name was replaced. It can still be read through open descriptors.
    Replaced,
}

impl Dir {
    /// Creates a file that appears at this path once it is committed, replacing any file with that
    /// name. A symbolic link is replaced, not followed. Links earlier in the path are followed if
    /// they stay beneath this directory.
    ///
    /// # Errors
    /// `InvalidInput` if the path does not end in a file name; `NotFound` if the file's directory
    /// does not exist; `PermissionDenied` if the path leads outside this directory; otherwise the
    /// error of `openat(2)`.
    pub fn create(&self, path: impl AsRef<OsStr>, options: &CreateOptions) -> io::Result<NewFile> {
        let (parent, name) = split(path.as_ref())?;
        let dir = self.open_to_create(parent, options)?;
        let temporary = temporary_name(&self.file.0.kernel);
        let file = dir.opened(|kernel, dir| kernel.create_new(dir, &temporary, options.mode))?;
        let (fd, target, sync) = (dir.file.share(), name.to_owned(), options.sync);
        let name = Name { dir: fd, partials: None, temporary, target, sync };
        Ok(NewFile::new((dir, None), file, Some(name)))
    }

    /// Opens the directory that files are created in.
    pub(super) fn open_to_create(&self, path: &OsStr, options: &CreateOptions) -> io::Result<Dir> {
        if options.sync {
            // Only a directory that is open for reading can be synced.
            Ok(Dir::from(self.open(path)?))
        } else if path.is_empty() {
            Ok(self.clone())
        } else {
            self.open_dir(path)
        }
    }

    /// Creates a file that never has a name, in the file system of this directory, and returns it
    /// together with a [`File`] that reads it. The file exists until both are dropped, and does not
    /// outlive the process.
    ///
    /// For such a file, [commit](NewFile::commit) only writes what is not written yet of the last
    /// [part](crate::Context::receive_part), which the [`File`] may lack until then. Its permissions
    /// are `0o600`.
    ///
    /// Linux creates the file without a name (`O_TMPFILE`) on the usual file systems. On NFS and
    /// other systems, the file is created with the temporary name of a [`NewFile`], which is
    /// removed immediately; a process that is killed between the two calls leaves it behind.
    ///
    /// ```
    /// use sluicegate_reactor::Reactor;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let place = tempfile::tempdir()?;
    /// # let path = place.path();
    /// let (mut new, content) = Reactor::new()?.open_dir(path)?.create_unnamed()?;
    /// new.append(b"hello")?;
    /// new.commit()?;
    /// let mut buffer = [0; 5];
    /// content.read_at(&mut buffer, 0)?;
    /// assert_eq!(&buffer, b"hello");
    /// assert!(std::fs::read_dir(path)?.next().is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of `openat(2)`, such as `NotFound` if this directory was removed.
    pub fn create_unnamed(&self) -> io::Result<(NewFile, File)> {
        let file = match self.opened(Kernel::create_unnamed) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let kernel = &self.file.0.kernel;
                let temporary = temporary_name(kernel);
                let file = self.opened(|kernel, dir| kernel.create_new(dir, &temporary, 0o600))?;
                kernel.unlink(self.file.fd(), &temporary)?;
                file
            }
            created => created?,
        };
        file.0.may_be_large.set(true);
        Ok((NewFile::new((self.clone(), None), file.clone(), None), file))
    }
}

/// Splits a path into the directory, with its slash, and the file name.
pub(super) fn split(path: &OsStr) -> io::Result<(&OsStr, &OsStr)> {
    let bytes = path.as_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = bytes.split_at(at);
    if matches!(name, b"" | b"." | b"..") || name.contains(&0) {
        return Err(invalid("the path does not end in a file name"));
    }
    if name.len() > NAME_MAX {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok((OsStr::from_bytes(parent), OsStr::from_bytes(name)))
}

/// Moves `left` bytes by calls that get the number of bytes left and the offset. Advances `offset`
/// by the number of bytes moved, also if a call fails.
fn move_all(
    mut left: usize,
    offset: &mut u64,
    call: impl Fn(usize, u64) -> io::Result<usize>,
) -> io::Result<()> {
    while left > 0 {
        let count = retry(|| call(left, *offset))?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        left -= count;
        *offset += count as u64;
    }
    Ok(())
}

/// A new temporary name. With 64 random bits, a name that is taken is an error of the kernel's
/// random numbers.
pub(super) fn temporary_name(kernel: &Kernel) -> OsString {
    format!(".{:016x}.part", kernel.random()).into()
}

/// Whether this is a temporary name: `.RANDOM.part`, the name of a [`NewFile`] before its commit,
/// or `.NAME.RANDOM.part`, which a server can use for its own files. A server should hide such
/// names in directories in which it creates files.
///
/// ```
/// use sluicegate_reactor::fs::is_temporary;
///
/// assert!(is_temporary(".0123456789abcdef.part"));
/// assert!(is_temporary(".uploads.0123456789abcdef.part"));
/// assert!(!is_temporary("hello.txt") && !is_temporary(".part"));
/// assert!(!is_temporary("0123456789abcdef.part") && !is_temporary(".a0123456789abcdef.part"));
/// ```
#[must_use]
pub fn is_temporary(name: impl AsRef<OsStr>) -> bool {
    let name = name.as_ref().as_bytes();
    let Some(name) = name.strip_suffix(b".part") else { return false };
    let Some((before, random)) = name.split_last_chunk::<16>() else { return false };
    matches!(before, [b'.'] | [b'.', .., b'.']) && random.iter().all(u8::is_ascii_hexdigit)
}

impl NewFile {
    /// A file that gets its name in the first directory. If it is resumable, it is in the second
    /// one until then.
    pub(super) fn new(dirs: (Dir, Option<Dir>), file: File, name: Option<Name>) -> NewFile {
        let writer =
            Writer { file: file.share(), in_memory: dirs.0.file.find_out(), name, condition: None };
        let writer = Arc::new(writer);
        NewFile {
            _dirs: dirs,
            file,
            writer,
            written: 0,
            unwritten: Vec::new(),
            committed: None,
            lacks_room: false,
            is_given_up: false,
        }
    }

    /// The number of bytes appended and received so far, including those of a
    /// [resumable](Dir::create_resumable) file from before.
    pub fn len(&self) -> u64 {
        self.written + self.unwritten.len() as u64
    }

    /// Whether nothing has been appended or received yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes. May block on a slow disk; [`Context::receive_file`] does not.
    ///
    /// # Errors
    /// The error of `pwrite(2)`, such as `StorageFull` or `QuotaExceeded`. Some of the bytes may
    /// have been appended: see [`len`](NewFile::len).
    ///
    /// [`Context::receive_file`]: crate::Context::receive_file
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (kernel, before) = (&self.file.0.kernel, self.written);
        let mut result = self.writer.write(kernel, &self.unwritten, &mut self.written);
        self.unwritten.drain(..(self.written - before) as usize);
        if result.is_ok() {
            result = self.writer.write(kernel, bytes, &mut self.written);
        }
        self.note_room(&result);
        result
    }

    /// Appends a few bytes in memory, so that this never blocks on a disk. They are written like the
    /// end of a [part](crate::Context::receive_part), and are lost if the file is dropped. Nothing
    /// limits them: after each call, receive a part, if only of 0 bytes, so that workers write what
    /// has become 4 KiB.
    pub fn append_later(&mut self, bytes: &[u8]) {
        self.unwritten.extend_from_slice(bytes);
    }

    /// Notes whether a write has failed because there was no room for it.
    pub(super) fn note_room<T>(&mut self, result: &io::Result<T>) {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};

        let kind = result.as_ref().err().map(io::Error::kind);
        self.lacks_room |= matches!(kind, Some(FileTooLarge | QuotaExceeded | StorageFull));
    }

    /// Moves `count` bytes from a pipe to the end of the file. Returns how many are still in the
    /// pipe, which are none unless it fails.
    pub(super) fn append_from(&mut self, pipe: Fd, count: usize) -> (usize, io::Result<()>) {
        let before = self.written;
        let result = move_all(count, &mut self.written, |left, offset| {
            self.file.0.kernel.splice_to_file(pipe, self.file.fd(), offset, left)
        });
        (count - (self.written - before) as usize, result)
    }

    /// Writes what is not written yet of the last [part](crate::Context::receive_part), and gives the
    /// file its final name. May block on a slow disk.
    ///
    /// # Errors
    /// Those of [`append`](NewFile::append), or that of `renameat(2)`, such as `NotFound` if the
    /// directory was removed, or `IsADirectory` if the name belongs to a directory. The new file is
    /// then removed and the old one stays. [`ConditionFailed`](super::ConditionFailed) if its
    /// [condition](NewFile::commit_if) does not hold. With [`CreateOptions::sync`], also the error
    /// of `fsync(2)`. If syncing the file fails, the new file is removed too; if syncing the
    /// directory fails, the file keeps its final name but may not survive a power failure.
    pub fn commit(mut self) -> io::Result<Committed> {
        self.append(&[])?;
        let committed = self.writer.commit(&self.file.0.kernel)?;
        self.committed = Some(committed);
        Ok(committed)
    }
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the bytes that are not written yet.
        f.debug_struct("NewFile")
            .field("name", &self.writer.name)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let is_kept = self.writer.is_resumable() && self.written > 0 && !self.lacks_room;
        if self.committed.is_none() && !is_kept {
            self.file.0.may_be_large.set(self.is_given_up);
            self.writer.remove(&self.file.0.kernel);
        }
    }
}

impl Writer {
    /// Whether the file stays when it is given up, unless it is empty.
    pub(super) fn is_resumable(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.partials.is_some())
    }

    /// Writes all of `bytes` at `offset`, and advances `offset` by the number of bytes written.
    pub(super) fn write(&self, kernel: &Kernel, bytes: &[u8], offset: &mut u64) -> io::Result<()> {
        move_all(bytes.len(), offset, |left, offset| {
            kernel.write_at(self.file.fd(), &bytes[bytes.len() - left..], offset)
        })
    }

    /// Renames the file, unless it is unnamed.
    pub(super) fn commit(&self, kernel: &Kernel) -> io::Result<Committed> {
        let committed = self.sync_and_rename(kernel);
        if committed.is_err() && self.is_resumable() {
            // After a failed fsync(2), what was written may be lost without another error.
            self.remove(kernel);
        }
        committed
    }

    /// The content is synced before the file is renamed, and the directory after that: a name that
    /// survives a loss of power then always names a complete file.
    fn sync_and_rename(&self, kernel: &Kernel) -> io::Result<Committed> {
        let Some(name @ Name { dir, temporary, target, sync, .. }) = &self.name else {
            return Ok(Committed::Created);
        };
        if *sync {
            // NFS and FUSE let signals interrupt even fsync(2).
            retry(|| kernel.sync(self.file.fd()))?;
        }
        let guard = match &self.condition {
            Some(condition) => Some(condition::check(condition, kernel, dir.fd(), target)?),
            None => None,
        };
        let replaced = kernel.exists(dir.fd(), target)?;
        kernel.rename(name.temporary_dir(), temporary, dir.fd(), target)?;
        drop(guard);
        if *sync {
            retry(|| kernel.sync(dir.fd()))?;
        }
        Ok(if replaced { Committed::Replaced } else { Committed::Created })
    }

    /// Removes the temporary name.
    fn remove(&self, kernel: &Kernel) {
        let Some(name @ Name { temporary, .. }) = &self.name else { return };
        // It is not found if the directory was removed, or a worker has just renamed the file.
        if let Err(error) = kernel.unlink(name.temporary_dir(), temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("cannot remove temporary file {}: {error}", temporary.display());
        }
    }
}
