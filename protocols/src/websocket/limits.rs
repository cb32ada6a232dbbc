//! The limits of a WebSocket.

use std::time::Duration;

/// The limits on what a peer may send, and on the time that it may take to close.
///
/// The connection also has the [`Limits`](sluicegate_reactor::Limits) of its listener or connector:
///
/// | limit | effect on a WebSocket |
/// |---|---|
/// | [`idle`](sluicegate_reactor::Limits::idle) | after this time without traffic a ping is sent, and if nothing arrives for the same time again, the connection is lost. With `None`, no pings are sent |
/// | [`send_high`](sluicegate_reactor::Limits::send_high) | if a peer does not read, its input is not read either, which bounds the number of pongs that it can cause |
/// | [`write_stall`](sluicegate_reactor::Limits::write_stall) | a peer that accepts nothing for this long is lost |
/// | [`receive_direct`](sluicegate_reactor::Limits::receive_direct) | an unfragmented binary message longer than this is received directly into its final buffer |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// The maximum length of a message in bytes. For a compressed message, it applies both before
    /// and after decompression. The default is 1 MiB.
    ///
    /// A message takes memory only as it arrives; the announced length is never allocated in
    /// advance. To decompress a hostile one takes up to about 0.2 s for each MiB that arrived, during
    /// which the other connections of the thread wait.
    pub message: usize,
    /// The maximum length of a data frame in bytes. The default is 1 MiB.
    pub frame: usize,
    /// How long the peer may take to answer a Close frame. The default is 5 s.
    pub close_timeout: Duration,
}

impl Default for WebSocketLimits {
    fn default() -> WebSocketLimits {
        WebSocketLimits { message: 1 << 20, frame: 1 << 20, close_timeout: Duration::from_secs(5) }
    }
}
