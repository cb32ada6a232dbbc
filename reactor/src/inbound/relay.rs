//! Relays: sending what one connection receives to another.
//!
//! A relay works in one direction: from its *source*, which has [`Strategy::Relay`], to its
//! *destination*, which records the source as its feeder. A small piece is joined to the
//! destination's queue, which is flushed when the other relays of the turn have received. A longer
//! piece is sent immediately, and only the bytes that the socket refuses are queued. While the
//! queue is not empty, the source is `blocked`. So a relay holds at most the bytes of one receive,
//! and none unless it is waiting.
//!
//! A relay ends with the stream, or with a *part* of it: a number of bytes after which the input
//! goes to the handler again. A stream has no other sign of its end than that of its connection, so
//! the two connections of a relay end together. The source of a part outlives its destination.
//!
//! Bulk data soon moves to a pipe, so that it never enters the process. A splice from a socket
//! returns `EAGAIN` both for an empty socket and for a full pipe, so it only ever receives into an
//! empty pipe.

use super::{Arrival, block, note_no_pipe, receive, receive_into_pipe, set_strategy};
use crate::core::{ConnId, Connection, Core, Flags, Phase, Reason, Relay, Strategy};
use crate::outbound;
use crate::sys::Ready;
use crate::time::deadlines;

/// The maximum number of bytes of one receive through memory. A slow destination pins as much of
/// its source's input.
const RECEIVE: usize = 64 << 10;

/// The maximum number of bytes of a piece that leaves after the other relays of the turn have
/// received. Receiving everything and then sending everything costs less than alternating
/// (benches/README.md).
const SMALL: usize = 4 << 10;

/// Relays the next `count` bytes of a connection to another, or with `None` everything until the
/// end of the stream.
pub(crate) fn relay(core: &mut Core, index: u32, to: ConnId, count: Option<u64>) {
    if core[index].phase > Phase::Open {
        return;
    }
    let me = core.id(index);
    let relay = Relay::new(to, count, core.limits(core[index].group));
    set_strategy(core, index, Strategy::Relay(relay));
    deadlines::note_half_closed(core, index);
    // Without a destination, the next step ends the relay. An empty part needs none. The handler of
    // one that could not be connected may still reply to the source.
    let is_there =
        |c: &Connection| c.phase <= Phase::Open || matches!(c.reason, Reason::Unconnected(_));
    if count == Some(0) || !core.find(to).is_some_and(is_there) {
        return;
    }
    if let Some(earlier) = source(core, to.index)
        && !release_part(core, earlier.index)
    {
        stop_relaying(core, earlier.index);
        core.set_and_schedule(earlier.index, Flags::REVISIT_INPUT);
    }
    core.special(to.index).feeder = Some(me);
    deadlines::note_half_closed(core, to.index);
}

/// The connection that relays to the one at `index`, unless it is gone and another connection may
/// have its place.
fn source(core: &Core, index: u32) -> Option<ConnId> {
    let source = core[index].special.as_ref()?.feeder?;
    core.find(source).map(|_| source)
}

/// The relay of which a connection is the source.
fn relay_of(c: &Connection) -> Option<&Relay> {
    match &c.special.as_ref()?.strategy {
        Strategy::Relay(relay) => Some(relay),
        _ => None,
    }
}

/// How many bytes are left of the part that a connection relays, if it relays one.
fn left(core: &Core, index: u32) -> Option<u64> {
    relay_of(&core[index])?.left
}

/// The connection that the one at `index` relays to, unless it is gone.
fn destination(core: &Core, index: u32) -> Option<(ConnId, &Connection)> {
    let me = core.id(index);
    let to = relay_of(&core[index])?.to;
    let fed = |c: &&Connection| c.special.as_ref().is_some_and(|s| s.feeder == Some(me));
    core.find(to).filter(fed).map(|c| (to, c))
}

/// Ends a source's relay, if there is one, so that its input goes to the handler.
pub(crate) fn stop_relaying(core: &mut Core, index: u32) {
    if let Some((to, _)) = destination(core, index) {
        forget_source(core, to.index);
    }
    if let Some(special) = &mut core[index].special
        && matches!(special.strategy, Strategy::Relay(_))
    {
        special.strategy = Strategy::Stream;
        special.blocked = false;
        core.recycle_special(index);
        deadlines::note_half_closed(core, index);
    }
}

/// Detaches a destination from its source. From now on its own full queue stops its input.
fn forget_source(core: &mut Core, index: u32) {
    let (c, group) = core.pair(index);
    let is_full = c.outbound.as_ref().is_some_and(|queue| queue.is_full(&group.limits));
    if let Some(special) = &mut c.special {
        special.feeder = None;
    }
    if is_full {
        core.set_and_schedule(index, Flags::FULL);
    }
    core.recycle_special(index);
    deadlines::note_half_closed(core, index);
}

