//! The loop. One turn has a fixed order of phases:
//!
//! 1. **wait** for events, not at all while anything is owed;
//! 2. **note** what the events say, in the connections; call nothing;
//! 3. **accept**, within each listener's budget, and open what was accepted; in the turn that
//!    begins to [drain](crate::Reactor::set_drain), accept the rest and close the listeners;
//! 4. **drive** each connection with something to do, within its quantum;
//! 5. run the **deadlines** and the **timers** whose time has come, within a budget;
//! 6. deliver the **messages** that were posted, within each mailbox's budget;
//! 7. **settle** what those phases left owed: closes, drains, queues that others filled;
//! 8. **free** the places of connections that are gone.
//!
//! A handler is called in phases 3 to 7 only, one at a time, and never from inside a call it makes.
//! A place is not used again before the turn is over, so no event of the turn can reach a
//! successor.

mod deliver;
pub(crate) mod dispatch;
pub(crate) mod drain;
mod drive;
mod end;
mod expire;
pub(crate) mod inboxes;
mod ledger;
pub(crate) mod reactor;
#[cfg(test)]
mod tests;
