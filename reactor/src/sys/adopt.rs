//! Sockets that came from elsewhere, made to be as those that are opened here.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{SockRef, Type};

use super::Fd;
use super::unix::check;

pub(super) fn adopt_listener(socket: OwnedFd) -> io::Result<Fd> {
    prepare(&socket)?;
    if !is_listener(&SockRef::from(&socket))? {
        return Err(unsuitable("the socket does not listen"));
    }
    Ok(socket.into_raw_fd())
}

pub(super) fn adopt_stream(socket: OwnedFd) -> io::Result<Fd> {
    prepare(&socket)?;
    #[cfg(target_vendor = "apple")]
    SockRef::from(&socket).set_nosigpipe(true)?;
    Ok(socket.into_raw_fd())
}

fn prepare(socket: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if socket.r#type()? != Type::STREAM {
        return Err(unsuitable("not a stream socket"));
    }
    socket.set_cloexec(true)?;
    socket.set_nonblocking(true)?;
    // Unix sockets have no such option.
    if socket.local_addr()?.as_socket().is_some() {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn is_listener(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}

/// Where the option (`SO_ACCEPTCONN`) is missing the first accept tells.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn is_listener(_: &SockRef<'_>) -> io::Result<bool> {
    Ok(true)
}

fn unsuitable(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The descriptors that this process was started with: so many, from number 3 on.
///
/// # Errors
/// If one of them is not open, and when they were taken before.
pub(crate) fn take_inherited(count: u16) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        let text = "the descriptors that the process was started with were taken before";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let numbers = FIRST_INHERITED..FIRST_INHERITED + Fd::from(count);
    for number in numbers.clone() {
        // SAFETY: two numbers go in, no memory is touched.
        check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }).map_err(
            |error| io::Error::new(error.kind(), format!("descriptor {number}: {error}")),
        )?;
    }
    // SAFETY: they are open, and were before anything in this process could open another: whoever
    // started it has left these numbers to it. They are given to one caller only, once.
    let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
    Ok(numbers.map(own).collect())
}

/// After those for input, output and errors, `sd_listen_fds(3)`.
const FIRST_INHERITED: Fd = 3;
