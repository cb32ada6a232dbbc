//! The maximum length of lines, and how often their bytes are searched.

use sluicegate_reactor::testing::State;

use super::*;

fn delimiters() -> [(Delimiter, &'static [u8]); 5] {
    [
        (Delimiter::newline(), b"\n"),
        (Delimiter::newline(), b"\r\n"),
        (Delimiter::crlf(), b"\r\n"),
        (Delimiter::new(b"xxy"), b"xxy"),
        (Delimiter::new(b"\r\n\r\n"), b"\r\n\r\n"),
    ]
}

#[test]
fn row_02_a_line_of_the_maximum_passes_whatever_ends_it() {
    for (delimiter, end) in delimiters() {
        let input = [b"abcde", end, b"12345", end].concat();
        let told = told(|| tell(delimiter.clone(), 5), input);
        assert_eq!(told, ["<abcde><12345>", "Clean"], "{delimiter:?}");
    }
}

#[test]
fn row_02_one_byte_more_fails_before_any_delimiter_comes() {
    for (delimiter, end) in delimiters() {
        for input in [b"abcdef".to_vec(), [b"abcdef", end].concat()] {
            let mut h = tell(delimiter.clone(), 5);
            h.handler().handler().forgives = false;
            let client = h.open();
            h.feed(client, &input[..5]);
            assert_eq!((h.sent(client), h.state(client)), ("".into(), State::Open));
            h.feed(client, &input[5..]);
            assert_eq!(h.sent(client), "<abcde...>", "{delimiter:?}");
            assert_eq!(h.state(client), State::Shut);
        }
    }
}

#[test]
fn row_02_a_delimiter_that_has_begun_is_not_part_of_the_line_until_it_fails() {
    for (delimiter, begun, then, expected) in [
        (Delimiter::newline(), &b"abcde\r"[..], &b"\n"[..], "<abcde>"),
        (Delimiter::newline(), b"abcde\r", b"x", "<abcde...>"),
        (Delimiter::newline(), b"abcde\r", b"\r", "<abcde...>"),
        (Delimiter::crlf(), b"abcde\r", b"\r", "<abcde...>"),
        (Delimiter::new(b"xxy"), b"abcdexx", b"y", "<abcde>"),
        (Delimiter::new(b"xxy"), b"abcdxxx", b"y", "<abcdx>"),
        (Delimiter::new(b"xxy"), b"abcdexx", b"x", "<abcde...>"),
        (Delimiter::new(b"\r\n\r\n"), b"abcde\r\n\r", b"\r", "<abcde...>"),
    ] {
        let mut h = tell(delimiter.clone(), 5);
        let client = h.open();
        for byte in begun {
            h.feed(client, [*byte]);
            assert_eq!(h.sent(client), "", "{delimiter:?}");
        }
        h.feed(client, then);
        assert_eq!(h.sent(client), expected.as_bytes(), "{delimiter:?}");
    }
}

#[test]
fn a_line_that_is_too_long_closes_by_default() {
    struct Silent;
    impl LineHandler for Silent {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_line(&mut self, _: &mut Context<'_>, (): &mut (), _: &[u8]) -> Next {
            Next::Line
        }
    }
    let mut h = Harness::new(Lines::new(Silent));
    let (fits, exceeds) = (h.open(), h.open());
    h.feed(fits, vec![b'a'; 8 << 10]);
    h.feed(exceeds, vec![b'a'; (8 << 10) + 1]);
    assert_eq!((h.state(fits), h.state(exceeds)), (State::Open, State::Shut));
}

#[test]
fn a_forgiven_line_is_skipped_to_its_end() {
    for (delimiter, end) in delimiters() {
        let input = [b"ok", end, b"much too long for it", end, b"again", end, end].concat();
        let told = told(|| tell(delimiter.clone(), 5), input);
        assert_eq!(told, ["<ok><much ...><again><>", "Clean"], "{delimiter:?}");
    }
    let told = told(|| tell(Delimiter::new(b"xxy"), 5), "too long xxxxxyabxxyxx");
    assert_eq!(told, ["<too l...><ab>", "InLine"]);
}

#[test]
fn a_forgiven_line_of_any_length_needs_no_memory() {
    let mut h = tell(Delimiter::new(b"xxy"), 5);
    let client = h.open();
    for _ in 0..100 {
        h.feed(client, vec![b'x'; 100_000]);
    }
    h.feed(client, b"xxyafterxxy");
    assert_eq!(h.sent(client), "<xxxxx...><after>");
}

#[test]
fn a_line_of_the_maximum_is_never_too_much_to_keep() {
    for (delimiter, end) in delimiters() {
        let splitter = Splitter::new(delimiter.clone(), 5);
        for (keep, state) in [(splitter.keep(), State::Open), (5, State::Reset)] {
            let limits = Limits { max_unread: keep, ..Limits::default() };
            let listen = Listen { limits, ..Listen::default() };
            let mut h = Harness::with(Lines::with(Teller::new(), splitter.clone()), &listen);
            let client = h.open();
            h.feed(client, [b"abcde", &end[..end.len() - 1]].concat());
            assert_eq!(h.state(client), state, "{delimiter:?} and {keep} kept");
        }
    }
}

#[test]
fn a_line_as_long_as_the_default_limits_can_keep_passes() {
    let most = Limits::default().max_unread - 2;
    let mut h = Harness::new(Lines::with(Teller::new(), Splitter::new(Delimiter::crlf(), most)));
    let client = h.open();
    for _ in 0..most {
        h.feed(client, b"a");
    }
    h.feed(client, b"\r");
    h.feed(client, b"\n");
    assert_eq!(h.sent(client).len(), most + 2);
}

#[test]
fn row_02_each_byte_is_searched_once_however_it_arrives() {
    let line = [&[b'x'; 3000][..], b"\r\n"].concat();
    let input = [&line[..], &line, &[b'y'; 9000], b"\r\n", &line].concat();
    for delimiter in [Delimiter::newline(), Delimiter::crlf(), Delimiter::new(b"x\r\n")] {
        for piece in [1, 7, 1000, input.len()] {
            let mut h = tell(delimiter.clone(), 4000);
            let client = h.open();
            SCANNED.set(0);
            for part in input.chunks(piece) {
                h.feed(client, part);
            }
            assert_eq!(SCANNED.get(), input.len(), "{delimiter:?} in pieces of {piece}");
        }
    }
}
