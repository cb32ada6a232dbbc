//! Version 1.

use super::{error, pair, parse};
use crate::proxy_protocol::{Header, Tlv, Version};

#[test]
fn row_19_a_line_has_two_addresses_and_two_ports() {
    for (line, source, destination) in [
        ("TCP4 192.168.0.1 192.168.0.11 56324 443", "192.168.0.1:56324", "192.168.0.11:443"),
        (
            "TCP4 255.255.255.255 255.255.255.255 65535 65535",
            "255.255.255.255:65535",
            "255.255.255.255:65535",
        ),
        ("TCP4 0.0.0.0 0.0.0.0 0 0", "0.0.0.0:0", "0.0.0.0:0"),
        ("TCP6 2001:db8::1 ::1 4124 443", "[2001:db8::1]:4124", "[::1]:443"),
        ("TCP6 2001:DB8:0:0:0:0:0:1 :: 1 2", "[2001:db8::1]:1", "[::]:2"),
        ("TCP6 ::ffff:1.2.3.4 ::ffff:102:305 1 2", "[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.5]:2"),
        (
            "TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
             65535 65535",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        ),
    ] {
        let line = format!("PROXY {line}\r\n");
        let expected = pair(source, destination);
        let bytes = format!("{line}GET / HTTP/1.1\r\n\r\n");
        assert_eq!(parse(bytes.as_bytes()), Ok(Some((expected, line.len()))), "{line}");
    }
}

#[test]
fn row_19_an_unknown_client_has_no_addresses() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    for line in [
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN \r\n",
        "PROXY UNKNOWN 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY UNKNOWN anything \n \r at all\r\n",
        &longest,
    ] {
        let bytes = format!("{line}\r\nrest\r\n");
        assert_eq!(parse(bytes.as_bytes()), Ok(Some((Header::local(), line.len()))), "{line}");
    }
}

/// The second column is the number of bytes after which the error is found.
#[test]
fn row_19_a_line_that_is_not_exact_is_refused() {
    let malformed = "malformed line";
    for (line, found) in [
        ("GET / HTTP/1.1\r\n", 1),
        ("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", 1),
        ("PROXYTCP4 1.1.1.1 2.2.2.2 1 2\r\n", 6),
        ("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", 7),
        ("PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n", 6),
        ("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", 8),
        ("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", 10),
        ("PROXY UNKNOWNX\r\n", 16),
        ("PROXY TCP4\r\n", 11),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", 31),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX", 32),
        ("PROXY TCP4 1.1.1.1\0", 19),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", 30),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", 34),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", 33),
        ("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", 33),
        ("PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", 33),
        ("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", 30),
        ("PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", 33),
        ("PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n", 34),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", 24),
        ("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", 32),
        ("PROXY TCP6 ::1::1 ::1 1 2\r\n", 27),
        ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", 19),
        ("PROXY TCP6 12345::1 ::1 1 2\r\n", 29),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", 33),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 00 2\r\n", 33),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n", 36),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", 28),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n", 28),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 x\r\n", 30),
    ] {
        let (error, at) = error(line.as_bytes());
        let expected = match found {
            1 => "the connection does not start with a PROXY header",
            _ => malformed,
        };
        assert_eq!((error.as_str(), at), (expected, found), "{line}");
    }
}

#[test]
fn row_19_a_line_has_at_most_107_bytes() {
    let too_long = ("the line is longer than 107 bytes".to_owned(), 107);
    let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 15));
    assert_eq!(line.len(), 108);
    assert_eq!(error(line.as_bytes()), too_long);
    assert_eq!(error(format!("PROXY TCP6 {}", ":".repeat(1000)).as_bytes()), too_long);
}

#[test]
fn row_19_a_changed_byte_makes_another_header_or_an_error_that_is_found_in_time() {
    let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
    for at in 0..line.len() {
        for byte in 0..=255 {
            let mut changed = line.to_vec();
            changed[at] = byte;
            changed.extend([b'x'; 107]);
            match parse(&changed) {
                Ok(None) => panic!("{} is undecided", changed.escape_ascii()),
                Ok(Some((header, len))) => {
                    assert!(at > 10 && byte != line[at] || changed.starts_with(line));
                    let fits = header.source().is_some() && len == line.len();
                    assert!(fits, "{}", changed.escape_ascii());
                }
                Err(_) => {}
            }
        }
    }
}

#[test]
fn a_line_is_written_as_the_specification_has_it() {
    for (source, destination, line) in [
        ("192.0.2.1:56324", "192.0.2.2:443", "TCP4 192.0.2.1 192.0.2.2 56324 443"),
        ("[2001:db8::1]:1", "[::1]:2", "TCP6 2001:db8::1 ::1 1 2"),
        ("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2", "TCP4 192.0.2.1 192.0.2.2 1 2"),
        ("192.0.2.1:1", "[2001:db8::1]:2", "TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2"),
        ("[fe80::1%7]:1", "[fe80::2%7]:2", "TCP6 fe80::1 fe80::2 1 2"),
        ("unix:/run/a", "unix:/run/b", "UNKNOWN"),
        ("unix:/run/a", "192.0.2.2:443", "UNKNOWN"),
    ] {
        let header = pair(source, destination).with(Tlv::ALPN, b"h2").expect("a TLV");
        let bytes = header.encode(Version::V1);
        assert_eq!(bytes, format!("PROXY {line}\r\n").as_bytes(), "{source} {destination}");
    }
    assert_eq!(Header::local().encode(Version::V1), b"PROXY UNKNOWN\r\n");
}
