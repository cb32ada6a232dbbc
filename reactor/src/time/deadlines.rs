//! Deadlines of connections: idle, write stall and the handler's own, sharing one entry in the
//! wheel.
//!
//! Sending or receiving only stores the current tick in the connection. When the wheel's entry
//! expires and no deadline has passed, the entry is moved to the earliest one. If several have
//! passed, they are handled at separate ticks, earliest first.

use std::time::Duration;

use crate::core::wheel::Links;
use crate::core::{Connection, Core, Limits, Meter, Phase, Timeout, is_due, tick_after};

/// The event at a tick.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// The handler's `on_timeout` is called.
    Timeout(Timeout),
    /// The end of a wait for a [rate](super::rates).
    RateWait,
}

/// Sets or clears the handler's own deadline.
pub(crate) fn set_own(core: &mut Core, index: u32, after: Option<Duration>) {
    let tick = core.tick;
    // 0 means none.
    core[index].deadline = after.map_or(0, |after| tick_after(tick, after).max(1));
    if after.is_some() {
        arm(core, index);
    }
}

/// The first deadline of a connection: its tick, and which it is. One that is gone has none.
pub(crate) fn first(core: &Core, c: &Connection) -> Option<(u32, Deadline)> {
    if c.phase == Phase::Gone {
        return None;
    }
    let limits = core.limits(c.group);
    let special = c.special.as_ref();
    let phase = if c.sends_clear() { Phase::Open } else { c.phase };
    let rate = c.meter().and_then(Meter::due);
    let own = (c.deadline != 0).then_some((c.deadline, Deadline::Timeout(Timeout::Own)));
    // The peer is to blame neither for a slow disk nor for a rate.
    let reads_disk = c.outbound.as_ref().is_some_and(|queue| queue.waits_for_disk);
    let stall = c.outbound.as_ref().zip(limits.write_stall);
    let stall = stall.filter(|_| phase >= Phase::Open && !reads_disk && rate.is_none());
    let stall = stall.map(|(queue, time)| {
        (tick_after(queue.progress, time), Deadline::Timeout(Timeout::WriteStall))
    });
    let idle = match phase {
        Phase::Connecting => special.and_then(|s| s.attempt.as_ref()).map(|attempt| attempt.until),
        Phase::Handshake => {
            let layer = special.and_then(|special| special.layer.as_ref());
            layer.filter(|layer| layer.clear.is_none()).map(|layer| layer.until)
        }
        Phase::Open | Phase::Closing if rate.is_none() => {
            idle_time(limits, c).map(|time| tick_after(c.active, time))
        }
        Phase::Lingering => Some(tick_after(c.active, limits.linger_idle)),
        _ => None,
    };
    let writes_disk = special.is_some_and(|special| special.waits_for_worker());
    let idle = idle.filter(|_| !reads_disk && !writes_disk);
    let idle = idle.map(|due| (due, Deadline::Timeout(Timeout::Idle)));
    let rate = rate.map(|due| (due, Deadline::RateWait));
    let by_distance = |&(tick, _): &(u32, Deadline)| tick.wrapping_sub(core.tick) as i32;
    [own, stall, idle, rate].into_iter().flatten().min_by_key(by_distance)
}

/// How long a connection may be without traffic.
fn idle_time(limits: &Limits, c: &Connection) -> Option<Duration> {
    let half_closed = limits.half_closed.filter(|_| c.is_half_closed_relay());
    [limits.idle, half_closed].into_iter().flatten().min()
}

/// Starts the idle time of a connection again.
pub(crate) fn restart_idle(core: &mut Core, index: u32) {
    core[index].active = core.tick;
    arm(core, index);
}

/// Called when a direction of a connection has ended, or it has become part of a relay. If it is
/// one of [half-closed](Limits::half_closed) connections now, its shorter idle time begins.
pub(crate) fn note_half_closed(core: &mut Core, index: u32) {
    if core[index].is_half_closed_relay() {
        restart_idle(core, index);
    }
}

/// Makes sure that a connection's entry in the wheel expires no later than its first deadline.
pub(crate) fn arm(core: &mut Core, index: u32) {
    let Some((due, _)) = first(core, &core[index]) else { return };
    let linked = core.connections.link(index).due();
    if linked.is_none_or(|at| !is_due(at, due)) {
        core.wheel.schedule(&mut core.connections, index, due);
    }
}

/// The deadline of a connection that has passed. If none has, the entry is armed again.
pub(crate) fn take_passed(core: &mut Core, index: u32) -> Option<Deadline> {
    let (tick, due) = first(core, core.get(index)?)?;
    if !is_due(tick, core.tick) {
        arm(core, index);
        return None;
    }
    Some(due)
}

/// Starts the idle and write-stall times of a connection again, after a wait in which it could not
/// move bytes. Its own deadline keeps running.
pub(crate) fn restart_idle_and_stall(core: &mut Core, index: u32) {
    let tick = core.tick;
    let c = &mut core[index];
    c.active = tick;
    if let Some(queue) = &mut c.outbound {
        queue.progress = tick;
    }
    arm(core, index);
}

/// Counts a deadline that has passed, and starts its time again.
pub(crate) fn restart(core: &mut Core, index: u32, which: Timeout) {
    let tick = core.tick;
    let (c, group) = core.pair(index);
    group.ledger.timeouts += 1;
    match which {
        Timeout::Own => c.deadline = 0,
        Timeout::Idle => c.active = tick,
        Timeout::WriteStall => {
            if let Some(queue) = &mut c.outbound {
                queue.progress = tick;
            }
        }
    }
    arm(core, index);
}
