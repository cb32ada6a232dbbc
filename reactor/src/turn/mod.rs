//! The loop: the phases of a turn, one connection's step, and the only calls of handlers.

pub(crate) mod dispatch;
pub(crate) mod drain;
mod drive;
pub(crate) mod hand_over;
pub(crate) mod reactor;
mod registry;
