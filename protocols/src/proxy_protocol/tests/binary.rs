//! Version 2.

use std::os::unix::net::UnixStream;

use sluicegate_reactor::Address;

use super::{address, error, pair, parse};
use crate::proxy_protocol::{Header, Ssl, Tlv, Version};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header with this version and command, family and transport, and what follows the length.
fn header(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a length");
    [SIGNATURE, &[command, kind], &length.to_be_bytes(), rest].concat()
}

const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb];

/// A header over IPv4 with these TLVs.
fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    header(0x21, 0x11, &[V4, tlvs].concat())
}

fn v4() -> Header {
    pair("192.0.2.1:56324", "198.51.100.2:443")
}

/// The header that bytes begin with, all of them but the last one.
fn parsed(mut bytes: Vec<u8>) -> Header {
    let len = bytes.len();
    bytes.push(b'x');
    let (header, end) = parse(&bytes).expect("no error").expect("a whole header");
    assert_eq!(end, len);
    header
}

#[test]
fn row_19_a_binary_header_has_the_addresses_of_its_family() {
    assert_eq!(parsed(header(0x21, 0x11, V4)), v4());
    let mut v6 = [[0x20, 1, 0xd, 0xb8].as_slice(), &[0; 11], &[1], &[0; 15], &[1]].concat();
    v6.extend([0, 1, 0xff, 0xff]);
    assert_eq!(parsed(header(0x21, 0x21, &v6)), pair("[2001:db8::1]:1", "[::1]:65535"));
    let mut mapped = [[0; 10].as_slice(), &[0xff, 0xff, 1, 2, 3, 4]].concat();
    mapped.extend([[0; 15].as_slice(), &[1, 0, 1, 0, 2]].concat());
    assert_eq!(parsed(header(0x21, 0x21, &mapped)), pair("[::ffff:1.2.3.4]:1", "[::1]:2"));
}

/// A field of a Unix address.
fn field(name: &[u8]) -> Vec<u8> {
    let mut field = name.to_vec();
    field.resize(108, 0);
    field
}

#[test]
fn row_19_a_unix_address_is_a_path_a_name_or_neither() {
    let unix = |source: &[u8], destination: &[u8]| {
        parsed(header(0x21, 0x31, &[field(source), field(destination)].concat()))
    };
    assert_eq!(unix(b"/run/a", b"/run/b\0rest"), pair("unix:/run/a", "unix:/run/b"));
    let longest = "x".repeat(107);
    let named = Address::from_path(&longest).expect("a path");
    assert_eq!(unix(longest.as_bytes(), b"/b"), Header::new(named, address("unix:/b")));
    let (one, _other) = UnixStream::pair().expect("sockets");
    let unnamed = Address::from(one.local_addr().expect("an address"));
    let header = Header::new(unnamed, address("unix:/b"));
    assert_eq!(unix(b"", b"/b"), header);
    assert_eq!(parsed(header.encode(Version::V2)), header);
    // Linux fills `sun_path` without a zero at the end; `Address` does not have such paths.
    assert_eq!(unix(&[b'x'; 108], b"/b"), Header::local());
    #[cfg(target_os = "linux")]
    {
        let name = Address::from_abstract_name(b"n\0m").expect("a name");
        let header = Header::new(name, address("unix:/b"));
        assert_eq!(unix(b"\0n\0m", b"/b"), header);
        assert_eq!(parsed(header.encode(Version::V2)), header);
    }
}

#[test]
fn row_19_what_has_no_addresses_is_skipped() {
    for (command, kind, rest) in [
        (0x20, 0x00, &b""[..]),
        (0x20, 0x00, b"anything"),
        (0x20, 0x11, V4),
        // The family of a local connection is ignored, even an unknown one.
        (0x20, 0xff, b"x"),
        (0x21, 0x00, b""),
        (0x21, 0x00, V4),
        (0x21, 0x01, V4),
        (0x21, 0x10, V4),
        (0x21, 0x12, V4),
        (0x21, 0x22, &[7; 36]),
        (0x21, 0x30, &[7; 216]),
        (0x21, 0x32, &[7; 216]),
    ] {
        assert_eq!(parsed(header(command, kind, rest)), Header::local(), "{command:x} {kind:x}");
    }
}

#[test]
fn row_19_the_longest_header_is_parsed() {
    let noop = [&[0x04, 0xff, 0xf0][..], &[0; 0xfff0 - 1], &[7]].concat();
    let bytes = with_tlvs(&noop);
    assert_eq!(bytes.len(), 16 + u16::MAX as usize);
    let (header, end) = Header::parse(&bytes).expect("no error").expect("a whole header");
    assert_eq!((header.source(), end), (v4().source(), bytes.len()));
    assert_eq!(Header::parse(&bytes[..end - 1]), Ok(None));
}

