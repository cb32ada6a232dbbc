//! Upstreams, and the options for choosing one.

use std::fmt;
use std::time::Duration;

use sluicegate_reactor::Target;

/// One of several servers that serve the same clients.
///
/// A host name is resolved for each connection. A program that resolves names itself creates one
/// upstream per address, and keeps the name for
/// [transports](sluicegate_reactor::Connect::transport) such as TLS:
///
/// ```
/// use sluicegate_protocols::upstreams::Upstream;
/// use sluicegate_reactor::Target;
///
/// let name: Target = "db.example:5432".parse()?;
/// let first = Upstream { name, address: "10.0.0.1:5432".parse()? };
/// assert_eq!(first.to_string(), "db.example:5432 (10.0.0.1:5432)");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// The name of the upstream.
    pub name: Target,
    /// The target to connect to, usually the same.
    pub address: Target,
}

impl<T: Into<Target>> From<T> for Upstream {
    fn from(target: T) -> Upstream {
        let name = target.into();
        Upstream { address: name.clone(), name }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == self.address {
            return self.name.fmt(f);
        }
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// How an upstream is chosen among the candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Round-robin: each upstream in turn.
    #[default]
    RoundRobin,
    /// The upstream with the fewest connections. If there are several, each of them in turn.
    LeastConnections,
    /// By a hash of the client's address, so that a client keeps its upstream. A client is an IPv4
    /// address or an IPv6 /64 prefix. When an upstream is removed, only its own clients move; when
    /// one is added, clients move only to that one. Several proxies with the same upstreams make
    /// the same choices. Clients without an IP address are distributed round-robin.
    ///
    /// [`slow_start`](UpstreamsOptions::slow_start) has no effect, since it would move clients.
    SourceHash,
}

/// The options for choosing upstreams: strategy, limits and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamsOptions {
    /// How an upstream is chosen. The default is [`Balance::RoundRobin`].
    pub balance: Balance,
    /// The maximum number of connections to an upstream, unfinished ones included. The default is
    /// no limit.
    pub max_connections: Option<u32>,
    /// The number of consecutive failed connects after which an upstream is ejected, unless it is
    /// the only one. `None` means never. The default is 3.
    pub max_failures: Option<u32>,
    /// How long an upstream stays ejected. The default is 10 s.
    pub fail_timeout: Duration,
    /// The number of consecutive checks that must succeed before an upstream that is down is up
    /// again. The default is 2.
    pub rise: u32,
    /// The number of consecutive checks that must fail before an upstream is down. The default is
    /// 3.
    pub fall: u32,
    /// The time over which the share of an upstream grows from one hundredth to its full size after
    /// it has recovered or was added. The default is zero: it has its full share immediately.
    pub slow_start: Duration,
}

impl Default for UpstreamsOptions {
    fn default() -> UpstreamsOptions {
        UpstreamsOptions {
            balance: Balance::RoundRobin,
            max_connections: None,
            max_failures: Some(3),
            fail_timeout: Duration::from_secs(10),
            rise: 2,
            fall: 3,
            slow_start: Duration::ZERO,
        }
    }
}
