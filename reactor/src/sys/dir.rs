//! Opening files beneath a directory, and listing directories.
//!
//! Linux resolves the path in one call (`openat2.rs`). Where that call is missing, the path is
//! walked one component at a time (`walk.rs`), with the same results.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;

use libc::c_int;

use super::unix::{check, last_error, owned};
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
const READ: c_int = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

const DIRECTORY: c_int = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;

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

fn open(dir: Fd, path: &OsStr, flags: c_int) -> io::Result<Fd> {
    beneath::open(dir, &relative(path)?, flags).map(IntoRawFd::into_raw_fd).map_err(refused_link)
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
    io::Error::new(io::ErrorKind::PermissionDenied, "the path leads outside its directory")
}

/// `openat(2)`, with the permissions of a file that it may create.
pub(super) fn open_at(dir: Fd, path: &CStr, flags: c_int, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `path` up to its terminating zero.
    check(unsafe { libc::openat(dir, path.as_ptr(), flags, mode) }).map(owned)
}

/// A `stat` for the kernel to fill.
fn empty_stat() -> libc::stat {
    // SAFETY: a `stat` consists of integers, for which zero is valid.
    unsafe { std::mem::zeroed() }
}

pub(super) fn metadata(file: Fd) -> io::Result<Metadata> {
    stat(file).map(|stat| from_stat(&stat))
}

fn stat(file: Fd) -> io::Result<libc::stat> {
    let mut stat = empty_stat();
    // SAFETY: the kernel writes one `stat` to a local.
    check(unsafe { libc::fstat(file, &raw mut stat) })?;
    Ok(stat)
}

/// The attributes of a name, without following a symbolic link.
pub(super) fn metadata_at(dir: Fd, name: &CStr) -> io::Result<Metadata> {
    let mut stat = empty_stat();
    // SAFETY: the kernel reads the name up to its terminating zero, and writes one `stat`.
    check(unsafe { libc::fstatat(dir, name.as_ptr(), &raw mut stat, libc::AT_SYMLINK_NOFOLLOW) })?;
    Ok(from_stat(&stat))
}

fn from_stat(stat: &libc::stat) -> Metadata {
    #[cfg(not(target_os = "netbsd"))]
    let (modified_nanos, changed_nanos) = (stat.st_mtime_nsec, stat.st_ctime_nsec);
    #[cfg(target_os = "netbsd")]
    let (modified_nanos, changed_nanos) = (stat.st_mtimensec, stat.st_ctimensec);
    Metadata {
        kind: kind_of(stat.st_mode),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        modified_seconds: stat.st_mtime,
        modified_nanos: modified_nanos as u32,
        changed_seconds: stat.st_ctime,
        changed_nanos: changed_nanos as u32,
        inode: stat.st_ino,
    }
}

fn kind_of(mode: libc::mode_t) -> FileKind {
    match mode & libc::S_IFMT {
        libc::S_IFREG => FileKind::File,
        libc::S_IFDIR => FileKind::Directory,
        libc::S_IFLNK => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

pub(super) fn read_dir(dir: Fd) -> io::Result<ReadDir> {
    // The stream closes its descriptor, so it needs its own. Unlike a duplicate, a newly opened one
    // does not share the position in the directory with the original.
    let stream = Stream::new(open_at(dir, c".", DIRECTORY, 0)?)?;
    Ok(Box::new(stream.filter(|entry| match entry {
        Ok(Entry { name, .. }) => name != "." && name != "..",
        Err(_) => true,
    })))
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
}

impl Iterator for Stream {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        clear_errno();
        // SAFETY: the stream is open until `drop`, and `&mut self` keeps other threads away.
        let entry = unsafe { libc::readdir(self.0.as_ptr()) };
        if entry.is_null() {
            // Only errno distinguishes the end from an error, readdir(3).
            let error = last_error();
            return (error.raw_os_error() != Some(0)).then_some(Err(error));
        }
        // SAFETY: `entry` is not null and valid until the next call. This takes only the address of
        // the field, as the entry may be shorter than the struct.
        let name = unsafe { &raw const (*entry).d_name };
        // SAFETY: the name ends with a zero, and is copied before the next call.
        let name = unsafe { CStr::from_ptr(name.cast()) };
        // SAFETY: as for the name.
        let kind = unsafe { (*entry).d_type };
        let name = OsString::from_vec(name.to_bytes().to_vec());
        // The bits of a mode, moved: `DTTOIF` of `dirent.h`.
        let kind = (kind != libc::DT_UNKNOWN).then(|| kind_of(libc::mode_t::from(kind) << 12));
        Some(Ok(Entry { name, kind }))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream is open, and nobody has it after this.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}

/// `readdir(3)` leaves errno unchanged at the end of the directory.
fn clear_errno() {
    #[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
    use libc::__errno as location;
    #[cfg(target_os = "linux")]
    use libc::__errno_location as location;
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    use libc::__error as location;

    // SAFETY: returns the address of this thread's errno and touches nothing.
    let errno = unsafe { location() };
    // SAFETY: the address is valid as long as the thread lives.
    unsafe { *errno = 0 };
}
