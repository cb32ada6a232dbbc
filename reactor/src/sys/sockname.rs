//! The addresses of a socket's two ends: `getsockname(2)` and `getpeername(2)`.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixStream};

use socket2::{SockAddr, SockRef};

use super::unix::borrow;
use super::{Address, Fd};

pub(super) fn local_address(socket: Fd) -> io::Result<Address> {
    let address = SockRef::from(&borrow(&socket)).local_addr()?;
    translate(socket, &address, UnixStream::local_addr)
}

pub(super) fn peer_address(socket: Fd) -> io::Result<Address> {
    let address = SockRef::from(&borrow(&socket)).peer_addr()?;
    translate(socket, &address, UnixStream::peer_addr)
}

/// Translates an IP address here and leaves the others to the standard library: it knows how each
/// system reports a Unix socket without a name, and it refuses other address families.
fn translate(
    socket: Fd,
    address: &SockAddr,
    ask: fn(&UnixStream) -> io::Result<UnixSocketAddr>,
) -> io::Result<Address> {
    if let Some(address) = address.as_socket() {
        return Ok(Address::Ip(address));
    }
    // SAFETY: by the contract of `sys`, the caller owns an open descriptor and keeps it open during
    // the call; it is not closed here.
    let stream = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(socket) });
    ask(&stream).map(Address::Unix)
}
