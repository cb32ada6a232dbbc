//! Every size, count and time that the HTTP layer decides by, as data.

use std::time::Duration;

/// Most header fields that [`HttpLimits::headers`] can allow: their places are on the stack.
pub(super) const MAX_HEADERS: usize = 256;

/// What bounds a request and a connection.
///
/// Idle connections, slow readers and the lingering close are the reactor's:
/// [`Limits`](sluicegate_reactor::Limits). Its `keep` must be larger than `head` here, as it is by
/// default; otherwise a long head ends the connection without an answer.
///
/// ```
/// use sluicegate_protocols::http::HttpLimits;
///
/// let limits = HttpLimits { requests: Some(1000), ..HttpLimits::default() };
/// assert!(limits.head < sluicegate_reactor::Limits::default().keep);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Most bytes of a request line, without its CRLF; beyond it 414. Default 8192.
    pub request_line: usize,
    /// Most bytes of a head, from the request line to the empty line; beyond it 431. Default
    /// 32 KiB.
    pub head: usize,
    /// Most header fields, up to 256; beyond it 431. Default 100.
    pub headers: usize,
    /// Most bytes that a request may announce as its body; beyond it 413. Default 1 GiB.
    pub body: u64,
    /// A body that nobody reads is skipped if it has at most so many bytes; a longer one closes
    /// the connection after the answer. Default 64 KiB.
    pub drain: u64,
    /// How long a head may take from its first byte, whatever trickles in meanwhile; then 408 and
    /// close. A body that is being skipped has the same time, from its first byte as well: before
    /// that, as between requests, the reactor's idle limit applies. Default 10 s.
    pub head_timeout: Duration,
    /// Least bytes in a second of a body that is [saved](super::Reply::save), on average over each
    /// [`head_timeout`](HttpLimits::head_timeout); below it 408 and close. Default 500.
    pub body_rate: u32,
    /// How long an answer may be [put off](super::Reply::defer); then 503 and close. Default 60 s.
    pub answer_timeout: Duration,
    /// Most requests on one connection: the last answer closes it. Default: any number.
    pub requests: Option<u32>,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            request_line: 8 << 10,
            head: 32 << 10,
            headers: 100,
            body: 1 << 30,
            drain: 64 << 10,
            head_timeout: Duration::from_secs(10),
            body_rate: 500,
            answer_timeout: Duration::from_secs(60),
            requests: None,
        }
    }
}
