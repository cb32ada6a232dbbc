//! What an operator sees of an upstream.

use std::fmt;

use super::Upstream;

/// The state of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    /// It has its full share of new connections.
    Up,
    /// Its share grows: see [`slow_start`](super::UpstreamsOptions::slow_start).
    Starting,
    /// It is avoided because connects have failed.
    Aside,
    /// It is avoided because checks have failed.
    Down,
    /// It has left the list, and finishes its connections.
    Draining,
}

impl fmt::Display for UpstreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            UpstreamState::Up => "up",
            UpstreamState::Starting => "starting",
            UpstreamState::Aside => "aside",
            UpstreamState::Down => "down",
            UpstreamState::Draining => "draining",
        })
    }
}

/// One upstream at one moment: see [`Upstreams::snapshot`](super::Upstreams::snapshot).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// The upstream.
    pub upstream: Upstream,
    /// Its state.
    pub state: UpstreamState,
    /// Connections that are not established yet.
    pub connecting: u32,
    /// Established connections.
    pub open: u32,
    /// Connections established so far.
    pub connected: u64,
    /// Connects that have failed so far.
    pub failed: u64,
}
