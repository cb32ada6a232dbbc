//! The limits on requests and connections.

use std::time::Duration;

use super::chunks::ChunkLimits;

/// The largest value of [`HttpLimits::headers`]: the parsed fields are on the stack.
pub(super) const MAX_HEADERS: usize = 256;

/// The limits on requests and connections.
///
/// The reactor's [`Limits`](sluicegate_reactor::Limits) apply too: they bound idle connections,
/// slow readers and the lingering close. Their `max_unread` must be larger than `head`, as it
/// is by default; otherwise a long head ends the connection without a response.
///
/// ```
/// use sluicegate_protocols::http::HttpLimits;
///
/// let limits = HttpLimits { requests: Some(1000), ..HttpLimits::default() };
/// assert!(limits.head < sluicegate_reactor::Limits::default().max_unread);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The longest request line in bytes, without its CRLF. Longer ones get 414. Default 8192.
    pub request_line: usize,
    /// The longest head in bytes, from the request line to the empty line, and the longest trailer
    /// section. Longer ones get 431. Default 32 KiB.
    pub head: usize,
    /// The most header fields, at most 256. Requests with more get 431. Default 100.
    pub headers: usize,
    /// The longest request body in bytes. Longer ones get 413. Default 1 GiB.
    pub body: u64,
    /// The longest body in bytes that is skipped if the service does not read it. If the body is
    /// longer, the connection closes after the response. Default 64 KiB.
    pub drain: u64,
    /// How long a head may take, from its first byte to its last. After that the client gets 408
    /// and the connection closes. A body that the service does not read may take as long to skip,
    /// from its first byte, before the connection closes. Before the first byte of a head, the
    /// reactor's idle limit applies. Default 10 s.
    pub head_timeout: Duration,
    /// The lowest rate, in bytes per second, of a body that the service has requested, averaged
    /// over each [`head_timeout`](HttpLimits::head_timeout). A slower client gets 408 and the
    /// connection closes. Default 500.
    pub body_rate: u32,
    /// How long a [deferred](super::Reply::defer) response may take. After that, the client gets
    /// 503 and the connection closes. Default 60 s.
    pub response_timeout: Duration,
    /// The most requests on one connection. The last response closes it. Default: no limit.
    pub requests: Option<u32>,
    /// Whether requests with a field `Content_Length` or `Transfer_Encoding` get 400. Programs that
    /// map field names to variables, as CGI does, mistake these for the fields with a hyphen.
    /// Behind this server, they would see a different body than the server does. Default true.
    pub refuse_lookalikes: bool,
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
            response_timeout: Duration::from_secs(60),
            requests: None,
            refuse_lookalikes: true,
        }
    }
}

impl HttpLimits {
    /// Those on a chunked body.
    pub(super) fn chunks(&self) -> ChunkLimits {
        ChunkLimits { body: self.body, trailers: self.head }
    }
}
