//! Any bytes in any pieces, compared with a trivial splitter.

use proptest::prelude::*;

use super::*;

/// The expected output of a teller, computed one byte at a time.
fn expected(delimiters: &[&[u8]], most: usize, input: &[u8]) -> String {
    let (mut told, mut line, mut too_long) = (String::new(), Vec::new(), false);
    for &byte in input {
        line.push(byte);
        if let Some(end) = delimiters.iter().find(|end| line.ends_with(end)) {
            line.truncate(line.len() - end.len());
            if !too_long && line.len() > most {
                told += &format!("<{}...>", line[..most].escape_ascii());
            } else if !too_long {
                told += &format!("<{}>", line.escape_ascii());
            }
            line.clear();
            too_long = false;
        } else if !too_long && certainly_longer(delimiters, most, &line) {
            told += &format!("<{}...>", line[..most].escape_ascii());
            too_long = true;
        }
    }
    told
}

/// Whether the line is too long whatever follows.
fn certainly_longer(delimiters: &[&[u8]], most: usize, line: &[u8]) -> bool {
    !delimiters.iter().any(|end| {
        (0..end.len()).any(|begun| line.ends_with(&end[..begun]) && line.len() - begun <= most)
    })
}

fn delimiter() -> impl Strategy<Value = (Delimiter, Vec<Vec<u8>>)> {
    let bytes = prop::collection::vec(prop::sample::select(&b"ab\r\n"[..]), 1..5);
    prop_oneof![
        Just((Delimiter::newline(), vec![b"\r\n".to_vec(), b"\n".to_vec()])),
        Just((Delimiter::crlf(), vec![b"\r\n".to_vec()])),
        bytes.prop_map(|bytes| (Delimiter::new(&bytes), vec![bytes])),
    ]
}

/// Pieces of few different bytes, so that delimiters are frequent.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![prop::sample::select(&b"ab"[..]), prop::sample::select(&b"ab\r\n"[..]),];
    prop::collection::vec(prop::collection::vec(byte, 0..12), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn row_01_any_bytes_in_any_pieces_are_split_as_a_simple_splitter_does(
        (delimiter, spellings) in delimiter(),
        most in 0_usize..8,
        per_turn in 1_u32..5,
        pieces in pieces(),
    ) {
        let splitter = Splitter::new(delimiter, most);
        let limits = Limits { max_unread: splitter.keep(), ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        let lines = Lines::with(Teller::new(), splitter).per_turn(per_turn);
        let mut h = Harness::with(lines, &listen);
        let client = h.open();
        for piece in &pieces {
            h.feed(client, piece);
        }
        let spellings: Vec<_> = spellings.iter().map(Vec::as_slice).collect();
        let told = h.sent(client).text().to_owned();
        prop_assert_eq!(told, expected(&spellings, most, &pieces.concat()));
    }
}
