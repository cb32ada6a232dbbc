//! An entry of the access log.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::date::{log_date, timestamp};
use super::status::Status;

/// A response that was sent completely or cut off, for an [access
/// log](crate::access_log::AccessLog).
///
/// Its `Display` is a line in the Combined Log Format, without the newline. In data from the
/// client, quotes, backslashes and bytes other than printable ASCII are escaped as `\xNN`. In the
/// user name, spaces are escaped too.
///
/// ```
/// use sluicegate_protocols::http::{LogRecord, Status};
///
/// let record = LogRecord {
///     peer: Some("127.0.0.1:40000".parse().unwrap()),
///     user: Some(b"alice"),
///     time: 971_211_336,
///     request_line: b"GET /a\"b HTTP/1.1",
///     status: Status::OK,
///     body_sent: 2326,
///     referer: None,
///     user_agent: Some(b"curl/8.0"),
/// };
/// assert_eq!(
///     record.to_string(),
///     "127.0.0.1 - alice [10/Oct/2000:20:55:36 +0000] \
///      \"GET /a\\x22b HTTP/1.1\" 200 2326 \"-\" \"curl/8.0\""
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// The client's address, if known; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The user name in the request's Basic credentials, if there are any. As in nginx, the service
    /// need not have checked them.
    pub user: Option<&'a [u8]>,
    /// When the request was answered, in seconds since 1970. For a streamed response this is when
    /// the stream ended, and for a request without a response when its client left.
    pub time: u64,
    /// The request line as it was received, except that a later minor version reads `HTTP/1.1`. It
    /// may be incomplete if the request was refused.
    pub request_line: &'a [u8],
    /// The status of the response; 499, as in nginx, if the client left before a response was ready
    /// that was [deferred](super::Reply::defer) or is [forwarded](crate::forward).
    pub status: Status,
    /// Bytes of the response body that the kernel has accepted.
    pub body_sent: u64,
    /// The request's `Referer`.
    pub referer: Option<&'a [u8]>,
    /// The request's `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
}

impl LogRecord<'_> {
    /// [`time`](LogRecord::time) in the format of RFC 3339.
    pub(crate) fn timestamp(&self) -> String {
        timestamp(self.time)
    }
}

impl fmt::Display for LogRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{}", peer.ip().to_canonical())?,
            None => f.write_char('-')?,
        }
        f.write_str(" - ")?;
        match self.user {
            None | Some([]) => f.write_char('-')?,
            Some(user) => write_escaped(f, user, b' ')?,
        }
        write!(f, " [{}] ", log_date(self.time))?;
        write_quoted(f, Some(self.request_line))?;
        write!(f, " {} ", self.status.code())?;
        match self.body_sent {
            0 => f.write_char('-')?,
            sent => write!(f, "{sent}")?,
        }
        f.write_char(' ')?;
        write_quoted(f, self.referer)?;
        f.write_char(' ')?;
        write_quoted(f, self.user_agent)
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, value: Option<&[u8]>) -> fmt::Result {
    f.write_char('"')?;
    match value {
        None | Some([]) => f.write_char('-')?,
        Some(bytes) => write_escaped(f, bytes, b'"')?,
    }
    f.write_char('"')
}

/// Writes bytes that `end` would end.
fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8], end: u8) -> fmt::Result {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => write!(f, "\\x{byte:02x}")?,
            b' '..=b'~' if byte != end => f.write_char(char::from(byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    Ok(())
}
