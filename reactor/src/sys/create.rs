//! Creating, writing, renaming and removing files.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;

use libc::c_int;

use super::Fd;
use super::unix::{check, check_size, file_offset};

/// Neither opens an existing file nor follows a symbolic link.
const NEW: c_int = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;

pub(super) fn create_new(dir: Fd, name: &OsStr, mode: u32) -> io::Result<Fd> {
    super::dir::open_at(dir, &c_name(name)?, NEW, mode).map(IntoRawFd::into_raw_fd)
}

pub(super) fn open_locked(dir: Fd, name: &OsStr, mode: u32) -> io::Result<Fd> {
    const PARTIAL: c_int = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_CLOEXEC;

    let file = super::dir::open_at(dir, &c_name(name)?, PARTIAL, mode)?;
    // SAFETY: numbers go in, no memory is touched.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })?;
    Ok(file.into_raw_fd())
}

#[cfg(target_os = "linux")]
pub(super) fn create_unnamed(dir: Fd) -> io::Result<Fd> {
    /// `O_EXCL` keeps the file from getting a name later.
    const UNNAMED: c_int = libc::O_RDWR | libc::O_TMPFILE | libc::O_EXCL | libc::O_CLOEXEC;

    let file = super::dir::open_at(dir, c".", UNNAMED, 0o600);
    file.map(IntoRawFd::into_raw_fd).map_err(|error| match error.raw_os_error() {
        // A file system that does not know the flag ignores it: open(2).
        Some(libc::EISDIR) => io::ErrorKind::Unsupported.into(),
        _ => error,
    })
}

pub(super) fn write_at(file: Fd, bytes: &[u8], offset: u64) -> io::Result<usize> {
    super::signal::block_io_signals();
    let offset = file_offset(offset)?;
    // SAFETY: the kernel reads at most `bytes.len()` bytes of the slice, which is borrowed for the
    // call.
    check_size(unsafe { libc::pwrite(file, bytes.as_ptr().cast(), bytes.len(), offset) })
}

pub(super) fn sync(file: Fd) -> io::Result<()> {
    // SAFETY: a number goes in, no memory is touched.
    check(unsafe { libc::fsync(file) }).map(drop)
}

pub(super) fn rename(dir: Fd, name: &OsStr, new_dir: Fd, new_name: &OsStr) -> io::Result<()> {
    let (name, new_name) = (c_name(name)?, c_name(new_name)?);
    // SAFETY: the kernel reads both names up to their terminating zeros.
    check(unsafe { libc::renameat(dir, name.as_ptr(), new_dir, new_name.as_ptr()) }).map(drop)
}

pub(super) fn make_dir(dir: Fd, name: &OsStr) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: the kernel reads the name up to its terminating zero.
    check(unsafe { libc::mkdirat(dir, name.as_ptr(), 0o777) }).map(drop)
}

pub(super) fn unlink(dir: Fd, name: &OsStr) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: the kernel reads the name up to its terminating zero.
    check(unsafe { libc::unlinkat(dir, name.as_ptr(), 0) }).map(drop)
}

pub(super) fn exists(dir: Fd, name: &OsStr) -> io::Result<bool> {
    let name = c_name(name)?;
    // SAFETY: the kernel reads the name up to its terminating zero.
    match check(unsafe { libc::faccessat(dir, name.as_ptr(), libc::F_OK, 0) }) {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Ok(false),
            _ => Err(error),
        },
    }
}

#[cfg(target_os = "linux")]
pub(super) fn is_in_memory(file: Fd) -> io::Result<bool> {
    /// tmpfs and ramfs, from `linux/magic.h`. The type of `f_type` depends on the architecture and
    /// has at least 32 bits.
    const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

    // SAFETY: a `statfs` consists of integers, for which zero is valid.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `statfs` to a local.
    check(unsafe { libc::fstatfs(file, &raw mut stat) })?;
    Ok(IN_MEMORY.contains(&(stat.f_type as u32)))
}

/// Converts a file name for the kernel. A path would lead out of the directory.
fn c_name(name: &OsStr) -> io::Result<CString> {
    debug_assert!(!name.as_bytes().contains(&b'/'));
    Ok(CString::new(name.as_bytes())?)
}
