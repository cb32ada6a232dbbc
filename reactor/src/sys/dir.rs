//! Opening files beneath a directory, and listing directories.
//!
//! Linux resolves the path in one call (`openat2.rs`). Where that call is missing, the path is
//! walked one component at a time (`walk.rs`), with the same results.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr::NonNull;

use libc::c_int;

use super::unix::{check, last_error};
use super::{Entry, Fd, FileKind, Metadata, about};

#[cfg(target_os = "linux")]
#[path = "dir/openat2.rs"]
mod beneath;
#[cfg(not(target_os = "linux"))]
#[path = "dir/walk.rs"]
mod beneath;

#[cfg(target_os = "linux")]
mod walk;

#[cfg(test)]
mod tests;

/// Opens a file for reading. `O_NONBLOCK` keeps a FIFO without a writer from blocking the thread,
/// and `O_NOCTTY` a terminal from becoming the controlling terminal of the process.
const READ: c_int = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

const DIRECTORY: c_int = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;

pub(super) fn open_dir(path: &Path) -> io::Result<Fd> {
    let open = || open_at(libc::AT_FDCWD, &CString::new(path.as_os_str().as_bytes())?, DIRECTORY);
    let what = format_args!("open directory {}", path.display());
    open().map(IntoRawFd::into_raw_fd).map_err(about(what))
}

pub(super) fn open_beneath(dir: Fd, path: &OsStr) -> io::Result<Fd> {
    beneath::open(dir, &relative(path)?).map(IntoRawFd::into_raw_fd).map_err(refused_link)
}

pub(super) fn open_dir_beneath(dir: Fd, path: &OsStr) -> io::Result<Fd> {
    beneath::open_dir(dir, &relative(path)?).map(IntoRawFd::into_raw_fd).map_err(refused_link)
}

pub(super) fn metadata_beneath(dir: Fd, path: &OsStr) -> io::Result<Metadata> {
    beneath::metadata(dir, &relative(path)?).map_err(refused_link)
}

/// A path for the kernel, which refuses empty ones.
fn relative(path: &OsStr) -> io::Result<CString> {
    Ok(if path.is_empty() { c".".into() } else { CString::new(path.as_bytes())? })
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
    io::Error::new(io::ErrorKind::PermissionDenied, "the path leaves its directory")
}

fn open_at(dir: Fd, path: &CStr, flags: c_int) -> io::Result<OwnedFd> {
    open_mode(dir, path, flags, 0)
}

/// `openat(2)`, with the permissions of a file that it may create.
pub(super) fn open_mode(dir: Fd, path: &CStr, flags: c_int, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `path` up to its terminating zero.
    let fd = check(unsafe { libc::openat(dir, path.as_ptr(), flags, mode) })?;
    // SAFETY: the descriptor was opened by the line above and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A `stat` for the kernel to fill.
pub(super) fn empty_stat() -> libc::stat {
    // SAFETY: a `stat` consists of integers, for which zero is valid.
    unsafe { std::mem::zeroed() }
}

pub(super) fn metadata(file: Fd) -> io::Result<Metadata> {
    let mut stat = empty_stat();
    // SAFETY: the kernel writes one `stat` to a local.
    check(unsafe { libc::fstat(file, &raw mut stat) })?;
    Ok(from_stat(&stat))
}

fn from_stat(stat: &libc::stat) -> Metadata {
    #[cfg(not(target_os = "netbsd"))]
    let nanos = stat.st_mtime_nsec;
    #[cfg(target_os = "netbsd")]
    let nanos = stat.st_mtimensec;
    Metadata {
        kind: match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => FileKind::File,
            libc::S_IFDIR => FileKind::Directory,
            libc::S_IFLNK => FileKind::Symlink,
            _ => FileKind::Other,
        },
        len: u64::try_from(stat.st_size).unwrap_or(0),
        modified_seconds: stat.st_mtime,
        modified_nanos: nanos as u32,
        inode: stat.st_ino,
    }
}

pub(super) fn read_dir(dir: Fd, limit: usize) -> io::Result<Vec<Entry>> {
    // The stream closes its descriptor, so it needs its own. Unlike a duplicate, a newly opened one
    // does not share the position in the directory with the original.
    let mut stream = Stream::new(open_at(dir, c".", DIRECTORY)?)?;
    let mut entries = Vec::new();
    while entries.len() < limit {
        let Some(entry) = stream.next()? else { break };
        if entry.name != "." && entry.name != ".." {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// A `DIR` of readdir(3).
struct Stream(NonNull<libc::DIR>);

impl Stream {
    fn new(dir: OwnedFd) -> io::Result<Stream> {
        // SAFETY: a number goes in. The descriptor is open, and nobody else uses it.
        let stream = unsafe { libc::fdopendir(dir.as_raw_fd()) };
        let stream = NonNull::new(stream).ok_or_else(last_error)?;
        // The stream owns the descriptor now.
        let _ = dir.into_raw_fd();
        Ok(Stream(stream))
    }

    fn next(&mut self) -> io::Result<Option<Entry>> {
        clear_errno();
        // SAFETY: the stream is open until `drop`, and `&mut self` keeps other threads away.
        let entry = unsafe { libc::readdir(self.0.as_ptr()) };
        if entry.is_null() {
            // Only errno distinguishes the end from an error, readdir(3).
            let error = last_error();
            return if error.raw_os_error() == Some(0) { Ok(None) } else { Err(error) };
        }
        // SAFETY: `entry` is not null and valid until the next call. This takes only the address of
        // the field, as the entry may be shorter than the struct.
        let name = unsafe { &raw const (*entry).d_name };
        // SAFETY: the name ends with a zero, and is copied before the next call.
        let name = unsafe { CStr::from_ptr(name.cast()) };
        // SAFETY: as for the name.
        let kind = unsafe { (*entry).d_type };
        let name = OsString::from_vec(name.to_bytes().to_vec());
        Ok(Some(Entry { name, kind: from_dirent_type(kind) }))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream is open, and nobody has it after this.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}

fn from_dirent_type(kind: u8) -> Option<FileKind> {
    match kind {
        libc::DT_UNKNOWN => None,
        libc::DT_REG => Some(FileKind::File),
        libc::DT_DIR => Some(FileKind::Directory),
        libc::DT_LNK => Some(FileKind::Symlink),
        _ => Some(FileKind::Other),
    }
}

/// `readdir(3)` leaves errno unchanged at the end of the directory.
fn clear_errno() {
    // SAFETY: returns the address of this thread's errno and touches nothing.
    #[cfg(target_os = "linux")]
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    #[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
    let errno = unsafe { libc::__errno() };
    // SAFETY: as above.
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    let errno = unsafe { libc::__error() };
    // SAFETY: the address is valid as long as the thread lives.
    unsafe { *errno = 0 };
}
