//! The state that the connections of one listener or connector share: limits, rates and counters.

use super::Connection;
use super::connect::ConnectorOptions;
use super::ledger::Ledger;
use super::limits::Limits;
use super::meter::{Bucket, SharedBuckets};
use super::per_address::PerAddress;
use super::throttle::Throttle;
use crate::sys::Address;

/// The group of the connections of one listener or connector, or of those adopted with the same
/// limits.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) limits: Limits,
    /// The options of the connector that makes them, if one does.
    pub(crate) connector: Option<Box<ConnectorOptions>>,
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
    /// The rate limits of all connections together. `None` if no rate applies, not even to each of
    /// them.
    pub(crate) buckets: Option<Box<SharedBuckets>>,
    /// The counters of its connections.
    pub(crate) ledger: Ledger,
    /// The address of the listener that accepted them, if one did.
    pub(crate) address: Option<Address>,
    /// For the log lines about shortages.
    pub(crate) log: Throttle,
}

impl Group {
    /// A group without connections, which may together send and receive `rates` bytes per second.
    pub(crate) fn new(limits: Limits, rates: [Option<u64>; 2]) -> Group {
        let buckets = needed(&limits, rates.map(|rate| rate.map(Bucket::of_bytes)));
        Group { limits, buckets, ..Group::default() }
    }

    /// Replaces the idle time and the rates of each connection, and returns the old limits.
    pub(crate) fn set_limits(&mut self, limits: &Limits) -> Limits {
        let Limits { idle, send_rate, receive_rate, .. } = *limits;
        let new = Limits { idle, send_rate, receive_rate, ..self.limits.clone() };
        let shared = self.buckets.take().map_or([None, None], |buckets| *buckets);
        self.buckets = needed(&new, shared);
        std::mem::replace(&mut self.limits, new)
    }

    /// Whether its listener has all connections that it may have.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.open >= limit)
    }

    /// Whether a connection of the group is subject to a rate.
    #[inline]
    pub(crate) fn is_rated(&self, c: &Connection) -> bool {
        self.buckets.is_some() || c.special.as_ref().is_some_and(|special| special.meters.is_some())
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

/// The rates of all connections together, unless none applies, not even to each of them.
fn needed(limits: &Limits, shared: SharedBuckets) -> Option<Box<SharedBuckets>> {
    let each = [limits.send_rate, limits.receive_rate];
    let is_rated = each.iter().any(Option::is_some) || shared.iter().any(Option::is_some);
    is_rated.then(|| Box::new(shared))
}
