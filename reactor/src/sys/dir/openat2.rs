//! Paths beneath a directory, resolved by `openat2(2)` (Linux 5.6).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::c_int;

use super::super::unix::{check, owned};
use super::super::{Fd, FileKind, Metadata};
use super::walk;

pub(super) fn open(dir: Fd, path: &CStr, flags: c_int) -> io::Result<OwnedFd> {
    openat2(dir, path, flags)?.map_or_else(|| walk::open(dir, path, flags), Ok)
}

/// `O_PATH` needs no permission to read the file, and has no effect on a FIFO or a device.
pub(super) fn metadata(dir: Fd, path: &CStr) -> io::Result<Metadata> {
    // A single name that is not a link takes one call instead of three.
    if !path.to_bytes().contains(&b'/') && path != c".." {
        match super::metadata_at(dir, path) {
            Ok(link) if link.kind == FileKind::Symlink => {}
            found => return found,
        }
    }
    match openat2(dir, path, libc::O_PATH | libc::O_CLOEXEC)? {
        Some(file) => super::metadata(file.as_raw_fd()),
        None => walk::metadata(dir, path),
    }
}

/// Resolves the path; `None` if it has to be walked.
fn openat2(dir: Fd, path: &CStr, flags: c_int) -> io::Result<Option<OwnedFd>> {
    // SAFETY: all zeroes is a valid `open_how`, by openat2(2).
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = flags as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: the kernel reads `path` up to its terminating zero, and `how` for its size. Not every
    // C library has a function for this call. The result, a descriptor, fits a `c_int`.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    } as c_int);
    match result {
        Ok(fd) => Ok(Some(owned(fd))),
        Err(error) => match error.raw_os_error() {
            // A directory was renamed, anywhere on the machine, while the kernel resolved `..`.
            Some(libc::EAGAIN) => Ok(None),
            // Sandboxes that do not know the call forbid it (`seccomp(2)` filters of containers).
            // If the file itself is forbidden, the walk fails in the same way.
            Some(libc::ENOSYS | libc::EPERM) => Ok(None),
            // The path leads outside, or has an absolute link, which the walk may allow.
            Some(libc::EXDEV) => Ok(None),
            _ => Err(error),
        },
    }
}
