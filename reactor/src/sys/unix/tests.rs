//! Tests the calls on this system's kernel, `sendfile` included, as it needs the same sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, FdFlags, fcntl_getfd};

use super::super::address::{local_address, peer_address};
use super::super::listen::listen_tcp;
use super::super::{HAS_SENDFILE, TcpOptions, sendfile};
use super::*;

const ANY: &str = "127.0.0.1:0";

fn listener() -> (Fd, SocketAddr) {
    let listener = listen_tcp(ANY.parse().unwrap(), 16, &TcpOptions::default(), 1).unwrap()[0];
    (listener, local_address(listener).unwrap().ip_and_port().unwrap())
}

/// The next connection of a listener, which may not have arrived yet.
fn accept_soon(listener: Fd) -> Fd {
    loop {
        match accept(listener) {
            Ok(socket) => return socket,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

/// The two ends of a connection: ours, as the reactor has it, and the peer's, which blocks.
pub(in crate::sys) fn connection() -> (Fd, TcpStream) {
    let (listener, address) = listener();
    let peer = TcpStream::connect(address).unwrap();
    let ours = accept_soon(listener);
    close(listener);
    (ours, peer)
}

/// The properties of every TCP socket that is opened here.
pub(in crate::sys) fn is_set_up_as_promised(socket: Fd) {
    assert!(SockRef::from(&borrow(&socket)).tcp_nodelay().unwrap());
    assert!(fcntl_getfd(borrow(&socket)).unwrap().contains(FdFlags::CLOEXEC));
    assert!(fcntl_getfl(borrow(&socket)).unwrap().contains(OFlags::NONBLOCK));
}

#[test]
fn sockets_do_not_block_nor_delay_and_are_closed_on_exec() {
    let (listener, address) = listener();
    assert_eq!(accept(listener).unwrap_err().kind(), ErrorKind::WouldBlock);
    let peer = TcpStream::connect(address).unwrap();
    let ours = accept_soon(listener);
    is_set_up_as_promised(listener);
    is_set_up_as_promised(ours);
    assert_eq!(recv(ours, &mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(local_address(ours).unwrap(), address.into());
    assert_eq!(peer_address(ours).unwrap(), peer.local_addr().unwrap().into());
    close(ours);
    close(listener);
}

#[test]
fn an_address_in_use_is_refused() {
    let (listener, address) = listener();
    let error = listen_tcp(address, 16, &TcpOptions::default(), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    close(listener);
}

#[test]
fn an_ipv6_listener_says_its_address() {
    let address: SocketAddr = "[::1]:0".parse().unwrap();
    // Otherwise the machine has no IPv6.
    if let Ok(sockets) = listen_tcp(address, 16, &TcpOptions::default(), 1) {
        assert_eq!(local_address(sockets[0]).unwrap().ip(), Some(address.ip()));
        close(sockets[0]);
    }
}

#[test]
fn pieces_leave_in_their_order() {
    let (ours, mut peer) = connection();
    assert_eq!(send(ours, b"one ", More::Yes).unwrap(), 4);
    let pieces = [IoSlice::new(b"two "), IoSlice::new(b""), IoSlice::new(b"three")];
    assert_eq!(send_gather(ours, &pieces, More::No).unwrap(), 9);
    shutdown_write(ours).unwrap();
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received, "one two three");

    peer.write_all(b"back").unwrap();
    drop(peer);
    let mut buffer = [0; 8];
    let mut len = 0;
    while len < 4 {
        match recv(ours, &mut buffer[len..]) {
            Ok(bytes) => len += bytes,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(&buffer[..len], b"back");
    close(ours);
}

#[test]
fn a_reset_reaches_the_peer_as_one() {
    let (ours, mut peer) = connection();
    reset(ours);
    assert_eq!(peer.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_close_reaches_the_peer_as_the_end() {
    let (ours, mut peer) = connection();
    close(ours);
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn sending_on_a_unix_socket_ends_although_its_peer_has_closed() {
    let (ours, peer) = UnixStream::pair().unwrap();
    drop(peer);
    shutdown_write(ours.as_raw_fd()).unwrap();
}

#[test]
fn a_file_is_read_and_sent_from_an_offset_up_to_its_end() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    let fd = file.as_raw_fd();

    let mut buffer = [0; 4];
    for (offset, expected) in [(0, "0123"), (8, "89"), (10, ""), (1_000, "")] {
        let len = read_at(fd, &mut buffer, offset).unwrap();
        assert_eq!(&buffer[..len], expected.as_bytes());
    }
    assert!(read_at(fd, &mut buffer, u64::MAX).is_err());
    #[cfg(target_os = "linux")]
    assert!(super::super::residency::read_nowait(fd, &mut buffer, u64::MAX).is_err());

    let (ours, mut peer) = connection();
    if HAS_SENDFILE {
        assert_eq!(sendfile::sendfile(ours, fd, 2, 3).unwrap(), 3);
        assert_eq!(sendfile::sendfile(ours, fd, 7, 100).unwrap(), 3);
        assert_eq!(sendfile::sendfile(ours, fd, 10, 100).unwrap(), 0);
        assert!(sendfile::sendfile(ours, fd, u64::MAX, 1).is_err());
        shutdown_write(ours).unwrap();
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "234789");
    } else {
        let error = sendfile::sendfile(ours, fd, 2, 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    close(ours);
}

#[test]
fn a_send_to_nobody_is_an_error() {
    let (ours, peer) = connection();
    drop(peer);
    // The first send may still succeed, and be answered with a reset.
    let error = loop {
        match send(ours, &[7; 65_536], More::No) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => break error,
            _ => {}
        }
    };
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    close(ours);
}

#[test]
fn the_monotonic_clock_does_not_go_back() {
    let before = monotonic();
    assert!(before > 0);
    assert!(monotonic() >= before);
}

#[test]
fn the_seconds_are_those_of_the_system() {
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let before = seconds();
    let now = realtime();
    assert!((before..=seconds()).contains(&now));
}

#[test]
fn random_numbers_differ() {
    let numbers: std::collections::HashSet<_> = (0..100).map(|_| random()).collect();
    assert_eq!(numbers.len(), 100);
}

#[test]
fn an_error_of_the_new_connection_is_none_of_the_listener() {
    for (errno, expected) in [
        (libc::EPROTO, ErrorKind::ConnectionAborted),
        (libc::ECONNABORTED, ErrorKind::ConnectionAborted),
        (libc::EHOSTUNREACH, ErrorKind::ConnectionAborted),
        (libc::EPERM, ErrorKind::ConnectionAborted),
        (libc::EAGAIN, ErrorKind::WouldBlock),
        (libc::EINTR, ErrorKind::Interrupted),
    ] {
        assert_eq!(accept_error(Errno::from_raw_os_error(errno)).kind(), expected);
    }
    // The others recognize a shortage of descriptors by the error number.
    let error = accept_error(Errno::MFILE);
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
}
