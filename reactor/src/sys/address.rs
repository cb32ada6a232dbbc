//! Addresses of sockets, as the kernel tells them.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixStream};

use socket2::{SockAddr, SockRef};

use super::Fd;
use super::unix::borrow;
use crate::address::Address;

pub(super) fn local_address(socket: Fd) -> io::Result<Address> {
    let address = SockRef::from(&borrow(&socket)).local_addr()?;
    translate(socket, &address, UnixStream::local_addr)
}

pub(super) fn peer_address(socket: Fd) -> io::Result<Address> {
    let address = SockRef::from(&borrow(&socket)).peer_addr()?;
    translate(socket, &address, UnixStream::peer_addr)
}

/// What is not of IP the standard library is asked for: it knows the many ways in which systems say
/// that a Unix socket has no name, and it refuses other families.
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

/// The longest path of a Unix socket, without the byte that ends it: `sun_path` has one more.
pub(crate) const MAX_UNIX_PATH: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

/// The address of an abstract name.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn abstract_address(name: &[u8]) -> io::Result<UnixSocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    UnixSocketAddr::from_abstract_name(name)
}

/// The address of an abstract name.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn abstract_address(_: &[u8]) -> io::Result<UnixSocketAddr> {
    let text = "Unix sockets have abstract names on Linux only";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

/// The abstract name of an address that has one.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn abstract_name(address: &UnixSocketAddr) -> Option<&[u8]> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    address.as_abstract_name()
}

/// The abstract name of an address that has one.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn abstract_name(_: &UnixSocketAddr) -> Option<&[u8]> {
    None
}
