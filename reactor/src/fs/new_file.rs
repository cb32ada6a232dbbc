//! Files that come to be: written under a temporary name, then renamed.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use super::{Descriptor, Dir};
use crate::sys::{Fd, Kernel};

#[cfg(all(test, feature = "testing"))]
mod tests;

/// Most names that are tried for a temporary file. Each has 64 random bits, so that the second is
/// only needed if the kernel has none yet.
const TRIES: usize = 8;

/// The longest name of a file in bytes, on every file system that matters (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// How [`Dir::create`] makes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    /// Its permissions, from which the process's `umask(2)` takes some away: `0o644`.
    pub mode: u32,
    /// Whether its bytes are on the disk before it gets its name, and the name before it is said to
    /// have it (`fsync(2)`): false. Without, a machine that loses its power may lose a file that
    /// was committed seconds before. With it, each file takes as long as the disk does.
    pub sync: bool,
    /// Whether the room for a file whose length is known is taken from the disk before it is
    /// written, where the file system can: false. A full disk shows at once, and the file lies in
    /// fewer pieces; but a peer that announces much and sends nothing holds that room.
    pub preallocate: bool,
}

impl Default for CreateOptions {
    fn default() -> CreateOptions {
        CreateOptions { mode: 0o644, sync: false, preallocate: false }
    }
}

/// A file that is being written and has no name yet.
///
/// It stands beside its future place as `.NAME.RANDOM.part`. [Committing](NewFile::commit) it gives
/// it its name, in one step: whoever opens that name gets the file before or the whole new one.
/// Dropped before, it is removed. (A process that is killed leaves it behind.)
///
/// ```
/// use sluicegate_reactor::Reactor;
/// use sluicegate_reactor::fs::{Committed, CreateOptions};
///
/// # fn main() -> std::io::Result<()> {
/// # let place = tempfile::tempdir()?;
/// # let path = place.path();
/// let dir = Reactor::new()?.fs().open_dir(path)?;
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
    kernel: Kernel,
    part: Arc<Part>,
    /// How much is written.
    len: u64,
    committed: bool,
}

/// What a worker needs of a file.
pub(crate) struct Part {
    dir: Descriptor,
    file: Descriptor,
    temporary: OsString,
    name: OsString,
    options: CreateOptions,
    in_memory: bool,
}

/// What committing a file has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Nothing had the name.
    Created,
    /// What had the name is gone; who has it open keeps it.
    Replaced,
}

impl Dir {
    /// Makes a file that will have this path when it is whole, in the place of what has it then: a
    /// symbolic link is replaced, not followed. Links on the way there are followed, if they stay
    /// beneath.
    ///
    /// # Errors
    /// `InvalidInput` for a path that ends in no name, such as one of a directory; `NotFound` if
    /// there is no directory for it; `PermissionDenied` also for a path that would leave this one;
    /// what `openat(2)` says.
    pub fn create(&self, path: impl AsRef<OsStr>, options: &CreateOptions) -> io::Result<NewFile> {
        let (parent, name) = split(path.as_ref())?;
        let kernel = &self.file.0.kernel;
        // Only a directory that is open for reading can be synced.
        let dir = if options.sync {
            kernel.open_beneath(self.file.0.fd, parent)?
        } else {
            kernel.open_dir_beneath(self.file.0.fd, parent)?
        };
        create(kernel, dir, name, options).inspect_err(|_| kernel.close(dir))
    }
}

/// The directory and the name at the end of a path.
fn split(path: &OsStr) -> io::Result<(&OsStr, &OsStr)> {
    let bytes = path.as_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = bytes.split_at(at);
    if matches!(name, b"" | b"." | b"..") || name.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no name"));
    }
    Ok((OsStr::from_bytes(parent), OsStr::from_bytes(name)))
}

