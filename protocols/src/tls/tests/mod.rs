//! Tests of TLS: two transports talk to each other without a reactor.

mod both_ends;
mod certificates;
mod client_hello;
mod ends;
mod forger;
mod handlers;
mod in_kernel;
mod names;
mod pitfalls;
mod plain_http;
mod records;
mod resumption;
mod splits;
mod tickets;

use std::any::TypeId;
use std::io;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use sluicegate_reactor::transport::{Opened, Output, State, Transport};
use sluicegate_reactor::{Address, Target};

use super::{
    Acceptor, AcceptorOptions, Connection, Connector, ConnectorOptions, Identity, Roots, Version,
};

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

/// An authority that signs the certificates of a test.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("Tests"));

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key());
        Authority { issuer: issuer.expect("an authority") }
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(self.issuer.pem().as_bytes()).expect("roots")
    }

    /// A certificate for these names and its key, in PEM.
    fn pem(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn identity(&self, names: &[&str]) -> Identity {
        let (certificate, key) = self.pem(names, |_| {});
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("an identity")
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

/// A server for `localhost` with this version only.
fn server(version: Version) -> AcceptorOptions {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| AUTHORITY.identity(&["localhost"]));
    let identities = vec![IDENTITY.clone()];
    AcceptorOptions { identities, versions: vec![version], ..AcceptorOptions::default() }
}

/// A client that trusts the tests' authority.
fn client() -> ConnectorOptions {
    ConnectorOptions { roots: AUTHORITY.roots(), ..ConnectorOptions::default() }
}

fn acceptor(options: AcceptorOptions) -> Acceptor {
    Acceptor::new(options).expect("an acceptor")
}

fn connector(options: ConnectorOptions) -> Connector {
    Connector::new(options).expect("a connector")
}

/// One end of a connection, as the reactor would treat it.
struct End {
    transport: Box<dyn Transport>,
    /// Bytes from the peer that were not consumed.
    wire: Vec<u8>,
    /// Bytes for the peer.
    out: Vec<u8>,
    /// What the handler would have got.
    plain: Vec<u8>,
    ended: bool,
    error: Option<String>,
}

impl End {
    fn new(transport: Box<dyn Transport>) -> End {
        let (wire, out, plain) = (Vec::new(), Vec::new(), Vec::new());
        let mut end = End { transport, wire, out, plain, ended: false, error: None };
        end.act(|transport, out| transport.start(out).expect("the transport starts"));
        end
    }

    fn accepted(acceptor: &Acceptor) -> End {
        let address: Address = "192.0.2.1:1".parse().expect("an address");
        End::new(acceptor.factory().make(&address).expect("a transport").expect("TLS"))
    }

    fn connected(connector: &Connector, target: &str) -> End {
        let target: Target = target.parse().expect("a target");
        End::new(connector.factory().make(&target).expect("a transport").expect("TLS"))
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut dyn Transport, &mut Output<'_>) -> T) -> T {
        let (result, out) = Output::collect(|out| act(&mut *self.transport, out));
        self.out.extend(out);
        result
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.wire.extend(bytes);
        let mut wire = std::mem::take(&mut self.wire);
        while !wire.is_empty() && !self.ended && self.error.is_none() {
            match self.act(|transport, out| transport.open(&mut wire, out)) {
                Ok(Opened::Incomplete) => break,
                Ok(Opened::Bytes { consumed, plain }) => {
                    assert!(consumed > 0, "a unit was opened and nothing consumed");
                    assert!(plain.is_empty() || plain.end <= consumed);
                    assert!(plain.is_empty() || self.transport.state() == State::Open);
                    self.plain.extend(&wire[plain]);
                    wire.drain(..consumed);
                }
                Ok(Opened::End) => self.ended = true,
                Err(error) => self.error = Some(error.to_string()),
            }
        }
        self.wire = wire;
    }

    fn send(&mut self, plain: &[u8]) {
        self.act(|transport, out| transport.seal(plain, out)).expect("the bytes are sealed");
    }

    fn close(&mut self) {
        self.act(|transport, out| transport.close(out));
    }

    fn is_open(&self) -> bool {
        self.transport.state() == State::Open && self.error.is_none()
    }

    fn tls(&self) -> &Connection {
        let details = self.transport.details(TypeId::of::<Connection>()).expect("details");
        details.downcast_ref().expect("a TLS connection")
    }

    fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }
}

/// Two ends and what is between them.
struct Pair {
    client: End,
    server: End,
}

impl Pair {
    fn new(acceptor: &Acceptor, connector: &Connector) -> Pair {
        Pair::to("localhost:443", acceptor, connector)
    }

    fn to(target: &str, acceptor: &Acceptor, connector: &Connector) -> Pair {
        Pair { client: End::connected(connector, target), server: End::accepted(acceptor) }
    }

    /// A connection over which this was exchanged already.
    fn open(version: Version) -> Pair {
        let mut pair = Pair::new(&acceptor(server(version)), &connector(client()));
        pair.exchange();
        assert!(pair.client.is_open() && pair.server.is_open(), "{:?}", pair.errors());
        pair
    }

    /// Carries bytes to and fro until there are none.
    fn exchange(&mut self) {
        while !(self.client.out.is_empty() && self.server.out.is_empty()) {
            let bytes = std::mem::take(&mut self.client.out);
            self.server.receive(&bytes);
            let bytes = std::mem::take(&mut self.server.out);
            self.client.receive(&bytes);
        }
    }

    fn errors(&self) -> (&str, &str) {
        (self.client.error(), self.server.error())
    }
}

/// The records of a stream.
fn records(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !stream.is_empty() {
        let length = 5 + usize::from(u16::from_be_bytes([stream[3], stream[4]]));
        let (record, rest) = stream.split_at(length);
        records.push(record.to_vec());
        stream = rest;
    }
    records
}

/// The result of a function that reads configuration, as its message.
fn message<T>(result: io::Result<T>) -> String {
    result.err().expect("an error").to_string()
}
