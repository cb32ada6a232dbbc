//! Decodes replies.

use std::{iter, mem};

use memchr::memchr;
use sluicegate_reactor::Bytes;

use super::parse::CRLF;
use super::{RespError, Value, header};

/// The limits of replies. They bound the memory that a reply needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// The maximum nesting depth of aggregates. The default is 32.
    pub depth: usize,
    /// The maximum total number of values in a reply, which need 40 bytes each. The default is
    /// 1,048,576.
    pub values: usize,
    /// The maximum total length of the strings in a reply in bytes. The default is 64 MiB.
    pub bytes: usize,
    /// The maximum length of a line, such as an error, in bytes. The default is 16 KiB.
    pub line: usize,
}

impl Default for DecoderLimits {
    fn default() -> DecoderLimits {
        DecoderLimits { depth: 32, values: 1 << 20, bytes: 64 << 20, line: 16 << 10 }
    }
}

/// Decodes the RESP2 and RESP3 replies that a client receives, in any pieces.
///
/// The decoder keeps the state of an incomplete reply, and examines each byte once. Attributes are
/// skipped. Strings and aggregates of unknown length, which no server sends, are errors.
///
/// ```
/// use sluicegate_protocols::resp::{Decoder, RespError, Value};
///
/// let mut decoder = Decoder::default();
/// let mut bytes = &b"*2\r\n:1\r\n+two\r\n$5\r\nth"[..];
/// let reply = Value::Array(vec![Value::Integer(1), Value::Simple("two".into())]);
/// assert_eq!(decoder.decode(&mut bytes)?, Some(reply));
/// assert_eq!(decoder.decode(&mut bytes)?, None);
/// assert_eq!(decoder.decode(&mut &b"ree\r\n"[..])?, Some(Value::Bulk("three".into())));
/// # Ok::<(), RespError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    limits: DecoderLimits,
    /// The aggregates that are incomplete, the outermost first.
    open: Vec<Aggregate>,
    string: Option<Partial>,
    /// How many bytes of a line were searched.
    scanned: usize,
    /// The values of the reply so far.
    values: usize,
    bytes: usize,
}

/// An aggregate that is incomplete.
#[derive(Debug)]
struct Aggregate {
    kind: u8,
    values: Vec<Value>,
    left: usize,
}

/// A string of known length that is incomplete.
#[derive(Debug)]
struct Partial {
    kind: u8,
    len: usize,
    /// With the CRLF that follows it.
    bytes: Vec<u8>,
}

/// What an element is, or begins.
enum Element {
    Value(Value),
    Aggregate(Aggregate),
    Incomplete,
}

impl Decoder {
    /// Creates a decoder with these limits.
    #[must_use]
    pub fn new(limits: DecoderLimits) -> Decoder {
        Decoder { limits, ..Decoder::default() }
    }

    /// Decodes the reply at the front of `bytes`, and removes the bytes that it has consumed. If
    /// the result is `None`, pass the remaining bytes again, together with the bytes that follow.
    ///
    /// # Errors
    /// If the bytes are not a valid reply, or the reply exceeds a limit. The connection must then
    /// be closed, because the start of the next reply is not known.
    pub fn decode(&mut self, bytes: &mut &[u8]) -> Result<Option<Value>, RespError> {
        loop {
            let value = match self.element(bytes)? {
                Element::Incomplete => return Ok(None),
                Element::Value(value) => Some(value),
                Element::Aggregate(aggregate) if aggregate.left == 0 => aggregate.complete(),
                Element::Aggregate(_) if self.open.len() >= self.limits.depth => {
                    return Err(RespError::TooDeep);
                }
                Element::Aggregate(aggregate) => {
                    self.open.push(aggregate);
                    None
                }
            };
            if let Some(value) = value.and_then(|value| self.close(value)) {
                (self.values, self.bytes) = (0, 0);
                return Ok(Some(value));
            }
        }
    }

    /// Adds a value to the aggregate that it is in, and completes those that have all of theirs.
    /// Returns the outermost value, if it is complete.
    fn close(&mut self, mut value: Value) -> Option<Value> {
        while let Some(aggregate) = self.open.last_mut() {
            aggregate.values.push(value);
            aggregate.left -= 1;
            if aggregate.left > 0 {
                return None;
            }
            value = self.open.pop()?.complete()?;
        }
        Some(value)
    }

