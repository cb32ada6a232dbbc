//! Handlers behind a header: the client's address is the one they see and pass on.

use std::cell::RefCell;
use std::rc::Rc;

use sluicegate_reactor::testing::{Client, Harness, Records, Remote};
use sluicegate_reactor::{Connect, Handler, HandlerId, Listen, Reactor, Target};

use super::peer::Peer;
use super::{address, pair};
use crate::forward::{Forward, ForwardOptions};
use crate::http::{Answered, Http, LogRecord, Reply, Request, Service};
use crate::proxy_protocol::{AcceptProxy, Header, Network, Tlv, Version};
use crate::raw::relay::Relay;

/// Trusts this network.
fn trusting(network: &str) -> Listen {
    let trusted = vec![network.parse::<Network>().expect("a network")];
    let accept = AcceptProxy { trusted, ..AcceptProxy::default() };
    Listen { transport: Some(accept.factory()), ..Listen::default() }
}

const REQUEST: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Keeps the log.
struct Logging(Rc<RefCell<Vec<String>>>);

impl Service for Logging {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.send("answer")
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.0.borrow_mut().push(record.to_string());
    }
}

#[test]
fn row_19_the_access_log_names_the_client() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut h = Harness::with(Http::new(Logging(log.clone())), &trusting("127.0.0.1"));
    let client = h.open();
    h.feed(client, REQUEST);
    assert!(h.sent(client).ends_with(b"answer"));
    assert!(log.borrow()[0].starts_with("192.0.2.1 - - ["), "{log:?}");
}

/// A handler behind a header that connects to `10.0.0.1:80`.
fn connecting<H: Handler>(make: impl FnOnce(&mut Reactor, Target) -> HandlerId<H>) -> Harness<H> {
    let back = address("10.0.0.1:80");
    let to = Target::from(&back);
    let mut h = Harness::build(&trusting("127.0.0.1"), |_| {}, |reactor| make(reactor, to));
    h.set_remote(&back, Remote::Listens);
    h
}

/// The far end of the connection that it makes.
fn target<H: Handler>(h: &mut Harness<H>) -> Client {
    h.accept(&address("10.0.0.1:80"))
}

#[test]
fn row_19_a_forwarded_request_names_the_client() {
    let mut h = connecting(|reactor, origin| {
        let forward = Forward::new(reactor, origin, &ForwardOptions::default());
        reactor.register(Http::new(forward.expect("room for a connector")))
    });
    let client = h.open();
    h.feed(client, REQUEST);
    let origin = target(&mut h);
    let request = h.sent(origin).text().to_owned();
    assert!(request.contains("X-Forwarded-For: 192.0.2.1\r\n"), "{request}");
}

/// A relay that sends headers.
fn relay(version: Version, connect: &Connect) -> Harness<Relay> {
    connecting(|reactor, to| {
        Relay::register(reactor, Rc::new(to), connect, Some(version)).expect("room for a connector")
    })
}

#[test]
fn row_19_a_relay_announces_the_client_that_its_own_client_has_announced() {
    let header = pair("192.0.2.1:1", "192.0.2.2:2");
    let said = header.clone().with(Tlv::AUTHORITY, b"example.org").expect("a TLV");
    for version in [Version::V1, Version::V2] {
        for (announced, expected) in [(&header, &header), (&said, &said)] {
            let mut h = relay(version, &Connect::default());
            let client = h.open();
            h.feed(client, [&announced.encode(Version::V2)[..], b"and"].concat());
            let server = target(&mut h);
            h.feed(client, b" more");
            assert_eq!(h.sent(server), [&expected.encode(version)[..], b"and more"].concat());
            h.feed(server, b"answer");
            assert_eq!(h.sent(client), "answer");
        }
    }
}

#[test]
fn row_19_a_relay_announces_its_own_client_if_nobody_else_was_announced() {
    for version in [Version::V1, Version::V2] {
        let mut h = relay(version, &Connect::default());
        let client = h.open();
        h.feed(client, [&Header::local().encode(Version::V2)[..], b"x"].concat());
        let header = Header::new(h.address(client), address("127.0.0.1:80"));
        let server = target(&mut h);
        assert_eq!(h.sent(server), [&header.encode(version)[..], b"x"].concat());
    }
}

#[test]
fn row_19_a_relay_sends_the_header_in_front_of_its_transport() {
    let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
    let mut h = relay(Version::V1, &connect);
    let client = h.open();
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n";
    h.feed(client, [line, &b"x"[..]].concat());
    let (server, mut peer) = (target(&mut h), Peer::new());
    assert_eq!(peer.open(h.sent(server).strip_prefix(line).expect("the line")).0, "");
    h.feed(server, peer.greeting());
    assert_eq!(peer.open(&h.sent(server)).0, "x");
    h.feed(server, peer.seal("y"));
    assert_eq!(h.sent(client), "y");
}
