//! From a file to a socket without going through the process, where the system can do that without
//! blocking on the socket.
//!
//! macOS has the call, but it may wait for room in spite of `O_NONBLOCK`; NetBSD and OpenBSD have
//! none. There, what is above reads and sends.

use std::io;

use super::Fd;

/// Whether [`sendfile`] works here.
pub(super) const AVAILABLE: bool =
    cfg!(any(target_os = "linux", target_os = "android", target_os = "freebsd"));

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(super) fn sendfile(socket: Fd, file: Fd, offset: u64, bytes: usize) -> io::Result<usize> {
    use super::signal::block_io_signals;
    use super::unix::{check_size, file_offset};

    block_io_signals();
    let mut offset = file_offset(offset)?;
    // SAFETY: the kernel reads and writes one `off_t`, which is a local; the rest are numbers.
    check_size(unsafe { libc::sendfile(socket, file, &raw mut offset, bytes) })
}

/// With `SF_NODISKIO` it would answer `EBUSY` for pages that are not in memory. Without it FreeBSD
/// reads them behind the call (since 11.0), so that the flag has nothing to save.
#[cfg(target_os = "freebsd")]
pub(super) fn sendfile(socket: Fd, file: Fd, offset: u64, bytes: usize) -> io::Result<usize> {
    use std::ptr;

    use super::signal::block_io_signals;
    use super::unix::{check, file_offset};

    block_io_signals();
    // A count of 0 means the rest of the file to FreeBSD.
    debug_assert!(bytes > 0);
    let offset = file_offset(offset)?;
    let mut sent: libc::off_t = 0;
    // SAFETY: the kernel writes one `off_t`, which is a local; a null pointer says that there are
    // no headers and trailers; the rest are numbers.
    let result = check(unsafe {
        libc::sendfile(file, socket, offset, bytes, ptr::null_mut(), &raw mut sent, 0)
    });
    // FreeBSD sendfile(2) reports what it sent in `sent` even if it then failed with EAGAIN or
    // EINTR. Bytes that are out come first; an error that lasts is said again by the next call.
    match (result, usize::try_from(sent).unwrap_or(0)) {
        (Err(error), 0) => Err(error),
        (_, sent) => Ok(sent),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(super) fn sendfile(_: Fd, _: Fd, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
