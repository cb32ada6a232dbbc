//! Sections 1 to 5 and 7 of the Autobahn test suite, from both ends and at every split.

use super::*;

const CONTINUATION: u8 = 0x00;
const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;
const FIN: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// How the frames of a case are delivered.
type Exchange = fn(Role, &[(u8, &[u8])]) -> (String, State);

/// A case: its number, the frames to send, and what is answered.
type Case<'a> = (&'a str, &'a [(u8, &'a [u8])], &'a str);

#[track_caller]
fn check(exchange: Exchange, cases: &[Case<'_>]) {
    for (name, frames, expected) in cases {
        for role in [Role::Server, Role::Client] {
            let (told, state) = exchange(role, frames);
            assert_eq!(told, *expected, "case {name}, {role:?}");
            let ends = expected.contains("close");
            assert_eq!(state, if ends { State::Shut } else { State::Open }, "case {name}");
        }
    }
}

#[test]
fn row_21_sections_1_and_2_messages_come_back_and_pings_are_answered_in_order() {
    let long = [b'*'; 126];
    check(
        exchange,
        &[
            ("1.1.1", &[(FIN | TEXT, b"")], "text"),
            ("1.1.2", &[(FIN | TEXT, &long[..125])], &format!("text {}", "*".repeat(125))),
            ("1.1.3", &[(FIN | TEXT, &long)], &format!("text {}", "*".repeat(126))),
            ("1.2.1", &[(FIN | BINARY, b"")], "binary"),
            ("1.2.2", &[(FIN | BINARY, b"\0\xff\xfe")], r"binary \x00\xff\xfe"),
            ("2.1", &[(PING, b"")], "pong"),
            ("2.2", &[(PING, b"Hello, world!")], "pong Hello, world!"),
            (
                "2.3",
                &[(PING, b"\0\xff\xfe\xfd\xfc\xfb\0\xff")],
                r"pong \x00\xff\xfe\xfd\xfc\xfb\x00\xff",
            ),
            ("2.4", &[(PING, &long[..125])], &format!("pong {}", "*".repeat(125))),
            ("2.5", &[(PING, &long)], "close 1002 a control frame is fragmented or too long"),
            ("2.7", &[(PONG, b"")], ""),
            ("2.8", &[(PONG, b"unsolicited")], ""),
            ("2.9", &[(PONG, b"unsolicited"), (PING, b"ping")], "pong ping"),
            (
                "2.10",
                &[(PING, b"0"), (PING, b"1"), (FIN | TEXT, b"2"), (PING, b"3"), (PING, b"4")],
                "pong 0, pong 1, text 2, pong 3, pong 4",
            ),
        ],
    );
}

#[test]
fn row_21_sections_3_and_4_reserved_bits_and_opcodes_end_the_connection() {
    let hello: (u8, &[u8]) = (FIN | TEXT, b"Hello");
    for bits in 1..8 {
        for first in [FIN | TEXT, FIN | BINARY, CLOSE, PING, PONG, TEXT] {
            let reserved: (u8, &[u8]) = (first | bits << 4, b"Hello");
            let frames = &[hello, reserved, (PING, b"")];
            check(exchange_twice, &[("3", frames, "text Hello, close 1002 a reserved bit is set")]);
        }
    }
    for opcode in (3..8).chain(11..16) {
        let frames = &[hello, (FIN | opcode, b"x"), (PING, b"")];
        check(exchange_twice, &[("4", frames, "text Hello, close 1002 the opcode is reserved")]);
    }
}

#[test]
fn row_21_section_5_fragments_are_joined_and_control_frames_may_stand_between_them() {
    let fragment = "close 1002 a fragment is out of order";
    let control = "close 1002 a control frame is fragmented or too long";
    let last = FIN | CONTINUATION;
    check(
        exchange,
        &[
            ("5.1", &[(PING & !FIN, b"a"), (last, b"b")], control),
            ("5.2", &[(PONG & !FIN, b"a"), (last, b"b")], control),
            ("close", &[(CLOSE & !FIN, b"\x03\xe8")], control),
            ("5.3", &[(TEXT, b"a"), (last, b"b")], "text ab"),
            ("5.6", &[(TEXT, b"a"), (PING, b"p"), (last, b"b")], "pong p, text ab"),
            (
                "5.8",
                &[(BINARY, b"a"), (PING, b"p"), (CONTINUATION, b"b"), (PING, b"q"), (last, b"c")],
                "pong p, pong q, binary abc",
            ),
            ("5.9", &[(last, b"a"), (FIN | TEXT, b"b")], fragment),
            ("5.12", &[(CONTINUATION, b"a"), (FIN | TEXT, b"b")], fragment),
            (
                "5.15",
                &[(TEXT, b"a"), (last, b"b"), (CONTINUATION, b"c"), (FIN | TEXT, b"d")],
                "text ab, close 1002 a fragment is out of order",
            ),
            ("5.18", &[(TEXT, b"a"), (FIN | TEXT, b"b")], fragment),
            (
                "5.19",
                &[
                    (TEXT, b"1"),
                    (CONTINUATION, b"2"),
                    (PING, b"p"),
                    (CONTINUATION, b"3"),
                    (CONTINUATION, b"4"),
                    (PING, b"q"),
                    (last, b"5"),
                ],
                "pong p, pong q, text 12345",
            ),
            ("6.1.2", &[(TEXT, b""), (CONTINUATION, b""), (last, b"")], "text"),
            ("6.1.3", &[(TEXT, b""), (CONTINUATION, b"middle"), (last, b"")], "text middle"),
        ],
    );
}

#[test]
fn row_21_section_7_close_is_answered_once_and_nothing_behind_it() {
    let reason = [&[0x03, 0xe8][..], &[b'*'; 124]].concat();
    let (hello, normal): ((u8, &[u8]), _) = ((FIN | TEXT, b"Hello"), b"\x03\xe8");
    check(
        exchange,
        &[
            ("7.1.1", &[hello, (CLOSE, normal)], "text Hello, close 1000"),
            ("7.1.2", &[(CLOSE, normal), (CLOSE, normal)], "close 1000"),
            ("7.1.3", &[(CLOSE, normal), (PING, b"")], "close 1000"),
            ("7.1.4", &[(CLOSE, normal), hello], "close 1000"),
            ("7.1.5", &[(TEXT, b"a"), (CLOSE, normal), (FIN, b"b")], "close 1000"),
            ("7.3.1", &[(CLOSE, b"")], "close"),
            ("7.3.2", &[(CLOSE, b"a")], "close 1002 the code of a Close frame is invalid"),
            ("7.3.4", &[(CLOSE, b"\x03\xe8bye")], "close 1000"),
            ("7.3.5", &[(CLOSE, &reason[..125])], "close 1000"),
            ("7.3.6", &[(CLOSE, &reason)], "close 1002 a control frame is fragmented or too long"),
            ("7.5.1", &[(CLOSE, b"\x03\xe8\xff")], "close 1007 a text is not UTF-8"),
        ],
    );
    let valid =
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999];
    for code in valid.into_iter().chain([4000, 4999]) {
        let payload: [u8; 2] = u16::to_be_bytes(code);
        check(exchange_twice, &[("7.7", &[(CLOSE, &payload)], &format!("close {code}"))]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        let payload: [u8; 2] = u16::to_be_bytes(code);
        let expected = "close 1002 the code of a Close frame is invalid";
        check(exchange_twice, &[("7.9", &[(CLOSE, &payload)], expected)]);
    }
}

#[test]
fn row_21_only_clients_mask_their_frames() {
    for (role, other) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
        let bytes = [frame(role, FIN | TEXT, b"a"), frame(other, FIN | TEXT, b"b")].concat();
        let expected = "text a, close 1002 only clients mask their frames";
        assert_eq!(exchange_bytes(role, &bytes).0, expected);
    }
}

#[test]
fn row_21_a_length_that_is_not_minimal_ends_the_connection() {
    let (server, client) = (Role::Server, Role::Client);
    for (role, bytes) in [
        (server, &[0x82, 0xfe, 0, 125, 1, 2, 3, 4][..]),
        (client, &[0x82, 0x7e, 0, 0]),
        (client, &[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        (client, &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let expected = "close 1002 the length does not have its shortest form";
        assert_eq!(exchange_bytes(role, bytes).0, expected, "{bytes:?}");
    }
}
