//! A lock file, held by the process that listens on a Unix socket.
//!
//! The kernel releases the lock (`flock(2)`) in any case when the process ends; the file may stay.
//! It contains the process id, so that another server can report which process holds the address.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::about;

/// Identifies a file: its device and inode.
pub(super) type FileId = (u64, u64);

fn id_of(metadata: &fs::Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

pub(super) fn id_at(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|metadata| id_of(&metadata))
}

/// The lock of a Unix socket's address. Dropping it closes its file; the kernel releases the lock
/// when no process has the file open any more.
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

/// The most bytes that are read of a lock file.
const LONGEST: u64 = 16;

/// How often a lock file may vanish between opening and locking it.
const ATTEMPTS: u32 = 100;

impl Lock {
    /// Locks the address `socket`. Where files cannot be locked, every server gets the lock.
    ///
    /// # Errors
    /// `AddrInUse` with the holder's process id if another process holds the lock, `AlreadyExists`
    /// if the lock file is not a lock file, otherwise the error of opening it.
    pub(super) fn take(socket: &Path) -> io::Result<Lock> {
        let path = socket.with_added_extension("lock");
        // Each repetition means that another server has stopped meanwhile.
        for _ in 0..ATTEMPTS {
            let file = open(&path).map_err(about(path.display()))?;
            if let Some(lock) = Lock::of(file, &path)? {
                return Ok(lock);
            }
        }
        // Some network file systems change the numbers of their files.
        let text = format!("the lock file {} keeps being replaced", path.display());
        Err(io::Error::new(io::ErrorKind::AddrInUse, text))
    }

    /// Locks an open lock file; `None` if its last holder has removed it meanwhile.
    fn of(file: File, path: &Path) -> io::Result<Option<Lock>> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, &file)),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(about(path.display())(error)),
        }
        if !is_at(&file, path) {
            return Ok(None);
        }
        sign(&file).map_err(about(path.display()))?;
        Ok(Some(Lock { path: path.into(), file }))
    }

    /// The lock of the address `socket` that another process has taken and passed on: a lock
    /// belongs to the open file, however many processes have it open (`flock(2)`).
    pub(super) fn inherit(socket: &Path, lock: OwnedFd) -> Lock {
        let path = socket.with_added_extension("lock");
        Lock { path, file: lock.into() }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Writes the id of this process into the file, which another process has passed on.
    pub(super) fn sign(&self) -> io::Result<()> {
        sign(&self.file)
    }

    /// Removes the file, unless another one has taken its place.
    pub(super) fn remove(&self) {
        if is_at(&self.file, &self.path) {
            // A leftover lock file is harmless.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // Other users may read who holds the lock. In a directory that others can write to, a link must
    // not lead elsewhere, and a FIFO must not block the reader.
    options.mode(0o644).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Whether an open file is still the one at its path.
fn is_at(file: &File, path: &Path) -> bool {
    let open = file.metadata().map(|metadata| id_of(&metadata));
    matches!((open, id_at(path)), (Ok(open), Ok(there)) if open == there)
}

/// Writes the id of this process into a lock file, which is empty or contains another id.
fn sign(mut file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    // Another process may have read or written it through a copy of this descriptor.
    file.rewind()?;
    if !metadata.is_file() || metadata.len() > 0 && holder(file).is_none() {
        let text = "a file with that name exists and is not a lock file";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let mut text = format!("{}\n", std::process::id());
    let length = text.len();
    // A script that reads it meanwhile finds neither an empty file nor digits of two ids.
    text.extend((length..metadata.len().min(LONGEST) as usize).map(|_| '\n'));
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(length as u64)
}

/// The process id in a lock file.
fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

fn held(path: &Path, file: &File) -> io::Error {
    let holder = holder(file).map_or("another process".into(), |id| format!("process {id}"));
    let text = format!("{holder} is already listening there: it holds the lock {}", path.display());
    io::Error::new(io::ErrorKind::AddrInUse, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::{TempDir, tempdir};

    use super::*;

    /// The address of a socket in a new directory, and its lock file.
    fn place() -> (TempDir, PathBuf, PathBuf) {
        let directory = tempdir().unwrap();
        let (socket, lock) = (directory.path().join("s"), directory.path().join("s.lock"));
        (directory, socket, lock)
    }

    #[test]
    fn the_holder_is_named_and_is_not_waited_for() {
        let (_directory, socket, path) = place();
        let lock = Lock::take(&socket).unwrap();
        let error = Lock::take(&socket).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let (shown, process) = (path.display(), std::process::id());
        let expected =
            format!("process {process} is already listening there: it holds the lock {shown}");
        assert_eq!(error.to_string(), expected);
        lock.remove();
        drop(lock);
        assert!(!path.exists());
        assert!(Lock::take(&socket).is_ok());
    }

    #[test]
    fn a_file_that_its_holder_has_removed_locks_nothing() {
        let (_directory, socket, path) = place();
        let lock = Lock::take(&socket).unwrap();
        let file = open(&path).unwrap();
        lock.remove();
        drop(lock);
        assert!(Lock::of(file, &path).unwrap().is_none());
        let file = open(&path).unwrap();
        assert!(Lock::of(file, &path).unwrap().is_some());
    }

    #[test]
    fn whoever_reads_the_id_while_it_is_written_finds_the_old_or_the_new_one() {
        let (_directory, socket, path) = place();
        fs::write(&path, "1234567890\n").unwrap();
        let lock = Lock::take(&socket).unwrap();
        std::thread::scope(|scope| {
            let signing = scope.spawn(|| (0..2000).try_for_each(|_| sign(&lock.file)));
            while !signing.is_finished() {
                let text = fs::read_to_string(&path).unwrap();
                assert_eq!(text.trim_end(), std::process::id().to_string());
            }
            signing.join().unwrap().unwrap();
        });
    }

    #[test]
    fn the_lock_of_a_process_that_is_gone_is_taken_over_and_nothing_else_is() {
        let (directory, socket, path) = place();
        fs::write(&path, "1234567\n").unwrap();
        let lock = Lock::take(&socket).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        lock.remove();
        drop(lock);

        fs::write(&path, "precious").unwrap();
        let error = Lock::take(&socket).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();

        let elsewhere = directory.path().join("elsewhere");
        symlink(&elsewhere, &path).unwrap();
        assert!(Lock::take(&socket).is_err());
        assert!(!elsewhere.exists());
    }
}
