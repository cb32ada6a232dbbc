//! The options of a balancer.

use std::time::Duration;

use sluicegate_reactor::Connect;

use crate::proxy_protocol::Version;
use crate::upstreams::UpstreamsOptions;

/// The options of a [`Balancer`](super::Balancer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerOptions {
    /// How upstreams are chosen, their limits, and when they are avoided.
    pub upstreams: UpstreamsOptions,
    /// How connections to upstreams are made. `timeout` is the time to connect to one upstream.
    /// `limits.handshake` is the time for the handshake after that. When either is over, the next
    /// upstream is tried. [`Connect::transport`] is given the
    /// [name](crate::upstreams::Upstream::name) of the upstream.
    pub connect: Connect,
    /// Begins each connection with a [PROXY protocol header](crate::proxy_protocol) that tells the
    /// upstream the address of the client, in front of the transport. The default is `None`.
    pub announce: Option<Version>,
    /// How many clients may wait for a free upstream. More are closed. The default is 1000.
    pub waiting: usize,
    /// How long a client may wait until it is connected to an upstream, whatever it waits for. Then
    /// it is closed. The default is 30 s.
    pub waiting_timeout: Duration,
    /// How often each upstream is checked, by connecting to it. This is also the longest that the
    /// connect of a check, and the handshake after that, may take; the limits of
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
