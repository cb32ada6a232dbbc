//! The options of a connector, and the state of a connection until it is established.

use std::time::Duration;

use super::limits::Limits;
use super::target::Target;
use crate::sys::{Address, Keepalive, TcpOptions};

/// The options of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The time limit for establishing a connection, including the name lookup and all attempts: 10
    /// s.
    pub timeout: Duration,
    /// The time limit for one address while there is another to try: 2 s. This allows one
    /// retransmission of a lost first packet, after 1 s (RFC 6298).
    pub attempt_timeout: Duration,
    /// The most connections, unfinished and lingering ones included: 10,000. Further ones fail with
    /// `ErrorKind::QuotaExceeded`.
    pub max_connections: u32,
    /// Like [`Listen::unsent`](crate::Listen::unsent).
    pub unsent: Option<u32>,
    /// Like [`Listen::congestion`](crate::Listen::congestion). With a name that the system refuses,
    /// each attempt fails with [`Reason::Unconnected`](crate::Reason::Unconnected).
    pub congestion: Option<String>,
    /// Like [`Listen::keepalive`](crate::Listen::keepalive).
    pub keepalive: Option<Keepalive>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Default for Connect {
    fn default() -> Connect {
        Connect {
            timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
            max_connections: 10_000,
            unsent: None,
            congestion: None,
            keepalive: None,
            limits: Limits::default(),
        }
    }
}

impl Connect {
    pub(crate) fn options(&self) -> TcpOptions<'_> {
        let congestion = self.congestion.as_deref();
        TcpOptions { unsent: self.unsent, congestion, keepalive: self.keepalive }
    }
}

/// How far a connection that is not established yet has come.
pub(crate) struct Attempt {
    pub(crate) target: Target,
    pub(crate) stage: Stage,
    /// The tick at which the whole attempt is given up.
    pub(crate) deadline: u32,
    /// The tick at which the present address is given up.
    pub(crate) until: u32,
}

pub(crate) enum Stage {
    /// It will not be tried: the connector already has as many connections as its limit allows.
    TooMany,
    /// Waiting for the addresses of the name.
    Resolving,
    /// Trying one address, or about to; these are left.
    Trying(std::vec::IntoIter<Address>),
}
