//! Time: deadlines of connections, timers, and rates.

pub(crate) mod deadlines;
pub(crate) mod rates;
pub(crate) mod timers;
