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
    /// The number of established connections, without those that were upgraded and are now tunnels.
    pub open: u32,
    /// The number of connections established so far.
    pub connected: u64,
    /// The number of connects that have failed so far.
    pub failed: u64,
    /// The requests to an origin of [`Forward`](crate::forward::Forward). `None` for an upstream of
    /// a [`Balancer`](super::Balancer), which knows only connections.
    pub requests: Option<RequestCounts>,
}

/// The requests to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// The number of requests whose response is not complete. Those that wait for a connection
    /// count too. A tunnel is active until it ends.
    pub active: u32,
    /// The number of requests so far whose response has begun, whatever its status.
    pub answered: u64,
    /// The number of requests so far that failed before a response and
    /// [count against](crate::forward#several-origins) the origin.
    pub failed: u64,
}

/// The status of a [`Balancer`](super::Balancer), or of the origins of a
/// [`Forward`](crate::forward::Forward), at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamsStatus {
    /// The upstreams. Those that were removed from the list and still drain come last.
    pub upstreams: Vec<UpstreamStatus>,
    /// The number of clients that wait for an upstream, or of requests that wait for a connection
    /// to an origin.
    pub waiting: usize,
}

/// A message that calls a function with the status of a [`Balancer`](super::Balancer) or of a
/// [`Forward`](crate::forward::Forward). The function runs on the thread of the receiver. It may,
/// for example, send the status to another thread:
///
/// ```
/// use std::sync::mpsc::channel;
///
/// use sluicegate_protocols::upstreams::{Balancer, BalancerOptions, Inspect};
/// use sluicegate_reactor::{Reactor, Target};
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let upstreams: [Target; 1] = ["10.0.0.1:5432".parse()?];
/// let proxy = Balancer::register(&mut reactor, upstreams, &BalancerOptions::default())?;
/// let handle = reactor.handle(proxy);
/// let (send, received) = channel();
/// assert!(handle.post(Inspect::new(move |status| drop(send.send(status)))).is_ok());
/// reactor.turn(None)?;
/// assert_eq!(received.recv().unwrap().upstreams[0].open, 0);
/// # Ok(())
/// # }
/// ```
pub struct Inspect(Box<dyn FnOnce(UpstreamsStatus) + Send>);

impl Inspect {
    /// Calls this function.
    #[must_use]
    pub fn new(look: impl FnOnce(UpstreamsStatus) + Send + 'static) -> Inspect {
        Inspect(Box::new(look))
    }

    /// Calls the function.
    pub(crate) fn call(self, status: UpstreamsStatus) {
        (self.0)(status);
    }
}
