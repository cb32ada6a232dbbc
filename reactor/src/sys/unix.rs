//! Sockets, reading at an offset, clocks and randomness: the calls that every Unix has.
//!
//! Each function makes one call, does not retry, and returns what the kernel returns.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{ptr, slice};

use libc::{c_int, ssize_t};
use socket2::{Domain, SockRef, Socket, Type};

use super::{Fd, More};

#[cfg(test)]
pub(super) mod tests;

/// The flag against `SIGPIPE`. Apple has an option of the socket instead, set in [`accept`].
#[cfg(not(target_vendor = "apple"))]
pub(super) const NO_SIGNAL: c_int = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(super) const NO_SIGNAL: c_int = 0;

/// Only Linux has a flag of the call. The option of the BSDs (`TCP_NOPUSH`) stays set on the
/// socket, and two more calls to set and clear it cost more than a second segment.
#[cfg(target_os = "linux")]
const MORE: c_int = libc::MSG_MORE;
#[cfg(not(target_os = "linux"))]
const MORE: c_int = 0;

/// The last error of this thread.
fn last_error() -> io::Error {
    translated(io::Error::last_os_error())
}

/// Translates the errno values that only some systems have.
fn translated(error: io::Error) -> io::Error {
    #[cfg(target_vendor = "apple")]
    match error.raw_os_error() {
        // xnu is out of mbufs, and wakes the writer when it has some.
        Some(libc::ENOBUFS) => return io::Error::from_raw_os_error(libc::EAGAIN),
        // A send that races with the teardown of the connection.
        Some(libc::EPROTOTYPE) => return io::Error::from_raw_os_error(libc::ECONNRESET),
        _ => {}
    }
    error
}

/// The result of a call that returns -1 for an error.
pub(super) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

/// The result of a call that returns a count, or -1 for an error.
pub(super) fn check_size(result: ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| last_error())
}

/// A descriptor for the safe interfaces, for the duration of one call.
pub(super) fn borrow(fd: &Fd) -> BorrowedFd<'_> {
    // SAFETY: by the contract of `sys`, the caller owns an open descriptor and keeps it open during
    // the call; the lifetime is that of the caller's variable.
    unsafe { BorrowedFd::borrow_raw(*fd) }
}

/// A descriptor of the operating system that is closed on drop.
pub(crate) fn owned(fd: Fd) -> OwnedFd {
    // SAFETY: by the contract of `sys`, the caller owns an open descriptor. It gives it up here.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Sets an option of a socket (`setsockopt(2)`).
#[cfg(target_os = "linux")]
pub(super) fn set_option(socket: Fd, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
    let (bytes, len) = (value.as_ptr().cast(), value.len() as libc::socklen_t);
    // SAFETY: the kernel reads `value.len()` bytes of the slice, which is borrowed for the call.
    check(unsafe { libc::setsockopt(socket, level, option, bytes, len) }).map(drop)
}

/// Opens a non-blocking socket. `Socket::new` sets close-on-exec, and `SO_NOSIGPIPE` on Apple.
pub(super) fn stream_socket(domain: Domain) -> io::Result<Socket> {
    #[cfg(not(target_vendor = "apple"))]
    return Socket::new(domain, Type::STREAM.nonblocking(), None);
    // Apple's `socket(2)` has no flags.
    #[cfg(target_vendor = "apple")]
    {
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

#[cfg(not(target_vendor = "apple"))]
pub(super) fn accept(listener: Fd) -> io::Result<Fd> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: null pointers mean that the address is not wanted; nothing else is touched.
    check(unsafe { libc::accept4(listener, ptr::null_mut(), ptr::null_mut(), flags) })
        .map_err(accept_error)
}

/// Apple has no `accept4(2)`: `O_NONBLOCK` comes from the listener, close-on-exec does not.
#[cfg(target_vendor = "apple")]
pub(super) fn accept(listener: Fd) -> io::Result<Fd> {
    use std::os::fd::IntoRawFd;

    // SAFETY: null pointers mean that the address is not wanted; nothing else is touched.
    let fd = check(unsafe { libc::accept(listener, ptr::null_mut(), ptr::null_mut()) })
        .map_err(accept_error)?;
    let socket = Socket::from(owned(fd));
    socket.set_cloexec(true)?;
    match socket.set_nosigpipe(true) {
        // The peer has already reset the connection. The next receive reports that.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
        other => other?,
    }
    Ok(socket.into_raw_fd())
}

/// Linux returns pending errors of the new connection from `accept`, and `EPERM` if a firewall
/// forbids it (`accept(2)`). They do not concern the listener.
fn accept_error(error: io::Error) -> io::Error {
    let of_the_connection = [
        libc::EPROTO,
        libc::ECONNRESET,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        #[cfg(target_os = "linux")]
        libc::ENONET,
        libc::EPERM,
    ];
    match error.raw_os_error() {
        Some(errno) if of_the_connection.contains(&errno) => {
            io::ErrorKind::ConnectionAborted.into()
        }
        _ => error,
    }
}

/// The result is ignored, as nothing can be done about an error. In particular, `EINTR` must not
/// cause a second close: the descriptor is already free (`close(2)` of Linux; the BSDs do the
/// same), and another thread may have opened a file with its number.
pub(super) fn close(fd: Fd) {
    #[cfg(sluicegate_libkqueue)]
    super::selector::closing(fd);
    // SAFETY: by the contract of `sys`, the caller owns the descriptor and gives it up here.
    unsafe { libc::close(fd) };
}

pub(super) fn reset(socket: Fd) {
    // If this fails, the connection is gone and there is nothing to reset.
    let _ = SockRef::from(&borrow(&socket)).set_linger(Some(Duration::ZERO));
    close(socket);
}

#[cfg(all(target_os = "linux", not(sluicegate_libkqueue)))]
pub(super) fn set_receive_mark(socket: Fd, bytes: usize) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, &bytes.to_ne_bytes())
}

