//! Writes the parts of a message.

use std::io::Write;

use sluicegate_reactor::{Outgoing, Peer, Sent};

use super::grammar::is_token;
use super::status::Status;

/// Appends a status line.
pub(super) fn write_status_line(out: &mut Vec<u8>, status: Status) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&status.digits());
    out.push(b' ');
    out.extend_from_slice(status.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
pub(super) fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Sends a part of a body as a chunk. The part must not be empty: an empty chunk is the last.
pub(super) fn send_chunk(peer: &mut Peer<'_>, part: Outgoing<'_>) -> Sent {
    let mut line = [0; 18];
    let mut rest = &mut line[..];
    let written = write!(rest, "{:x}\r\n", part.len());
    debug_assert!(written.is_ok(), "16 digits and a line end");
    let left = rest.len();
    peer.send(&line[..line.len() - left]);
    peer.send(part);
    peer.send(b"\r\n")
}

/// Appends header fields and an empty line. Omits fields that could split the message, that frame
/// it, or that the HTTP layer writes itself.
pub(super) fn write_fields(out: &mut Vec<u8>, fields: &[(&str, impl AsRef<[u8]>)], own: Own) {
    for (name, value) in fields {
        write_field(out, name, value.as_ref(), own);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an interim response.
///
/// # Panics
/// If the status is not one of 102 to 199.
pub(super) fn write_interim(
    out: &mut Vec<u8>,
    status: Status,
    fields: &[(&str, impl AsRef<[u8]>)],
) {
    assert!((102..200).contains(&status.code()), "{} is not interim", status.code());
    write_status_line(out, status);
    write_fields(out, fields, Own::Date);
}

/// A field that the HTTP layer writes itself, besides those about framing.
#[derive(Clone, Copy)]
pub(super) enum Own {
    /// In a response.
    Date,
    /// In a request.
    Host,
}

/// Appends a header field, unless it would split the message or is one that the HTTP layer writes
/// itself.
#[inline]
pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8], own: Own) {
    if splits_lines(value) || !is_token(name.as_bytes()) || is_reserved(name, own) {
        log::warn!("header field {name:?} omitted from a message: not allowed there");
        return;
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Whether a value contains CR, LF or NUL. It is searched by words: most have no control
/// characters.
#[inline]
fn splits_lines(value: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let splits = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    // True if a byte is at most CR, and for few other words.
    let may_split = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        word.wrapping_sub(ONES * 14) & !word & (ONES * 128) != 0
    };
    let (words, rest) = value.as_chunks();
    words.iter().any(|word| may_split(word) && word.iter().any(splits)) || rest.iter().any(splits)
}

/// Whether only the HTTP layer writes this field.
fn is_reserved(name: &str, own: Own) -> bool {
    let reserved = match (name.len(), own) {
        (4, Own::Date) => "Date",
        (4, Own::Host) => "Host",
        (10, _) => "Connection",
        (14, _) => "Content-Length",
        (17, _) => "Transfer-Encoding",
        _ => return false,
    };
    reserved.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_line_end_or_a_nul_splits_a_message_wherever_it_is() {
        for length in 0..20 {
            for other in [b'a', b'\t', b' ', 0x0e, 0x7f, 0x80, 0xff] {
                let value = vec![other; length];
                assert!(!splits_lines(&value), "{value:?}");
                for (at, bad) in (0..length).flat_map(|at| [(at, b'\r'), (at, b'\n'), (at, 0)]) {
                    let mut value = value.clone();
                    value[at] = bad;
                    assert!(splits_lines(&value), "{value:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 99, 100, 65_536, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
