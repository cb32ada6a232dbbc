//! Keeping the memory budget.

use super::reactor::Reactor;
use crate::core::{Budget, Core, Flags, Reason, choose_victims};

impl Reactor {
    /// Limits the memory that the reactor holds for its connections, in bytes. It counts queued
    /// output, unread input, messages that [arrive](crate::Context::receive_exact), files that are
    /// [received](crate::Context::receive_file), what relays hold in pipes, and unused buffers. A
    /// piece that many connections are sent counts once. It counts neither what handlers and
    /// sessions hold, such as a file between two [parts](crate::Context::receive_part), nor the
    /// buffers of about a MiB that every reactor has. By default there is no budget: the
    /// [`Limits`](crate::Limits) of each connection bound what it holds.
    ///
    /// At three quarters of the budget, and until five eighths, memory is short. Then the reactor
    ///
    /// 1. frees unused buffers;
    /// 2. stops reading from the connections with more than
    ///    [`send_low`](crate::Limits::send_low) bytes queued, as if their queues were full;
    /// 3. accepts only one connection in 17 ms at each listener, so that those who want to see what
    ///    is wrong still get in.
    ///
    /// [`Ledger::memory_shortages`](crate::Ledger::memory_shortages) counts how often that begins.
    /// At fifteen sixteenths it aborts the connections that hold the most, with
    /// [`Reason::MemoryBudget`](crate::Reason::MemoryBudget), until fourteen sixteenths are left.
    /// If memory stays short for ten seconds, it aborts as many as it takes to end the shortage. A
    /// piece that several connections hold is divided among them, since aborting one of them does
    /// not free it.
    /// [`Ledger::memory_aborts`](crate::Ledger::memory_aborts) counts them, and the log names one
    /// of them a second.
    ///
    /// The reactor looks after every eight connections that have received, so it may hold up to 4
    /// MiB more for a moment, and more if a callback sends more at once. The budget should be
    /// several times that, and several times what [one
    /// connection](crate::Limits::max_exact) may hold.
    pub fn set_memory_budget(&mut self, bytes: u64) {
        self.turn.core.budget = Some(Box::new(Budget::new(bytes)));
    }

    /// Keeps the memory budget, if there is one.
    #[inline]
    pub(super) fn mind_memory(&mut self) {
        let core = &mut self.turn.core;
        if core.budget.as_ref().is_some_and(|budget| budget.is_due(core.volume(), core.now)) {
            for index in keep_budget(core) {
                // Now: in its place on the worklist it would keep its buffers while others fill
                // more.
                self.run_connection(index);
            }
        }
    }
}

/// Does what the budget demands. Returns the connections that were aborted.
#[cold]
fn keep_budget(core: &mut Core) -> Vec<u32> {
    let (mut used, volume, now) = (core.held(), core.volume(), core.now);
    let Some(budget) = &mut core.budget else { return Vec::new() };
    let limit = budget.limit;
    if budget.note(used, volume, now) {
        core.ledger.memory_shortages += 1;
        if budget.shortage_log.allows(now) {
            log::warn!("connections hold {used} of {limit} bytes of memory; reading less");
        }
    }
    if !core.is_memory_short() {
        return Vec::new();
    }
    used -= core.free_spare();
    hold_back(core);
    let excess = core.budget.as_ref().map_or(0, |budget| budget.excess(used, now));
    abort_largest(core, excess, limit)
}

/// Stops reading from the connections whose queues are longest. They read again at their low mark.
fn hold_back(core: &mut Core) {
    for (_, c) in &mut core.connections {
        let group = &mut core.groups[usize::from(c.group)];
        let is_long = c.outbound.as_ref().is_some_and(|queue| !queue.is_low(&group.limits));
        if is_long && c.is_open() && !c.flags.any(Flags::FULL) {
            c.flags.set(Flags::FULL);
            group.ledger.full_queues += 1;
        }
    }
}

/// Aborts the connections that hold most, to free `excess` bytes.
fn abort_largest(core: &mut Core, excess: u64, limit: u64) -> Vec<u32> {
    if excess == 0 {
        return Vec::new();
    }
    let mut victims = core.holders();
    choose_victims(&mut victims, excess);
    let now = core.now;
    if let Some((held, index)) = victims.first()
        && core.budget.as_mut().is_some_and(|budget| budget.abort_log.allows(now))
    {
        let (name, count) = (core.describe(*index), victims.len());
        log::warn!(
            "{name}: aborted: it holds {held} bytes, the most of all connections, and the memory \
             budget of {limit} bytes is used up; {count} aborted"
        );
    }
    let abort = |(_, index)| {
        core.ledger_of(index).memory_aborts += 1;
        core.fail(index, Reason::MemoryBudget);
        index
    };
    victims.into_iter().map(abort).collect()
}
