//! Decodes the framing between the chunks of a body (RFC 9112, section 7.1).

use memchr::memchr;

use super::fault::Fault;
use super::grammar::{are_parameters, field, is_control};
use super::limits::ChunkLimits;
use super::trailers::Trailers;

/// The longest line between chunks and in the trailer section, in bytes.
const MAX_LINE: usize = 4 << 10;

/// The bytes between chunks may add up to this and [`OVERHEAD_PER_BYTE`] times the body: enough for
/// chunks of one byte, but not for an extension in each.
const OVERHEAD: u64 = 16 << 10;
const OVERHEAD_PER_BYTE: u64 = 8;

/// A decoder for one chunked body.
#[derive(Debug, Default)]
pub(super) struct ChunkDecoder {
    expected: Expected,
    /// Bytes of the body in the chunks so far.
    body: u64,
    /// Bytes between the chunks so far.
    overhead: u64,
    /// The complete lines of the trailer section so far.
    trailers: Vec<u8>,
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, Default)]
enum Expected {
    #[default]
    Size,
    EndOfData,
    Trailers,
}

/// What follows the decoded input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Not known: more input is needed.
    Incomplete,
    /// This many bytes of the body.
    Data(u64),
    /// The end: the body and its trailers are complete.
    End,
}

impl ChunkDecoder {
    /// Consumes the input up to the next bytes of the body.
    pub(super) fn next(&mut self, input: &mut &[u8], limits: ChunkLimits) -> Result<Chunk, Fault> {
        loop {
            match self.expected {
                Expected::EndOfData => {
                    let there = input.len().min(2);
                    if !b"\r\n".starts_with(&input[..there]) {
                        return Err(Fault::ChunkEnd);
                    }
                    if there < 2 {
                        return Ok(Chunk::Incomplete);
                    }
                    *input = &input[2..];
                    self.expected = Expected::Size;
                }
                Expected::Size => {
                    let Some(line) = take_line(input)? else { return Ok(Chunk::Incomplete) };
                    let text = if limits.pads_sizes { line.trim_ascii_end() } else { line };
                    let size = size(text).ok_or(Fault::ChunkSize)?;
                    self.overhead += line.len() as u64 + 4;
                    self.body = self.body.saturating_add(size);
                    if self.body > limits.body {
                        return Err(Fault::BodyLength);
                    }
                    if self.overhead
                        > OVERHEAD_PER_BYTE.saturating_mul(self.body).saturating_add(OVERHEAD)
                    {
                        return Err(Fault::ChunkOverhead);
                    }
                    if size > 0 {
                        self.expected = Expected::EndOfData;
                        return Ok(Chunk::Data(size));
                    }
                    self.expected = Expected::Trailers;
                }
                Expected::Trailers => {
                    let Some(line) = take_line(input)? else { return Ok(Chunk::Incomplete) };
                    if line.is_empty() {
                        return Ok(Chunk::End);
                    }
                    if self.trailers.len() + line.len() + 2 > limits.trailers {
                        return Err(Fault::TrailerLength);
                    }
                    if field(line).is_none() {
                        return Err(Fault::Trailer);
                    }
                    self.trailers.extend_from_slice(line);
                    self.trailers.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    /// The trailer fields so far.
    pub(super) fn trailers(&self) -> Trailers<'_> {
        Trailers::new(&self.trailers)
    }
}

/// Consumes a line and returns it without its CRLF, or `None` if it is incomplete.
fn take_line<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
    let bytes = *input;
    let Some(end) = memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        let too_long = bytes.len() >= MAX_LINE;
        return if too_long { Err(Fault::LineLength) } else { Ok(None) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Fault::LineEnd)?;
    if line.iter().any(|byte| is_control(*byte)) {
        return Err(Fault::ControlCharacter);
    }
    *input = &bytes[end + 1..];
    Ok(Some(line))
}

/// Parses the size of a chunk. Its extensions are checked and ignored.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extensions) = line.split_at(digits);
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    are_parameters(extensions).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::limits::HttpLimits;
    use crate::http::status::Status;

    /// The body and what follows it.
    type Decoded = Result<(Vec<u8>, Vec<u8>), u16>;

    /// Decodes a body that arrives in pieces of `piece` bytes; `None` if it does not end.
    fn decode(bytes: &[u8], piece: usize, limits: &HttpLimits) -> Option<Decoded> {
        let (mut chunks, mut body, mut left) = (ChunkDecoder::default(), Vec::new(), 0);
        let mut waiting = Vec::new();
        let mut pieces = bytes.chunks(piece);
        loop {
            let mut input = &waiting[..];
            if left > 0 {
                let count = left.min(input.len());
                body.extend_from_slice(&input[..count]);
                input = &input[count..];
                left -= count;
            }
            if left == 0 {
                match chunks.next(&mut input, limits.chunks()) {
                    Ok(Chunk::Incomplete) => {}
                    Ok(Chunk::Data(size)) => left = size as usize,
                    Ok(Chunk::End) => {
                        let rest = [input, &pieces.collect::<Vec<_>>().concat()].concat();
                        return Some(Ok((body, rest)));
                    }
                    Err(fault) => return Some(Err(Status::from(fault).code())),
                }
            }
            let rest = input.to_vec();
            if left == 0 || rest.is_empty() {
                match pieces.next() {
                    Some(piece) => waiting = [&rest, piece].concat(),
                    None => return None,
                }
            } else {
                waiting = rest;
            }
        }
    }

    /// Decodes it in pieces of all sizes.
    fn decoded(text: &str, limits: &HttpLimits) -> Option<Decoded> {
        let whole = decode(text.as_bytes(), text.len().max(1), limits);
        for piece in 1..text.len().min(100) {
            assert_eq!(decode(text.as_bytes(), piece, limits), whole, "{text:?} by {piece}");
        }
        whole
    }

    /// An input and what it is decoded to.
    type Row<'a> = (&'a str, Option<Result<(&'a str, &'a str), u16>>);

