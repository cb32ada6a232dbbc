//! However the bytes arrive, the handler sees the same.

use super::*;

/// Runs a whole session: a handshake, a request of this length and a response of 300 bytes, and the
/// ends. What each side sends is passed on in pieces that end where `cut` says; it gets the
/// position in the stream. Returns the length of the longer stream.
fn session(pair: &mut Pair, length: u32, mut cut: impl FnMut(usize) -> bool) -> usize {
    let request: Vec<u8> = (0..length).map(|n| n as u8).collect();
    let mut positions = [0, 0];
    let mut stage = 0;
    loop {
        for (side, position) in positions.iter_mut().enumerate() {
            let (from, to) = match side {
                0 => (&mut pair.client, &mut pair.server),
                _ => (&mut pair.server, &mut pair.client),
            };
            let bytes = std::mem::take(&mut from.out);
            let mut piece = Vec::new();
            for byte in bytes {
                piece.push(byte);
                *position += 1;
                if cut(*position) {
                    to.receive(&std::mem::take(&mut piece));
                }
            }
            if !piece.is_empty() {
                to.receive(&piece);
            }
        }
        assert_eq!(pair.errors(), ("", ""));
        if !(pair.client.out.is_empty() && pair.server.out.is_empty()) {
            continue;
        }
        match stage {
            0 => pair.client.send(&request),
            1 => pair.server.send(&[b'.'; 300]),
            2 => pair.client.close(),
            3 => pair.server.close(),
            _ => break,
        }
        stage += 1;
    }
    assert!(pair.server.plain == request, "the request has arrived");
    assert_eq!(pair.client.plain, [b'.'; 300]);
    assert!(pair.client.ended && pair.server.ended);
    positions[0].max(positions[1])
}

#[test]
fn a_session_is_the_same_byte_by_byte() {
    for version in BOTH {
        let (acceptor, connector) = (acceptor(server(version)), connector(client()));
        // The second session is a resumed one.
        for _ in 0..2 {
            session(&mut Pair::new(&acceptor, &connector), 20_000, |_| true);
        }
    }
}

#[test]
fn a_session_is_the_same_wherever_its_streams_are_cut() {
    for version in BOTH {
        let acceptor = acceptor(server(version));
        let mut at = 0;
        let mut length = 1;
        while at < length {
            at += 1;
            let mut pair = Pair::new(&acceptor, &connector(client()));
            length = session(&mut pair, 700, |position| position == at);
        }
        assert!(length > 1000, "{length}");
    }
}

#[test]
fn several_records_at_once_arrive_in_order() {
    for version in BOTH {
        let mut pair = Pair::open(version);
        for piece in ["one ", "two ", "three"] {
            pair.client.send(piece.as_bytes());
        }
        pair.client.close();
        pair.exchange();
        assert_eq!(pair.server.plain, b"one two three");
        assert!(pair.server.ended);
    }
}

#[test]
fn the_longest_piece_fits_into_the_room_it_is_given() {
    for version in BOTH {
        let mut pair = Pair::open(version);
        let piece = vec![7; 64 << 10];
        pair.server.send(&piece);
        let records = records(&pair.server.out);
        assert_eq!(records.len(), 4);
        pair.exchange();
        assert!(pair.client.plain == piece);
    }
}

#[test]
fn all_cipher_suites_leave_the_plain_bytes_where_they_are_expected() {
    for version in BOTH {
        for suite in crate::tls::provider().cipher_suites.clone() {
            let mut provider = (*crate::tls::provider()).clone();
            provider.cipher_suites = vec![suite];
            let rsa = suite.suite().as_str().is_some_and(|name| name.contains("RSA"));
            let tls12 = matches!(suite, rustls::SupportedCipherSuite::Tls12(_));
            if rsa || tls12 != (version == Version::Tls12) {
                continue;
            }
            let config = rustls::ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(AUTHORITY.roots().store)
                .with_no_client_auth();
            let name = "localhost".try_into().expect("a name");
            let transport = Connection::client(config.into(), name).expect("a client");
            let mut pair = Pair {
                client: End::new(Box::new(transport)),
                server: End::accepted(&acceptor(server(version))),
            };
            session(&mut pair, 700, |_| false);
            assert_eq!(Some(pair.server.tls().cipher_suite()), suite.suite().as_str());
        }
    }
}
