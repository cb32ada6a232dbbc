//! Several sockets that listen at one address, between which the kernel divides connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;

use socket2::Socket;

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
use super::unix::bind_listener;
use super::unix::{named, open_listener};
use super::{Fd, TcpOptions};

/// Whether the kernel divides connections evenly between sockets at one address. macOS, NetBSD and
/// OpenBSD have `SO_REUSEPORT` too, but give all connections to one of the sockets.
pub(crate) const DIVIDES: bool =
    cfg!(any(target_os = "linux", target_os = "android", target_os = "freebsd"));

/// Opens `count` sockets that listen at one address. The first one is bound alone, to exclude
/// others: a second server of the same user, started by mistake, would silently get half of the
/// connections (`socket(7)`).
pub(crate) fn listen_shared(
    address: SocketAddr,
    backlog: u32,
    options: &TcpOptions<'_>,
    count: usize,
) -> io::Result<Vec<Fd>> {
    let sockets = open_all(address, backlog, options, count);
    let sockets = sockets.map_err(|error| named(address, &error))?;
    Ok(sockets.into_iter().map(IntoRawFd::into_raw_fd).collect())
}

/// Linux checks the option of both sockets when the second one is bound (`inet_csk_bind_conflict`),
/// and adds the first to the group then, although it already listens (`reuseport_add_sock`). So the
/// first one has the address alone until it listens. Afterwards only a process of the same user
/// that sets the option on purpose can share it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_all(
    address: SocketAddr,
    backlog: u32,
    options: &TcpOptions<'_>,
    count: usize,
) -> io::Result<Vec<Socket>> {
    let first = open_listener(address, backlog, options)?;
    if count == 1 {
        return Ok(vec![first]);
    }
    first.set_reuse_port(true)?;
    let address = bound_to(&first)?;
    let mut all = vec![first];
    for _ in 1..count {
        all.push(bind_listener(address, backlog, options, |socket| socket.set_reuse_port(true))?);
    }
    Ok(all)
}

/// FreeBSD adds a socket to its group when it is bound, and checks the option then
/// (`in_pcbinslbgrouphash`). So a first socket finds out whether the address is free, chooses the
/// port, and is closed again. For a moment another process can take the address.
#[cfg(target_os = "freebsd")]
fn open_all(
    address: SocketAddr,
    backlog: u32,
    options: &TcpOptions<'_>,
    count: usize,
) -> io::Result<Vec<Socket>> {
    let first = open_listener(address, backlog, options)?;
    if count == 1 {
        return Ok(vec![first]);
    }
    let address = bound_to(&first)?;
    drop(first);
    (0..count)
        .map(|_| bind_listener(address, backlog, options, |socket| socket.set_reuse_port_lb(true)))
        .collect()
}

/// Where the kernel does not divide connections there is one socket, and its connections are passed
/// on.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn open_all(
    address: SocketAddr,
    backlog: u32,
    options: &TcpOptions<'_>,
    count: usize,
) -> io::Result<Vec<Socket>> {
    debug_assert_eq!(count, 1, "one socket gets all connections");
    open_listener(address, backlog, options).map(|socket| vec![socket])
}

/// The address with the chosen port.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn bound_to(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    address.ok_or_else(|| io::ErrorKind::Unsupported.into())
}
