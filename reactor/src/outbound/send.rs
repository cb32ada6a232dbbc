//! Accepts what handlers send, and flushes the queues.

use std::io::IoSlice;

use super::wire::{Flushed, Wire, transmit};
use super::{Outgoing, joins, writes_through};
use crate::core::{
    ConnId, Core, Flags, Group, MOST_UNFLUSHED, Pool, Quantum, Queue, Reason, Sent, is_passing,
};
use crate::sys::{Direction, More, Ready};
use crate::time::{deadlines, rates};

/// Accepts what a handler sends. A full queue stops the input of its connection.
#[inline]
pub(crate) fn send(core: &mut Core, index: u32, what: Outgoing<'_>) -> Sent {
    let (c, group) = core.pair(index);
    if !c.accepts_output() {
        return Sent::Gone;
    }
    let len = what.len();
    if len == 0 {
        return Sent::Accepted;
    }
    let Group { limits, ledger, .. } = group;
    ledger.queued += len;
    let is_idle = c.outbound.is_none() && c.is_open() && c.ready.any(Ready::WRITE);
    let wrote = c.flags.any(Flags::WROTE_THROUGH);
    let room = c.outbound.as_ref().map_or(0, |queue| queue.room());
    let sent = match what {
        Outgoing::Slice(slice) if is_idle && writes_through(slice.len(), wrote, limits) => {
            c.flags.set(Flags::WROTE_THROUGH);
            write_or_join(core, index, slice)
        }
        Outgoing::Slice(slice) => join(core, index, slice),
        Outgoing::Shared(bytes) if joins(bytes.len(), room, limits) => join(core, index, &bytes),
        Outgoing::Shared(bytes) => append(core, index, |queue, _| queue.push_shared(bytes)),
        Outgoing::Region(region) => append(core, index, |queue, _| queue.push_region(region)),
    };
    if sent == Sent::Full {
        let (c, group) = core.pair(index);
        group.ledger.full_queues += u64::from(!c.flags.any(Flags::FULL));
        c.flags.set(Flags::FULL);
    }
    sent
}

/// Flushes the queue of a connection, which may not be the current one, at the end of the turn or
/// once many wait.
#[inline]
pub(crate) fn flush_later(core: &mut Core, index: u32) {
    if core.unflushed.last() != Some(&index) {
        if core.unflushed.len() >= MOST_UNFLUSHED {
            flush_waiting(core);
        }
        core.unflushed.push(index);
    }
}

/// Flushes the queues that wait for the end of the turn.
#[inline]
pub(crate) fn flush_waiting(core: &mut Core) {
    if core.unflushed.is_empty() {
        return;
    }
    let mut waiting = std::mem::take(&mut core.unflushed);
    for index in waiting.drain(..) {
        if core.get(index).is_some() {
            flush_now(core, index);
        }
    }
    core.unflushed = waiting;
}

/// Sends what a connection has queued, within its quantum. If more can be sent, it goes on
/// when the connection runs.
#[inline(never)]
pub(crate) fn flush_now(core: &mut Core, index: u32) {
    let c = &core[index];
    if !c.can_send() {
        return;
    }
    let limits = core.limits(c.group);
    let mut quantum = Quantum::new(limits, limits.send_quantum);
    flush(core, index, &mut quantum);
    if core[index].can_send() {
        core.schedule(index);
    }
}

/// Offers a socket what it has refused, before its connection counts as stalled or idle: Linux
/// reports room only once a third of the send buffer is free (`sk_stream_is_writeable`), for which
/// a slow reader may take minutes. Returns whether the deadline has to wait.
pub(crate) fn offer_again(core: &mut Core, index: u32) -> bool {
    let c = &mut core[index];
    let before = c.ready;
    c.ready = before.union(Ready::WRITE);
    if before.any(Ready::WRITE) || !c.can_send() {
        c.ready = before;
        return false;
    }
    flush_now(core, index);
    // What was held back by the queue may go on.
    core.schedule(index);
    let c = &core[index];
    let moved = c.outbound.as_ref().is_none_or(|queue| queue.progress == core.tick);
    moved || c.ready.any(Ready::WRITE)
}

/// Sends a slice immediately on a connection with nothing queued, and appends what the socket
/// refuses to the queue. It tries at most the send quantum, so that other connections have their
/// turn, and nothing if a rate applies. If the socket fails, the rest of the slice is counted as
/// dropped.
pub(crate) fn write_or_join(core: &mut Core, index: u32, slice: &[u8]) -> Sent {
    let c = &mut core.connections[index as usize];
    let group = &mut core.groups[c.group as usize];
    let may_write = c.is_open() && !group.is_rated(c) && !c.is_layered();
    let most = if may_write { slice.len().min(group.limits.send_quantum.max(1)) } else { 0 };
    let (ledger, mut sent) = (&mut group.ledger, 0);
    while sent < most && c.ready.any(Ready::WRITE) {
        let piece = [IoSlice::new(&slice[sent..most])];
        match transmit(&core.kernel, c.socket, &piece, More::No, ledger) {
            Ok(count) => {
                sent += count;
                c.sent += count as u64;
                c.active = core.tick;
                ledger.sent += count as u64;
                ledger.write_through += count as u64;
            }
            Err(error) if is_passing(&error, Direction::Send, &mut c.ready, ledger) => {}
            Err(error) => {
                ledger.dropped += (slice.len() - sent) as u64;
                core.observe_sent(index, sent as u64);
                core.fail_to_send(index, &error);
                return Sent::Gone;
            }
        }
    }
    core.observe_sent(index, sent as u64);
    if sent == slice.len() {
        return Sent::Accepted;
    }
    join(core, index, &slice[sent..])
}