/// Makes a file in a directory, which is its own from then on.
fn create(kernel: &Kernel, dir: Fd, name: &OsStr, options: &CreateOptions) -> io::Result<NewFile> {
    if name.len() > NAME_MAX {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    let mut tries = 0;
    let (file, temporary) = loop {
        let temporary = temporary_name(name, kernel.random());
        match kernel.create_new(dir, &temporary, options.mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {
                tries += 1;
            }
            other => break (other?, temporary),
        }
    };
    let part = Part {
        dir: Descriptor::new(kernel, dir),
        file: Descriptor::new(kernel, file),
        temporary,
        name: name.to_owned(),
        options: *options,
        // If that cannot be said, a disk is behind it.
        in_memory: kernel.is_in_memory(file).unwrap_or(false),
    };
    Ok(NewFile { kernel: kernel.clone(), part: Arc::new(part), len: 0, committed: false })
}

/// Syncs a file or a directory. NFS and FUSE let signals interrupt that, fsync(2).
fn sync(kernel: &Kernel, fd: Fd) -> io::Result<()> {
    loop {
        match kernel.sync(fd) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// `.NAME.RANDOM.part`, with the name cut if it would get too long.
fn temporary_name(name: &OsStr, random: u64) -> OsString {
    let end = format!(".{random:016x}.part");
    let name = name.as_bytes();
    let room = NAME_MAX - 1 - end.len();
    let mut temporary = vec![b'.'];
    temporary.extend_from_slice(&name[..name.len().min(room)]);
    temporary.extend_from_slice(end.as_bytes());
    OsString::from_vec(temporary)
}

/// Whether a name is one that a [`NewFile`] has before it gets its own: what serves a directory in
/// which files are made leaves such names out.
///
/// ```
/// use sluicegate_reactor::fs::is_temporary;
///
/// assert!(is_temporary(".hello.txt.0123456789abcdef.part"));
/// assert!(!is_temporary("hello.txt") && !is_temporary(".part"));
/// ```
#[must_use]
pub fn is_temporary(name: impl AsRef<OsStr>) -> bool {
    let name = name.as_ref().as_bytes();
    let Some(name) = name.strip_prefix(b".").and_then(|name| name.strip_suffix(b".part")) else {
        return false;
    };
    let Some((before, random)) = name.split_last_chunk::<16>() else { return false };
    before.ends_with(b".") && random.iter().all(u8::is_ascii_hexdigit)
}

impl NewFile {
    /// How many bytes were written.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none were.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes at the end. May block on a slow disk; [`Context::receive_file`] does not.
    ///
    /// # Errors
    /// What `pwrite(2)` says, such as `StorageFull` or `QuotaExceeded`. A part may be written then,
    /// as [`len`](NewFile::len) says.
    ///
    /// [`Context::receive_file`]: crate::Context::receive_file
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.part.write(&self.kernel, bytes, &mut self.len)
    }

    pub(crate) fn part(&self) -> &Arc<Part> {
        &self.part
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Notes that a worker has written so many bytes of it.
    pub(crate) fn written(&mut self, count: u64) {
        self.len += count;
    }

    /// Notes that a worker has committed it.
    pub(crate) fn set_committed(&mut self) {
        self.committed = true;
    }

    /// Writes `left` bytes that are in a pipe at the end; `left` is then what is still in it.
    pub(crate) fn append_from(&mut self, pipe: Fd, left: &mut usize) -> io::Result<()> {
        self.part.splice(&self.kernel, pipe, left, &mut self.len)
    }

    /// Gives it its name. May block on a slow disk.
    ///
    /// # Errors
    /// What `renameat(2)` says, such as `NotFound` if the directory was removed, or `IsADirectory`
    /// if a directory has the name. It is removed then. With [`CreateOptions::sync`] also what
    /// `fsync(2)` says: if that fails for the directory, the file has its name and keeps it.
    pub fn commit(mut self) -> io::Result<Committed> {
        let committed = self.part.commit(&self.kernel)?;
        self.committed = true;
        Ok(committed)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.committed {
            self.part.remove(&self.kernel);
        }
        self.part.dir.release(&self.kernel);
        self.part.file.release(&self.kernel);
    }
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewFile").field("name", &self.part.name).field("len", &self.len).finish()
    }
}

impl Part {
    /// Writes all of it at an offset, which moves on by what was written.
    pub(crate) fn write(
        &self,
        kernel: &Kernel,
        mut bytes: &[u8],
        offset: &mut u64,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match kernel.write_at(self.file.fd, bytes, *offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    *offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes `left` bytes that are in a pipe at an offset; both move on by what was written.
    pub(crate) fn splice(
        &self,
        kernel: &Kernel,
        pipe: Fd,
        left: &mut usize,
        offset: &mut u64,
    ) -> io::Result<()> {
        while *left > 0 {
            match kernel.splice_to_file(pipe, self.file.fd, *offset, *left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    *left -= count;
                    *offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether no disk is behind it.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// Takes the room for `len` bytes at an offset from the disk, if that was asked for.
    pub(crate) fn reserve(&self, kernel: &Kernel, offset: u64, len: u64) -> io::Result<()> {
        // In memory it would be zeroed now and written later.
        if !self.options.preallocate || self.in_memory || len == 0 {
            return Ok(());
        }
        kernel.preallocate(self.file.fd, offset, len)
    }

    pub(crate) fn commit(&self, kernel: &Kernel) -> io::Result<Committed> {
        if self.options.sync {
            sync(kernel, self.file.fd)?;
        }
        let replaced = kernel.has_name(self.dir.fd, &self.name)?;
        kernel.rename(self.dir.fd, &self.temporary, &self.name)?;
        if self.options.sync {
            sync(kernel, self.dir.fd)?;
        }
        Ok(if replaced { Committed::Replaced } else { Committed::Created })
    }

    /// Takes its temporary name away.
    fn remove(&self, kernel: &Kernel) {
        match kernel.unlink(self.dir.fd, &self.temporary) {
            Ok(()) => {}
            // Its directory was removed, and it with that; or a worker has just renamed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                log::warn!("removing {}: {error}", self.temporary.display());
            }
        }
    }
}
