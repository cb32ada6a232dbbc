//! Listening on Unix sockets of a real kernel.

#![allow(missing_docs)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use sluicegate_reactor::{Address, Context, Handler, Input, Listen, ListenerId, Reactor};
use tempfile::TempDir;

/// Sends back what it receives.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

/// Where a socket can be in a new directory.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a new directory");
    let path = directory.path().join("s");
    (directory, path)
}

fn listen(address: &Address, mode: u32) -> std::io::Result<(Reactor, ListenerId)> {
    let mut reactor = Reactor::new()?;
    let echo = reactor.register(Echo);
    let listen = Listen { unix_mode: mode, ..Listen::default() };
    let listener = reactor.listen(address, &listen, echo)?;
    Ok((reactor, listener))
}

fn listen_on(path: &Path) -> std::io::Result<Reactor> {
    listen(&Address::from_path(path)?, 0o600).map(|(reactor, _)| reactor)
}

/// Turns until a client has what it waits for.
fn assert_echoes(reactor: &mut Reactor, mut client: UnixStream) {
    client.set_nonblocking(true).expect("a socket");
    client.write_all(b"hello").expect("room");
    let mut received: Vec<u8> = Vec::new();
    while received.len() < 5 {
        reactor.turn(None).expect("a turn");
        let mut buffer = [0; 5];
        match client.read(&mut buffer) {
            Ok(count) => received.extend(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(received, b"hello");
}

#[test]
fn clients_connect_by_path_and_the_file_goes_with_the_server() {
    let (_directory, path) = place();
    let address = Address::from_path(&path).expect("a short path");
    let (mut reactor, listener) = listen(&address, 0o640).expect("a listener");
    assert_eq!(*reactor.listener_address(listener).expect("it listens"), address);
    let metadata = fs::metadata(&path).expect("a file");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    for _ in 0..2 {
        assert_echoes(&mut reactor, UnixStream::connect(&path).expect("a connection"));
    }
    drop(reactor);
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let (_directory, path) = place();
    drop(UnixListener::bind(&path).expect("a listener"));
    assert!(path.exists(), "left by a process that did not remove it");
    let mut alive = listen_on(&path).expect("the place of the stale one");

    let error = listen_on(&path).err().expect("a refusal");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let (shown, process) = (path.display(), std::process::id());
    let said =
        format!("process {process} is already listening there: it holds the lock {shown}.lock");
    assert_eq!(error.to_string(), format!("listen on unix:{shown}: {said}"));
    assert_echoes(&mut alive, UnixStream::connect(&path).expect("a connection"));
}

#[test]
fn a_file_that_is_not_a_socket_is_left_alone() {
    let (_directory, path) = place();
    fs::write(&path, "precious").expect("a file");
    let error = listen_on(&path).err().expect("a refusal");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).expect("the file"), b"precious");
}

#[test]
fn the_file_of_a_successor_is_left_alone() {
    let (_directory, path) = place();
    let first = listen_on(&path).expect("a listener");
    fs::remove_file(&path).expect("its file");
    fs::remove_file(path.with_extension("lock")).expect("its lock");
    let mut second = listen_on(&path).expect("a listener");
    drop(first);
    assert_echoes(&mut second, UnixStream::connect(&path).expect("a connection"));
}

#[test]
fn a_path_that_is_too_long_is_named_in_the_error() {
    let path = Path::new("/tmp").join("x".repeat(200));
    let error = listen_on(&path).err().expect("a refusal");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("205 bytes, but a Unix socket's path has at most 10"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn clients_connect_by_abstract_name() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("sluicegate-echo-{}", std::process::id());
    let address = Address::from_abstract_name(&name).expect("a short name");
    let (mut reactor, listener) = listen(&address, 0o600).expect("a listener");
    assert_eq!(
        reactor.listener_address(listener).expect("it listens").to_string(),
        format!("unix:@{name}")
    );
    let client = SocketAddr::from_abstract_name(&name).expect("a short name");
    assert_echoes(&mut reactor, UnixStream::connect_addr(&client).expect("a connection"));
}
