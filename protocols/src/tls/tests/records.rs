//! Records that were changed on the way, and peers that do not keep to the rules.

use super::*;

/// What rustls refuses without an alert.
const SILENT: [&str; 4] = [
    "HandshakePayloadTooLarge",
    "MessageInterleavedWithHandshakeMessage",
    "MessageTooShort",
    "incompatible signing key",
];

/// Runs a session in which the records of one side are changed. Returns what was delivered to the
/// other side, and whether an alert was sent.
fn tamper(
    pair: &mut Pair,
    from_client: bool,
    mut change: impl FnMut(usize, &mut Vec<Vec<u8>>),
) -> (Vec<u8>, bool) {
    let mut flight = 0;
    let mut alert = false;
    for round in 0..12 {
        for client in [true, false] {
            let (from, to) = match client {
                true => (&mut pair.client, &mut pair.server),
                false => (&mut pair.server, &mut pair.client),
            };
            let mut sent = records(&std::mem::take(&mut from.out));
            if client == from_client {
                change(flight, &mut sent);
                flight += 1;
            }
            to.receive(&sent.concat());
            // What an end puts out when it fails is an alert.
            alert |= to.error.is_some() && !to.out.is_empty();
        }
        if round == 6 && pair.client.is_open() && pair.server.is_open() {
            pair.client.send(b"a request");
            pair.server.send(b"a response");
        }
    }
    let delivered = if from_client { &pair.server.plain } else { &pair.client.plain };
    (delivered.clone(), alert)
}

#[test]
fn a_changed_byte_ends_the_connection_and_delivers_nothing() {
    for (version, from_client) in BOTH.iter().flat_map(|&v| [(v, true), (v, false)]) {
        let (acceptor, connector) = (acceptor(server(version)), connector(client()));
        let mut lengths = Vec::new();
        tamper(&mut Pair::new(&acceptor, &connector), from_client, |_, records| {
            lengths.push(records.concat().len());
        });
        for (flight, position) in lengths
            .iter()
            .enumerate()
            .flat_map(|(flight, &length)| (0..length).map(move |position| (flight, position)))
        {
            let mut pair = Pair::new(&acceptor, &super::connector(client()));
            // Signatures differ in length, so the last position may not be there.
            let mut harmless = true;
            let (delivered, alert) = tamper(&mut pair, from_client, |number, records| {
                let mut before = 0;
                for record in records.iter_mut().filter(|_| number == flight) {
                    if let Some(at) = position.checked_sub(before).filter(|at| *at < record.len()) {
                        record[at] ^= 0x01;
                        // Its version says nothing, and in TLS 1.3 neither does its type.
                        harmless = at < 5;
                    }
                    before += record.len();
                }
            });
            let text = format!("{version} {from_client} {flight} {position}: {:?}", pair.errors());
            let sent: &[u8] = if from_client { b"a request" } else { b"a response" };
            assert!(delivered.is_empty() || delivered == sent, "{text}");
            let silent = SILENT.iter().any(|words| text.contains(words));
            // With another length, the receiver waits for what does not come.
            let waits = pair.errors() == ("", "") && (harmless || delivered.is_empty());
            assert!(alert || silent || waits, "{text}");
        }
    }
}

#[test]
fn records_in_another_order_or_repeated_are_refused() {
    for version in BOTH {
        for change in ["swap", "repeat", "drop"] {
            let mut pair = Pair::open(version);
            for piece in ["one", "two", "three"] {
                pair.client.send(piece.as_bytes());
            }
            let mut sent = records(&std::mem::take(&mut pair.client.out));
            match change {
                "swap" => sent.swap(1, 2),
                "repeat" => sent[1] = sent[0].clone(),
                _ => drop(sent.remove(1)),
            }
            pair.server.receive(&sent.concat());
            assert_eq!(pair.server.plain, b"one", "{version} {change}");
            assert_eq!(pair.server.error(), "TLS: cannot decrypt peer's message");
            pair.exchange();
            assert_eq!(pair.client.error(), "TLS: received fatal alert: BadRecordMac");
        }
    }
}

#[test]
fn garbage_is_refused_with_an_alert() {
    for garbage in
        [&b"\0\0\0\0\0\0"[..], b"\x16\x03\x01\xff\xff", b"\x17\x03\x03\0\x01x", b"SSH-2.0"]
    {
        let mut end = End::accepted(&acceptor(server(Version::Tls13)));
        end.receive(garbage);
        assert!(end.error().starts_with("TLS handshake: "), "{garbage:?}: {:?}", end.error);
        assert_eq!(end.out[..3], [21, 3, 3], "{garbage:?}");
    }
}

#[test]
fn a_flood_of_empty_records_before_the_handshake_is_refused() {
    let mut end = End::accepted(&acceptor(server(Version::Tls12)));
    for _ in 0..40 {
        end.receive(&[22, 3, 1, 0, 0]);
    }
    assert!(end.error().starts_with("TLS handshake: "), "{:?}", end.error);
}

#[test]
fn a_handshake_message_above_64_kib_is_refused() {
    let mut end = End::accepted(&acceptor(server(Version::Tls13)));
    // A ClientHello of 70,000 bytes.
    end.receive(&[22, 3, 1, 0, 4, 1, 0x01, 0x11, 0x70]);
    while end.error.is_none() && end.wire.len() < 100 << 10 {
        end.receive(&[&[22, 3, 1, 0x3f, 0xff][..], &[0; 0x3fff]].concat());
    }
    assert_eq!(
        end.error(),
        "TLS handshake: received corrupt message of type HandshakePayloadTooLarge"
    );
    assert!(end.wire.len() < 20 << 10, "its header is enough to refuse it");
}

#[test]
fn a_handshake_in_one_byte_records_is_understood() {
    for version in BOTH {
        let mut pair = Pair::new(&acceptor(server(version)), &connector(client()));
        let hello = std::mem::take(&mut pair.client.out);
        for byte in &hello[5..] {
            pair.server.receive(&[22, 3, 1, 0, 1, *byte]);
        }
        pair.exchange();
        assert!(pair.server.is_open(), "{:?}", pair.errors());
    }
}

#[test]
fn a_handshake_in_one_byte_records_is_refused_with_an_alert() {
    let options = ConnectorOptions { versions: vec![Version::Tls12], ..client() };
    let mut pair = Pair::new(&acceptor(server(Version::Tls13)), &connector(options));
    for byte in &std::mem::take(&mut pair.client.out)[5..] {
        pair.server.receive(&[22, 3, 1, 0, 1, *byte]);
    }
    assert!(pair.server.error().contains("peer is incompatible"), "{}", pair.server.error());
    assert_eq!(pair.server.out, [21, 3, 3, 0, 2, 2, 70], "a protocol_version alert");
}
