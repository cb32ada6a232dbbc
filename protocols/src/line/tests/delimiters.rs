//! Delimiters.

use super::*;

/// Asserts how `input` is split with a delimiter.
#[track_caller]
fn assert_lines(delimiter: &Delimiter, input: &[u8], expected: [&str; 2]) {
    let told = told(|| tell(delimiter.clone(), 100), input);
    assert_eq!(told, expected, "\"{}\"", input.escape_ascii());
}

#[test]
fn row_01_a_newline_ends_a_line_with_or_without_a_return() {
    for (input, expected) in [
        (&b"one\ntwo\r\n\nfour"[..], ["<one><two><>", "InLine"]),
        (b"a\rb\r\r\n\r\nc\n", [r"<a\rb\r><><c>", "Clean"]),
        (b"\r", ["", "InLine"]),
        (b"\n", ["<>", "Clean"]),
        (b"", ["", "Clean"]),
    ] {
        assert_lines(&Delimiter::newline(), input, expected);
    }
}

#[test]
fn row_01_a_strict_line_ends_with_return_and_newline_only() {
    for (input, expected) in [
        (&b"one\r\ntwo\n\r\r\n\r\nrest\r"[..], [r"<one><two\n\r><>", "InLine"]),
        (b"\n\r\n\r", [r"<\n>", "InLine"]),
    ] {
        assert_lines(&Delimiter::crlf(), input, expected);
    }
}

#[test]
fn row_01_a_delimiter_may_be_any_bytes_and_overlap_itself() {
    for (delimiter, input, expected) in [
        (&b";"[..], &b"a;b;;c"[..], ["<a><b><>", "InLine"]),
        (b"\0", b"a\0\0", ["<a><>", "Clean"]),
        (b"aa", b"aaa", ["<>", "InLine"]),
        (b"aa", b"aaaabaaab", ["<><><b>", "InLine"]),
        (b"aab", b"aaabaabab", ["<a><>", "InLine"]),
        (b"abab", b"abaababababa", ["<aba><>", "InLine"]),
        (b"aba", b"ababaaba", ["<><ba>", "Clean"]),
        (b"\r\n\r\n", b"\r\n\r\r\n\r\n\n\r\n\r\n", [r"<\r\n\r><\n>", "Clean"]),
        (b"\r\n.\r\n", b"mail\r\n..\r\n\r\n.\r\n", [r"<mail\r\n..\r\n>", "Clean"]),
    ] {
        assert_lines(&Delimiter::new(delimiter), input, expected);
    }
}

#[test]
#[should_panic(expected = "at least one byte")]
fn an_empty_delimiter_is_refused_when_it_is_made() {
    let _ = Delimiter::new(b"");
}

#[test]
fn all_bytes_may_stand_in_a_line() {
    let line: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let input = [&line, &b"\n"[..]].concat();
    let mut h = tell(Delimiter::newline(), 1000);
    let client = h.open();
    h.feed(client, &input);
    assert_eq!(h.sent(client), format!("<{}>", line.escape_ascii()).as_bytes());
}
