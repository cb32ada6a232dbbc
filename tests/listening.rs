//! What a listener can be asked to listen on, and what an error says.

#![allow(missing_docs)]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use sluicegate_reactor::{
    Context, Handler, HandlerId, Input, Listen, Reactor, Server, ServerOptions, Target, TcpOptions,
};

struct Quiet;

impl Handler for Quiet {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

fn reactor() -> (Reactor, HandlerId<Quiet>) {
    let mut reactor = Reactor::new().expect("a reactor");
    let quiet = reactor.register(Quiet);
    (reactor, quiet)
}

#[test]
fn a_listener_takes_text_addresses_and_names() {
    let (mut reactor, quiet) = reactor();
    let directory = tempfile::tempdir().expect("a new directory");
    let path = directory.path().join("s");
    let texts =
        ["127.0.0.1:0".to_owned(), "localhost:0".into(), format!("unix:{}", path.display())];
    for text in &texts {
        let listener = reactor.listen(text, &Listen::default(), quiet).expect(text);
        let address = reactor.listener_address(listener).expect("it listens").clone();
        match address.ip_and_port() {
            Some(address) => drop(TcpStream::connect(address).expect("a connection")),
            None => assert_eq!(address.path(), Some(&*path)),
        }
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    reactor.listen((address.ip(), 0), &Listen::default(), quiet).expect("an IP address and a port");
    reactor.listen(("localhost", 0), &Listen::default(), quiet).expect("a name and a port");
    reactor.listen(address, &Listen::default(), quiet).expect("an address");
    reactor.listen(Target::from(address), &Listen::default(), quiet).expect("a target");
}

#[test]
fn an_error_names_what_was_to_be_listened_on() {
    let (mut reactor, quiet) = reactor();
    let mut server = Server::new(&ServerOptions::default());
    for (text, kind, said) in [
        ("127.0.0.1", ErrorKind::InvalidInput, "127.0.0.1: a port is missing"),
        ("no such name:80", ErrorKind::NotFound, "no such name:80: "),
        ("[::1%nowhere]:80", ErrorKind::NotFound, "[::1%nowhere]:80: no network interface nowhere"),
        ("unix:", ErrorKind::InvalidInput, "unix: the path is empty"),
        ("unix:/no/such/s", ErrorKind::NotFound, "unix:/no/such/s: "),
    ] {
        let error = reactor.listen(text, &Listen::default(), quiet).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.to_string().starts_with(&format!("listen on {said}")), "{error}");
        let error = server.listen(text, &Listen::default()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("listen on {said}")), "{error}");
    }
}

#[test]
fn an_address_in_use_is_named_in_the_error() {
    let (mut reactor, quiet) = reactor();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let error = reactor.listen(address, &Listen::default(), quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("listen on {address}: ")), "{error}");
}

#[test]
fn listeners_of_both_families_can_have_the_same_port() {
    let Ok(taken) = std::net::TcpListener::bind("[::]:0") else { return }; // No IPv6 here.
    // Free for IPv4 as well.
    let port = taken.local_addr().expect("its address").port();
    drop(taken);
    let tcp = TcpOptions { only_ipv6: true, ..TcpOptions::default() };
    let listen = Listen { tcp, ..Listen::default() };
    for threads in [1, 2] {
        let mut server = Server::new(&ServerOptions { threads, ..ServerOptions::default() });
        for address in ["[::]", "0.0.0.0"] {
            server.listen(format!("{address}:{port}"), &listen).expect(address);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_zone_of_an_address_reaches_the_kernel() {
    let (mut reactor, quiet) = reactor();
    let mut listen = |text: &str| reactor.listen(text, &Listen::default(), quiet).unwrap_err();
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return; // No IPv6 here.
    }
    // No interface has this address, and without a zone nobody could know which one is meant.
    assert_eq!(listen("[fe80::5:6]:0").kind(), ErrorKind::InvalidInput);
    let error = listen("[fe80::5:6%lo]:0");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
    assert!(error.to_string().starts_with("listen on [fe80::5:6%1]:0: "), "{error}");
}
