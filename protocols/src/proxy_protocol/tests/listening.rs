//! Connections that begin with a header, at a listener.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, Records, State};
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Address, Context, Handler, Input, Limits, Listen};

use log::Level;

use super::peer::Peer;
use super::{address, at_every_cut, pair};
use crate::logged::logged_in;
use crate::proxy_protocol::{AcceptProxy, Header, Network, Others, Tlv, Version};

/// Says whom it talks to, and sends back what it gets in capitals.
struct Report;

impl Handler for Report {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let peer = cx.peer_address().expect("an address");
        let local = cx.local_address().expect("an address");
        let records = cx.transport::<Records>().map_or("", |_| " records");
        let secure = if cx.is_secure() { " secure" } else { "" };
        let header = cx.transport::<Header>().and_then(Header::authority);
        let authority = header.map_or(String::new(), |name| format!(" {name}"));
        cx.send(format!("{peer} to {local}{records}{secure}{authority};"));
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take().to_ascii_uppercase());
    }
}

/// A listener that trusts these networks.
fn listening(trusted: &[&str], accept: AcceptProxy) -> Harness<Report> {
    let trusted = trusted.iter().map(|text| text.parse().expect("a network")).collect();
    let accept = AcceptProxy { trusted, ..accept };
    let limits = Limits { idle: None, handshake: DEADLINE, ..Limits::default() };
    let transport = Some(accept.factory());
    Harness::with(Report, &Listen { transport, limits, ..Listen::default() })
}

/// How long a header may take.
const DEADLINE: Duration = Duration::from_secs(3);

fn trusting() -> Harness<Report> {
    listening(&["0.0.0.0/0"], AcceptProxy::default())
}

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

/// What the handler says about a connection without addresses in its header.
fn of_the_wire(h: &Harness<Report>, client: Client) -> String {
    format!("{} to 127.0.0.1:80;", h.address(client))
}

/// Sent in front of `GET` by a client of 192.0.2.1.
fn headers() -> [Vec<u8>; 3] {
    let v4 = pair("192.0.2.1:56324", "198.51.100.2:443");
    let tlvs = v4.clone().with(Tlv::NOOP, &[7; 50]).and_then(Header::with_checksum);
    [v4.encode(Version::V1), v4.encode(Version::V2), tlvs.expect("TLVs").encode(Version::V2)]
}

#[test]
fn row_19_the_handler_gets_the_addresses_and_what_follows_at_every_cut() {
    for header in headers() {
        at_every_cut(&[&header[..], b"and more"].concat(), |first, second| {
            let mut h = trusting();
            let client = h.open();
            h.feed(client, first);
            h.feed(client, second);
            assert_eq!(h.sent(client), "192.0.2.1:56324 to 198.51.100.2:443;AND MORE");
            assert_eq!(h.state(client), State::Open);
            h.finish(client);
            assert_eq!(h.state(client), State::Closed);
        });
    }
}

#[test]
fn row_19_a_header_may_arrive_byte_by_byte() {
    for header in headers() {
        let mut h = trusting();
        let client = h.open();
        for byte in header.chunks(1) {
            assert_eq!(h.sent(client), "");
            h.feed(client, byte);
        }
        assert_eq!(h.sent(client), "192.0.2.1:56324 to 198.51.100.2:443;");
    }
}

#[test]
fn row_19_the_handler_speaks_first_once_the_header_is_here() {
    let mut h = trusting();
    let client = h.open();
    let [line, ..] = headers();
    let (last, start) = line.split_last().expect("a line");
    h.feed(client, start);
    assert_eq!(h.sent(client), "");
    h.feed(client, [*last]);
    assert_eq!(h.sent(client), "192.0.2.1:56324 to 198.51.100.2:443;");
}

#[test]
fn row_19_a_header_its_payload_and_the_end_may_arrive_at_once() {
    for header in headers() {
        let mut h = trusting();
        let client = h.open();
        h.at_once(|h| {
            h.feed(client, [&header[..], b"all"].concat());
            h.finish(client);
        });
        assert_eq!(h.sent(client), "192.0.2.1:56324 to 198.51.100.2:443;ALL");
        assert_eq!(h.state(client), State::Closed);
    }
}

#[test]
fn row_19_much_payload_behind_a_header_arrives_whole() {
    for header in headers() {
        let mut h = trusting();
        let client = h.open();
        h.feed(client, [&header[..], &[b'x'; 300_000]].concat());
        let sent = h.sent(client);
        assert!(sent.ends_with(&[b'X'; 300_000]));
        assert_eq!(sent.len(), "192.0.2.1:56324 to 198.51.100.2:443;".len() + 300_000);
    }
}