    fn check(rows: &[Row<'_>]) {
        for (text, expected) in rows {
            let expected = expected.map(|result| {
                result.map(|(body, rest)| (body.as_bytes().to_vec(), rest.as_bytes().to_vec()))
            });
            assert_eq!(decoded(text, &HttpLimits::default()), expected, "{text:?}");
        }
    }

    #[test]
    fn row_5_chunks_are_joined_and_what_follows_is_left() {
        check(&[
            ("0\r\n\r\n", Some(Ok(("", "")))),
            ("5\r\nhello\r\n0\r\n\r\nGET", Some(Ok(("hello", "GET")))),
            ("5\r\nhello\r\n1\r\n!\r\n00\r\n\r\n\r\n", Some(Ok(("hello!", "\r\n")))),
            ("A\r\n0123456789\r\n0\r\n\r\n", Some(Ok(("0123456789", "")))),
            ("a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", Some(Ok(("\r\n\r\n\r\n\r\n\r\n", "")))),
            ("000000000000000000000005\r\nhello\r\n0\r\n\r\n", Some(Ok(("hello", "")))),
            ("5\r\nhello\r\n0\r\n", None),
            ("5\r\nhel", None),
            ("", None),
        ]);
    }

    #[test]
    fn row_5_a_size_is_hexadecimal_digits_and_nothing_else() {
        for size in [
            "",
            "g",
            "0x5",
            "+5",
            "-5",
            "5_0",
            " 5",
            "5 ",
            "5 5",
            "5.",
            "\u{665}",
            "5\u{b}",
            "10000000000000000",
            ";a",
            "5,",
        ] {
            check(&[(&format!("{size}\r\nhello\r\n0\r\n\r\n"), Some(Err(400)))]);
        }
    }

    #[test]
    fn row_5_lines_and_data_end_with_exactly_crlf() {
        for text in [
            "5\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "5\r\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloXX0\r\n\r\n",
            "5\r\nhello\rX0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
        ] {
            check(&[(text, Some(Err(400)))]);
        }
    }

    #[test]
    fn row_6_extensions_are_ignored_within_reason() {
        check(&[
            ("5;a=b;c=\"d;e\"\r\nhello\r\n0;f\r\n\r\n", Some(Ok(("hello", "")))),
            ("5;a\0\r\nhello\r\n0\r\n\r\n", Some(Err(400))),
            ("5;a=\"\r\"\r\nhello\r\n0\r\n\r\n", Some(Err(400))),
            ("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", Some(Err(400))),
        ]);
        let long = |bytes: usize| format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(bytes));
        let limits = HttpLimits::default();
        assert!(matches!(decoded(&long(MAX_LINE - 10), &limits), Some(Ok(_))));
        assert_eq!(decoded(&long(MAX_LINE), &limits), Some(Err(400)));
        let many = format!("1;{}\r\nx\r\n", "a".repeat(1000)).repeat(20) + "0\r\n\r\n";
        assert_eq!(decoded(&many, &limits), Some(Err(400)));
    }

