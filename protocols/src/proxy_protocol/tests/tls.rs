//! What a header says about a client that uses TLS.

use sluicegate_reactor::testing::{Harness, through};
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Address, Context, Handler, Input, Target};

use crate::proxy_protocol::{AcceptProxy, Header, SendProxy, Ssl, Tlv, Version};
use crate::tls::{
    Acceptor, AcceptorOptions, ClientCertificates, Connector, ConnectorOptions, Identity, Roots,
};

/// Sends the header that it would send to others about its client.
struct Describe;

impl Handler for Describe {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.send(Header::of(cx).expect("addresses").encode(Version::V2));
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

/// The header for a client that sends `announced` first, if that is to be, and that presents a
/// certificate or not.
fn described(announced: Option<&Header>, has_certificate: bool) -> Header {
    let identity = Identity::self_signed(["localhost".to_owned()]).expect("an identity");
    let roots = || Roots::only(&identity).expect("roots");
    let acceptor = Acceptor::new(AcceptorOptions {
        identities: vec![identity.clone()],
        client_certificates: ClientCertificates::Optional(roots()),
        protocols: vec![b"http/1.1".to_vec()],
        ..AcceptorOptions::default()
    });
    let connector = Connector::new(ConnectorOptions {
        roots: roots(),
        protocols: vec![b"http/1.1".to_vec()],
        identity: has_certificate.then(|| identity.clone()),
        ..ConnectorOptions::default()
    });
    let connector = connector.expect("a connector").factory();
    let mut server = acceptor.expect("an acceptor").factory();
    let announced = announced.cloned();
    if announced.is_some() {
        let trusted = vec!["127.0.0.0/8".parse().expect("a network")];
        let accept = AcceptProxy { trusted, inner: Some(server), ..AcceptProxy::default() };
        server = accept.factory();
    }
    let client = Factory::new(move |_: &Address| {
        let tls = connector.make(&Target::from(("localhost", 443)))?.expect("TLS");
        Ok(Some(match &announced {
            Some(header) => Box::new(SendProxy::new(header, Version::V2).then(tls)),
            None => tls,
        }))
    });
    through(server, client, || {
        let mut h = Harness::new(Describe);
        let client = h.open();
        let bytes = h.sent(client);
        Header::parse(&bytes).expect("no error").expect("a whole header").0
    })
}

#[test]
fn row_19_a_header_says_what_is_known_of_the_clients_tls() {
    for has_certificate in [false, true] {
        let header = described(None, has_certificate);
        assert!(header.source().is_some());
        assert_eq!(header.tlvs().find(Tlv::ALPN), Some(&b"http/1.1"[..]));
        assert_eq!(header.authority(), Some("localhost"));
        let ssl = header.ssl().expect("it was said");
        assert!(ssl.is_tls());
        assert_eq!(ssl.parts().find_text(Tlv::SSL_VERSION), Some("TLSv1.3"));
        let cipher = ssl.parts().find_text(Tlv::SSL_CIPHER).expect("a cipher");
        assert!(cipher.starts_with("TLS_"), "{cipher}");
        assert_eq!((ssl.has_certificate(), ssl.is_verified()), (has_certificate, has_certificate));
    }
}

#[test]
fn row_19_what_another_proxy_has_said_stays() {
    let addresses = super::pair("192.0.2.1:1", "192.0.2.2:443");
    let named = addresses.clone().with(Tlv::AUTHORITY, b"example.org").expect("a TLV");
    let header = described(Some(&named), false);
    assert_eq!(header.source(), named.source());
    assert_eq!(header.authority(), Some("example.org"));
    assert_eq!(header.tlvs().find(Tlv::ALPN), Some(&b"http/1.1"[..]));

    let version = (Tlv::SSL_VERSION, &b"TLSv1.2"[..]);
    let known = addresses.with_ssl(Ssl::CLIENT_SSL, 1, &[version]).expect("a TLV");
    assert_eq!(described(Some(&known), true), known);
}
