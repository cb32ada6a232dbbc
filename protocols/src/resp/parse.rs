//! Parses commands: pure functions of the bytes.

use super::RespError;
use super::command::{Kept, Place};
use super::header;

/// What may still come in a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    /// How many arguments.
    pub(super) arguments: usize,
    /// The maximum number of bytes that they may have together.
    pub(super) bytes: usize,
}

/// What is at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// An argument, from `start` to `end`. The next one follows its CRLF.
    Whole { start: usize, end: usize },
    /// A header of `start` bytes, and not yet all `len` bytes that follow it, with their CRLF.
    Begun { start: usize, len: usize },
    /// The start of a header.
    Incomplete,
}

/// The bytes that follow a bulk string.
pub(super) const CRLF: &[u8] = b"\r\n";

/// Decodes the `*3\r\n` of a command. Returns the number of arguments and the length of the header.
#[inline]
pub(super) fn count(bytes: &[u8], most: usize) -> Result<Option<(usize, usize)>, RespError> {
    match header::decode(bytes) {
        // A negative number is no arguments, as in Redis.
        Ok(Some((count, end))) if count <= 0 => Ok(Some((0, end))),
        Ok(Some((count, end))) if count as u64 <= most as u64 => Ok(Some((count as usize, end))),
        Ok(None) => Ok(None),
        Ok(Some(_)) | Err(_) => Err(RespError::Count),
    }
}

/// Decodes the argument at the front of the bytes, and counts it if its header is there.
#[inline]
pub(super) fn argument(bytes: &[u8], ahead: &mut Ahead) -> Result<Argument, RespError> {
    match bytes.first() {
        None => return Ok(Argument::Incomplete),
        Some(b'$') => {}
        Some(byte) => return Err(RespError::NotBulk(*byte)),
    }
    let Some((len, start)) = header::decode(bytes).map_err(|_| RespError::Length)? else {
        return Ok(Argument::Incomplete);
    };
    let len = usize::try_from(len).map_err(|_| RespError::Length)?;
    ahead.bytes = ahead.bytes.checked_sub(len).ok_or(RespError::Length)?;
    ahead.arguments -= 1;
    let end = start + len;
    match bytes.get(end..end + 2) {
        Some(CRLF) => Ok(Argument::Whole { start, end }),
        Some(_) => Err(RespError::Unterminated),
        None => Ok(Argument::Begun { start, len }),
    }
}

/// Adds the places of arguments that start at `at`, as far as they are whole. Returns where the
/// rest starts.
#[inline]
pub(super) fn arguments(
    bytes: &[u8],
    mut at: usize,
    ahead: &mut Ahead,
    places: &mut Vec<Place>,
) -> Result<usize, RespError> {
    while ahead.arguments > 0 {
        let mut after = *ahead;
        let Argument::Whole { start, end } = argument(&bytes[at..], &mut after)? else { break };
        *ahead = after;
        places.push(Place::Joined { start: (at + start) as u32, end: (at + end) as u32 });
        at += end + CRLF.len();
    }
    Ok(at)
}

/// Splits an inline command into its arguments, as a shell would: at white space, except in quotes.
/// In double quotes, `\n`, `\r`, `\t`, `\b`, `\a` and `\x0a` stand for those bytes, and a backslash
/// before another byte for that byte; in single quotes, only `\'`.
pub(super) fn inline(mut line: &[u8], into: &mut Kept) -> Result<(), RespError> {
    loop {
        line = line.trim_ascii_start();
        if line.is_empty() {
            return Ok(());
        }
        let start = into.bytes.len() as u32;
        line = plain(line, &mut into.bytes);
        if let [quote @ (b'"' | b'\''), rest @ ..] = line {
            line = quoted(*quote, rest, &mut into.bytes)?;
        }
        into.places.push(Place::Joined { start, end: into.bytes.len() as u32 });
    }
}

/// Takes an argument, or its part before a quote, from the front of a line. Returns the rest.
fn plain<'a>(line: &'a [u8], into: &mut Vec<u8>) -> &'a [u8] {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    let end = line.iter().position(is_end).unwrap_or(line.len());
    into.extend_from_slice(&line[..end]);
    &line[end..]
}

/// Takes the rest of an argument whose opening quote has been taken. Returns what follows it.
fn quoted<'a>(quote: u8, line: &'a [u8], into: &mut Vec<u8>) -> Result<&'a [u8], RespError> {
    let mut at = 0;
    loop {
        let (byte, len) = match &line[at..] {
            [] => return Err(RespError::Quotes),
            [byte, rest @ ..] if *byte == quote => {
                let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
                return if ends { Ok(rest) } else { Err(RespError::Quotes) };
            }
            [b'\\', b'\'', ..] if quote == b'\'' => (b'\'', 2),
            [b'\\', escaped @ ..] if quote == b'"' && !escaped.is_empty() => escape(escaped),
            [byte, ..] => (*byte, 1),
        };
        into.push(byte);
        at += len;
    }
}

/// The byte for which an escape stands, and the length of the escape with its backslash.
fn escape(escaped: &[u8]) -> (u8, usize) {
    let digit = |at| escaped.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    match escaped[0] {
        b'x' => match (digit(1), digit(2)) {
            (Some(high), Some(low)) => ((16 * high + low) as u8, 4),
            _ => (b'x', 2),
        },
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'b' => (8, 2),
        b'a' => (7, 2),
        byte => (byte, 2),
    }
}