/// Copies bytes to the end of the queue of a connection. Returns whether it is full.
#[inline]
fn join(core: &mut Core, index: u32, bytes: &[u8]) -> Sent {
    core.ledger_of(index).joined += bytes.len() as u64;
    append(core, index, |queue, pool| queue.join(bytes, pool))
}

/// Adds to the queue of a connection, creating it if there is none. Returns whether it is full.
#[inline]
pub(crate) fn append(
    core: &mut Core,
    index: u32,
    push: impl FnOnce(&mut Queue, &mut Pool),
) -> Sent {
    let sent = enqueue(core, index, push);
    core.schedule(index);
    sent
}

/// Adds to the queue of a connection, creating it if there is none. The caller sees to it that the
/// queue is flushed. Returns whether it is full.
#[inline]
pub(crate) fn enqueue(
    core: &mut Core,
    index: u32,
    push: impl FnOnce(&mut Queue, &mut Pool),
) -> Sent {
    let c = &mut core.connections[index as usize];
    let (tick, spares) = (core.tick, &mut core.spare_queues);
    let queue = c.outbound.get_or_insert_with(|| {
        let mut queue = spares.take();
        debug_assert!(queue.is_empty());
        queue.progress = tick;
        queue
    });
    push(queue, &mut core.pool);
    let is_full = queue.is_full(&core.groups[c.group as usize].limits);
    if !c.ready.any(Ready::WRITE) {
        // No flush will find that out, so the write-stall deadline starts here.
        deadlines::arm(core, index);
    }
    if is_full { Sent::Full } else { Sent::Accepted }
}

/// Sends what is queued, within the quantum and the rate of the connection.
#[inline]
pub(crate) fn flush(core: &mut Core, index: u32, quantum: &mut Quantum) {
    let (c, group) = core.pair(index);
    if !c.can_send() {
        return;
    }
    let (is_rated, pending) = (group.is_rated(c), c.pending());
    if !is_rated {
        flush_up_to(core, index, quantum, usize::MAX);
        return;
    }
    let most = rates::allow(core, index, pending);
    if most > 0 {
        let taken = flush_up_to(core, index, quantum, most);
        rates::settle(core, index, taken);
    }
}

/// Sends up to `most` bytes of what is queued. Returns how many the kernel has taken.
#[inline(never)]
fn flush_up_to(core: &mut Core, index: u32, quantum: &mut Quantum, most: usize) -> u64 {
    let c = &mut core.connections[index as usize];
    let Some(queue) = c.outbound.as_mut() else { return 0 };
    let Group { limits, ledger, .. } = &mut core.groups[c.group as usize];
    let (kernel, pool, scratch) = (&core.kernel, &mut core.pool, &mut core.scratch);
    let socket = c.socket;
    let layer = c.special.as_mut().and_then(|special| special.layer.as_deref_mut());
    // What precedes the start of a transport is sent as it is.
    let clear = layer.as_ref().and_then(|layer| layer.clear);
    let most = clear.map_or(most, |clear| most.min(usize::try_from(clear).unwrap_or(usize::MAX)));
    let layer = layer.filter(|layer| !layer.in_kernel || layer.outgoing.len() > 0);
    let layer = layer.filter(|_| clear.is_none());
    let (taken, moved) = (0, false);
    let mut wire =
        Wire { kernel, socket, limits, pool, scratch, layer, ledger, most, taken, moved };
    let flushed = wire.flush(queue, quantum);
    let (taken, moved) = (wire.taken, wire.moved);
    c.sent += taken;
    ledger.sent += taken;
    if taken > 0 || moved {
        (c.active, queue.progress) = (core.tick, core.tick);
    }
    if c.flags.any(Flags::FULL) && queue.is_low(limits) {
        c.flags.clear(Flags::FULL);
        c.flags.set(Flags::OWES_DRAIN.union(Flags::REVISIT_INPUT));
    }
    // What a transport has sent for itself may have been in the way.
    let may_wake = |_: &ConnId| taken > 0 || matches!(flushed, Flushed::Empty);
    let feeder = c.special.as_ref().and_then(|special| special.feeder).filter(may_wake);
    match flushed {
        Flushed::Budget => {}
        Flushed::Empty => {
            if let Some(mut queue) = c.outbound.take() {
                queue.shrink();
                core.spare_queues.give(queue);
            }
        }
        Flushed::Blocked => {
            c.ready = c.ready.without(Ready::WRITE);
            deadlines::arm(core, index);
        }
        Flushed::Cold(bytes) => super::cold::wait_for_disk(core, index, bytes),
        Flushed::Truncated => {
            log::warn!("{}: a file ended before the region being sent", core.describe(index));
            core.fail(index, Reason::Truncated);
        }
        Flushed::Unsealed(error) => core.fail_transport(index, error),
        Flushed::Failed(error) => core.fail_to_send(index, &error),
    }
    core.observe_sent(index, taken);
    if let Some(clear) = clear
        && let Some(layer) = core[index].layer()
    {
        layer.clear = Some(clear - taken);
    }
    if let Some(source) = feeder {
        wake_feeder(core, index, source);
    }
    taken
}

/// Tells the source of a relay that its destination has sent something. The source is not idle, and
/// may continue once the queue is empty.
fn wake_feeder(core: &mut Core, index: u32, source: ConnId) {
    let emptied = core[index].outbound.is_none();
    let tick = core.tick;
    let c = core.get_mut(source.index).filter(|c| c.generation == source.generation);
    let Some(c) = c else { return };
    c.active = tick;
    let special = c.special.as_mut().filter(|_| emptied);
    if special.is_some_and(|special| std::mem::take(&mut special.blocked)) {
        core.schedule(source.index);
    }
}
