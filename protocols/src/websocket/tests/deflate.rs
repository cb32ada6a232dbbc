//! Sections 12 and 13 of the Autobahn test suite: permessage-deflate.

use super::*;
use crate::websocket::codec::Codec;

const OFFERS: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// A server that compresses, and a client that has offered it.
fn start(limits: &WebSocketLimits) -> (Harness<Http<Site>>, Client) {
    let mut h = site(limits, true, &Log::default());
    let client = h.open();
    h.feed(client, OPEN.replace("\r\n\r\n", &format!("\r\n{OFFERS}")));
    let sent = h.sent(client);
    let head = String::from_utf8_lossy(&sent);
    let accepted = "\r\nSec-WebSocket-Extensions: permessage-deflate; \
        server_no_context_takeover; client_no_context_takeover\r\n";
    assert!(head.contains(accepted), "{head}");
    (h, client)
}

/// The messages that a server has sent, decompressed.
fn messages(h: &mut Harness<Http<Site>>, client: Client) -> Vec<(bool, Vec<u8>)> {
    let (sent, mut codec, mut all) = (h.sent(client), Codec::default(), Vec::new());
    let mut bytes = &sent[..];
    while let Some(header) = Header::parse(bytes, Role::Client, true).expect("a frame") {
        let (payload, rest) = bytes[header.len..].split_at(header.payload as usize);
        bytes = rest;
        let message = match header.is_deflated {
            true => codec.inflate(payload, usize::MAX).expect("compressed data"),
            false => payload.to_vec(),
        };
        all.push((header.is_deflated, message));
    }
    all
}

fn json(len: usize) -> Vec<u8> {
    br#"{"name":"value","list":[1,2,3]},"#.iter().copied().cycle().take(len).collect()
}

#[test]
fn row_22_messages_of_all_sizes_come_back_compressed() {
    for len in [0, 16, 64, 128, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072] {
        let message = json(len);
        let compressed = Codec::default().deflate(&message);
        for piece in [1300, compressed.len() + 20] {
            let (mut h, client) = start(&WebSocketLimits::default());
            let bytes = frames(&[(0xc1, &compressed), (0x82, &message), (0xc2, &compressed)]);
            bytes.chunks(piece).for_each(|piece| h.feed(client, piece));
            let answer = (len >= 128, message.clone());
            assert_eq!(messages(&mut h, client), [answer.clone(), answer.clone(), answer], "{len}");
        }
    }
}

#[test]
fn row_22_a_compressed_message_may_be_fragmented_anywhere() {
    let compressed = Codec::default().deflate(&json(300));
    for cut in 0..=compressed.len() {
        let (first, rest) = compressed.split_at(cut);
        let (mut h, client) = start(&WebSocketLimits::default());
        h.feed(client, frames(&[(0x41, first), (0x89, b"p"), (0x80, rest)]));
        let answers = messages(&mut h, client);
        assert_eq!(answers, [(false, b"p".to_vec()), (true, json(300))], "cut at {cut}");
    }
}

#[test]
fn row_22_only_the_first_frame_of_a_message_is_marked_as_compressed() {
    for frames_of in [&[(0x41, &b"a"[..]), (0xc0, b"b")][..], &[(0xc9, b"")], &[(0xc8, b"")]] {
        let (mut h, client) = start(&WebSocketLimits::default());
        h.feed(client, frames(frames_of));
        assert_eq!(take(&mut h, client), "close 1002 a reserved bit is set");
    }
}

#[test]
fn row_22_a_bomb_ends_the_connection_before_it_is_decompressed() {
    let bomb = Codec::default().deflate(&vec![0; 4 << 20]);
    let (mut h, client) = start(&WebSocketLimits::default());
    h.feed(client, frames(&[(0xc2, &bomb)]));
    assert_eq!(take(&mut h, client), "close 1009 a message is too long");
}

#[test]
fn row_22_corrupt_data_and_wrong_characters_end_the_connection() {
    let wrong = Codec::default().deflate(&[0xff; 200]);
    for (payload, expected) in [
        (&[0xff; 10][..], "close 1007 compressed data is corrupt"),
        (&wrong, "close 1007 a text is not UTF-8"),
    ] {
        let (mut h, client) = start(&WebSocketLimits::default());
        h.feed(client, frames(&[(0xc1, payload)]));
        assert_eq!(take(&mut h, client), expected);
    }
}

#[test]
fn row_22_without_an_offer_or_consent_nothing_is_compressed() {
    for (deflates, offer) in [(true, "\r\n"), (false, OFFERS)] {
        let mut h = site(&WebSocketLimits::default(), deflates, &Log::default());
        let client = h.open();
        let offer = offer.strip_suffix("\r\n").expect("an empty line");
        h.feed(client, OPEN.replace("\r\n\r\n", &format!("\r\n{offer}\r\n")));
        h.feed(client, frames(&[(0x81, &json(200)), (0xc1, b"")]));
        let sent = h.sent(client);
        assert!(!String::from_utf8_lossy(&sent).contains("Extensions"));
        let told = described(Role::Server, after_head(&sent), false);
        let text = format!("text {}", json(200).escape_ascii());
        assert!(told.ends_with("close 1002 a reserved bit is set"), "{told}");
        assert!(told.starts_with(&text) || told.starts_with("text 2"), "{told}");
    }
}

#[test]
fn row_22_a_frame_for_many_is_compressed_for_those_who_want_it() {
    let (mut h, client) = start(&WebSocketLimits::default());
    let plain = open(&mut h);
    let echo = h.handler().service().echo;
    const LONG: &str = "a long text that is worth it, a long text that is worth it, a long text that \
        is worth it, a long text that is worth it, a long text that is worth it";
    h.reactor().handle(echo).post(Say(LONG)).expect("a reactor that runs");
    h.run();
    assert_eq!(messages(&mut h, client), [(true, LONG.as_bytes().to_vec())]);
    assert_eq!(messages(&mut h, plain), [(false, LONG.as_bytes().to_vec())]);
}

#[test]
fn messages_that_take_long_to_decompress_keep_nobody_waiting() {
    let thousandfold = Codec::default().deflate(&vec![0; 1 << 20]);
    // Streams without content.
    let empty = [0x03, 0x00].repeat(16 << 10);
    for compressed in [thousandfold, empty] {
        let (mut h, busy) = start(&WebSocketLimits::default());
        let other = open(&mut h);
        let before = h.ledger().turns;
        h.at_once(|h| {
            h.feed(busy, frames(&[(0xc2, &compressed)]).repeat(20));
            h.feed(other, frames(&[(0x81, b"me")]));
        });
        assert!(h.ledger().turns - before >= 20, "a turn decompresses a bounded number of bytes");
        assert_eq!(take(&mut h, other), "text me");
        assert_eq!(messages(&mut h, busy).len(), 20);
    }
}
