//! Handlers over TLS, in a simulated kernel.

use sluicegate_reactor::testing::{Harness, State, same_at_every_split, through};
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Context, Handler, Input, Listen};

use super::*;
use crate::http::{Answered, Http, Reply, Request, Service};
use crate::line::{LineHandler, Lines, Next};
use crate::tls::ClientCertificates;

/// Runs a test in harnesses whose clients talk to the handler over TLS.
fn over_tls(version: Version, test: impl FnOnce()) {
    let acceptor = acceptor(AcceptorOptions { protocols: vec!["x".into()], ..server(version) });
    let protocols = vec!["x".into()];
    let connector =
        connector(ConnectorOptions { protocols, name: Some("localhost".into()), ..client() });
    let client = connector.factory();
    let client = Factory::new(move |address: &Address| client.make(&Target::from(address)));
    through(acceptor.factory(), client, test);
}

struct Hello;

impl Service for Hello {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.send("Hello, World!")
    }
}

#[test]
fn http_is_the_same_over_tls() {
    for version in BOTH {
        over_tls(version, || {
            let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
            let outcome = same_at_every_split(|| Harness::new(Http::new(Hello)), requests);
            let text = String::from_utf8_lossy(&outcome.sent);
            assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
            assert_eq!(text.matches("Hello, World!").count(), 2, "{text}");
        });
    }
}

/// Answers with the length of the client's certificate.
struct Whose;

impl Service for Whose {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let tls = reply.transport::<Connection>().expect("TLS");
        let certificates: Vec<_> = tls.peer_certificates().map(<[u8]>::len).collect();
        reply.send(format!("{certificates:?}"))
    }
}

#[test]
fn a_service_reads_the_certificate_of_its_client() {
    let identity = AUTHORITY.identity(&["somebody"]);
    let length = identity.key.cert[0].len();
    for (identity, expected) in [(Some(identity), format!("[{length}]")), (None, "[]".into())] {
        let client_certificates = ClientCertificates::Optional(AUTHORITY.roots());
        let acceptor = acceptor(AcceptorOptions { client_certificates, ..server(Version::Tls13) });
        let name = Some("localhost".into());
        let client = connector(ConnectorOptions { identity, name, ..client() }).factory();
        let client = Factory::new(move |address: &Address| client.make(&Target::from(address)));
        through(acceptor.factory(), client, || {
            let mut h = Harness::new(Http::new(Whose));
            let client = h.open();
            h.feed(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let response = String::from_utf8_lossy(&h.sent(client)).into_owned();
            assert!(response.ends_with(&format!("\r\n\r\n{expected}")), "{response}");
        });
    }
}

struct Lengths;

impl LineHandler for Lengths {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
        cx.send(format!("{}\n", line.len()));
        Next::Line
    }
}

#[test]
fn lines_are_the_same_over_tls() {
    for version in BOTH {
        over_tls(version, || {
            let outcome =
                same_at_every_split(|| Harness::new(Lines::new(Lengths)), "one\n\nthree\nrest");
            assert_eq!(outcome.sent, "3\n0\n5\n");
            assert_eq!(outcome.state, State::Open);
        });
    }
}

/// Tells what it knows about the connection, and then sends back what it receives.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        assert!(cx.is_secure());
        let tls = cx.transport::<Connection>().expect("TLS");
        let protocol = String::from_utf8_lossy(tls.protocol().unwrap_or_default());
        let text = format!("{:?} {} {protocol}\n", tls.server_name(), tls.version());
        cx.send(text);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

#[test]
fn a_handler_reads_what_was_agreed_on() {
    for version in BOTH {
        over_tls(version, || {
            let mut h = Harness::new(Echo);
            let client = h.open();
            assert_eq!(h.sent(client), format!("Some(\"localhost\") {version} x\n"));
        });
    }
}

#[test]
fn a_megabyte_goes_to_and_fro() {
    for version in BOTH {
        over_tls(version, || {
            let mut h = Harness::new(Echo);
            let client = h.open();
            h.sent(client);
            let bytes: Vec<u8> = (0..1_u32 << 20).map(|n| (n >> 3) as u8).collect();
            let mut back = Vec::new();
            for piece in bytes.chunks(100_000) {
                h.feed(client, piece);
                back.extend_from_slice(&h.sent(client));
            }
            assert!(back == bytes);
            h.finish(client);
            h.sent(client);
            assert_eq!(h.state(client), State::Closed);
            assert_eq!(h.ledger().handshakes, 1);
        });
    }
}

#[test]
fn a_connection_in_the_clear_is_refused_before_the_handler_knows_of_it() {
    let listen =
        Listen { transport: Some(acceptor(server(Version::Tls13)).factory()), ..Listen::default() };
    let mut h = Harness::with(Echo, &listen);
    let client = h.open();
    h.feed(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(h.sent(client).starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(h.state(client), State::Shut);
    let client = h.open();
    h.feed(client, "hello, who is there?");
    assert!(h.sent(client).starts_with(b"\x15\x03"), "an alert");
    assert_eq!(h.state(client), State::Shut);
    assert_eq!((h.ledger().handshakes, h.ledger().handshake_failures), (0, 2));
}

/// Echoes lines, and starts TLS at the command for it.
struct StartTls(Acceptor);

impl LineHandler for StartTls {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_ready(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        let version = cx.transport::<Connection>().expect("TLS").version();
        cx.send(format!("{version}\n"));
    }

    fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
        cx.send(line);
        cx.send("\n");
        if line == b"STARTTLS" {
            let peer = cx.peer_address().expect("a client");
            cx.start_transport(self.0.factory().make(&peer).unwrap().expect("TLS"));
        }
        Next::Line
    }
}

#[test]
fn a_line_handler_starts_tls_at_a_command() {
    for version in BOTH {
        let mut h = Harness::new(Lines::new(StartTls(acceptor(server(version)))));
        let client = h.open();
        h.feed(client, "clear\nSTARTTLS\n");
        assert_eq!(h.sent(client), "clear\nSTARTTLS\n");
        let name = Some("localhost".into());
        let connector = connector(ConnectorOptions { name, ..super::client() }).factory();
        let transport = connector.make(&Target::from(&h.address(client)));
        h.start_transport(client, transport.unwrap().expect("TLS"));
        h.feed(client, "sealed\n");
        assert_eq!(h.sent(client), format!("{version}\nsealed\n"));
        h.finish(client);
        assert_eq!(h.state(client), State::Closed);
    }
}
