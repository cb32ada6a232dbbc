//! Any bytes, and any headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use sluicegate_reactor::Address;

use super::parse;
use crate::proxy_protocol::{Header, Tlv, Version};

fn addresses() -> impl Strategy<Value = (Address, Address)> {
    let v4 = any::<[u8; 4]>().prop_map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    // Mapped addresses are encoded as what they are mapped from.
    let v6 = any::<[u8; 16]>().prop_map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    let v6 = v6.prop_filter("mapped", |ip| ip.to_canonical() == *ip);
    let ip = |ip: (IpAddr, u16)| Address::Ip(SocketAddr::from(ip));
    let path = || "/[a-z]{0,106}".prop_map(|path| Address::from_path(path).expect("a path"));
    let port = any::<u16>;
    prop_oneof![
        ((v4.clone(), port()), (v4, port())).prop_map(move |(one, other)| (ip(one), ip(other))),
        ((v6.clone(), port()), (v6, port())).prop_map(move |(one, other)| (ip(one), ip(other))),
        (path(), path()),
    ]
}

proptest! {
    #[test]
    fn a_header_is_parsed_as_it_was_written(
        (source, destination) in addresses(),
        tlvs in vec((0xe0..0xf0_u8, vec(any::<u8>(), 0..40)), 0..5),
        rest in vec(any::<u8>(), 0..20),
    ) {
        let plain = Header::new(source, destination);
        let mut header = plain.clone();
        for (kind, value) in &tlvs {
            header = header.with(*kind, value).expect("a TLV");
        }
        let bytes = header.encode(Version::V2);
        let whole = [&bytes[..], &rest].concat();
        prop_assert_eq!(parse(&whole), Ok(Some((header.clone(), bytes.len()))));

        let line = plain.encode(Version::V1);
        let is_unix = plain.source().is_some_and(Address::is_unix);
        let expected = if is_unix { Header::local() } else { plain };
        prop_assert_eq!(parse(&[&line[..], &rest].concat()), Ok(Some((expected, line.len()))));

        let bytes = header.with_checksum().expect("a TLV").encode(Version::V2);
        let (parsed, end) = parse(&bytes).expect("its checksum").expect("a whole header");
        prop_assert_eq!(end, bytes.len());
        prop_assert!(parsed.tlvs().find(Tlv::CRC32C).is_some());
    }

    #[test]
    fn bytes_that_begin_like_a_header_are_decided_consistently(
        start in prop_oneof![
            Just(&b"PROXY TCP4 "[..]),
            Just(&b"PROXY TCP6 "[..]),
            Just(&b"PROXY UNKNOWN"[..]),
            Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x20"[..]),
            Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xf0"[..]),
            Just(&b"\r\n\r\n\0\r\nQUIT\n"[..]),
        ],
        rest in prop_oneof![
            vec(any::<u8>(), 0..300),
            vec(prop::sample::select(&b"0123456789af.: \r\n"[..]), 0..150),
            vec(0..8_u8, 0..300),
        ],
    ) {
        let _ = parse(&[start, &rest[..]].concat());
    }
}