/// Lets the source of a part continue without its destination: its next step ends the relay.
/// Returns whether the connection is the source of a part.
fn release_part(core: &mut Core, index: u32) -> bool {
    let is_part = left(core, index).is_some();
    if is_part {
        core.special(index).blocked = false;
        core.set_and_schedule(index, Flags::REVISIT_INPUT);
    }
    is_part
}

/// The destination that a source waits for.
pub(crate) fn blocked_by(core: &Core, index: u32) -> Option<u32> {
    let is_blocked = core[index].special.as_ref().is_some_and(|special| special.blocked);
    destination(core, index).filter(|_| is_blocked).map(|(to, _)| to.index)
}

/// Whether a destination accepts bytes now.
fn takes(to: &Connection) -> bool {
    to.outbound.is_none() && to.accepts_output()
}

/// Whether a source is blocked although its destination accepts bytes now.
#[cfg(feature = "testing")]
pub(crate) fn is_blocked_in_vain(core: &Core, c: &Connection) -> bool {
    let is_blocked = c.special.as_ref().is_some_and(|special| special.blocked);
    let takes = |relay: &Relay| core.find(relay.to).is_none_or(takes);
    c.is_open() && is_blocked && relay_of(c).is_some_and(takes)
}

pub(super) fn step(core: &mut Core, buffer: &mut [u8], index: u32) -> Arrival {
    if !core[index].has_input() {
        return Arrival::Nothing;
    }
    let Some((ConnId { index: to, .. }, c)) = destination(core, index) else {
        // A source of everything ends with its destination.
        let Some(left) = left(core, index) else {
            core.close(index);
            return Arrival::Nothing;
        };
        return end_part(core, index, left);
    };
    if !takes(c) {
        outbound::flush_now(core, to);
        if !takes(&core[to]) {
            // It accepts bytes later, or it ends.
            return block(core, index);
        }
    }
    let c = &mut core[index];
    if c.flags.take(Flags::REVISIT_INPUT) {
        pass_unread(core, index, to);
    } else if c.flags.any(Flags::OWES_EOF) {
        pass_end(core, index, to);
    } else {
        receive_for(core, buffer, index, to);
    }
    match left(core, index) {
        Some(0) => end_part(core, index, 0),
        _ => Arrival::Progress,
    }
}

/// Ends the relay of a part of which `left` bytes were not passed on.
fn end_part(core: &mut Core, index: u32, left: u64) -> Arrival {
    stop_relaying(core, index);
    // Bytes behind the part may be unread.
    core[index].flags.set(Flags::REVISIT_INPUT);
    Arrival::Relayed(left)
}

/// Ends a relay at the end of the stream. That completes a stream, but cuts a part off.
fn pass_end(core: &mut Core, index: u32, to: u32) {
    let is_cut = core[index].is_cut();
    let is_part = left(core, index).is_some();
    stop_relaying(core, index);
    if is_cut {
        log::debug!("{}: the transport did not end its stream", core.describe(index));
    }
    if is_part || is_cut {
        // `on_eof` of the source comes next, again if it was called before. Not in a pair: `on_eof`
        // may close the source in order, and the other direction would look complete. The failure
        // of `to` resets the source.
        if !is_part && source(core, index).is_some_and(|feeder| feeder.index == to) {
            core[index].flags.clear(Flags::OWES_EOF);
        }
        core.fail(to, Reason::RelayLost);
    } else {
        core[index].flags.clear(Flags::OWES_EOF);
        core.set_and_schedule(to, Flags::OUTPUT_CLOSED);
        deadlines::restart_idle(core, index);
        deadlines::restart_idle(core, to);
    }
}

/// Passes on bytes that were unread when the relay began.
fn pass_unread(core: &mut Core, index: u32, to: u32) {
    let c = &mut core[index];
    if c.flags.any(Flags::INPUT_ENDED) {
        // The handler may know of the end, but the destination does not.
        c.flags.set(Flags::OWES_EOF);
    }
    let Some(special) = &mut c.special else { return };
    let Strategy::Relay(relay) = &mut special.strategy else { return };
    let count = relay.share(special.unread.len());
    relay.passed(count);
    let mut unread = std::mem::take(&mut special.unread);
    note_relayed(core, to, count);
    let _ = outbound::write_or_join(core, to, &unread.bytes()[..count]);
    unread.consume(count, &mut core.pool);
    core.special(index).unread = unread;
}

