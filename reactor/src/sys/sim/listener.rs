//! Listening sockets.

use std::collections::VecDeque;

use super::{Address, Ready, Script};

pub(super) struct Listener {
    pub(super) address: Address,
    limit: usize,
    /// Streams that wait to be accepted, oldest first.
    pub(super) backlog: VecDeque<usize>,
    pub(super) script: Script,
}

impl Listener {
    pub(super) fn new(address: Address, backlog: u32) -> Listener {
        let limit = backlog.max(1) as usize;
        Listener { address, limit, backlog: VecDeque::new(), script: Script::default() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.backlog.len() >= self.limit
    }

    /// Whether a client that connects to `address` reaches this listener.
    pub(super) fn is_reached_by(&self, address: &Address) -> bool {
        let every_ip = self.address.ip().is_some_and(|ip| ip.is_unspecified());
        self.address == *address || every_ip && self.address.port() == address.port()
    }

    pub(super) fn ready(&self) -> Ready {
        if self.backlog.is_empty() { Ready::default() } else { Ready::READ }
    }
}
