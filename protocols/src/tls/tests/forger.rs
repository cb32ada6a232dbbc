//! A client that has the keys of its connection and sends what no honest client would.

use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::crypto::cipher::{MessageEncrypter, OutboundPlainMessage};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use super::*;

struct Forger {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Forger {
    /// Connects to a server.
    fn connect(server: &mut End) -> Forger {
        let (forger, last) = Forger::connect_up_to_last(server);
        server.receive(&last);
        server.out.clear();
        assert!(server.is_open(), "{}", server.error());
        forger
    }

    /// Connects to a server, and returns the last bytes of the handshake instead of sending them.
    fn connect_up_to_last(server: &mut End) -> (Forger, Vec<u8>) {
        // aws-lc-rs encrypts nothing with a key whose first record it has not seen.
        let provider = rustls::crypto::ring::default_provider();
        let mut config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(AUTHORITY.roots().store)
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        let name = "localhost".try_into().expect("a name");
        let mut client = UnbufferedClientConnection::new(config.into(), name).expect("a client");
        let mut last = Vec::new();
        while client.is_handshaking() {
            server.receive(&last);
            let mut wire = std::mem::take(&mut server.out);
            last = answer(&mut client, &mut wire);
        }
        let suite = client.negotiated_cipher_suite().expect("a suite");
        let (secrets, _) = client.dangerous_into_kernel_connection().expect("secrets");
        let (sequence, secrets) = secrets.tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets
        else {
            panic!("another cipher: {suite:?}");
        };
        let encrypter = match suite {
            SupportedCipherSuite::Tls12(suite) => {
                suite.aead_alg.encrypter(key, &iv.as_ref()[..4], &iv.as_ref()[4..])
            }
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        };
        (Forger { encrypter, sequence }, last)
    }

