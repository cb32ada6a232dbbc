//! The status of an upstream, for operators.

use std::fmt;

use super::Upstream;

/// The state of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    /// It gets its full share of new connections.
    Up,
    /// Its share of new connections is growing: see
    /// [`slow_start`](super::UpstreamsOptions::slow_start).
    Starting,
    /// It is ejected because connects have failed.
    Ejected,
    /// It is down because checks have failed.
    Down,
    /// It was removed from the list, and its connections are finishing.
    Draining,
}

impl UpstreamState {
    /// The state in lower case, as the status page shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            UpstreamState::Up => "up",
            UpstreamState::Starting => "starting",
            UpstreamState::Ejected => "ejected",
            UpstreamState::Down => "down",
            UpstreamState::Draining => "draining",
        }
    }
}

impl fmt::Display for UpstreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The status of an upstream at one moment: see
/// [`Upstreams::snapshot`](super::Upstreams::snapshot).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// The upstream.
    pub upstream: Upstream,
    /// Its state.
    pub state: UpstreamState,
    /// The number of connections that are not established yet.
    pub connecting: u32,
    /// The number of established connections.
    pub open: u32,
    /// The number of connections established so far.
    pub connected: u64,
    /// The number of connects that have failed so far.
    pub failed: u64,
}
