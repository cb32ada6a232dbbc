//! The event loop. The phases of a turn have a fixed order:
//!
//! 1. **wait** for events, without blocking if any work is pending;
//! 2. **note** the events in their connections, without calling a handler;
//! 3. **accept** within each listener's budget, and ask idle connections to make room; in the turn
//!    that begins to [drain](crate::Reactor::set_drain), accept the rest of the backlog and close
//!    the listeners;
//! 4. **run** each connection that has work, within its quantum; those just accepted come after
//!    those with events;
//! 5. run the **deadlines** and **timers** that are due, within a budget;
//! 6. deliver **messages**, within each mailbox's budget;
//! 7. **settle** the work that those phases caused: closes, drains, queues filled by other
//!    connections;
//! 8. **free** the slots of connections that are gone.
//!
//! A [memory budget](crate::Reactor::set_memory_budget) is looked after during phases 4 and 7, and
//! at the end of the turn.
//!
//! Handlers are called in phases 3 to 7, and after phase 8 when the reactor stops and ends the
//! remaining sessions. Calls are made one at a time, and never from inside a call that a handler
//! makes. A slot is not reused before the turn ends, so no event of the turn can reach the next
//! connection in that slot.

pub(crate) mod dispatch;
pub(crate) mod drain;
mod end;
mod expire;
pub(crate) mod inboxes;
mod memory;
mod messages;
mod observing;
pub(crate) mod reactor;
mod step;
#[cfg(test)]
mod tests;
