//! What the log says about connections.

use std::fmt::{self, Display};
use std::io;

use super::{ConnId, Connection, Core};
use crate::sys::{Address, NO_FD};

impl Core {
    /// Names a connection in the log: by its id, its peer, and the listener that accepted it.
    /// The peer is missing if the socket has forgotten it, as after a reset.
    ///
    /// ```text
    /// ConnId(17.204) from 10.0.0.9:51712 at 10.0.0.1:80
    /// ConnId(18.205) to 10.0.0.2:8080
    /// ```
    pub(crate) fn describe(&self, index: u32) -> impl Display {
        fmt::from_fn(move |f| {
            let c = &self[index];
            write!(f, "{:?}", ConnId { index, generation: c.generation })?;
            let group = &self.groups[usize::from(c.group)];
            let attempt = c.special.as_ref().and_then(|special| special.attempt.as_ref());
            match (attempt, self.peer_address(c)) {
                (Some(attempt), _) => write!(f, " to {}", attempt.target)?,
                (None, Ok(peer)) if group.address.is_some() => write!(f, " from {peer}")?,
                (None, Ok(peer)) if group.connect.is_some() => write!(f, " to {peer}")?,
                (None, Ok(peer)) => write!(f, " with {peer}")?,
                (None, Err(_)) => {}
            }
            group.address.as_ref().map_or(Ok(()), |listener| write!(f, " at {listener}"))
        })
    }

    /// The address of a peer: what the transport says, or else the socket.
    pub(crate) fn peer_address(&self, c: &Connection) -> io::Result<Address> {
        let transport = c.special.as_ref().and_then(|special| special.transport());
        match transport.and_then(|transport| transport.peer_address()) {
            Some(address) => Ok(address.clone()),
            None if c.socket == NO_FD => Err(io::ErrorKind::NotConnected.into()),
            None => self.kernel.peer_address(c.socket),
        }
    }
}
