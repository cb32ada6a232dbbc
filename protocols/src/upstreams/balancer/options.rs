//! The options of a balancer.

use std::time::Duration;

use sluicegate_reactor::Connect;

use crate::proxy_protocol::Version;
use crate::upstreams::UpstreamsOptions;

/// The options of a [`Balancer`](super::Balancer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerOptions {
    /// How upstreams are chosen, their limits, and when they are ejected.
    pub upstreams: UpstreamsOptions,
    /// How connections to upstreams are opened. `timeout` limits the time to connect to one
    /// upstream, and `limits.handshake` the time of the handshake after that. When either has
    /// passed, the next upstream is tried. [`Connect::transport`] is given the
    /// [name](crate::upstreams::Upstream::name) of the upstream.
    pub connect: Connect,
    /// Starts each connection, before the transport, with a [PROXY protocol
    /// header](crate::proxy_protocol) that contains the address of the client. The default is
    /// `None`.
    pub announce: Option<Version>,
    /// The maximum number of clients that wait for a free upstream. Further clients are closed. The
    /// default is 1000.
    pub waiting: usize,
    /// The maximum time until a client is connected to an upstream. Then the client is closed. If
    /// all of it was spent on one upstream, that upstream has failed. The default is 30 s.
    pub waiting_timeout: Duration,
    /// The interval at which each upstream is checked by connecting to it. It also limits the time
    /// that the connect of a check, and the handshake after it, may take; the limits of
    /// [`connect`](BalancerOptions::connect) may be shorter. The default is `None`: no checks.
    pub check_interval: Option<Duration>,
}

impl Default for BalancerOptions {
    fn default() -> BalancerOptions {
        BalancerOptions {
            upstreams: UpstreamsOptions::default(),
            connect: Connect::default(),
            announce: None,
            waiting: 1000,
            waiting_timeout: Duration::from_secs(30),
            check_interval: None,
        }
    }
}
