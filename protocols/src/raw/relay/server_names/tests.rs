//! Relays of TLS by the name of the server.

use std::io::ErrorKind;

use sluicegate_reactor::testing::State;
use sluicegate_reactor::transport::{Error, Opened, Output, State as Phase, Transport};

use super::*;
use crate::proxy_protocol::{Header, Version};
use crate::raw::relay::tests::{address, choosing};
use crate::tls::{Acceptor, AcceptorOptions, Connector, ConnectorOptions, Identity, Roots};

const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
const DECODE_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 50];

fn names(targets: &[(&str, u8)]) -> ServerNames {
    let mut names = ServerNames::default();
    for (name, target) in targets {
        names.add(name, address(*target).into()).expect("a name");
    }
    names
}

/// What a client of TLS for this name sends first.
fn hello(name: &str) -> Vec<u8> {
    let connector = Connector::new(ConnectorOptions::default()).expect("a connector");
    let target = Target::from((name, 443));
    let transport = connector.factory().make(&target).expect("a name");
    Output::collect(|out| transport.expect("TLS").start(out).expect("a message")).1
}

#[test]
fn the_longest_name_decides() {
    let several = names(&[("a.example", 1), ("*.b.example", 2), ("*.c.b.example", 3), ("*", 4)]);
    for (name, expected) in [
        (Some("a.example"), 1),
        (Some("x.a.example"), 4),
        (Some("xa.example"), 4),
        (Some("x.b.example"), 2),
        (Some("x.y.b.example"), 2),
        (Some("b.example"), 4),
        (Some("x.c.b.example"), 3),
        (Some("c.b.example"), 2),
        (None, 4),
    ] {
        let expected = Target::from(address(expected));
        assert_eq!(several.find(name).map(|target| &**target), Some(&expected), "{name:?}");
    }
    assert_eq!(names(&[("a.example", 1)]).find(Some("b.example")), None);
    assert_eq!(names(&[("*.example", 1)]).find(None), None);
}

#[test]
fn names_that_cannot_be_asked_for_are_refused() {
    for name in ["", ".", "a..b", ".a", "a.", "*.", "**", "*a", "a.*", "a b", "a:443", "::1"] {
        let error = ServerNames::default().add(name, address(1).into()).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let why = "is neither the name of a server, nor *.NAME, nor *";
        assert_eq!(error.to_string(), format!("{name:?} {why}"));
    }
    for (one, other) in [("a.example", "A.Example"), ("*", "*"), ("*.a", "*.A")] {
        let error = names(&[(one, 1)]).add(other, address(2).into()).expect_err(other);
        assert_eq!(error.to_string(), format!("{other:?} has two targets"));
    }
}

#[test]
fn the_target_of_the_name_gets_the_message_byte_by_byte_or_at_once() {
    let hello = hello("B.Example");
    for size in [1, 100, hello.len()] {
        let mut h = choosing(names(&[("a.example", 1), ("b.example", 2)]), None);
        let client = h.open();
        for piece in hello.chunks(size) {
            h.feed(client, piece);
        }
        let target = h.accept(&address(2));
        assert_eq!(h.sent(target), hello);
        assert!(h.try_accept(&address(1)).is_none());
    }
}

#[test]
fn clients_without_a_target_get_an_alert() {
    for (bytes, alert) in [
        (hello("c.example"), UNRECOGNIZED_NAME),
        (hello("127.0.0.1"), UNRECOGNIZED_NAME),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), DECODE_ERROR),
        (vec![22; 20_000], DECODE_ERROR),
    ] {
        let mut h = choosing(names(&[("a.example", 1)]), None);
        let client = h.open();
        h.feed(client, &bytes);
        assert_eq!(h.sent(client), alert);
        assert_eq!(h.state(client), State::Shut);
        assert!(h.try_accept(&address(1)).is_none());
    }
}

#[test]
fn a_message_that_never_ends_is_refused_at_16_kib() {
    let mut h = choosing(names(&[("*", 1)]), None);
    let client = h.open();
    let record = [22, 3, 1, 0, 1];
    h.feed(client, [&record[..], &[1], &record, &[0], &record, &[0x30], &record, &[0]].concat());
    h.feed(client, [22, 3, 1, 0, 1, 7].repeat(2700));
    assert_eq!(h.sent(client), "");
    h.feed(client, [22, 3, 1, 0, 1, 7].repeat(100));
    assert_eq!(h.sent(client), DECODE_ERROR);
}

#[test]
fn the_header_for_the_target_has_the_name() {
    let hello = hello("a.example");
    let mut h = choosing(names(&[("*", 1)]), Some(Version::V2));
    let client = h.open();
    h.feed(client, &hello);
    let target = h.accept(&address(1));
    let sent = h.sent(target);
    let (header, end) = Header::parse(&sent).expect("no error").expect("a header");
    assert_eq!(header.authority(), Some("a.example"));
    assert_eq!(header.source(), Some(&h.address(client)));
    assert_eq!(sent[end..], hello);
}

/// The handshake and everything after it is between the client and the target.
#[test]
fn tls_is_between_the_client_and_the_target() {
    let identity = Identity::self_signed(["a.example".to_owned()]).expect("an identity");
    let roots = Roots::only(&identity).expect("roots");
    let identities = vec![identity];
    let acceptor = Acceptor::new(AcceptorOptions { identities, ..AcceptorOptions::default() });
    let connector = Connector::new(ConnectorOptions { roots, ..ConnectorOptions::default() });
    let mut h = choosing(names(&[("a.example", 1)]), None);
    let client = h.open();
    let mut tls = End::new(connector.expect("TLS").factory().make(&("a.example", 443).into()));
    h.feed(client, tls.out());
    let target = h.accept(&address(1));
    let address = h.address(client);
    let mut server = End::new(acceptor.expect("TLS").factory().make(&address));
    for _ in 0..3 {
        server.receive(&h.sent(target));
        h.feed(target, server.out());
        tls.receive(&h.sent(client));
        h.feed(client, tls.out());
    }
    assert!(tls.is_open() && server.is_open());
}

/// What follows the message takes the ways of any relay.
#[cfg(target_os = "linux")]
#[test]
fn bulk_is_spliced() {
    let mut h = choosing(names(&[("a.example", 1)]), None);
    let client = h.open();
    h.feed(client, hello("a.example"));
    let target = h.accept(&address(1));
    for _ in 0..4 {
        h.feed(client, [b'x'; 100_000]);
        h.sent(target);
        h.feed(target, [b'y'; 100_000]);
        assert_eq!(h.sent(client), [b'y'; 100_000]);
    }
    let ledger = h.ledger();
    assert!(ledger.splice_bytes >= 400_000, "{ledger:?}");
}

/// One end of TLS.
struct End(Box<dyn Transport>, Vec<u8>);

impl End {
    fn new(made: Result<Option<Box<dyn Transport>>, Error>) -> End {
        let mut end = made.expect("a transport").expect("TLS");
        let (started, out) = Output::collect(|out| end.start(out));
        started.expect("a start");
        End(end, out)
    }

    fn out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.1)
    }

    fn receive(&mut self, wire: &[u8]) {
        let mut wire = wire.to_vec();
        while !wire.is_empty() {
            let (opened, out) = Output::collect(|out| self.0.open(&mut wire, out));
            self.1.extend(out);
            let Opened::Bytes { consumed, .. } = opened.expect("TLS") else { return };
            wire.drain(..consumed);
        }
    }

    fn is_open(&self) -> bool {
        self.0.state() == Phase::Open
    }
}
