//! Paths beneath a directory, resolved by `openat2(2)` (Linux 5.6).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::super::safe_ret::returned;
use super::super::{FileKind, Metadata};
use super::walk;

pub(super) fn open(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    openat2(dir, path, flags)?.map_or_else(|| walk::open(dir, path, flags), Ok)
}

/// `O_PATH` needs no permission to read the file, and has no effect on a FIFO or a device.
pub(super) fn metadata(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<Metadata> {
    // A single name that is not a link takes one call instead of three.
    if !path.contains(&b'/') && path != b".." {
        match super::metadata_at(dir, path) {
            Ok(link) if link.kind == FileKind::Symlink => {}
            found => return found,
        }
    }
    match openat2(dir, path, OFlags::PATH | OFlags::CLOEXEC)? {
        Some(file) => super::metadata(file.as_raw_fd()),
        None => walk::metadata(dir, path),
    }
}

/// Resolves the path; `None` if it has to be walked.
fn openat2(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match returned(rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve)) {
        Ok(file) => Ok(Some(file)),
        // A directory was renamed, anywhere on the machine, while the kernel resolved `..`.
        Err(Errno::AGAIN) => Ok(None),
        // Sandboxes that do not know the call forbid it (`seccomp(2)` filters of containers). If
        // the file itself is forbidden, the walk fails in the same way.
        Err(Errno::NOSYS | Errno::PERM) => Ok(None),
        // The path leads outside, or has an absolute link, which the walk may allow.
        Err(Errno::XDEV) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
