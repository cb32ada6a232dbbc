//! Why input is invalid.

use std::error::Error;
use std::fmt;

/// Why input is not valid RESP, or exceeds a limit. Its `Display` uses the wording of Redis, which
/// [`Commands`](super::Commands) sends to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespError {
    /// The number of elements of an array, map, set or push is not a number or exceeds the limit.
    Count,
    /// The length of a bulk string is not a number or exceeds the limit.
    Length,
    /// An argument of a command starts with this byte and not with `$`.
    NotBulk(u8),
    /// The bytes of a bulk string are not followed by CRLF.
    Unterminated,
    /// An inline command exceeds the limit.
    InlineTooLong,
    /// A quoted argument of an inline command does not end, or is not followed by a space.
    Quotes,
    /// A reply has an element of unknown type, which this byte denotes.
    Type(u8),
    /// A reply has an integer, double, boolean, null or verbatim string that is malformed.
    Malformed,
    /// A reply has a line that exceeds the limit.
    LineTooLong,
    /// A reply is nested more deeply than the limit.
    TooDeep,
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            RespError::Count => "invalid multibulk length",
            RespError::Length => "invalid bulk length",
            RespError::NotBulk(byte) => {
                return write!(f, "expected '$', got '{}'", byte.escape_ascii());
            }
            RespError::Unterminated => "expected CRLF after a bulk string",
            RespError::InlineTooLong => "too big inline request",
            RespError::Quotes => "unbalanced quotes in request",
            RespError::Type(byte) => {
                return write!(f, "unknown type '{}'", byte.escape_ascii());
            }
            RespError::Malformed => "malformed value",
            RespError::LineTooLong => "too long line",
            RespError::TooDeep => "too many nested values",
        };
        f.write_str(text)
    }
}

impl Error for RespError {}
