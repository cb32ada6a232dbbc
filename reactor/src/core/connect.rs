//! The options of a connector, and the state of a connection until it is established.

use std::time::Duration;

use super::limits::Limits;
use super::target::Target;
use super::transport::Factory;
use crate::sys::{Address, TcpOptions};

/// The options of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The time limit for establishing a connection, including the name lookup and all attempts.
    /// The default is 10 s.
    pub timeout: Duration,
    /// The time limit for one address while there is another to try. The default is 2 s, which
    /// allows one retransmission of a lost SYN, after 1 s (RFC 6298).
    pub attempt_timeout: Duration,
    /// The maximum number of connections, unfinished and lingering ones included. Further connects
    /// fail with `ErrorKind::QuotaExceeded`. The default is 10,000.
    pub max_connections: u32,
    /// Makes the transport of each connection from its target. The default is none.
    pub transport: Option<Factory<Target>>,
    /// The options of TCP sockets. If the system refuses one, each attempt fails with
    /// [`Reason::Unconnected`](crate::Reason::Unconnected).
    pub tcp: TcpOptions,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Default for Connect {
    fn default() -> Connect {
        Connect {
            timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
            max_connections: 10_000,
            transport: None,
            tcp: TcpOptions::default(),
            limits: Limits::default(),
        }
    }
}

/// The state of a connection until it is established.
pub(crate) struct Attempt {
    pub(crate) target: Target,
    /// The addresses that are left to try; `None` while the name is looked up.
    pub(crate) left: Option<std::vec::IntoIter<Address>>,
    /// The tick at which the whole attempt is abandoned.
    pub(crate) deadline: u32,
    /// The tick at which the present address is abandoned.
    pub(crate) until: u32,
}