/// Receives once from a source and sends the bytes to its destination.
fn receive_for(core: &mut Core, buffer: &mut [u8], index: u32, to: u32) {
    let (c, group) = core.pair(index);
    // A splice gets past neither urgent data nor transports.
    let may_splice = !c.ready.any(Ready::URGENT) && !c.is_layered();
    let Some(Strategy::Relay(relay)) = c.strategy() else { return };
    let most = relay.share(usize::MAX);
    if relay.splices(&group.limits) && may_splice && !core[to].is_layered() {
        return splice(core, index, to, most);
    }
    let Some(count) = receive(core, buffer, index, most.min(RECEIVE)) else { return };
    learn(core, index, count);
    note_relayed(core, to, count);
    // What the socket refuses stops the source, not the input of the destination.
    let bytes = &buffer[..count];
    if count > SMALL {
        let _ = outbound::write_or_join(core, to, bytes);
    } else {
        let _ = outbound::enqueue(core, to, |queue, pool| queue.join(bytes, pool));
        outbound::flush_later(core, to);
        core.ledger_of(to).joined += count as u64;
    }
}

/// Counts bytes that a destination is about to get.
#[inline]
fn note_relayed(core: &mut Core, to: u32, count: usize) {
    let ledger = core.ledger_of(to);
    ledger.queued += count as u64;
    ledger.relayed += count as u64;
}

#[inline]
fn learn(core: &mut Core, index: u32, count: usize) {
    let (c, group) = core.pair(index);
    if let Some(Strategy::Relay(relay)) = c.strategy() {
        relay.received(count, &group.limits);
    }
}

#[inline(never)]
fn splice(core: &mut Core, index: u32, to: u32, most: usize) {
    let pipe = match core.pool.pipes.take(&core.kernel) {
        Ok(pipe) => pipe,
        Err(error) => {
            if let Some(Strategy::Relay(relay)) = core[index].strategy() {
                relay.use_memory();
            }
            return note_no_pipe(core, index, &error);
        }
    };
    let Some(count) = receive_into_pipe(core, &pipe, index, most) else {
        return core.pool.pipes.give(pipe, 0);
    };
    learn(core, index, count);
    note_relayed(core, to, count);
    let _ = outbound::append(core, to, |queue, _| queue.push_pipe(pipe, count));
    outbound::flush_now(core, to);
}

/// Ends the connections that relay from or to one that is over. An end of stream is forwarded only
/// if there was one, because otherwise the relay may have delivered only a part.
///
/// Returns the other end if the connection could not be established: its handler may still reply to
/// that peer, and [`close_other_end`] closes it afterwards.
pub(crate) fn end_relays(core: &mut Core, index: u32) -> Option<ConnId> {
    let c = &core[index];
    let is_unconnected = matches!(c.reason, Reason::Unconnected(_));
    // An attempt to connect that was given up, or failed, has relayed nothing.
    let in_order = c.phase == Phase::Ended
        && !matches!(c.reason, Reason::TimedOut | Reason::Transport)
        || c.reason == Reason::Closed
        || is_unconnected;
    // A destination that is over at the same time keeps its feeder, and so is reset.
    let to = destination(core, index).filter(|(_, c)| c.phase < Phase::Ended).map(|(to, _)| to);
    let whole = source(core, index).filter(|source| left(core, source.index).is_none());
    let kept = whole.or(to).filter(|_| is_unconnected);
    if let Some(to) = to {
        let cuts_part = left(core, index).is_some();
        stop_relaying(core, index);
        if kept != Some(to) {
            end_with(core, to.index, in_order && !cuts_part);
        }
    }
    if let Some(source) = source(core, index).filter(|source| kept != Some(*source))
        && !release_part(core, source.index)
    {
        end_with(core, source.index, in_order);
    }
    kept
}

/// Closes the other end of a relay with a connection that could not be established, unless the
/// handler has connected it to another one.
pub(crate) fn close_other_end(core: &mut Core, other: ConnId, unconnected: ConnId) {
    let Some(c) = core.find(other) else { return };
    let ends = match relay_of(c) {
        Some(relay) => relay.to == unconnected,
        None => !is_fed(core, other.index),
    };
    if ends {
        core.close(other.index);
    }
}

/// Ends a connection because the other end of its relay has ended. A connection that its handler
/// has closed, or whose peer has been sent everything and the end, ends in order in any case.
fn end_with(core: &mut Core, index: u32, in_order: bool) {
    let c = &core[index];
    let is_complete = c.outbound.is_none() && c.flags.any(Flags::OUTPUT_CLOSED);
    if in_order || is_complete || c.phase == Phase::Closing {
        core.close(index);
    } else {
        core.fail(index, Reason::RelayLost);
    }
}

/// Whether another connection still relays to the one at `index`, so that its end has not come.
pub(crate) fn is_fed(core: &Core, index: u32) -> bool {
    core[index].special.as_ref().is_some_and(|special| special.feeder.is_some())
}