    fn with_extensions(extensions: &str) -> String {
        format!("5{extensions}\r\nhello\r\n0{extensions}\r\n\r\n")
    }

    #[test]
    fn row_39_an_extension_is_a_name_with_or_without_a_value() {
        for extensions in [
            ";a",
            ";a=b",
            ";a=5;b",
            " ; a",
            "\t;\ta \t= \tb ;c",
            ";!#$%&'*+-.^_`|~0aZ",
            ";a=\"\"",
            ";a=\"b c\td\"",
            ";a=\";=,\"",
            ";a=\"\\\"\"",
            ";a=\"\\\\\";b",
            ";a=\"\\b\"",
            ";a=\"\u{e9}\\\u{e9}\"",
            ";a=\"b\" ; c=\"d\"",
        ] {
            check(&[(&with_extensions(extensions), Some(Ok(("hello", ""))))]);
        }
    }

    #[test]
    fn row_39_anything_else_behind_a_size_is_refused() {
        for extensions in [
            ";",
            "; ",
            ";;",
            ";;a",
            ";a;",
            ";a; ",
            ";a ",
            ";a=b ",
            " ",
            " a",
            "a=b",
            ",a",
            "=b",
            ";=b",
            ";a=",
            ";a= ;b",
            ";a==b",
            ";a=b=c",
            ";a b",
            ";a=b c",
            ";a,b",
            ";bad[=x",
            ";a=[x]",
            ";a@b",
            ";\"a\"",
            ";\"a\"=b",
            ";a=\"",
            ";a=\"b",
            ";a=\"b\\\"",
            ";a=\"b\\",
            ";a=b\"c\"",
            ";a=\"b\"c",
            ";a=\"b\"\"c\"",
            ";a='b c'",
            ";\u{e9}",
            ";a=\u{e9}",
            ";a=\"\\\u{7f}\"",
        ] {
            check(&[(&with_extensions(extensions), Some(Err(400)))]);
            let last = format!("0{extensions}\r\n\r\n");
            check(&[(&last, Some(Err(400)))]);
        }
    }

    #[test]
    fn row_5_chunks_of_one_byte_are_fine_in_any_number() {
        let text = "1\r\nx\r\n".repeat(10_000) + "0\r\n\r\n";
        let (body, _) = decode(text.as_bytes(), 4096, &HttpLimits::default()).unwrap().unwrap();
        assert_eq!(body.len(), 10_000);
    }

    #[test]
    fn row_7_trailers_are_checked_and_capped() {
        check(&[
            ("0\r\nA: b\r\nContent-Length: 5\r\n\r\nGET", Some(Ok(("", "GET")))),
            ("0\r\nA : b\r\n\r\n", Some(Err(400))),
            ("0\r\n A: b\r\n\r\n", Some(Err(400))),
            ("0\r\n: b\r\n\r\n", Some(Err(400))),
            ("0\r\nA\r\n\r\n", Some(Err(400))),
            ("0\r\nA: \0\r\n\r\n", Some(Err(400))),
        ]);
        let many = |lines: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(lines));
        let limits = HttpLimits { head: 60, ..HttpLimits::default() };
        assert!(matches!(decoded(&many(10), &limits), Some(Ok(_))));
        assert_eq!(decoded(&many(11), &limits), Some(Err(431)));
    }

    #[test]
    fn row_16_a_chunked_body_over_the_cap_is_too_large_as_soon_as_it_says_so() {
        let limits = HttpLimits { body: 6, ..HttpLimits::default() };
        assert!(matches!(decoded("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", &limits), Some(Ok(_))));
        assert_eq!(decoded("5\r\nhello\r\n2\r\n", &limits), Some(Err(413)));
        assert_eq!(decoded("ffffffffffffffff\r\n", &limits), Some(Err(413)));
        let twice = "1\r\nx\r\nffffffffffffffff\r\n";
        assert_eq!(decoded(twice, &HttpLimits::default()), Some(Err(413)));
    }

    #[test]
    fn row_5_without_a_cap_a_size_of_all_digits_is_a_size() {
        let limits = ChunkLimits { body: u64::MAX, trailers: 0, pads_sizes: false };
        let mut input = &b"ffffffffffffffff\r\n"[..];
        let chunk = ChunkDecoder::default().next(&mut input, limits);
        assert_eq!(chunk, Ok(Chunk::Data(u64::MAX)));
    }
}
