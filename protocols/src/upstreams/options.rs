//! What an upstream is, and how one is chosen.

use std::fmt;
use std::time::Duration;

use sluicegate_reactor::Target;

/// One of several servers that serve the same clients.
///
/// A name is looked up for each connection. A program that looks names up itself makes an upstream
/// of each address, and keeps the name for [transports](sluicegate_reactor::Connect::transport) such
/// as TLS:
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
    /// What the upstream is called.
    pub name: Target,
    /// Where to connect, usually the same.
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
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest connections, and each in turn among those.
    LeastConnections,
    /// By the address of the client, so that a client keeps its upstream. A client is an IPv4
    /// address or an IPv6 /64 prefix. When an upstream leaves, only its own clients move; when one
    /// joins, it only takes clients over. Several proxies with the same upstreams agree. Clients
    /// without an IP address are served in turn.
    ///
    /// [`slow_start`](UpstreamsOptions::slow_start) has no effect, since it would move clients.
    SourceHash,
}

/// The limits of each upstream, and when it is avoided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamsOptions {
    /// How an upstream is chosen. The default is [`Balance::RoundRobin`].
    pub balance: Balance,
    /// The most connections of an upstream, unfinished ones included. The default is no limit.
    pub max_connections: Option<u32>,
    /// After this many failed connects in a row, an upstream is put aside, unless it is the only
    /// one. `None` means never. The default is 3.
    pub max_failures: Option<u32>,
    /// How long an upstream is aside. The default is 10 s.
    pub fail_timeout: Duration,
    /// How many checks in a row must succeed before an upstream that is down is up again. The
    /// default is 2.
    pub rise: u32,
    /// How many checks in a row must fail before an upstream is down. The default is 3.
    pub fall: u32,
    /// How long the share of an upstream grows from a hundredth to its full size after it has come
    /// back or was added. The default is zero: it has its full share at once.
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
