//! Sockets that were opened elsewhere, prepared to behave like those opened here.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use socket2::{Socket, Type};

use super::unix::{check, owned};
use super::{Fd, TcpOptions, about, invalid};

pub(super) fn adopt_listener(socket: OwnedFd, options: &TcpOptions) -> io::Result<Fd> {
    let socket = prepare(socket, options)?;
    // Where this option (`SO_ACCEPTCONN`) is missing, the first accept finds out.
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    if !socket.is_listener()? {
        return Err(invalid("the socket does not listen"));
    }
    Ok(socket.into_raw_fd())
}

pub(super) fn adopt_stream(socket: OwnedFd) -> io::Result<Fd> {
    prepare(socket, &TcpOptions::default()).map(IntoRawFd::into_raw_fd)
}

fn prepare(socket: OwnedFd, options: &TcpOptions) -> io::Result<Socket> {
    let socket = Socket::from(socket);
    match socket.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return Err(invalid("not a stream socket")),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
            return Err(invalid("not a socket"));
        }
        Err(error) => return Err(error),
    }
    socket.set_cloexec(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it (`sonewconn` of xnu).
    #[cfg(target_vendor = "apple")]
    socket.set_nosigpipe(true)?;
    // Unix sockets have none of these options.
    if socket.local_addr()?.as_socket().is_some() {
        options.apply(&socket)?;
    }
    Ok(socket)
}

/// Takes some of the descriptors that this process was started with; 0 is the first one.
///
/// # Errors
/// If one of them is not open, or was taken before.
pub(crate) fn take_inherited(indexes: &[u16]) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: Mutex<BTreeSet<Fd>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let numbers = indexes.iter().map(|index| FIRST_INHERITED + Fd::from(*index));
    for number in numbers.clone() {
        if !taken.insert(number) {
            let text = "the descriptors passed at startup have already been taken";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        // SAFETY: two numbers go in, no memory is touched. It may not be open, so nothing is
        // borrowed.
        check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })
            .map_err(about(format_args!("descriptor {number}")))?;
    }
    // The descriptors are open, and were open before this process could open others: its parent
    // left it these numbers. Only one caller gets each of them, once.
    Ok(numbers.map(owned).collect())
}

/// The first descriptor after input, output and errors (`sd_listen_fds(3)`).
const FIRST_INHERITED: Fd = 3;
