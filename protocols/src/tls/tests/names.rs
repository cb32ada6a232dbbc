//! Names, and which certificate and protocol belong to them.

use rustls::client::{ClientConfig, UnbufferedClientConnection};

use super::*;

/// The names that a server with several certificates is asked for, and the certificate it presents.
#[test]
fn the_name_chooses_the_certificate() {
    for version in BOTH {
        let identities = [&["a.example"][..], &["b.example", "*.b.example"], &["c.example"]]
            .map(|names| AUTHORITY.identity(names));
        let certificates = identities.clone().map(|identity| identity.key.cert[0].to_vec());
        let acceptor =
            acceptor(AcceptorOptions { identities: identities.into(), ..server(version) });
        let connector = connector(client());
        for (name, index) in
            [("a.example", 0), ("b.example", 1), ("x.b.example", 1), ("C.EXAMPLE", 2)]
        {
            let mut pair = Pair::to(&format!("{name}:443"), &acceptor, &connector);
            pair.exchange();
            assert_eq!(pair.errors(), ("", ""), "{name}");
            let presented = pair.client.tls().peer_certificates().next();
            assert_eq!(presented, Some(&certificates[index][..]), "{name}");
            assert_eq!(pair.server.tls().server_name(), Some(&*name.to_lowercase()));
        }
    }
}

#[test]
fn a_name_without_a_certificate_gets_the_first_one_and_the_client_refuses_it() {
    for version in BOTH {
        let identities = ["a.example", "b.example"].map(|name| AUTHORITY.identity(&[name]));
        let acceptor =
            acceptor(AcceptorOptions { identities: identities.into(), ..server(version) });
        let mut pair = Pair::to("other.example:443", &acceptor, &connector(client()));
        pair.exchange();
        assert_eq!(
            pair.client.error(),
            "TLS handshake: invalid peer certificate: certificate not valid for name \
             \"other.example\"; certificate is only valid for DnsName(\"a.example\")"
        );
        assert!(pair.server.error().starts_with("TLS handshake: received fatal alert"));
    }
}

#[test]
fn an_address_is_verified_and_not_sent_as_a_name() {
    for version in BOTH {
        let identities = vec![AUTHORITY.identity(&["192.0.2.7", "::1"])];
        let acceptor = acceptor(AcceptorOptions { identities, ..server(version) });
        for target in ["192.0.2.7:443", "[::1]:443"] {
            let mut pair = Pair::to(target, &acceptor, &connector(client()));
            pair.exchange();
            assert_eq!(pair.errors(), ("", ""));
            assert_eq!(pair.server.tls().server_name(), None);
        }
        let mut pair = Pair::to("192.0.2.8:443", &acceptor, &connector(client()));
        pair.exchange();
        assert!(pair.client.error().contains("not valid for name \"192.0.2.8\""));
    }
}

#[test]
fn a_given_name_wins_over_the_target() {
    let connector = connector(ConnectorOptions { name: Some("localhost".into()), ..client() });
    for target in ["192.0.2.9:443", "unix:/run/socket", "other.example:443"] {
        let mut pair = Pair::to(target, &acceptor(server(Version::Tls13)), &connector);
        pair.exchange();
        assert_eq!(pair.errors(), ("", ""));
        assert_eq!(pair.server.tls().server_name(), Some("localhost"));
    }
}

#[test]
fn a_target_without_a_name_needs_a_given_one() {
    let connector = connector(client());
    for target in ["unix:/run/socket", "a..b:443", "a b:443"] {
        let target: Target = target.parse().expect("a target");
        let made = connector.factory().make(&target);
        let text = made.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.starts_with(&target.to_string()), "{target}: {text}");
    }
    let options = ConnectorOptions { name: Some("a b".into()), ..client() };
    assert_eq!(message(Connector::new(options)), "\"a b\" is not a host name or an IP address");
}

#[test]
fn both_sides_agree_on_a_protocol() {
    for version in BOTH {
        let protocols = vec![b"http/1.1".to_vec(), b"x".to_vec()];
        let acceptor = acceptor(AcceptorOptions { protocols, ..server(version) });
        for (offered, agreed) in [
            (vec![], Some(None)),
            (vec!["x", "http/1.1"], Some(Some("http/1.1"))),
            (vec!["h2", "x"], Some(Some("x"))),
            (vec!["h2"], None),
        ] {
            let protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let connector = connector(ConnectorOptions { protocols, ..client() });
            let mut pair = Pair::new(&acceptor, &connector);
            pair.exchange();
            match agreed {
                Some(protocol) => {
                    assert_eq!(pair.errors(), ("", ""));
                    let protocol = protocol.map(str::as_bytes);
                    assert_eq!(pair.client.tls().protocol(), protocol);
                    assert_eq!(pair.server.tls().protocol(), protocol);
                }
                None => {
                    assert_eq!(
                        pair.server.error(),
                        "TLS handshake: peer doesn't support any known protocol"
                    );
                }
            }
        }
    }
}

#[test]
fn a_client_with_other_protocols_gets_a_no_application_protocol_alert() {
    for version in BOTH {
        let protocols = |name: &str| vec![name.as_bytes().to_vec()];
        let options = AcceptorOptions { protocols: protocols("http/1.1"), ..server(version) };
        let client = ConnectorOptions { protocols: protocols("h2"), ..client() };
        let mut pair = Pair::new(&acceptor(options), &connector(client));
        pair.exchange();
        let expected = "TLS handshake: received fatal alert: NoApplicationProtocol";
        assert_eq!(pair.client.error(), expected);
    }
}

#[test]
fn a_server_without_protocols_ignores_those_of_the_client() {
    let options = ConnectorOptions { protocols: vec!["h2".into()], ..client() };
    let mut pair = Pair::new(&acceptor(server(Version::Tls13)), &connector(options));
    pair.exchange();
    assert_eq!((pair.errors(), pair.server.tls().protocol()), (("", ""), None));
}

#[test]
fn sides_without_a_common_version_do_not_connect() {
    let options = ConnectorOptions { versions: vec![Version::Tls12], ..client() };
    let mut pair = Pair::new(&acceptor(server(Version::Tls13)), &connector(options));
    pair.exchange();
    assert!(pair.server.error().contains("peer is incompatible"), "{:?}", pair.errors());
    let options = AcceptorOptions { versions: vec![], ..server(Version::Tls13) };
    assert!(message(Acceptor::new(options)).starts_with("versions of TLS: "));
}

#[test]
fn a_client_without_a_suite_for_the_key_gets_a_handshake_failure() {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("ECDHE_RSA"));
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("a version")
        .with_root_certificates(AUTHORITY.roots().store)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let mut client = UnbufferedClientConnection::new(config.into(), name).expect("a client");
    let mut end = End::accepted(&acceptor(server(Version::Tls12)));
    end.receive(&forger::answer(&mut client, &mut []));
    assert_eq!(end.error(), "TLS handshake: peer is incompatible: NoCipherSuitesInCommon");
    assert_eq!(end.out, [21, 3, 3, 0, 2, 2, 40], "a handshake_failure alert");
}

#[test]
fn a_connection_tells_its_version_and_suite() {
    for version in BOTH {
        let pair = Pair::open(version);
        for end in [&pair.client, &pair.server] {
            assert_eq!(end.tls().version(), version);
            assert!(end.tls().cipher_suite().starts_with("TLS"), "{:?}", end.tls().cipher_suite());
            assert!(end.transport.is_secure() && !end.tls().is_resumed());
        }
        assert_eq!(pair.server.tls().peer_certificates().count(), 0);
    }
}
