//! What the log says about connections.

use std::fmt::{Display, Write};
use std::io;

use super::{ConnId, Connection, Core};
use crate::sys::{Address, NO_FD};

impl Core {
    /// Text that names a connection in the log: its id, its peer, and the listener that accepted it.
    /// The peer is missing if the socket has forgotten it, as after a reset.
    ///
    /// ```text
    /// ConnId(17.204) from 10.0.0.9:51712 at 10.0.0.1:80
    /// ConnId(18.205) to 10.0.0.2:8080
    /// ```
    pub(crate) fn describe(&self, index: u32) -> String {
        let Some(c) = self.get(index) else { return "a connection that is gone".to_owned() };
        let group = &self.groups[usize::from(c.group)];
        let mut text = format!("{:?}", ConnId { index, generation: c.generation });
        // Writing to a string cannot fail.
        let mut add = |word, what: &dyn Display| drop(write!(text, " {word} {what}"));
        let attempt = c.special.as_ref().and_then(|special| special.attempt.as_ref());
        match (attempt, self.peer_address(c)) {
            (Some(attempt), _) => add("to", &attempt.target),
            (None, Ok(peer)) if group.address.is_some() => add("from", &peer),
            (None, Ok(peer)) if group.connect.is_some() => add("to", &peer),
            (None, Ok(peer)) => add("with", &peer),
            (None, Err(_)) => {}
        }
        if let Some(listener) = &group.address {
            add("at", listener);
        }
        text
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
