//! The limits on requests and connections.

use std::time::Duration;

#[cfg(doc)]
use sluicegate_reactor::{Limits, Listen};

/// The largest value of [`HttpLimits::headers`]: the parsed fields are on the stack.
pub(super) const MAX_HEADERS: usize = 256;

/// The limits on requests and connections.
///
/// # All limits of a server
///
/// The reactor's [`Listen`] and [`Limits`] apply too. Together they bound the resources that a
/// client can use:
///
/// | what | limit | default |
/// |---|---|---|
/// | open connections | [`Listen::max_connections`] | 100,000 |
/// | open connections of a client | [`Listen::max_per_address`] | none |
/// | new connections per second | [`Listen::accept_rate`] | none |
/// | bytes sent per second, per connection and in total | [`Limits::send_rate`], [`Listen::send_rate`] | none |
/// | a connection without traffic | [`Limits::idle`] | 75 s |
/// | a client that accepts no bytes | [`Limits::write_stall`] | 60 s |
/// | queued responses that a client does not read | [`Limits::send_high`] | 64 KiB |
/// | a closed connection whose client still sends | [`Limits::linger_time`], [`Limits::linger_idle`] | 30 s, 5 s |
/// | requests of a connection | [`requests`](HttpLimits::requests) | none |
/// | pipelined requests answered in a turn | see [`Http`](super::Http) | 1,024 |
/// | the request line | [`request_line`](HttpLimits::request_line) | 8 KiB |
/// | the head | [`head`](HttpLimits::head) | 32 KiB |
/// | header fields | [`headers`](HttpLimits::headers) | 100 |
/// | the time for a head | [`head_timeout`](HttpLimits::head_timeout) | 10 s |
/// | a request body | [`body`](HttpLimits::body) | 1 GiB |
/// | a request body in memory | the argument of [`Reply::read`](super::Reply::read) | |
/// | a request body that is skipped | [`drain`](HttpLimits::drain) | 64 KiB |
/// | the rate of a request body | [`body_rate`](HttpLimits::body_rate) | 500 bytes/s |
/// | the time for a deferred response | [`response_timeout`](HttpLimits::response_timeout) | 60 s |
///
/// [`Limits::max_unread`] must be larger than `head`, as it is by default; otherwise a long head
/// ends the connection without a response.
///
/// A server on the open internet should also limit the connections of each client:
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_protocols::http::HttpLimits;
/// use sluicegate_reactor::{Limits, Listen};
///
/// let limits = Limits { idle: Some(Duration::from_secs(30)), ..Limits::default() };
/// let listen = Listen { max_per_address: Some(100), limits, ..Listen::default() };
/// let http = HttpLimits { body: 10 << 20, requests: Some(1000), ..HttpLimits::default() };
/// assert!(http.head < listen.limits.max_unread);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The maximum length of the request line in bytes, without its CRLF. Longer ones get 414.
    /// Default 8192.
    pub request_line: usize,
    /// The maximum length of a head in bytes, from the request line to the empty line, and of the
    /// trailer section. Longer ones get 431, and trailer fields of more than 4 KiB get 400. Default
    /// 32 KiB.
    pub head: usize,
    /// The maximum number of header fields, up to 256. Requests with more get 431. Default 100.
    pub headers: usize,
    /// The maximum length of a request body in bytes. Longer ones get 413. Default 1 GiB.
    pub body: u64,
    /// The maximum length in bytes of a body that is skipped if the service does not read it. If
    /// the body is longer, the connection closes after the response. Default 64 KiB.
    pub drain: u64,
    /// How long a head may take, from its first byte to its last. After that the client gets 408
    /// and the connection closes. Skipping a body that the service does not read may take the same
    /// time, from its first byte; then the connection closes. Before the first byte of a head, the
    /// reactor's idle limit applies. Default 10 s.
    pub head_timeout: Duration,
    /// The minimum rate, in bytes per second, of a body that the service has requested, averaged
    /// over each [`head_timeout`](HttpLimits::head_timeout). A slower client gets 408 and the
    /// connection closes. Default 500.
    pub body_rate: u32,
    /// How long a [deferred](super::Reply::defer) response may take. After that, the client gets
    /// 503 and the connection closes. Default 60 s.
    pub response_timeout: Duration,
    /// The maximum number of requests per connection. The connection closes after the last
    /// response. Default: no limit.
    pub requests: Option<u32>,
    /// Whether requests with a field `Content_Length` or `Transfer_Encoding` get 400. Programs that
    /// map field names to variables, as CGI does, confuse these with the fields with a hyphen.
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

/// The limits on a chunked body.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkLimits {
    /// The longest body, in bytes.
    pub(super) body: u64,
    /// The longest trailer section, in bytes.
    pub(super) trailers: usize,
    /// Whether spaces and tabs may follow a size.
    pub(super) pads_sizes: bool,
}

impl HttpLimits {
    /// Those on a chunked body.
    pub(super) fn chunks(&self) -> ChunkLimits {
        ChunkLimits { body: self.body, trailers: self.head, pads_sizes: false }
    }
}
