//! Deadlines of connections: idle, write-stall and their own, all behind one entry in the wheel.
//!
//! Moving bytes only writes a tick into the connection. The wheel's entry is looked at when its
//! time comes, and moved then to the first deadline there is. Of several that pass together each
//! has its own tick, the earliest first.

use std::time::Duration;

use crate::core::Core;
use crate::core::connection::{Connection, Phase};
use crate::handler::Timeout;
use crate::time::wheel::Links;

#[cfg(test)]
mod tests;

/// One tick of the timing wheel: 2^24 ns, about 17 ms.
const TICK_SHIFT: u32 = 24;
/// The same in nanoseconds.
pub(crate) const TICK: u64 = 1 << TICK_SHIFT;

/// The tick that a time in nanoseconds belongs to.
pub(crate) fn tick_of(nanos: u64) -> u32 {
    (nanos >> TICK_SHIFT) as u32
}

/// Ticks in a duration, rounded up: a deadline may be late by a tick, never early.
pub(crate) fn ticks(duration: Duration) -> u32 {
    let nanos = duration.as_nanos() + (1 << TICK_SHIFT) - 1;
    u32::try_from(nanos >> TICK_SHIFT).unwrap_or(u32::MAX).min(u32::MAX / 4)
}

/// Whether `tick` has come at `now`; ticks wrap around.
pub(crate) fn is_due(tick: u32, now: u32) -> bool {
    now.wrapping_sub(tick) as i32 >= 0
}

/// What is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// What its handler is told.
    Timeout(Timeout),
    /// To go on within its [rate](crate::rates).
    Rate,
}

impl Core {
    /// Reads the clock.
    pub(crate) fn read_clock(&mut self) {
        self.now = self.kernel.monotonic();
        self.tick = tick_of(self.now);
    }

    /// How long until one of the wheels has to be looked at; `None` if nothing is in them.
    pub(crate) fn until_deadline(&self) -> Option<Duration> {
        let ahead = |tick: u32| tick.wrapping_sub(self.tick).cast_signed().max(0).cast_unsigned();
        let next = [self.wheel.next(), self.timers.next()].into_iter().flatten();
        let ahead = u64::from(next.map(ahead).min()?);
        Some(Duration::from_nanos((ahead * TICK).saturating_sub(self.now % TICK)))
    }

    pub(crate) fn set_deadline(&mut self, index: u32, after: Option<Duration>) {
        let tick = self.tick;
        if let Some(c) = self.get_mut(index) {
            // One more tick, since the present one is partly over; 0 stands for none.
            c.deadline = after.map_or(0, |after| tick.wrapping_add(ticks(after) + 1).max(1));
            if after.is_some() {
                self.arm(index);
            }
        }
    }

    /// The first deadline of a connection: when, and which.
    pub(crate) fn first_deadline(&self, c: &Connection) -> Option<(u32, Due)> {
        let limits = self.limits(c.group);
        let after = |from: u32, time: Duration| from.wrapping_add(ticks(time) + 1);
        let [send, receive] = c.held_by_rate();
        let own = (c.deadline != 0).then_some((c.deadline, Due::Timeout(Timeout::Own)));
        // A disk of ours is nothing that a peer could be blamed for, nor is a rate.
        let waits_for_disk = c.outbound.as_ref().is_some_and(|queue| queue.waits_for_disk);
        let stall = c.outbound.as_ref().filter(|_| c.phase != Phase::Connecting);
        let stall = stall.zip(limits.write_stall);
        let stall = stall.filter(|_| !waits_for_disk && send.is_none());
        let stall = stall
            .map(|(queue, time)| (after(queue.progress, time), Due::Timeout(Timeout::WriteStall)));
        let idle = match c.phase {
            Phase::Connecting => Some(c.active),
            Phase::Open | Phase::Closing if send.is_none() && receive.is_none() => {
                limits.idle.map(|time| after(c.active, time))
            }
            _ => None,
        };
        let idle = idle.filter(|_| !waits_for_disk).map(|due| (due, Due::Timeout(Timeout::Idle)));
        let holds = [send, receive].map(|due| due.map(|due| (due, Due::Rate)));
        let by_distance = |&(tick, _): &(u32, Due)| tick.wrapping_sub(self.tick) as i32;
        [own, stall, idle].into_iter().chain(holds).flatten().min_by_key(by_distance)
    }

    /// Makes sure that the wheel looks at a connection no later than its first deadline.
    pub(crate) fn arm(&mut self, index: u32) {
        let alive = self.get(index).filter(|c| c.phase != Phase::Gone);
        let Some((due, _)) = alive.and_then(|c| self.first_deadline(c)) else { return };
        let linked = self.connections.link(index).due();
        if linked.is_none_or(|at| !is_due(at, due)) {
            self.wheel.schedule(&mut self.connections, index, due);
        }
    }

    /// The deadline of a connection that has passed, if one has; else it is armed again.
    pub(crate) fn passed_deadline(&mut self, index: u32) -> Option<Timeout> {
        let alive = self.get(index).filter(|c| c.phase != Phase::Gone)?;
        let (due, which) = self.first_deadline(alive)?;
        if !is_due(due, self.tick) {
            self.arm(index);
            return None;
        }
        let Due::Timeout(which) = which else {
            self.due_rates.push(index);
            return None;
        };
        if which == Timeout::Idle && self.look_below_mark(index, due) {
            self.arm(index);
            return None;
        }
        let tick = self.tick;
        let c = self.connections.0.get_mut(index as usize)?;
        self.groups[c.group as usize].ledger.timeouts += 1;
        match which {
            Timeout::Own => c.deadline = 0,
            Timeout::Idle => c.active = tick,
            Timeout::WriteStall => {
                if let Some(queue) = &mut c.outbound {
                    queue.progress = tick;
                }
            }
        }
        self.arm(index);
        Some(which)
    }
}
