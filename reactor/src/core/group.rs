//! What the connections of one listener or connector share: limits, rates and counters.

use super::Connection;
use super::connect::Connect;
use super::ledger::Ledger;
use super::limits::Limits;
use super::meter::GroupRates;
use super::per_address::PerAddress;
use super::throttle::Throttle;
use crate::sys::Address;

/// The group of the connections of one listener or connector, or of those adopted with the same
/// limits.
pub(crate) struct Group {
    pub(crate) limits: Limits,
    /// The options of the connector that makes them, if one does.
    pub(crate) connect: Option<Box<Connect>>,
    pub(crate) open: u32,
    /// Whether other processes may also have the sockets open.
    pub(crate) shared: bool,
    pub(crate) per_address: Option<Box<PerAddress>>,
    /// How many bytes its connections may move in a second, if that is limited.
    pub(crate) rates: Option<Box<GroupRates>>,
    /// The counters of its connections.
    pub(crate) ledger: Ledger,
    /// The address of the listener that accepted them, if one did.
    pub(crate) address: Option<Address>,
    /// For the log lines about shortages.
    pub(crate) log: Throttle,
}

impl Group {
    pub(crate) fn new(limits: Limits) -> Group {
        Group {
            rates: GroupRates::new(&limits, [None, None]),
            limits,
            connect: None,
            open: 0,
            shared: false,
            per_address: None,
            ledger: Ledger::default(),
            address: None,
            log: Throttle::default(),
        }
    }

    /// Whether a connection of the group is subject to a rate.
    #[inline]
    pub(crate) fn is_rated(&self, c: &Connection) -> bool {
        self.rates.is_some() || c.special.as_ref().is_some_and(|special| special.meters.is_some())
    }

    /// Removes a connection that has closed.
    pub(crate) fn leave(&mut self, index: u32) {
        self.open -= 1;
        if let Some(per_address) = &mut self.per_address {
            per_address.leave(index);
        }
    }
}
