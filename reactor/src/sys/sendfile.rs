//! Sending a file without copying it into the process, on systems that can do so without blocking
//! on the socket.
//!
//! macOS has the call, but it may wait for room even with `O_NONBLOCK`; NetBSD and OpenBSD have no
//! such call. On these systems the rooms above read the file and send the bytes.

use std::io;

use super::Fd;

#[cfg(target_os = "linux")]
#[inline]
pub(super) fn sendfile(socket: Fd, file: Fd, offset: u64, bytes: usize) -> io::Result<usize> {
    use super::safe_ret::returned;
    use super::signal::block_io_signals;
    use super::unix::borrow;

    block_io_signals();
    let (socket, file, mut offset) = (borrow(&socket), borrow(&file), offset);
    Ok(returned(rustix::fs::sendfile(socket, file, Some(&mut offset), bytes))?)
}

/// With `SF_NODISKIO` the call would return `EBUSY` for pages that are not in memory. Without it
/// FreeBSD reads them after the call (since 11.0), so the flag would gain nothing.
#[cfg(target_os = "freebsd")]
pub(super) fn sendfile(socket: Fd, file: Fd, offset: u64, bytes: usize) -> io::Result<usize> {
    use std::ptr;

    use super::signal::block_io_signals;
    use super::unix::check;

    block_io_signals();
    // FreeBSD takes a count of 0 for the rest of the file.
    debug_assert!(bytes > 0);
    let offset =
        libc::off_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
    let mut sent: libc::off_t = 0;
    // SAFETY: the kernel writes one `off_t`, which is a local; a null pointer says that there are
    // no headers and trailers; the rest are numbers.
    let result = check(unsafe {
        libc::sendfile(file, socket, offset, bytes, ptr::null_mut(), &raw mut sent, 0)
    });
    // FreeBSD reports the bytes it sent in `sent` even if the call then fails with `EAGAIN` or
    // `EINTR` (`sendfile(2)`). The sent bytes are returned; a lasting error comes back from the
    // next call.
    match (result, usize::try_from(sent).unwrap_or(0)) {
        (Err(error), 0) => Err(error),
        (_, sent) => Ok(sent),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(super) fn sendfile(_: Fd, _: Fd, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