#[test]
fn row_19_local_and_unknown_leave_the_addresses_of_the_connection() {
    let unspec = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x03\x01\0\0".to_vec();
    let [local, unknown] = [Version::V2, Version::V1].map(|of| Header::local().encode(of));
    for header in [local, unknown, unspec] {
        let mut h = trusting();
        let client = h.open_from(PROXY);
        h.feed(client, [&header[..], b"ping"].concat());
        let expected = of_the_wire(&h, client) + "PING";
        assert_eq!(h.sent(client), expected);
    }
}

#[test]
fn row_19_unix_and_mapped_addresses_are_passed_on() {
    for (source, destination) in
        [("unix:/run/client", "unix:/run/server"), ("[2001:db8::1]:1", "[2001:db8::2]:2")]
    {
        let mut h = trusting();
        let client = h.open();
        h.feed(client, pair(source, destination).encode(Version::V2));
        assert_eq!(h.sent(client), format!("{source} to {destination};"));
    }
    let mut h = trusting();
    let client = h.open();
    h.feed(client, "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n");
    assert_eq!(h.sent(client), "[::ffff:192.0.2.1]:1 to [::ffff:192.0.2.2]:2;");
}

#[test]
fn row_19_what_is_no_header_ends_the_connection_before_the_handler_learns_of_it() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 x\r\nrest",
        b"\r\n\r\n\0\r\nQUIT\n\x11",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0d0123456789ab\x01",
        &[b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat(),
    ] {
        at_every_cut(bytes, |first, second| {
            let mut h = trusting();
            let client = h.open();
            h.feed(client, first);
            h.feed(client, second);
            assert_eq!(h.sent(client), "");
            assert_ne!(h.state(client), State::Open, "{}", bytes.escape_ascii());
            assert_eq!((h.ledger().handshakes, h.ledger().handshake_failures), (0, 1));
        });
    }
}

#[test]
fn row_19_an_end_within_the_header_ends_the_connection() {
    for header in headers() {
        for len in 0..header.len() {
            let mut h = trusting();
            let client = h.open();
            h.feed(client, &header[..len]);
            h.finish(client);
            assert_eq!(h.sent(client), "");
            assert_ne!(h.state(client), State::Open, "{len}");
            assert_eq!(h.ledger().handshakes, 0);
        }
    }
}

#[test]
fn row_19_a_silent_client_and_a_slow_one_are_cut_at_the_deadline() {
    let mut h = trusting();
    let silent = h.open();
    let slow = h.open();
    let [line, ..] = headers();
    for byte in line.chunks(1).take(4) {
        assert_eq!([h.state(silent), h.state(slow)], [State::Open, State::Open]);
        h.feed(slow, byte);
        h.advance(Duration::from_secs(1));
    }
    assert!(h.state(silent) != State::Open && h.state(slow) != State::Open);
    assert_eq!(h.ledger().handshake_failures, 2);
}

