//! Paths beneath a directory, resolved one component at a time.
//!
//! Each call takes a single name and does not follow symbolic links, so the kernel never moves
//! further than from a directory to one of its entries. The walk reads links itself and continues
//! with their components. `..` returns to the directory that the walk came from, even if a
//! directory has been renamed in the meantime. An absolute link is followed if its target passes
//! through the root: the walk starts again there, with the rest of the target.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::super::{FileKind, Metadata};
use super::{metadata_at, outside};

/// The limit of Linux for one path, path_resolution(7).
const MAX_LINKS: usize = 40;

/// Opens a directory on the path, which must be searchable but need not be readable.
#[cfg(target_os = "linux")]
pub(super) const SEARCH: OFlags = super::DIRECTORY.union(OFlags::PATH);
#[cfg(any(target_os = "freebsd", target_os = "netbsd", target_vendor = "apple"))]
pub(super) const SEARCH: OFlags =
    super::DIRECTORY.union(OFlags::from_bits_retain(libc::O_SEARCH as u32));
/// OpenBSD has no `O_SEARCH`.
#[cfg(target_os = "openbsd")]
pub(super) const SEARCH: OFlags = super::DIRECTORY;

pub(super) fn open(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    resolve(dir, path, |dir, name| open_at(dir, name, flags))
}

pub(super) fn metadata(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<Metadata> {
    resolve(dir, path, |dir, name| match metadata_at(dir, name)? {
        link if link.kind == FileKind::Symlink => Err(too_many_links()),
        metadata => Ok(metadata),
    })
}

/// Calls `last` with the directory and the name that the path ends in. `last` must fail if the name
/// is a symbolic link.
fn resolve<T>(
    root: BorrowedFd<'_>,
    path: &[u8],
    last: impl Fn(BorrowedFd<'_>, &[u8]) -> io::Result<T>,
) -> io::Result<T> {
    let mut below: Vec<OwnedFd> = Vec::new();
    let mut ahead: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    if path.starts_with(b"/") {
        return Err(outside());
    }
    push_components(&mut ahead, path);
    loop {
        let dir = below.last().map_or(root, AsFd::as_fd);
        let Some(name) = ahead.pop() else { return last(dir, b".") };
        let failure = match &name[..] {
            b"." => continue,
            b".." => match below.pop() {
                Some(_) => continue,
                None => return Err(outside()),
            },
            _ if ahead.is_empty() => match last(dir, &name) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            },
            _ => match open_at(dir, &name, SEARCH) {
                Ok(next) => {
                    below.push(next);
                    continue;
                }
                Err(error) => error,
            },
        };
        // Each system has its own error for a link, so any failure may mean one.
        let Ok(target) = read_link(dir, &name) else { return Err(failure) };
        links += 1;
        if links > MAX_LINKS {
            return Err(too_many_links());
        }
        if target.starts_with(b"/") {
            below.clear();
            push_components(&mut ahead, below_root(root, &target)?);
        } else {
            push_components(&mut ahead, &target);
        }
    }
}

/// The part of an absolute path that follows the root.
///
/// The root is recognised by its identity: its path may have changed, and may be written in several
/// ways. That only looks at the directories on the way. The part that is returned is then resolved
/// beneath the root like any other path.
fn below_root<'a>(root: BorrowedFd<'_>, path: &'a [u8]) -> io::Result<&'a [u8]> {
    let root = fstat(root)?;
    let is_end = |at: &usize| *at == 1 || path.get(*at).is_none_or(|byte| *byte == b'/');
    for end in (1..=path.len()).filter(is_end) {
        let Ok(found) = fs::metadata(Path::new(OsStr::from_bytes(&path[..end]))) else { break };
        // The types of the numbers differ between systems.
        if found.dev() == root.st_dev as u64 && found.ino() == root.st_ino as u64 {
            return Ok(&path[end..]);
        }
    }
    Err(outside())
}

/// Pushes the components of `path` in reverse, so that the first is popped next.
fn push_components(ahead: &mut Vec<Vec<u8>>, path: &[u8]) {
    // A slash at the end requires a directory.
    if path.ends_with(b"/") {
        ahead.push(b".".into());
    }
    let names = path.split(|&byte| byte == b'/').rev().filter(|name| !name.is_empty());
    ahead.extend(names.map(<[u8]>::to_vec));
}

/// Opens a name that is not a symbolic link.
fn open_at(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty())?)
}

fn read_link(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
    // With enough room for any target, this is one call.
    let room = Vec::with_capacity(libc::PATH_MAX as usize);
    Ok(readlinkat(dir, name, room)?.into_bytes())
}

fn too_many_links() -> io::Error {
    Errno::LOOP.into()
}
