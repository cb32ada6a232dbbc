//! Creating, writing, renaming and removing files.

use std::ffi::OsStr;
use std::io;
use std::os::fd::IntoRawFd;

use rustix::fs::{self, Access, AtFlags, FlockOperation, Mode, OFlags, RawMode};
use rustix::io::{Errno, pwrite};

use super::Fd;
use super::safe_ret::returned;
use super::unix::borrow;

/// Opens a file for reading and writing, or creates it, and does not follow a symbolic link.
const WRITABLE: OFlags =
    OFlags::RDWR.union(OFlags::CREATE).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) fn create_new(dir: Fd, name: &OsStr, mode: u32) -> io::Result<Fd> {
    let mode = Mode::from_raw_mode(mode as RawMode);
    let created = fs::openat(borrow(&dir), name, WRITABLE | OFlags::EXCL, mode);
    Ok(returned(created)?.into_raw_fd())
}

pub(super) fn open_locked(dir: Fd, name: &OsStr, mode: u32) -> io::Result<Fd> {
    let file = fs::openat(borrow(&dir), name, WRITABLE, Mode::from_raw_mode(mode as RawMode))?;
    fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file.into_raw_fd())
}

#[cfg(target_os = "linux")]
pub(super) fn create_unnamed(dir: Fd) -> io::Result<Fd> {
    // `O_EXCL` keeps the file from getting a name later.
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::EXCL | OFlags::CLOEXEC;
    match fs::openat(borrow(&dir), c".", flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into_raw_fd()),
        // A file system that does not know the flag ignores it: open(2).
        Err(Errno::ISDIR) => Err(io::ErrorKind::Unsupported.into()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn write_at(file: Fd, bytes: &[u8], offset: u64) -> io::Result<usize> {
    super::signal::block_io_signals();
    Ok(returned(pwrite(borrow(&file), bytes, offset))?)
}

#[cfg(not(target_vendor = "apple"))]
pub(super) fn sync(file: Fd) -> io::Result<()> {
    Ok(fs::fsync(borrow(&file))?)
}

/// `fsync(2)` of macOS leaves the data in the cache of the disk. `F_FULLFSYNC` does not, but some
/// file systems do not have it (`fcntl(2)`).
#[cfg(target_vendor = "apple")]
pub(super) fn sync(file: Fd) -> io::Result<()> {
    match fs::fcntl_fullfsync(borrow(&file)) {
        Err(Errno::NOTSUP | Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL) => {
            Ok(fs::fsync(borrow(&file))?)
        }
        result => Ok(result?),
    }
}

pub(super) fn rename(dir: Fd, name: &OsStr, new_dir: Fd, new_name: &OsStr) -> io::Result<()> {
    Ok(returned(fs::renameat(borrow(&dir), name, borrow(&new_dir), new_name))?)
}

pub(super) fn make_dir(dir: Fd, name: &OsStr) -> io::Result<()> {
    Ok(fs::mkdirat(borrow(&dir), name, Mode::RWXU | Mode::RWXG | Mode::RWXO)?)
}

pub(super) fn unlink(dir: Fd, name: &OsStr) -> io::Result<()> {
    Ok(fs::unlinkat(borrow(&dir), name, AtFlags::empty())?)
}

pub(super) fn exists(dir: Fd, name: &OsStr) -> io::Result<bool> {
    match fs::accessat(borrow(&dir), name, Access::EXISTS, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(target_os = "linux")]
pub(super) fn is_in_memory(file: Fd) -> io::Result<bool> {
    /// tmpfs and ramfs, from `linux/magic.h`. The type of `f_type` depends on the architecture and
    /// has at least 32 bits.
    const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

    Ok(IN_MEMORY.contains(&(fs::fstatfs(borrow(&file))?.f_type as u32)))
}
