//! The options of a client.

use std::time::Duration;

use sluicegate_reactor::{Connect, Limits};

use crate::http::limits::ChunkLimits;

/// The part of a body that arrives with the head of a response is copied, even if the rest of a
/// long body is received elsewhere.
const RECEIVE_MOST: usize = 32 << 10;

/// The limits and deadlines of a client.
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_protocols::http::client::ClientOptions;
///
/// let options =
///     ClientOptions { response_timeout: Duration::from_secs(5), ..ClientOptions::default() };
/// assert_eq!(options.connections, 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// How connections are opened: the time limit for connecting ([`Connect::timeout`], 10 s), the
    /// [transport](Connect::transport) such as TLS, the socket options, and the limits of each
    /// connection. The client replaces [`Limits::idle`] and, unless the request offers an
    /// [upgrade](super::Request::upgrade), those limits that would stop it from reading a response
    /// while it sends a request.
    pub connect: Connect,
    /// The maximum number of connections to the origin, unfinished ones included. A response that
    /// does not end, such as a stream of events, keeps its connection. At most 1,000 are kept while
    /// they are idle. Default 100.
    pub connections: usize,
    /// The maximum number of requests that wait for a connection. Further ones fail. Default 1000.
    pub waiting: usize,
    /// How long a request may wait for a connection. Default 10 s.
    pub waiting_timeout: Duration,
    /// How long the origin may take from the end of the request to the end of the response's head.
    /// While the request is being sent, the timeout restarts whenever it has passed. Default 60 s.
    pub response_timeout: Duration,
    /// How long the origin may be silent in the middle of a response body. Time during which the
    /// exchange [pauses](sluicegate_reactor::Peer::pause) the connection does not count. Default
    /// 60 s.
    pub body_timeout: Duration,
    /// How long an idle connection is kept (keep-alive). Default 4 s: Apache httpd and Node.js
    /// close idle connections after 5 s, and a request that is sent at that moment may fail.
    pub idle_timeout: Duration,
    /// The maximum length in bytes of the head of a response, and of its trailer section. Default
    /// 32 KiB.
    pub head: usize,
    /// The maximum number of header fields of a response, up to 256. Default 100.
    pub headers: usize,
    /// The maximum length in bytes of a response body that is skipped if the exchange does not want
    /// it. If the body is longer, the connection is closed. Default 64 KiB.
    pub drain: u64,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            connect: Connect::default(),
            connections: 100,
            waiting: 1000,
            waiting_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(4),
            head: 32 << 10,
            headers: 100,
            drain: 64 << 10,
        }
    }
}

impl ClientOptions {
    /// The options of the connector.
    pub(super) fn connect(&self) -> Connect {
        let own = &self.connect.limits;
        let limits = Limits {
            // A full queue would stop reading, and an origin that answers before it has read the
            // whole request would wait for that forever.
            send_high: usize::MAX,
            send_segments: usize::MAX,
            send_files: usize::MAX,
            // The client leaves unread an incomplete head or a short body.
            max_unread: own
                .max_unread
                .max(self.head.saturating_add(1))
                .max(own.receive_direct.saturating_add(1)),
            idle: Some(self.body_timeout),
            receive_most: own.receive_most.min(RECEIVE_MOST),
            ..own.clone()
        };
        Connect { limits, ..self.connect.clone() }
    }

    /// The same for connections that may be upgraded, after which a full queue has to stop reading.
    pub(super) fn connect_to_upgrade(&self) -> Connect {
        let Limits { send_high, send_segments, send_files, .. } = self.connect.limits;
        let mut connect = self.connect();
        connect.limits = Limits { send_high, send_segments, send_files, ..connect.limits };
        connect
    }

    /// The port that `Host` omits: that of `https` if there is a transport, which is usually TLS.
    pub(super) fn usual_port(&self) -> u16 {
        if self.connect.transport.is_some() { 443 } else { 80 }
    }

    pub(super) fn chunks(&self) -> ChunkLimits {
        ChunkLimits { body: u64::MAX, trailers: self.head, pads_sizes: true }
    }
}
