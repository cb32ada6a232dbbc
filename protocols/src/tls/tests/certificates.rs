//! Certificates that are not good enough, and those of clients.

use rcgen::date_time_ymd;

use super::*;
use crate::tls::ClientCertificates;

/// The errors of a client and of a server with this certificate.
fn refused(version: Version, identity: Identity) -> (String, String) {
    let options = AcceptorOptions { identities: vec![identity], ..server(version) };
    let mut pair = Pair::new(&acceptor(options), &connector(client()));
    pair.exchange();
    let (client, server) = pair.errors();
    assert!(!pair.client.is_open() && !pair.server.is_open());
    (client.to_owned(), server.to_owned())
}

fn identity((certificate, key): (String, String)) -> Identity {
    Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("an identity")
}

#[test]
fn the_error_says_what_is_wrong_with_a_certificate() {
    let expired = AUTHORITY.pem(&["localhost"], |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let early = AUTHORITY.pem(&["localhost"], |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
        params.not_after = date_time_ymd(3001, 1, 1);
    });
    let unknown = Authority::new("Unknown").pem(&["localhost"], |_| {});
    for version in BOTH {
        for (pem, words) in
            [(&expired, "expired"), (&early, "not valid yet"), (&unknown, "UnknownIssuer")]
        {
            let (client, server) = refused(version, identity(pem.clone()));
            assert!(client.starts_with("TLS handshake: invalid peer certificate: "), "{client}");
            assert!(client.contains(words), "{client}");
            assert!(server.starts_with("TLS handshake: received fatal alert: "), "{server}");
        }
    }
}

#[test]
fn a_client_certificate_is_required_optional_or_not_asked_for() {
    let other = Authority::new("Other");
    let good = AUTHORITY.identity(&["user"]);
    for version in BOTH {
        for (asked, presented, accepted) in [
            (ClientCertificates::None, Some(&good), Ok(0)),
            (ClientCertificates::Optional(AUTHORITY.roots()), None, Ok(0)),
            (ClientCertificates::Optional(AUTHORITY.roots()), Some(&good), Ok(1)),
            (ClientCertificates::Optional(other.roots()), Some(&good), Err("UnknownIssuer")),
            (ClientCertificates::Required(AUTHORITY.roots()), Some(&good), Ok(1)),
            (ClientCertificates::Required(other.roots()), Some(&good), Err("UnknownIssuer")),
            (
                ClientCertificates::Required(AUTHORITY.roots()),
                None,
                Err("peer sent no certificates"),
            ),
        ] {
            let options = AcceptorOptions { client_certificates: asked.clone(), ..server(version) };
            let identity = presented.cloned();
            let connector = connector(ConnectorOptions { identity, ..client() });
            let mut pair = Pair::new(&acceptor(options), &connector);
            pair.exchange();
            match accepted {
                Ok(count) => {
                    assert_eq!(pair.errors(), ("", ""), "{asked:?}");
                    let got: Vec<&[u8]> = pair.server.tls().peer_certificates().collect();
                    assert_eq!(got.len(), count);
                    assert!(got.iter().all(|der| *der == good.key.cert[0].as_ref()));
                }
                Err(words) => {
                    assert!(pair.server.error().contains(words), "{:?}", pair.errors());
                    assert!(!pair.server.is_open());
                    assert!(pair.client.error().contains("received fatal alert"));
                }
            }
        }
    }
}

#[test]
fn unusable_pem_is_named() {
    let (certificate, key) = AUTHORITY.pem(&["localhost"], |_| {});
    let (_, other_key) = AUTHORITY.pem(&["localhost"], |_| {});
    let read = |certificate: &str, key: &str| {
        message(Identity::from_pem(certificate.as_bytes(), key.as_bytes()))
    };
    assert_eq!(read("", &key), "no certificate in the PEM text");
    assert_eq!(read(&key, &key), "no certificate in the PEM text");
    assert_eq!(
        read(&certificate, &certificate),
        "no private key in the PEM text, or it is encrypted"
    );
    assert_eq!(
        read(&certificate, &other_key),
        "the private key does not belong to the first certificate"
    );
    assert!(read(&certificate.replace("MII", "***"), &key).starts_with("certificate: "));
    let missing_end = "the file ends before `-----END";
    for (cut, said) in [
        (certificate.len() - 2, missing_end),
        (certificate.len() / 2, missing_end),
        (20, "the line `-----BEGIN CERTIFICA` does not end with -----"),
    ] {
        let text = read(&certificate[..cut], &key);
        assert!(text.starts_with(&format!("certificate: {said}")), "{cut}: {text}");
    }
    let text = read(&certificate, &key[..key.len() / 2]);
    assert_eq!(
        text,
        "private key: the file ends before `-----END PRIVATE KEY-----`; copy the whole file again"
    );
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(read(damaged, &key).starts_with("certificate and key: "));
    assert_eq!(message(Roots::from_pem(b"")), "no certificate in the PEM text");
    assert!(
        message(Roots::from_pem(damaged.as_bytes())).starts_with("certificate of an authority")
    );
    assert_eq!(
        message(Acceptor::new(AcceptorOptions::default())),
        "a TLS server needs a certificate"
    );
}

#[test]
fn one_pem_file_may_hold_both() {
    let (certificate, key) = AUTHORITY.pem(&["localhost"], |_| {});
    let both = key + &certificate;
    assert!(Identity::from_pem(both.as_bytes(), both.as_bytes()).is_ok());
}

#[test]
fn a_self_signed_certificate_is_trusted_by_clients_that_were_given_it() {
    let identity = Identity::self_signed(["localhost".into()]).expect("an identity");
    let roots = Roots::only(&identity).expect("roots");
    let mut options = server(Version::Tls13);
    options.identities = vec![identity];
    let acceptor = acceptor(options);
    let mut pair = Pair::new(&acceptor, &connector(ConnectorOptions { roots, ..client() }));
    pair.exchange();
    assert_eq!(pair.errors(), ("", ""));
    let mut pair = Pair::new(&acceptor, &connector(client()));
    pair.exchange();
    assert!(pair.client.error().contains("UnknownIssuer"), "{:?}", pair.errors());
}

#[test]
fn the_debug_text_of_an_identity_has_its_fingerprint_only() {
    let identity = AUTHORITY.identity(&["localhost"]);
    let text = format!("{identity:?}");
    assert_eq!(text, format!("Identity({:?})", identity.fingerprint()));
    assert_eq!(identity.fingerprint().len(), 32 * 3 - 1);
}