#[test]
fn row_19_each_byte_before_the_addresses_is_checked_as_it_arrives() {
    let good = header(0x21, 0x11, V4);
    for at in 0..14 {
        for byte in (0..=255).filter(|byte| *byte != good[at]) {
            let mut bad = good.clone();
            bad[at] = byte;
            let expected = match (at, byte) {
                (0, b'P') => ("malformed line".to_owned(), 2),
                (0, 22) => {
                    let text =
                        "the connection starts with TLS; the PROXY header must come before TLS";
                    (text.to_owned(), 1)
                }
                (0..12, _) => {
                    ("the connection does not start with a PROXY header".to_owned(), at + 1)
                }
                (12, 0x20) | (13, 0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30 | 0x32) => {
                    assert_eq!(parsed(bad), Header::local());
                    continue;
                }
                (12, 0x22..=0x2f) => ("unknown command".to_owned(), 13),
                (12, _) => ("unknown version".to_owned(), 13),
                (13, 0x21 | 0x31) => ("the header is shorter than its addresses".to_owned(), 16),
                (_, _) => ("unknown address family or transport".to_owned(), 14),
            };
            assert_eq!(error(&bad), expected, "byte {at} is {byte:#x}");
        }
    }
}

#[test]
fn row_19_a_header_is_not_shorter_than_its_addresses() {
    for (kind, length) in [(0x11, 12), (0x21, 36), (0x31, 216)] {
        for len in 0..length {
            let bytes = header(0x21, kind, &vec![0; len]);
            let (text, found) = error(&bytes);
            assert_eq!(text, "the header is shorter than its addresses");
            assert_eq!(found, 16, "{kind:x} {len}");
        }
        assert!(parse(&header(0x21, kind, &vec![0; length])).is_ok());
    }
}

#[test]
fn row_19_what_is_said_beyond_addresses_is_found_by_its_type() {
    let ssl = [
        &[Ssl::CLIENT_SSL | Ssl::CLIENT_CERT_SESS, 0, 0, 0, 0][..],
        &[0x21, 0, 7],
        b"TLSv1.3",
        &[0x22, 0, 5],
        b"alice",
        &[0x23, 0, 3],
        b"AES",
    ]
    .concat();
    let tlvs = [
        &[0x04, 0, 2, 9, 9, 0x01, 0, 2][..],
        b"h2",
        &[0x02, 0, 11],
        b"example.org",
        &[0x05, 0, 1, 0xff, 0x30, 0, 2],
        b"ns",
        &[0x20, 0, ssl.len() as u8],
        &ssl,
        &[0xe0, 0, 0],
    ]
    .concat();
    let header = parsed(with_tlvs(&tlvs));
    assert_eq!(header.source(), v4().source());
    assert_eq!(header.tlvs().find(Tlv::ALPN), Some(&b"h2"[..]));
    assert_eq!(header.authority(), Some("example.org"));
    assert_eq!(header.tlvs().find(Tlv::UNIQUE_ID), Some(&[0xff][..]));
    assert_eq!(header.tlvs().find_text(Tlv::NETNS), Some("ns"));
    let kinds: Vec<u8> = header.tlvs().map(|tlv| tlv.kind).collect();
    assert_eq!(kinds, [0x04, 0x01, 0x02, 0x05, 0x30, 0x20, 0xe0]);
    let ssl = header.ssl().expect("it was said");
    assert!(ssl.is_tls() && ssl.has_certificate() && ssl.is_verified());
    let parts = [Tlv::SSL_VERSION, Tlv::SSL_CN, Tlv::SSL_CIPHER];
    assert_eq!(
        parts.map(|kind| ssl.parts().find_text(kind)),
        [Some("TLSv1.3"), Some("alice"), Some("AES")]
    );
    assert_eq!(ssl.parts().find(Tlv::SSL_GROUP), None);

    let nothing = parsed(with_tlvs(&[]));
    assert!(nothing.ssl().is_none() && nothing.tlvs().next().is_none());
    assert_eq!(parsed(with_tlvs(&[0x02, 0, 1, 0xff])).authority(), None);
}

#[test]
fn a_certificate_is_verified_only_if_there_is_one() {
    for (client, verify, is_verified) in [
        (Ssl::CLIENT_SSL, 0, false),
        (Ssl::CLIENT_SSL | Ssl::CLIENT_CERT_CONN, 0, true),
        (Ssl::CLIENT_SSL | Ssl::CLIENT_CERT_SESS, 0, true),
        (Ssl::CLIENT_SSL | Ssl::CLIENT_CERT_CONN, 0x0100_0000, false),
        (Ssl::CLIENT_SSL | Ssl::CLIENT_CERT_CONN, 1, false),
    ] {
        let header = v4().with_ssl(client, verify, &[]).expect("a TLV");
        let ssl = header.ssl().expect("it was said");
        assert_eq!((ssl.is_tls(), ssl.is_verified()), (true, is_verified), "{client} {verify}");
    }
}

