//! Finding an idle connection that makes room for a new one.

use std::time::Duration;

use crate::core::{Core, ticks};

/// How long a connection must have been idle: a client that has just connected, or has just got a
/// response, is about to send a request.
const LEAST_IDLE: Duration = Duration::from_secs(1);

/// The most idle connections that one search compares.
const SAMPLE: usize = 16;

/// The most slots that one search looks at, if few connections are idle: some tens of microseconds.
const LOOKED_AT: usize = 1024;

/// Looks for idle connections, slot after slot. Nothing is recorded when bytes move, as an exact
/// order would require: among a sample, the longest idle one is old enough.
#[derive(Default)]
pub(super) struct IdleSearch {
    /// The slot at which the next search begins.
    at: u32,
    /// No search before this time (nanoseconds), since the last one has not made room yet.
    pub(super) not_before: u64,
}

impl IdleSearch {
    /// The connection of the group that has been idle for longest, of those that it looks at.
    pub(super) fn longest_idle(&mut self, core: &Core, group: u16) -> Option<u32> {
        core.limits(group).idle?;
        let slots = core.connections.capacity() as u32;
        let (mut found, mut count) = (None, 0);
        for _ in 0..slots.min(LOOKED_AT as u32) {
            let index = if self.at < slots { self.at } else { 0 };
            self.at = index + 1;
            let Some(c) = core.get(index).filter(|c| c.group == group && c.is_idle()) else {
                continue;
            };
            let idle = core.tick.wrapping_sub(c.active);
            if idle >= ticks(LEAST_IDLE) {
                found = found.max(Some((idle, index)));
                count += 1;
            }
            if count == SAMPLE {
                break;
            }
        }
        found.map(|(_, index)| index)
    }
}