    /// Decodes a value that is not an aggregate, or the header of an aggregate.
    fn element(&mut self, bytes: &mut &[u8]) -> Result<Element, RespError> {
        if let Some(partial) = self.string.take() {
            return self.string(partial, bytes);
        }
        let Some(&kind) = bytes.first() else { return Ok(Element::Incomplete) };
        match kind {
            b'+' | b'-' | b',' | b'(' | b'#' | b'_' => self.line(bytes),
            b':' => match number(bytes, RespError::Malformed)? {
                Some(number) => Ok(Element::Value(Value::Integer(number))),
                None => Ok(Element::Incomplete),
            },
            b'$' | b'!' | b'=' => match number(bytes, RespError::Length)? {
                None => Ok(Element::Incomplete),
                Some(-1) if kind == b'$' => Ok(Element::Value(Value::Null)),
                Some(len) => {
                    let len = usize::try_from(len).map_err(|_| RespError::Length)?;
                    self.add_bytes(len)?;
                    self.string(Partial { kind, len, bytes: Vec::new() }, bytes)
                }
            },
            b'*' | b'%' | b'~' | b'>' | b'|' => match number(bytes, RespError::Count)? {
                None => Ok(Element::Incomplete),
                Some(-1) if kind == b'*' => Ok(Element::Value(Value::Null)),
                Some(len) => self.aggregate(kind, len),
            },
            other => Err(RespError::Type(other)),
        }
    }

    /// Begins an aggregate. Its values are counted before there is room for any.
    fn aggregate(&mut self, kind: u8, len: i64) -> Result<Element, RespError> {
        let len = usize::try_from(len).ok();
        let left = len.and_then(|len| len.checked_mul(if is_pairs(kind) { 2 } else { 1 }));
        let left = left.filter(|left| *left <= self.limits.values - self.values);
        let left = left.ok_or(RespError::Count)?;
        self.values += left;
        Ok(Element::Aggregate(Aggregate { kind, values: Vec::new(), left }))
    }

    /// Takes the bytes of a string.
    fn string(&mut self, mut partial: Partial, bytes: &mut &[u8]) -> Result<Element, RespError> {
        let whole = partial.len + CRLF.len();
        let (piece, rest) = bytes.split_at(bytes.len().min(whole - partial.bytes.len()));
        partial.bytes.extend_from_slice(piece);
        *bytes = rest;
        if partial.bytes.len() < whole {
            self.string = Some(partial);
            return Ok(Element::Incomplete);
        }
        let text = Bytes::from(partial.bytes);
        if !text.ends_with(CRLF) {
            return Err(RespError::Unterminated);
        }
        let text = text.slice(..partial.len);
        Ok(Element::Value(match partial.kind {
            b'!' => Value::Error(text),
            b'=' => match text.split_first_chunk() {
                Some((format, [b':', ..])) => {
                    Value::Verbatim { format: *format, text: text.slice(4..) }
                }
                _ => return Err(RespError::Malformed),
            },
            _ => Value::Bulk(text),
        }))
    }

    /// Decodes a value that is a line.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<Element, RespError> {
        let searched = &bytes[..bytes.len().min(1 + self.limits.line + CRLF.len())];
        let Some(at) = memchr(b'\n', &searched[self.scanned..]) else {
            self.scanned = searched.len();
            let is_too_long = searched.len() > 1 + self.limits.line + 1;
            return if is_too_long { Err(RespError::LineTooLong) } else { Ok(Element::Incomplete) };
        };
        let end = mem::take(&mut self.scanned) + at;
        let (kind, line) = (bytes[0], &bytes[1..end]);
        let line = line.strip_suffix(b"\r").ok_or(RespError::Malformed)?;
        *bytes = &bytes[end + 1..];
        self.add_bytes(line.len())?;
        scalar(kind, line).map(Element::Value).ok_or(RespError::Malformed)
    }

    fn add_bytes(&mut self, len: usize) -> Result<(), RespError> {
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > self.limits.bytes { Err(RespError::Length) } else { Ok(()) }
    }
}

impl Aggregate {
    /// The value, or `None` for attributes.
    fn complete(self) -> Option<Value> {
        Some(match self.kind {
            b'*' => Value::Array(self.values),
            b'~' => Value::Set(self.values),
            b'>' => Value::Push(self.values),
            b'%' => {
                let mut values = self.values.into_iter();
                Value::Map(iter::from_fn(|| Some((values.next()?, values.next()?))).collect())
            }
            _ => return None,
        })
    }
}

/// Whether the values of an aggregate are pairs.
fn is_pairs(kind: u8) -> bool {
    matches!(kind, b'%' | b'|')
}

/// Takes a header from the front of the bytes, once all of it is there.
fn number(bytes: &mut &[u8], error: RespError) -> Result<Option<i64>, RespError> {
    let Some((number, len)) = header::decode(bytes).map_err(|_| error)? else { return Ok(None) };
    *bytes = &bytes[len..];
    Ok(Some(number))
}

/// The value of a line.
fn scalar(kind: u8, line: &[u8]) -> Option<Value> {
    let text = || Bytes::copy_from_slice(line);
    Some(match kind {
        b'+' => Value::Simple(text()),
        b'-' => Value::Error(text()),
        b',' => Value::Double(str::from_utf8(line).ok()?.parse().ok()?),
        b'(' => {
            let digits = line.strip_prefix(b"-").unwrap_or(line);
            let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            is_number.then(|| Value::BigNumber(text()))?
        }
        _ => match (kind, line) {
            (b'#', b"t") => Value::Boolean(true),
            (b'#', b"f") => Value::Boolean(false),
            (b'_', b"") => Value::Null,
            _ => return None,
        },
    })
}