#[test]
fn row_19_a_tlv_ends_within_its_header() {
    let overrun = "a TLV is longer than what is left of the header";
    let id = |len: u8| [&[0x05, 0, len][..], &vec![1; len.into()]].concat();
    for (tlvs, expected) in [
        (&[0x01][..], overrun),
        (&[0x01, 0], overrun),
        (&[0x01, 0, 1], overrun),
        (&[0x01, 0xff, 0xff, 1, 2, 3], overrun),
        (&[0x01, 0, 1, 7, 0x01], overrun),
        (&[0x01, 0, 1, 7, 0x01, 0, 2, 7], overrun),
        (&[0x20, 0, 0], "a TLV about SSL is too short"),
        (&[0x20, 0, 4, 1, 0, 0, 0], "a TLV about SSL is too short"),
        (&[0x20, 0, 6, 1, 0, 0, 0, 0, 0x21], overrun),
        // It would fit into the header, but not into the TLV around it.
        (&[0x20, 0, 8, 1, 0, 0, 0, 0, 0x21, 0, 1, 0x04, 0, 0], overrun),
        (&id(129), "the unique id is longer than 128 bytes"),
        (&[0x03, 0, 3, 0, 0, 0], "the checksum does not have 4 bytes"),
        (&[0x03, 0, 4, 0, 0, 0, 0], "wrong checksum"),
        (&[0x03, 0, 4, 0, 0, 0, 0, 0x03, 0, 4, 0, 0, 0, 0], "there are two checksums"),
    ] {
        let bytes = with_tlvs(tlvs);
        assert_eq!(error(&bytes), (expected.to_owned(), bytes.len()), "{tlvs:x?}");
    }
    assert_eq!(parsed(with_tlvs(&id(128))).tlvs().find(Tlv::UNIQUE_ID), Some(&[1; 128][..]));
}

#[test]
fn row_19_a_checksum_notices_every_changed_bit() {
    let header = v4().with(Tlv::ALPN, b"h2").and_then(Header::with_checksum);
    let header = header.and_then(|header| header.with(Tlv::AUTHORITY, b"a")).expect("TLVs");
    let good = header.encode(Version::V2);
    assert_eq!(parsed(good.clone()).authority(), Some("a"));
    // Before the addresses other checks come first.
    for bit in 16 * 8..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match Header::parse(&bad) {
            // The type of the checksum itself: without it, nothing can be checked.
            Ok(Some((header, _))) => assert_eq!(header.tlvs().find(Tlv::CRC32C), None),
            Ok(None) => panic!("bit {bit} made the header longer"),
            Err(_) => {}
        }
    }
}

#[test]
fn a_header_is_written_as_the_specification_has_it() {
    let header = v4().with(Tlv::ALPN, b"h2").expect("a TLV");
    assert_eq!(header.encode(Version::V2), with_tlvs(b"\x01\0\x02h2"));
    assert_eq!(Header::local().encode(Version::V2), self::header(0x20, 0, b""));
    let mixed = pair("192.0.2.1:1", "unix:/a");
    assert_eq!(mixed.encode(Version::V2), self::header(0x21, 0, b""));
    for (source, destination, len) in [
        ("192.0.2.1:1", "192.0.2.2:2", 12),
        ("[::ffff:192.0.2.1]:1", "192.0.2.2:2", 12),
        ("192.0.2.1:1", "[2001:db8::1]:2", 36),
        ("unix:/a", "unix:/b", 216),
    ] {
        let bytes = pair(source, destination).encode(Version::V2);
        assert_eq!(bytes.len(), 16 + len, "{source} {destination}");
        assert_eq!(parsed(bytes.clone()).encode(Version::V2), bytes);
    }
}

#[test]
fn a_header_takes_no_tlv_that_a_receiver_would_refuse() {
    let long = vec![0; 65_319 - 3];
    let full = v4().with(Tlv::NOOP, &long).expect("room for it");
    assert_eq!(
        Header::parse(&full.encode(Version::V2)),
        Ok(Some((full.clone(), 16 + 12 + 65_319)))
    );
    for (refused, why) in [
        (full.with(Tlv::NOOP, b""), "the TLVs take more than 65,319 bytes"),
        (v4().with(Tlv::NOOP, &[0; 65_536]), "the value of a TLV is longer than 65,535 bytes"),
        (v4().with(Tlv::UNIQUE_ID, &[0; 129]), "the unique id is longer than 128 bytes"),
        (v4().with(Tlv::SSL, b""), "a TLV about SSL is too short"),
        (v4().with(Tlv::CRC32C, b""), "the checksum does not have 4 bytes"),
        (v4().with_checksum().and_then(Header::with_checksum), "there are two checksums"),
    ] {
        let error = refused.expect_err("an error").to_string();
        assert_eq!(error, format!("PROXY protocol: {why}"));
    }
}
