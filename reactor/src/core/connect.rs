//! The options of a connector, without the limits of its connections, and the state of a connection
//! until it is established.

use std::time::Duration;

use super::target::Target;
use super::transport::Factory;
use crate::sys::{Address, TcpOptions};

/// How the connections of a connector are established: see [`Connect`](crate::Connect).
pub(crate) struct ConnectorOptions {
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_connections: u32,
    pub(crate) transport: Option<Factory<Target>>,
    pub(crate) tcp: TcpOptions,
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
