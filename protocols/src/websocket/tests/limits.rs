//! Sections 9 and 10 of the Autobahn test suite, and the limits of messages and frames.

use super::*;

fn limited(message: usize, frame: usize) -> WebSocketLimits {
    WebSocketLimits { message, frame, ..WebSocketLimits::default() }
}

/// What a server answers to bytes in pieces of a size.
fn answer(limits: &WebSocketLimits, bytes: &[u8], piece: usize) -> String {
    let mut h = site(limits, false, &Log::default());
    let client = open(&mut h);
    bytes.chunks(piece).for_each(|piece| h.feed(client, piece));
    take(&mut h, client)
}

#[test]
fn row_21_sections_9_and_10_long_messages_come_back_whole_and_in_fragments() {
    let limits = WebSocketLimits::default();
    for len in [65_535, 65_536, 65_537, 1 << 20] {
        for (first, name) in [(0x81, "text"), (0x82, "binary")] {
            let payload = vec![b'*'; len];
            let expected = format!("{name} {len} bytes");
            let whole = frame(Role::Server, first, &payload);
            for piece in [1300, 65_536, usize::MAX >> 1] {
                assert_eq!(answer(&limits, &whole, piece), expected, "in pieces of {piece}");
            }
            for fragment in [1300, 65_536] {
                let mut parts = payload.chunks(fragment).peekable();
                let (mut bytes, mut opcode) = (Vec::new(), first & 0x0f);
                while let Some(part) = parts.next() {
                    let fin = if parts.peek().is_none() { 0x80 } else { 0 };
                    bytes.extend(frame(Role::Server, fin | opcode, part));
                    opcode = 0;
                }
                assert_eq!(answer(&limits, &bytes, 100_000), expected, "fragments of {fragment}");
            }
        }
    }
}

#[test]
fn row_21_a_long_binary_message_is_received_where_it_stays() {
    let mut h = site(&WebSocketLimits::default(), false, &Log::default());
    let client = open(&mut h);
    let bytes = frame(Role::Server, 0x82, &vec![7; 1 << 20]);
    let (first, rest) = bytes.split_at(10_000);
    h.feed(client, first);
    h.feed(client, rest);
    assert_eq!(take(&mut h, client), format!("binary {} bytes", 1 << 20));
    let ledger = h.ledger();
    assert_eq!(ledger.exact_receives, 1);
    assert!(ledger.direct_bytes > 900_000, "{}", ledger.direct_bytes);
}

#[test]
fn row_21_a_message_of_the_limit_passes_and_one_byte_more_ends_the_connection() {
    let long = "close 1009 a message is too long";
    let limits = limited(10, 8);
    for (all, expected) in [
        (&[(0x02, &b"12345678"[..]), (0x80, b"90")][..], "binary 1234567890"),
        (&[(0x02, b"12345678"), (0x80, b"901")], long),
        (&[(0x02, b"12345678"), (0x00, b"90"), (0x00, b""), (0x80, b"1")], long),
        (&[(0x82, b"12345678")], "binary 12345678"),
        (&[(0x82, b"123456789")], "close 1009 a frame is too long"),
        (&[(0x02, b"123456789")], "close 1009 a frame is too long"),
    ] {
        for piece in [1, 1000] {
            assert_eq!(answer(&limits, &frames(all), piece), expected, "{all:?}");
        }
    }
    assert_eq!(answer(&limited(5, 8), &frames(&[(0x81, b"123456")]), 100), long);
}

#[test]
fn row_21_a_message_that_is_too_long_is_refused_before_any_of_it_arrives() {
    let limits = WebSocketLimits::default();
    let header = [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4];
    assert_eq!(answer(&limits, &header, 14), "close 1009 a frame is too long");
    let header = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(answer(&limits, &header, 14), "close 1009 a frame is too long");
}

#[test]
fn an_empty_fragment_takes_no_memory() {
    let mut bytes = frames(&[(0x01, b"a")]);
    bytes.extend(frames(&[(0x00, b"")]).repeat(5000));
    bytes.extend(frames(&[(0x80, b"b")]));
    assert_eq!(answer(&limited(2, 2), &bytes, bytes.len()), "text ab");
}
