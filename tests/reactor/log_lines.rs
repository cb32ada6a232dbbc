//! A connection has one name in all lines of the log, from its first to its last one.

use std::io;
use std::net::SocketAddr;

use log::Level;
use sluicegate_reactor::testing::{Harness, Records, Remote, State};
use sluicegate_reactor::{Address, Connect, Listen};

use crate::logged::logged_in;
use crate::probe::{Call, Probe};

fn upstream() -> Address {
    SocketAddr::from(([10, 0, 0, 1], 80)).into()
}

#[test]
fn an_accepted_connection_is_logged_when_it_opens_and_with_its_bytes_when_it_closes() {
    let logged = logged_in(Level::Debug, || {
        let mut h = Harness::new(Probe::echo());
        let client = h.open();
        h.feed(client, b"hello");
        h.finish(client);
        assert_eq!(h.sent(client), "hello");
    });
    let [opened, closed] = &logged[..] else { panic!("{logged:?}") };
    let name = opened.strip_suffix(": opened").expect("the first line");
    assert!(name.starts_with("ConnId(0.1) from 127.0.0.1:"), "{name}");
    assert!(name.ends_with(" at 127.0.0.1:80"), "{name}");
    assert_eq!(*closed, format!("{name}: closed: Closed; received 5 bytes, sent 5"));
}

#[test]
fn a_requested_connection_is_named_by_its_target_whether_or_not_it_is_established() {
    let logged = logged_in(Level::Debug, || {
        let mut h = Harness::new(Probe::new(|cx, call, _| call.by_default(cx)));
        let connector = h.connector(&Connect::default());
        h.connect(connector, upstream(), 7);
        h.set_remote(&upstream(), Remote::Listens);
        let id = h.connect(connector, upstream(), 8);
        h.reactor().peer(id).close();
        h.run();
    });
    let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
    let expected = [
        &format!("ConnId(0.1) to 10.0.0.1:80: cannot connect: {refused}"),
        "ConnId(0.1) to 10.0.0.1:80: not opened: Unconnected(ConnectionRefused)",
        "ConnId(0.2) to 10.0.0.1:80: opened",
        "ConnId(0.2) to 10.0.0.1:80: closed: Closed; received 0 bytes, sent 0",
    ];
    assert_eq!(logged, expected);
}

#[test]
fn a_handshake_that_fails_is_logged_with_its_reason() {
    let logged = logged_in(Level::Debug, || {
        let listen = Listen { transport: Some(Records::factory()), ..Listen::default() };
        let mut h = Harness::with(Probe::echo(), &listen);
        let client = h.open();
        h.feed(client, b"what?");
        assert_eq!(h.state(client), State::Shut);
    });
    let [why, over] = &logged[..] else { panic!("{logged:?}") };
    let name = over.strip_suffix(": not opened: Transport").expect("the last line");
    assert!(why.starts_with(&format!("{name}: ")), "{why}");
}

#[test]
fn a_panic_is_logged_with_its_handler_and_its_connection() {
    let logged = logged_in(Level::Error, || {
        let mut h = Harness::new(Probe::new(|cx, call, _| match call {
            Call::Data(_) => panic!("as the test wants it"),
            call => call.by_default(cx),
        }));
        h.expect_panics();
        let client = h.open();
        h.feed(client, b"x");
    });
    let [panicked] = &logged[..] else { panic!("{logged:?}") };
    assert!(panicked.starts_with("ConnId(0.1) from 127.0.0.1:"), "{panicked}");
    assert!(panicked.ends_with(" at 127.0.0.1:80: Probe::on_data panicked; it is closed"));
}
