//! Listening TCP sockets: one at an address, or several between which the kernel divides the
//! connections.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{IntoRawFd, OwnedFd};

use socket2::{Domain, SockAddr, SockRef, Socket};

use super::unix::{borrow, stream_socket};
use super::{Fd, TcpOptions, invalid};

/// Whether the kernel divides connections evenly between sockets at one address. macOS, NetBSD and
/// OpenBSD have `SO_REUSEPORT` too, but give all connections to one of the sockets.
pub(crate) const DIVIDES: bool = cfg!(any(target_os = "linux", target_os = "freebsd"));

/// The first of several sockets is bound alone, to exclude others: a second server of the same
/// user, started by mistake, would silently get half of the connections (`socket(7)`).
pub(super) fn listen_tcp(
    address: SocketAddr,
    backlog: u32,
    options: &TcpOptions,
    count: usize,
) -> io::Result<Vec<Fd>> {
    let first = bind(address, options, |_| Ok(()))?;
    set_backlog(&first, backlog)?;
    if count == 1 {
        return Ok(vec![first.into_raw_fd()]);
    }
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut all = Vec::with_capacity(count);
    if cfg!(target_os = "freebsd") {
        // FreeBSD adds a socket to its group when it is bound, and checks the option then
        // (`in_pcbinslbgrouphash`). So the first socket has found out whether the address is free,
        // and has chosen the port. For a moment another process can take the address.
        drop(first);
    } else {
        // Linux checks the option of both sockets when the second one is bound
        // (`inet_csk_bind_conflict`), and adds the first to the group then, although it already
        // listens (`reuseport_add_sock`). From now on, only a process of the same user that sets
        // the option on purpose can share the address.
        share(&first)?;
        all.push(first);
    }
    while all.len() < count {
        let socket = bind(address, options, share)?;
        set_backlog(&socket, backlog)?;
        all.push(socket);
    }
    Ok(all.into_iter().map(IntoRawFd::into_raw_fd).collect())
}

/// Binds a socket to the address of another one that listens. When it listens too
/// ([`set_backlog`]), the kernel divides the connections between them: Linux adds it to the group
/// only then (`inet_csk_listen_start`).
pub(crate) fn bind_beside(socket: &OwnedFd, options: &TcpOptions) -> io::Result<OwnedFd> {
    let first = SockRef::from(socket);
    let address = first.local_addr()?.as_socket().ok_or_else(|| invalid("not an IP socket"))?;
    // It has the option already if it has others beside it. FreeBSD would ignore it now.
    #[cfg(not(target_os = "freebsd"))]
    first.set_reuse_port(true)?;
    bind(address, options, share).map(OwnedFd::from)
}

/// Checks whether a socket that another process has bound takes IPv4 clients as the options say.
/// That cannot change any more, and matters at the unspecified address only.
pub(crate) fn check_only_ipv6(socket: &OwnedFd, options: &TcpOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let address = socket.local_addr()?.as_socket_ipv6();
    if address.is_none_or(|address| !address.ip().is_unspecified()) {
        return Ok(());
    }
    let text = match (socket.only_v6()?, options.only_ipv6) {
        (true, false) if !cfg!(target_os = "openbsd") => "takes no IPv4 clients",
        (false, true) => "takes IPv4 clients too",
        _ => return Ok(()),
    };
    let text = format!(
        "the old process's socket {text} (see TcpOptions::only_ipv6); that cannot change: stop the \
         old server first"
    );
    Err(io::Error::new(io::ErrorKind::AddrInUse, text))
}

/// Listens, or changes the backlog of a socket that listens.
pub(crate) fn set_backlog<'a>(socket: impl Into<SockRef<'a>>, backlog: u32) -> io::Result<()> {
    socket.into().listen(backlog.try_into().unwrap_or(i32::MAX))
}

/// Linux gives up the port before it stops listening when a socket is closed. If another core is
/// just processing the last segment of a handshake, the new connection finds no port to inherit
/// (`__inet_inherit_port`). Linux then ignores the segment, and the client waits for a server that
/// does not know of it, until it sends something. After a shutdown, the socket still has its port
/// until it is closed, so the kernel resets such a connection, unless it has chosen the port itself
/// (`SOCK_BINDPORT_LOCK`).
pub(super) fn stop_listening(socket: Fd) {
    if cfg!(target_os = "linux") {
        // If it fails, closing the socket is all that is left to do.
        let _ = SockRef::from(&borrow(&socket)).shutdown(Shutdown::Read);
    }
}

/// Lets other sockets have the address too. `SO_REUSEPORT` of FreeBSD would not divide.
fn share(socket: &Socket) -> io::Result<()> {
    #[cfg(target_os = "freebsd")]
    return socket.set_reuse_port_lb(true);
    #[cfg(not(target_os = "freebsd"))]
    socket.set_reuse_port(true)
}

/// Opens a socket and binds it. `prepare` is called with it before that.
fn bind(
    address: SocketAddr,
    options: &TcpOptions,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = stream_socket(Domain::for_address(address)).map_err(without_family)?;
    // A restarted server need not wait until the connections of its predecessor leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit the options on every supported system, which saves calls for each
    // connection (`inet_csk_clone_lock` of Linux; the BSDs copy `TF_NODELAY`).
    options.apply(&socket)?;
    // The defaults differ: Linux takes both unless `net.ipv6.bindv6only` is set, the BSDs do not.
    if address.is_ipv6() && (options.only_ipv6 || !cfg!(target_os = "openbsd")) {
        socket.set_only_v6(options.only_ipv6)?;
    }
    prepare(&socket)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// A system without the family of an address has no such address either.
fn without_family(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => io::Error::new(io::ErrorKind::AddrNotAvailable, error),
        _ => error,
    }
}
