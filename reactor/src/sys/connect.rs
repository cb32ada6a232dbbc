//! Starting a connection, and reading its outcome.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, SockAddr, SockRef};

use super::unix::{borrow, stream_socket};
use super::{Address, Fd, TcpOptions};

pub(super) fn start_connect(address: &Address, options: &TcpOptions) -> io::Result<Fd> {
    let socket = match address {
        Address::Ip(address) => {
            let socket = stream_socket(Domain::for_address(*address))?;
            options.apply(&socket)?;
            socket
        }
        Address::Unix(_) => stream_socket(Domain::UNIX)?,
    };
    match socket.connect(&address.to_system()?) {
        Err(error) if !goes_on(&error) => Err(error),
        _ => Ok(socket.into_raw_fd()),
    }
}

/// Connects to the Unix socket at a path, without waiting. The stream blocks.
///
/// # Errors
/// `WouldBlock` if the backlog is full: `connect(2)` of Linux would wait for room in it. The BSDs
/// refuse such a connection.
pub(crate) fn connect_at(path: &Path) -> io::Result<UnixStream> {
    let socket = stream_socket(Domain::UNIX)?;
    socket.connect(&SockAddr::unix(path)?).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(error.kind(), "the backlog of the listening process is full")
        }
        _ => error,
    })?;
    socket.set_nonblocking(false)?;
    Ok(OwnedFd::from(socket).into())
}

/// Whether the connection is still being made although the call has failed. A signal does not stop
/// it either (POSIX `connect(2)`); a second call would only fail with `EALREADY`.
fn goes_on(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR))
}

pub(super) fn take_error(socket: Fd) -> io::Result<()> {
    let error = SockRef::from(&borrow(&socket)).take_error()?;
    #[cfg(sluicegate_libkqueue)]
    let error = error.or_else(|| super::selector::error_taken(socket));
    error.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use socket2::{Socket, Type};

    use super::super::address::peer_address;
    use super::super::unix::{close, tests::is_set_up_as_promised};
    use super::super::{Kernel, Ready, Selector};
    use super::*;

    fn start(address: &Address) -> io::Result<Fd> {
        start_connect(address, &TcpOptions::default())
    }

    /// Waits for the first event of a new socket.
    fn outcome(socket: Fd) -> (Ready, io::Result<()>) {
        let mut selector = Selector::new(&Kernel::Os, 4).unwrap();
        selector.add(socket, 7).unwrap();
        while selector.wait(None).unwrap() == 0 {}
        (selector.event(0).ready, take_error(socket))
    }

    #[test]
    fn a_connection_is_writable_and_without_error_when_it_is_made() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Address::from(listener.local_addr().unwrap());
        let socket = start(&to).unwrap();
        is_set_up_as_promised(socket);
        let (ready, error) = outcome(socket);
        assert!(ready.any(Ready::WRITE));
        error.unwrap();
        assert_eq!(peer_address(socket).unwrap(), to);
        close(socket);
    }

    #[test]
    fn a_refusal_is_an_error_of_the_socket_once() {
        // Bound but not listening, so nobody else gets the port meanwhile.
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        taken.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let to = taken.local_addr().unwrap().as_socket().unwrap();
        // The BSDs may return the error from the call itself.
        let error = start(&to.into()).and_then(|socket| {
            let (ready, error) = outcome(socket);
            assert!(ready.any(Ready::WRITE));
            assert!(take_error(socket).is_ok());
            close(socket);
            error
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_unix_socket_that_is_not_there_is_an_error_of_the_call() {
        let to = Address::from_path("/nowhere/at all.sock").unwrap();
        assert_eq!(start(&to).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nobody_waits_for_a_process_that_accepts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let waiting = connect_at(&path).unwrap();
        assert!(!SockRef::from(&waiting).nonblocking().unwrap());
        let error = connect_at(&path).unwrap_err();
        assert_eq!(error.to_string(), "the backlog of the listening process is full");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_backlog_of_a_unix_socket_is_an_error_of_the_call() {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        // An empty name asks the kernel to choose an abstract one (`unix(7)`).
        listener.bind(&SockAddr::unix("").unwrap()).unwrap();
        listener.listen(0).unwrap();
        let name = listener.local_addr().unwrap();
        let to = Address::from_abstract_name(name.as_abstract_namespace().unwrap()).unwrap();
        let waiting = start(&to).unwrap();
        assert_eq!(start(&to).unwrap_err().kind(), ErrorKind::WouldBlock);
        close(waiting);
    }
}
