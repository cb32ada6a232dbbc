//! Runs the deadlines and timers that are due.

use super::reactor::Reactor;
use crate::connect::attempt;
use crate::core::{Core, Flags, Phase, Reason, Timeout};
use crate::inbound;
use crate::outbound;
use crate::time::deadlines::{self, Deadline};
use crate::time::rates;
use crate::transport;

/// Most deadlines, and most timers, that one turn runs, so that many due at once do not delay
/// everything else. The rest runs in the next turn, in order.
const BUDGET: usize = 1024;

impl Reactor {
    /// Whether deadlines or timers are due that the last turn had no time for.
    pub(super) fn is_behind(&self) -> bool {
        !self.expired.is_empty() || self.turn.timers.is_behind()
    }

    /// Runs the deadlines that have passed. Collects all of them first, since one may move another.
    pub(super) fn run_deadlines(&mut self) {
        let core = &mut self.turn.core;
        core.wheel.advance(&mut core.connections, core.tick, &mut self.expired);
        for _ in 0..BUDGET {
            let Some(index) = self.expired.pop_front() else { break };
            self.expire(index);
        }
        rates::end_due_waits(&mut self.turn.core);
    }

    fn expire(&mut self, index: u32) {
        let core = &mut self.turn.core;
        let Some(due) = deadlines::take_passed(core, index) else { return };
        match due {
            Deadline::RateWait => core.due_rates.push(index),
            // The connection has used up its quantum, and gets its first callback first.
            Deadline::Timeout(_)
                if core[index].is_open() && core[index].flags.any(Flags::OWES_START) =>
            {
                core.wheel.schedule(&mut core.connections, index, core.tick.wrapping_add(1));
            }
            // A handler may judge a sender by what was received until its own deadline.
            Deadline::Timeout(Timeout::Idle | Timeout::Own) if inbound::look_below(core, index) => {
                deadlines::arm(core, index);
            }
            Deadline::Timeout(Timeout::Idle | Timeout::WriteStall)
                if can_send_more(core, index) =>
            {
                deadlines::arm(core, index);
            }
            Deadline::Timeout(which) => {
                deadlines::restart(core, index, which);
                self.time_out(index, which);
            }
        }
    }

    /// A deadline has passed.
    fn time_out(&mut self, index: u32, which: Timeout) {
        let turn = &mut self.turn;
        let c = &mut turn.core[index];
        match c.phase {
            Phase::Connecting if which != Timeout::Own => {
                attempt::timed_out(&mut turn.core, index);
            }
            Phase::Handshake if which != Timeout::Own => {
                transport::timed_out(&mut turn.core, index);
            }
            Phase::Connecting | Phase::Handshake | Phase::Open => {
                self.tell_of_timeout(index, which, Reason::TimedOut);
            }
            Phase::Closing if c.outbound.is_some() => turn.core.fail(index, Reason::TimedOut),
            Phase::Lingering => super::end::close_socket(&mut turn.core, index),
            // Closed a moment ago with an empty queue: it ends next.
            Phase::Closing | Phase::Ended | Phase::Failed | Phase::Gone => {}
        }
    }

    /// Calls `on_timeout`. If the handler closes or aborts the connection, the reason is this one.
    fn tell_of_timeout(&mut self, index: u32, which: Timeout, reason: Reason) {
        self.turn.core[index].flags.clear(Flags::WROTE_THROUGH);
        self.call(index, "on_timeout", |h, turn, slot| h.timeout(turn, index, slot, which));
        self.turn.core.schedule(index);
        let c = &mut self.turn.core[index];
        if (matches!(c.phase, Phase::Closing | Phase::Failed)
            || c.flags.any(Flags::CLOSE_WHEN_CONNECTED))
            && matches!(c.reason, Reason::Closed | Reason::Aborted)
        {
            c.reason = reason;
            if inbound::is_fed(&self.turn.core, index) {
                // A truncated relay must not look complete.
                self.turn.core.fail(index, reason);
            }
        }
    }

    /// Lets the idle deadline of connections that listeners have chosen pass early.
    pub(super) fn shed(&mut self) {
        while let Some(index) = self.turn.core.shed.pop() {
            let tick = self.turn.core.tick;
            let c = &mut self.turn.core[index];
            // A callback for a connection shed before may have used this one.
            if !c.is_idle() {
                continue;
            }
            c.active = tick;
            self.tell_of_timeout(index, Timeout::Idle, Reason::Shed);
            let (c, group) = self.turn.core.pair(index);
            group.ledger.shed += u64::from(c.reason == Reason::Shed);
        }
    }

    /// Delivers the messages of due timers. One of them may cancel another.
    pub(super) fn run_timers(&mut self) {
        let now = self.turn.core.now;
        self.turn.timers.collect(now);
        for _ in 0..BUDGET {
            let Some(delivery) = self.turn.timers.fire(now) else { break };
            self.handlers.deliver(&mut self.turn, delivery);
        }
    }
}

/// Whether the connection, or the one that it waits to relay to, gets rid of bytes after all.
fn can_send_more(core: &mut Core, index: u32) -> bool {
    let destination = inbound::blocked_by(core, index);
    outbound::offer_again(core, index)
        || destination.is_some_and(|to| outbound::offer_again(core, to))
}
