//! Section 6 of the Autobahn test suite: texts are UTF-8, checked as they arrive and at the cut.

use super::*;

const VALID: [&str; 15] = [
    "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
    "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
    "\0",
    "\u{80}",
    "\u{7f}",
    "\u{7ff}",
    "\u{800}",
    "\u{ffff}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{10000}",
    "\u{10ffff}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{feff}",
];

const INVALID: [&[u8]; 22] = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80",
    b"\xc0 ",
    b"\xe0 ",
    b"\xf0 ",
    b"\xfe",
    b"\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
];

const REFUSED: &str = "close 1007 a text is not UTF-8";

#[test]
fn row_21_valid_texts_come_back_whole_and_cut_anywhere() {
    for text in VALID {
        let expected = format!("text {}", text.as_bytes().escape_ascii());
        for role in [Role::Server, Role::Client] {
            assert_eq!(exchange_twice(role, &[(0x81, text.as_bytes())]).0, expected);
            for cut in 1..text.len() {
                let (first, rest) = text.as_bytes().split_at(cut);
                let told = exchange_twice(role, &[(0x01, first), (0x89, b"p"), (0x80, rest)]).0;
                assert_eq!(told, format!("pong p, {expected}"), "cut at {cut}");
            }
        }
    }
}

#[test]
fn row_21_invalid_texts_end_the_connection_whole_and_cut_anywhere() {
    for text in INVALID {
        for role in [Role::Server, Role::Client] {
            assert_eq!(exchange_twice(role, &[(0x81, text), (0x89, b"p")]).0, REFUSED, "{text:?}");
            for cut in 1..text.len() {
                let (first, rest) = text.split_at(cut);
                let told = exchange_twice(role, &[(0x01, first), (0x80, rest), (0x89, b"p")]).0;
                assert_eq!(told, REFUSED, "{text:?} cut at {cut}");
            }
        }
    }
}

#[test]
fn row_21_a_text_that_ends_within_a_character_ends_the_connection() {
    for text in ["\u{df}", "\u{20ac}", "\u{1f600}"] {
        for end in 1..text.len() {
            let part = &text.as_bytes()[..end];
            assert_eq!(exchange_twice(Role::Server, &[(0x81, part)]).0, REFUSED);
            assert_eq!(exchange_twice(Role::Server, &[(0x01, part), (0x80, b"")]).0, REFUSED);
        }
    }
}

#[test]
fn row_21_a_text_fails_at_its_first_wrong_byte() {
    for cut in [false, true] {
        let mut h = site(&WebSocketLimits::default(), false, &Log::default());
        let client = open(&mut h);
        // Most of the frame, or of the message, never comes.
        let bytes = match cut {
            false => frame(Role::Server, 0x81, &[b"wrong \xff".as_slice(), &[b'x'; 1000]].concat()),
            true => frames(&[(0x01, b"right"), (0x00, b"wrong \xff")]),
        };
        let end = if cut { bytes.len() - 1 } else { 8 + 6 };
        h.feed(client, &bytes[..end]);
        assert_eq!(take(&mut h, client), "");
        h.feed(client, &bytes[end..=end]);
        assert_eq!(take(&mut h, client), REFUSED, "{cut}");
    }
}