/// Other systems have the option, but not what makes it safe: Linux reports bytes below the mark
/// when the window is about to close or memory is short (`tcp_epollin_ready`).
#[cfg(not(all(target_os = "linux", not(sluicegate_libkqueue))))]
pub(super) fn set_receive_mark(_: Fd, _: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn shutdown_write(socket: Fd) -> io::Result<()> {
    SockRef::from(&borrow(&socket)).shutdown(Shutdown::Write)
}

#[inline]
pub(super) fn recv(socket: Fd, buffer: &mut [u8]) -> io::Result<usize> {
    let (start, len) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the slice is borrowed exclusively, and no uninitialized byte is written to it: only
    // the kernel writes.
    receive(socket, unsafe { slice::from_raw_parts_mut(start, len) })
}

pub(super) fn recv_append(socket: Fd, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    let most = spare.len().min(most);
    let count = receive(socket, &mut spare[..most])?;
    let len = buffer.len() + count;
    // SAFETY: the kernel has just written `count` bytes behind the existing ones, within the
    // capacity.
    unsafe { buffer.set_len(len) };
    Ok(count)
}

#[inline]
fn receive(socket: Fd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer, which is borrowed
    // exclusively for the call.
    let received =
        check_size(unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) });
    #[cfg(sluicegate_libkqueue)]
    if matches!(received, Ok(0))
        && let Some(error) = super::selector::error_taken(socket)
    {
        return Err(error);
    }
    received
}

#[inline]
pub(super) fn send(socket: Fd, data: &[u8], more: More) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `data.len()` bytes of the slice, which is borrowed for the
    // call.
    check_size(unsafe { libc::send(socket, data.as_ptr().cast(), data.len(), flags(more)) })
}

#[inline]
pub(super) fn send_gather(socket: Fd, pieces: &[IoSlice<'_>], more: More) -> io::Result<usize> {
    let socket = borrow(&socket);
    SockRef::from(&socket).send_vectored_with_flags(pieces, flags(more)).map_err(translated)
}

const fn flags(more: More) -> c_int {
    match more {
        More::No => NO_SIGNAL,
        More::Yes => NO_SIGNAL | MORE,
    }
}

pub(super) fn read_at(file: Fd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer, which is borrowed
    // exclusively for the call.
    check_size(unsafe { libc::pread(file, buffer.as_mut_ptr().cast(), buffer.len(), offset) })
}

/// An offset in the kernel's type. No file has bytes at an offset that does not fit.
pub(super) fn file_offset(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
}

#[inline]
pub(super) fn monotonic() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec` to `now`. The call cannot fail: every version of
    // these systems that can run this program has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(super) fn realtime() -> u64 {
    // A clock set before 1970 counts as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The hash of nothing under a new key. The standard library asks the system for a thread's first
/// key and derives the next ones from it, so this makes no call.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
