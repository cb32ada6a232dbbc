//! Sockets, reading at an offset, clocks and randomness: the calls that every Unix has.
//!
//! Each function makes one call, does not retry, and returns what the kernel returns.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libc::c_int;
use rustix::buffer::Buffer;
use rustix::io::{Errno, pread};
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use socket2::{Domain, SockRef, Socket, Type};

use super::safe_ret::returned;
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

/// Translates the errno values that only some systems have.
fn translated(error: Errno) -> io::Error {
    #[cfg(target_vendor = "apple")]
    let error = match error {
        // xnu is out of mbufs, and wakes the writer when it has some.
        Errno::NOBUFS => Errno::AGAIN,
        // A send that races with the teardown of the connection.
        Errno::PROTOTYPE => Errno::CONNRESET,
        other => other,
    };
    error.into()
}

/// The result of a call that returns -1 for an error.
pub(super) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
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
    let flags = net::SocketFlags::NONBLOCK | net::SocketFlags::CLOEXEC;
    let accepted = returned(net::accept_with(borrow(&listener), flags));
    accepted.map(IntoRawFd::into_raw_fd).map_err(accept_error)
}

/// Apple has no `accept4(2)`: `O_NONBLOCK` comes from the listener, close-on-exec does not.
#[cfg(target_vendor = "apple")]
pub(super) fn accept(listener: Fd) -> io::Result<Fd> {
    let socket = Socket::from(net::accept(borrow(&listener)).map_err(accept_error)?);
    socket.set_cloexec(true)?;
    match socket.set_nosigpipe(true) {
        // The peer has already closed the connection. The listener has passed the option on, except
        // to connections from before it was adopted.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
        other => other?,
    }
    Ok(socket.into_raw_fd())
}

/// Linux returns pending errors of the new connection from `accept`, and `EPERM` if a firewall
/// forbids it (`accept(2)`). They do not concern the listener.
fn accept_error(error: Errno) -> io::Error {
    match error {
        #[cfg(target_os = "linux")]
        Errno::NONET => io::ErrorKind::ConnectionAborted.into(),
        Errno::PROTO
        | Errno::CONNRESET
        | Errno::NOPROTOOPT
        | Errno::OPNOTSUPP
        | Errno::NETDOWN
        | Errno::NETUNREACH
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH
        | Errno::PERM => io::ErrorKind::ConnectionAborted.into(),
        error => translated(error),
    }
}

/// Whether a host or router on the way to the peer has caused an error, such as a firewall that
/// rejects the connection: when Linux gives up retransmitting, it reports what it learned by ICMP
/// (`icmp_err_convert`, `icmpv6_err_convert`). Does not cover `EHOSTUNREACH` and `ENETUNREACH`,
/// which callers recognize by their `ErrorKind`.
pub(crate) fn is_from_network(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        #[cfg(target_os = "linux")]
        Some(Errno::NONET) => true,
        Some(errno) => {
            [Errno::CONNREFUSED, Errno::ACCESS, Errno::HOSTDOWN, Errno::NOPROTOOPT, Errno::PROTO]
                .contains(&errno)
        }
        None => false,
    }
}

/// The result is ignored, as nothing can be done about an error. In particular, `EINTR` must not
/// cause a second close: the descriptor is already free (`close(2)` of Linux; the BSDs do the
/// same), and another thread may have opened a file with its number.
pub(super) fn close(fd: Fd) {
    #[cfg(sluicegate_libkqueue)]
    super::selector::closing(fd);
    // SAFETY: by the contract of `sys`, the caller owns the descriptor and gives it up here.
    unsafe { rustix::io::close(fd) };
    returned(());
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
    match returned(net::shutdown(borrow(&socket), Shutdown::Write)) {
        // FreeBSD and macOS do not count a Unix socket as connected once its peer has closed
        // (`soisdisconnected`). Linux ends its sending direction nevertheless.
        Err(Errno::NOTCONN) if !cfg!(target_os = "linux") => Ok(()),
        result => Ok(result?),
    }
}

#[inline]
pub(super) fn recv(socket: Fd, buffer: &mut [u8]) -> io::Result<usize> {
    receive(socket, buffer)
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
fn receive(socket: Fd, buffer: impl Buffer<u8>) -> io::Result<usize> {
    let received = returned(net::recv(borrow(&socket), buffer, RecvFlags::empty()));
    let (_, count) = received.map_err(translated)?;
    #[cfg(sluicegate_libkqueue)]
    if count == 0
        && let Some(error) = super::selector::error_taken(socket)
    {
        return Err(error);
    }
    Ok(count)
}

#[inline]
pub(super) fn send(socket: Fd, data: &[u8], more: More) -> io::Result<usize> {
    returned(net::send(borrow(&socket), data, flags(more))).map_err(translated)
}

#[inline]
pub(super) fn send_gather(socket: Fd, pieces: &[IoSlice<'_>], more: More) -> io::Result<usize> {
    let mut nothing_beside = SendAncillaryBuffer::default();
    returned(net::sendmsg(borrow(&socket), pieces, &mut nothing_beside, flags(more)))
        .map_err(translated)
}

const fn flags(more: More) -> SendFlags {
    SendFlags::from_bits_retain(match more {
        More::No => NO_SIGNAL,
        More::Yes => NO_SIGNAL | MORE,
    } as _)
}

pub(super) fn read_at(file: Fd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    Ok(returned(pread(borrow(&file), buffer, offset))?)
}

#[inline]
pub(super) fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Reads a clock, in nanoseconds.
#[inline]
pub(super) fn clock(which: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec` to `now`. The call cannot fail: every version of
    // these systems that can run this program has the clocks that are asked for.
    unsafe { libc::clock_gettime(which, &raw mut now) };
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