#[test]
fn row_19_the_deadline_is_that_of_the_header_only() {
    let mut h = trusting();
    let client = h.open();
    let [line, ..] = headers();
    h.feed(client, line);
    h.advance(10 * DEADLINE);
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn row_19_only_a_trusted_source_may_send_a_header() {
    let [line, ..] = headers();
    let mut h = listening(&["10.0.0.0/8", "192.0.2.9"], AcceptProxy::default());
    let (proxy, other) = (h.open_from(PROXY), h.open_from([192, 0, 2, 10].into()));
    assert_eq!([h.state(proxy), h.state(other)], [State::Open, State::Reset]);
    h.feed(proxy, &line);
    assert_eq!(h.sent(proxy), "192.0.2.1:56324 to 198.51.100.2:443;");
    assert_eq!(h.sent(other), "");

    let mut nobody = listening(&[], AcceptProxy::default());
    let client = nobody.open();
    assert_eq!(nobody.state(client), State::Reset);
}

#[test]
fn row_19_a_header_of_somebody_else_is_passed_on_plainly_if_that_is_chosen() {
    let accept = AcceptProxy { others: Others::Plain, ..AcceptProxy::default() };
    let mut h = listening(&["10.0.0.0/8"], accept);
    let client = h.open_from(PROXY);
    let greeting = of_the_wire(&h, client);
    assert_eq!(h.sent(client), greeting);
    h.feed(client, "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n");
    assert_eq!(h.sent(client), "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n");
}

#[test]
fn a_proxy_that_is_refused_or_breaks_the_protocol_is_named_in_a_warning() {
    let refused = |other: &str, bytes: &[u8]| {
        let mut named = String::new();
        let warnings = logged_in(Level::Warn, || {
            let mut h = listening(&["192.0.2.9"], AcceptProxy::default());
            for _ in 0..2 {
                let client = h.open_from(other.parse().expect("an address"));
                h.feed(client, bytes);
                named = h.address(client).to_string();
            }
        });
        let first = warnings.first().cloned().unwrap_or_default();
        let (address, why) = first.split_once(" was refused: ").expect("a refusal");
        assert_eq!(address.split(':').next(), named.split(':').next());
        why.to_owned()
    };
    assert_eq!(refused("192.0.2.10", b""), "it is not a trusted proxy");
    let hello = b"\x16\x03\x01\x02\0\x01";
    let order = "the connection starts with TLS; the PROXY header must come before TLS";
    assert_eq!(refused("192.0.2.9", hello), format!("PROXY protocol: {order}"));
    let none = "PROXY protocol: the connection does not start with a PROXY header";
    assert_eq!(refused("192.0.2.9", b"GET /"), none);
}

#[test]
fn a_mapped_address_is_trusted_like_the_ipv4_address() {
    let mut h = listening(&["192.0.2.0/24"], AcceptProxy::default());
    let [line, ..] = headers();
    let mapped = Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped();
    let client = h.open_from(mapped.into());
    h.feed(client, line);
    assert_eq!(h.sent(client), "192.0.2.1:56324 to 198.51.100.2:443;");
}

#[test]
fn clients_of_a_unix_socket_are_trusted_if_they_are_named() {
    for (trusted, state) in [(vec![Network::UNIX], State::Open), (vec![], State::Reset)] {
        let accept = AcceptProxy { trusted, ..AcceptProxy::default() };
        let listen = Listen { transport: Some(accept.factory()), ..Listen::default() };
        let mut h = Harness::with(Report, &Listen::default());
        let handler = h.handler_id();
        let at = address("unix:/run/it");
        let listener = h.reactor().listen(at, &listen, handler).expect("a new socket");
        let client = h.open_at(listener);
        assert_eq!(h.state(client), state);
    }
}

#[test]
fn what_else_the_header_says_is_readable() {
    let header = pair("192.0.2.1:1", "192.0.2.2:2").with(Tlv::AUTHORITY, b"example.org");
    let mut h = trusting();
    let client = h.open();
    h.feed(client, header.expect("a TLV").encode(Version::V2));
    assert_eq!(h.sent(client), "192.0.2.1:1 to 192.0.2.2:2 example.org;");
}

/// A listener with [`Records`] after the header, and the addresses that these were made for.
fn with_records(others: Others) -> (Harness<Report>, Arc<Mutex<Vec<String>>>) {
    let made = Arc::new(Mutex::new(Vec::new()));
    let (clients, records) = (made.clone(), Records::factory());
    let inner = Factory::new(move |client: &Address| {
        clients.lock().expect("no panic").push(client.to_string());
        records.make(client)
    });
    let accept = AcceptProxy { others, inner: Some(inner), ..AcceptProxy::default() };
    (listening(&["127.0.0.0/8"], accept), made)
}

#[test]
fn row_19_a_transport_behind_the_header_gets_everything_that_follows_at_every_cut() {
    let header = pair("192.0.2.1:1", "192.0.2.2:2").with(Tlv::AUTHORITY, b"name").expect("a TLV");
    for (version, authority) in [(Version::V1, ""), (Version::V2, " name")] {
        let mut peer = Peer::behind(&header, version);
        let bytes = [peer.greeting(), peer.seal("ab"), peer.seal("c"), peer.end()].concat();
        at_every_cut(&bytes, |first, second| {
            let (mut h, made) = with_records(Others::Refuse);
            let client = h.open();
            h.feed(client, first);
            h.feed(client, second);
            let said = format!("192.0.2.1:1 to 192.0.2.2:2 records secure{authority};ABC");
            assert_eq!(Peer::new().open(&h.sent(client)), (said, true));
            assert_eq!(*made.lock().expect("no panic"), ["192.0.2.1:1"]);
        });
    }
}

#[test]
fn a_transport_behind_a_header_without_addresses_is_made_for_the_connection() {
    let (mut h, made) = with_records(Others::Refuse);
    let client = h.open();
    let mut peer = Peer::behind(&Header::local(), Version::V2);
    h.feed(client, peer.greeting());
    assert_eq!(*made.lock().expect("no panic"), [h.address(client).to_string()]);
    let (said, _) = peer.open(&h.sent(client));
    assert_eq!(said, format!("{} to 127.0.0.1:80 records secure;", h.address(client)));
}

#[test]
fn a_client_without_a_header_gets_the_inner_transport_too() {
    let (mut h, made) = with_records(Others::Plain);
    let (client, mut peer) = (h.open_from(PROXY), Peer::new());
    h.feed(client, [peer.greeting(), peer.seal("x")].concat());
    let (said, _) = peer.open(&h.sent(client));
    assert!(said.ends_with(";X"), "{said}");
    assert_eq!(*made.lock().expect("no panic"), [h.address(client).to_string()]);
}

#[test]
fn a_failure_behind_the_header_ends_the_connection() {
    let (mut h, _) = with_records(Others::Refuse);
    let client = h.open();
    let [line, ..] = headers();
    h.feed(client, [&line[..], b"nothing like it"].concat());
    assert_ne!(h.state(client), State::Open);
    assert_eq!(h.ledger().handshake_failures, 1);
}
