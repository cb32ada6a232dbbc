//! Opening files beneath a directory, and listing directories.
//!
//! Linux resolves the path in one call (`openat2.rs`). Where that call is missing, the path is
//! walked one component at a time (`walk.rs`), with the same results.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, DirEntry, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use super::safe_ret::returned;
use super::unix::borrow;
use super::{Entry, Fd, FileKind, Metadata, ReadDir, about};

#[cfg(target_os = "linux")]
mod openat2;
mod walk;

#[cfg(target_os = "linux")]
use openat2 as beneath;
#[cfg(not(target_os = "linux"))]
use walk as beneath;

#[cfg(test)]
mod tests;

/// Opens a file for reading. `O_NONBLOCK` keeps a FIFO without a writer from blocking the thread,
/// and `O_NOCTTY` a terminal from becoming the controlling terminal of the process.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(super) fn open_dir(path: &Path) -> io::Result<Fd> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path);
    opened
        .map(IntoRawFd::into_raw_fd)
        .map_err(about(format_args!("open directory {}", path.display())))
}

pub(super) fn open_beneath(dir: Fd, path: &OsStr) -> io::Result<Fd> {
    open(dir, path, READ)
}

pub(super) fn open_dir_beneath(dir: Fd, path: &OsStr) -> io::Result<Fd> {
    open(dir, path, walk::SEARCH)
}

fn open(dir: Fd, path: &OsStr, flags: OFlags) -> io::Result<Fd> {
    let file = beneath::open(borrow(&dir), relative(path), flags);
    file.map(IntoRawFd::into_raw_fd).map_err(refused_link)
}

pub(super) fn metadata_beneath(dir: Fd, path: &OsStr) -> io::Result<Metadata> {
    beneath::metadata(borrow(&dir), relative(path)).map_err(refused_link)
}

/// A path for the kernel, which refuses empty ones.
fn relative(path: &OsStr) -> &[u8] {
    if path.is_empty() { b"." } else { path.as_bytes() }
}

/// Maps `ELOOP` (too many symbolic links, or a magic one) to a stable kind of error.
fn refused_link(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(io::ErrorKind::PermissionDenied, error),
        _ => error,
    }
}

/// The error for a path that would leave its directory.
fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the path leads outside its directory")
}

pub(super) fn metadata(file: Fd) -> io::Result<Metadata> {
    Ok(from_stat(&returned(fstat(borrow(&file)))?))
}

pub(super) fn removed_len(file: Fd) -> u64 {
    match fstat(borrow(&file)) {
        Ok(stat) if stat.st_nlink == 0 => u64::try_from(stat.st_size).unwrap_or(0),
        _ => 0,
    }
}

/// The attributes of a name, without following a symbolic link.
fn metadata_at(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Metadata> {
    Ok(from_stat(&returned(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))?))
}

fn from_stat(stat: &Stat) -> Metadata {
    Metadata {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        modified_seconds: stat.st_mtime,
        modified_nanos: stat.st_mtime_nsec as u32,
        changed_seconds: stat.st_ctime,
        changed_nanos: stat.st_ctime_nsec as u32,
        inode: stat.st_ino,
    }
}

fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

pub(super) fn read_dir(dir: Fd) -> io::Result<ReadDir> {
    // Unlike a duplicate, a newly opened descriptor does not share the position in the directory
    // with the original.
    let own = openat(borrow(&dir), c".", DIRECTORY, Mode::empty())?;
    let all = rustix::fs::Dir::new(own)?.map(|entry| Ok(entry_of(&entry?)));
    Ok(Box::new(all.filter(|entry| match entry {
        Ok(Entry { name, .. }) => name != "." && name != "..",
        Err(_) => true,
    })))
}

fn entry_of(entry: &DirEntry) -> Entry {
    let kind = match entry.file_type() {
        FileType::Unknown => None,
        known => Some(kind_of(known)),
    };
    Entry { name: OsStr::from_bytes(entry.file_name().to_bytes()).to_owned(), kind }
}
