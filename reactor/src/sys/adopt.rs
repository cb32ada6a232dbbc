//! Sockets that were opened elsewhere, prepared to behave like those opened here.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Socket, Type};

use super::unix::{check, owned};
use super::{Fd, TcpOptions, about};

pub(super) fn adopt_listener(socket: OwnedFd, options: &TcpOptions) -> io::Result<Fd> {
    let socket = prepare(socket, options)?;
    // Where this option (`SO_ACCEPTCONN`) is missing, the first accept finds out.
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    if !socket.is_listener()? {
        return Err(unsuitable("the socket does not listen"));
    }
    Ok(socket.into_raw_fd())
}

pub(super) fn adopt_stream(socket: OwnedFd) -> io::Result<Fd> {
    let socket = prepare(socket, &TcpOptions::default())?;
    #[cfg(target_vendor = "apple")]
    socket.set_nosigpipe(true)?;
    Ok(socket.into_raw_fd())
}

fn prepare(socket: OwnedFd, options: &TcpOptions) -> io::Result<Socket> {
    let socket = Socket::from(socket);
    match socket.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return Err(unsuitable("not a stream socket")),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
            return Err(unsuitable("not a socket"));
        }
        Err(error) => return Err(error),
    }
    socket.set_cloexec(true)?;
    socket.set_nonblocking(true)?;
    // Unix sockets have none of these options.
    if socket.local_addr()?.as_socket().is_some() {
        socket.set_tcp_nodelay(true)?;
        options.apply(&socket)?;
    }
    Ok(socket)
}

fn unsuitable(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Takes the `count` descriptors that this process was started with, from number 3 on.
///
/// # Errors
/// If one of them is not open, or if they were taken before.
pub(crate) fn take_inherited(count: u16) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        let text = "the descriptors passed at startup have already been taken";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let numbers = FIRST_INHERITED..FIRST_INHERITED + Fd::from(count);
    for number in numbers.clone() {
        // SAFETY: two numbers go in, no memory is touched.
        check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })
            .map_err(about(format_args!("descriptor {number}")))?;
    }
    // The descriptors are open, and were open before this process could open others: its parent
    // left it these numbers. Only one caller gets them, once.
    Ok(numbers.map(owned).collect())
}

/// The first descriptor after input, output and errors (`sd_listen_fds(3)`).
const FIRST_INHERITED: Fd = 3;
