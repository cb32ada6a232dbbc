//! The state that the connections of one listener or connector share: limits, rates and counters.

use super::Connection;
use super::connect::Connect;
use super::ledger::Ledger;
use super::limits::Limits;
use super::meter::Bucket;
use super::per_address::PerAddress;
use super::throttle::Throttle;
use crate::sys::Address;

/// The group of the connections of one listener or connector, or of those adopted with the same
/// limits.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) limits: Limits,
    /// The options of the connector that makes them, if one does. Its limits are those above.
    pub(crate) connector: Option<Box<Connect>>,
    pub(crate) open: u32,
    /// The peak number.
    pub(crate) peak: u32,
    /// The maximum that its listener accepts. `None` if it has none, or passes its connections on.
    pub(crate) limit: Option<u32>,
    /// How many of them are in the handshake of their transport.
    pub(crate) handshaking: u32,
    /// Whether its sockets were adopted. Other processes may also have them open.
    pub(crate) is_adopted: bool,
    pub(crate) per_address: Option<Box<PerAddress>>,
    /// The rate at which its listener accepts, if it is limited.
    pub(crate) accepts: Option<Bucket>,
    /// The rate at which all connections together send, if it is limited.
    pub(crate) bucket: Option<Bucket>,
    /// The counters of its connections.
    pub(crate) ledger: Ledger,
    /// The address of the listener that accepted them, if one did.
    pub(crate) address: Option<Address>,
    /// For the log lines about shortages.
    pub(crate) log: Throttle,
}

impl Group {
    /// A group without connections, which may together send `rate` bytes per second.
    pub(crate) fn new(limits: Limits, rate: Option<u64>) -> Group {
        Group { limits, bucket: rate.map(Bucket::of_bytes), ..Group::default() }
    }

    /// Whether its listener has all connections that it may have.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.open >= limit)
    }

    /// Whether a connection of the group is subject to a rate.
    #[inline]
    pub(crate) fn is_rated(&self, c: &Connection) -> bool {
        self.bucket.is_some() || self.limits.send_rate.is_some() || c.meter().is_some()
    }

    /// Adds a connection.
    pub(crate) fn enter(&mut self) {
        self.open += 1;
        self.peak = self.peak.max(self.open);
    }

    /// Removes a connection that has closed.
    pub(crate) fn leave(&mut self, index: u32) {
        self.open -= 1;
        if let Some(per_address) = &mut self.per_address {
            per_address.leave(index);
        }
    }
}