    /// A record of this type.
    fn record(&mut self, typ: ContentType, plain: &[u8]) -> Vec<u8> {
        let version = ProtocolVersion::TLSv1_2;
        let message = OutboundPlainMessage { typ, version, payload: plain.into() };
        let record = self.encrypter.encrypt(message, self.sequence).expect("a record");
        self.sequence += 1;
        record.encode()
    }
}

/// What the client answers to the records in `wire`.
pub(super) fn answer(client: &mut UnbufferedClientConnection, mut wire: &mut [u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let UnbufferedStatus { discard, state, .. } = client.process_tls_records(wire);
        match state.expect("the server keeps to the rules") {
            ConnectionState::EncodeTlsData(mut data) => {
                let mut room = [0; 4096];
                let count = data.encode(&mut room).expect("room");
                out.extend(&room[..count]);
            }
            ConnectionState::TransmitTlsData(data) => data.done(),
            _ => return out,
        }
        wire = &mut wire[discard..];
    }
}

fn connect(version: Version) -> (Forger, End) {
    let mut end = End::accepted(&acceptor(server(version)));
    let forger = Forger::connect(&mut end);
    (forger, end)
}

/// Sends the same until the server has had enough; returns how often.
fn flood(version: Version, typ: ContentType, plain: &[u8]) -> (usize, End) {
    let (mut forger, mut end) = connect(version);
    let mut count = 0;
    while end.error.is_none() && count < 1000 {
        end.receive(&forger.record(typ, plain));
        count += 1;
    }
    (count, end)
}

#[test]
fn a_forged_record_with_the_right_keys_is_accepted() {
    for version in BOTH {
        let (mut forger, mut end) = connect(version);
        end.receive(&forger.record(ContentType::ApplicationData, b"hello"));
        assert_eq!((&*end.plain, end.error()), (&b"hello"[..], ""));
    }
}

#[test]
fn a_flood_of_empty_records_is_refused() {
    for version in BOTH {
        let (count, end) = flood(version, ContentType::ApplicationData, b"");
        assert_eq!(end.error(), "TLS: peer misbehaved: TooManyEmptyFragments");
        assert!(count < 100 && end.plain.is_empty());
    }
}

#[test]
fn empty_records_between_others_are_skipped() {
    for version in BOTH {
        let (mut forger, mut end) = connect(version);
        for piece in ["", "a", "", "", "b", ""] {
            end.receive(&forger.record(ContentType::ApplicationData, piece.as_bytes()));
        }
        assert_eq!((&*end.plain, end.error()), (&b"ab"[..], ""));
    }
}

#[test]
fn renegotiation_is_declined_and_insisting_ends_the_connection() {
    // The beginning of a ClientHello is enough.
    let hello = [&[1, 0, 0, 43, 3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0, 0, 0]].concat();
    let (mut forger, mut end) = connect(Version::Tls12);
    end.receive(&forger.record(ContentType::Handshake, &hello));
    assert_eq!(end.error, None);
    assert_eq!(end.out[..3], [21, 3, 3], "a no_renegotiation alert");
    end.receive(&forger.record(ContentType::ApplicationData, b"goes on"));
    assert_eq!(end.plain, b"goes on");

    let (count, end) = flood(Version::Tls12, ContentType::Handshake, &hello);
    assert!(count < 10, "{count}");
    assert_eq!(end.error(), "TLS: peer misbehaved: TooManyRenegotiationRequests");

    let (count, end) = flood(Version::Tls13, ContentType::Handshake, &hello);
    assert_eq!(count, 1);
    assert!(end.error().contains("ClientHello"), "{}", end.error());
}

#[test]
fn a_flood_of_key_updates_is_refused() {
    // KeyUpdate with update_requested. The forger does not change its key, so only the first
    // counts.
    let (mut forger, mut end) = connect(Version::Tls13);
    end.receive(&forger.record(ContentType::Handshake, &[24, 0, 0, 1, 1]));
    assert_eq!(end.error, None);
    end.send(b"with the new key");
    assert_eq!(records(&end.out).len(), 2, "the answer to the key update and the bytes");
}

#[test]
fn a_key_update_that_asks_for_one_is_answered_at_once() {
    // KeyUpdate with update_requested.
    let update = [24, 0, 0, 1, 1];
    let (mut forger, mut end) = connect(Version::Tls13);
    end.receive(&forger.record(ContentType::Handshake, &update));
    assert_eq!((end.error(), records(&end.out).len()), ("", 1));

    // Behind the handshake, after which the kernel may get the keys.
    let answers = [false, true].map(|updates| {
        let mut end = End::accepted(&acceptor(server(Version::Tls13)));
        let (mut forger, mut last) = Forger::connect_up_to_last(&mut end);
        if updates {
            last.extend(forger.record(ContentType::Handshake, &update));
        }
        end.receive(&last);
        assert_eq!(end.error(), "");
        records(&end.out).len()
    });
    assert_eq!(answers[1], answers[0] + 1, "the tickets, and the answer");
}

#[test]
fn a_flood_of_warnings_is_refused() {
    for version in BOTH {
        // user_canceled, which says nothing.
        let (count, end) = flood(version, ContentType::Alert, &[1, 90]);
        assert_eq!(end.error(), "TLS: peer misbehaved: TooManyWarningAlertsReceived");
        assert!(count < 10, "{count}");
    }
}

#[test]
fn a_fatal_alert_ends_the_connection_and_is_named() {
    for version in BOTH {
        let (mut forger, mut end) = connect(version);
        end.receive(&forger.record(ContentType::Alert, &[2, 80]));
        assert_eq!(end.error(), "TLS: received fatal alert: InternalError");
    }
}

#[test]
fn a_message_of_another_kind_is_refused() {
    for version in BOTH {
        for (typ, plain) in [
            (ContentType::Handshake, &[20, 0, 0, 1, 0][..]),
            (ContentType::Handshake, &[99, 0, 0, 0]),
            (ContentType::ChangeCipherSpec, &[1]),
            (ContentType::Heartbeat, &[1, 0xff, 0xff]),
            (ContentType::Unknown(77), b"x"),
        ] {
            let (mut forger, mut end) = connect(version);
            end.receive(&forger.record(typ, plain));
            assert!(end.error().starts_with("TLS: "), "{version} {typ:?} {plain:?}");
            assert!(end.plain.is_empty());
        }
    }
}
