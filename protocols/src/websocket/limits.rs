//! The limits of a WebSocket.

use std::time::Duration;

/// What a peer may send, and how long it may take to close.
///
/// The connection also has the [`Limits`](sluicegate_reactor::Limits) of its listener or connector:
///
/// | limit | effect on a WebSocket |
/// |---|---|
/// | [`idle`](sluicegate_reactor::Limits::idle) | after this time without traffic a ping is sent, and after the same time without an answer the connection is lost. With `None`, no pings |
/// | [`send_high`](sluicegate_reactor::Limits::send_high) | a peer that does not read is not read from: this bounds the pongs that it can ask for |
/// | [`write_stall`](sluicegate_reactor::Limits::write_stall) | a peer that accepts nothing for this long is lost |
/// | [`receive_direct`](sluicegate_reactor::Limits::receive_direct) | an unfragmented binary message longer than this is received into the buffer in which it stays |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// The longest message, in bytes. For a compressed message, this applies to what is received
    /// and to what results. The default is 1 MiB.
    ///
    /// A message takes memory as it arrives, never for an announced length.
    pub message: usize,
    /// The longest frame of data, in bytes. The default is 1 MiB.
    pub frame: usize,
    /// How long the peer may take to answer a Close frame. The default is 5 s.
    pub close_timeout: Duration,
}

impl Default for WebSocketLimits {
    fn default() -> WebSocketLimits {
        WebSocketLimits { message: 1 << 20, frame: 1 << 20, close_timeout: Duration::from_secs(5) }
    }
}
