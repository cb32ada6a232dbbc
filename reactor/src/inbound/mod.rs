//! Receive strategies: where the bytes of a connection go depends on what its handler expects.
//!
//! | expected input | where it goes |
//! |---|---|
//! | a stream (the default) | the shared buffer, lent to the handler; what the handler does not consume is kept |
//! | a known number of bytes | [few](exact): the shared buffer, lent once all have arrived |
//! | | [many](exact): a separate buffer, which grows as they arrive |
//! | bytes for another connection, of a known number or until the end of the stream | [that connection](relay), in the same turn |
//! | a file, of a known length or until the end of the stream | [the file](file), through buffers that all files share |
//! | bytes to skip | nowhere, from the shared buffer |
//!
//! Each strategy receives once and returns what arrived. The [turn](crate::turn) delivers it to the
//! handler.

use std::io;

use bytes::Bytes;

use crate::core::transport::End;
use crate::core::{Chunk, Core, Flags, Limits, MOVED_UNREAD, Pipe, Strategy, is_passing};
use crate::fs::{NotSaved, Saved};
use crate::sys::{AlignedBuffer, Direction};
use crate::time::deadlines;
use crate::transport;

mod exact;
mod file;
mod low_water;
mod relay;
mod stream;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub(crate) use exact::{expect, note_direct};
pub(crate) use file::{receive_file, stop_saving};
pub(crate) use low_water::{look_below, lower};
#[cfg(feature = "testing")]
pub(crate) use relay::is_blocked_in_vain;
use relay::stop_relaying;
pub(crate) use relay::{blocked_by, close_other_end, end_relays, is_fed, relay};
pub(crate) use stream::{Piece, next_piece, put_back, store_rest, take_unread};

/// The result of one receive step, which the turn delivers.
pub(crate) enum Arrival {
    /// This many bytes, in the shared buffer.
    Bytes(usize),
    /// Unread bytes can be delivered now.
    Unread,
    /// A message in a separate buffer.
    Message(Bytes),
    /// The outcome of receiving a file.
    File(Result<Saved, NotSaved>),
    /// The end of the relay of a part, with this many bytes of it left.
    Relayed(u64),
    /// The end of the stream.
    End,
    /// Nothing to deliver, but another step may follow.
    Progress,
    /// Nothing to deliver, and nothing more to do now.
    Nothing,
}

/// Takes one step for a connection that wants input.
pub(crate) fn step(core: &mut Core, buffer: &mut AlignedBuffer, index: u32) -> Arrival {
    match core[index].strategy() {
        None | Some(Strategy::Stream | Strategy::Discard(_)) => stream::step(core, buffer, index),
        Some(Strategy::Exact(_)) => exact::step(core, buffer, index),
        Some(Strategy::Relay(_)) => relay::step(core, buffer, index),
        Some(Strategy::File(_)) => file::step(core, buffer, index),
    }
}

/// Stops receiving until the destination of a relay, or a worker, lets the connection continue.
fn block(core: &mut Core, index: u32) -> Arrival {
    core.special(index).blocked = true;
    Arrival::Nothing
}

/// Sets where a connection's next bytes go, beginning with the unread ones.
pub(crate) fn set_strategy(core: &mut Core, index: u32, strategy: Strategy) {
    stop_relay_or_exact(core, index);
    stop_saving(core, index);
    core.special(index).strategy = strategy;
    core.set_and_schedule(index, Flags::REVISIT_INPUT);
}

/// Ends a relay, or a request for an exact number of bytes. A file that is being received goes on:
/// it stays with a connection that is handed over.
pub(crate) fn stop_relay_or_exact(core: &mut Core, index: u32) {
    stop_relaying(core, index);
    exact::stop(core, index);
}

/// Called after `on_eof`. Closes a connection whose handler has requested bytes in that callback,
/// since they can never arrive. Otherwise the end could be reported forever.
pub(crate) fn close_if_waiting_in_vain(core: &mut Core, index: u32) {
    let Some(special) = &core[index].special else { return };
    let unread = special.unread.len();
    let in_vain = match &special.strategy {
        Strategy::Exact(exact) => exact.expected > unread,
        Strategy::File(saving) => saving.expects_more_than(unread),
        Strategy::Relay(relay) => relay.left.is_some_and(|left| left > unread as u64),
        Strategy::Stream | Strategy::Discard(_) => false,
    };
    if in_vain {
        core.close(index);
    }
}

/// Makes one `recv` of at most `most` bytes to the front of `buffer`. Returns how many bytes it
/// brought, if any.
#[inline]
fn receive(core: &mut Core, buffer: &mut [u8], index: u32, most: usize) -> Option<usize> {
    let c = &core[index];
    let asked = buffer.len().min(most);
    if c.is_layered() {
        return transport::receive(core, index, &mut buffer[..asked]);
    }
    let result = core.kernel.recv(c.socket, &mut buffer[..asked]);
    note(core, index, asked, result)
}

/// Receives up to `most` bytes. If few bytes are unread, they move to the front of the shared
/// buffer and new bytes are received after them. Otherwise new bytes are received after them in
/// their own buffer.
fn receive_shared(core: &mut Core, buffer: &mut [u8], index: u32, most: usize) -> Arrival {
    let (c, group) = core.pair(index);
    let pending = c.outbound.as_ref().map_or(0, |queue| queue.memory());
    let most = most.min(room_for_answers(pending, &group.limits));
    // Nothing answers what is skipped.
    let skipped = match c.strategy() {
        Some(Strategy::Discard(left)) => usize::try_from(*left).unwrap_or(usize::MAX),
        _ => 0,
    };
    let most = most.max(skipped);
    let mut front = 0;
    if let Some(special) = &mut c.special {
        front = special.unread.len();
        if front > MOVED_UNREAD {
            let unread = std::mem::take(&mut special.unread);
            return receive_behind(core, index, unread, most);
        }
    }
    let Some(count) = receive(core, &mut buffer[front..], index, most) else {
        return Arrival::Progress;
    };
    if let Some(special) = &mut core.connections[index as usize].special {
        buffer[..front].copy_from_slice(special.unread.bytes());
        core.pool.give(std::mem::take(&mut special.unread));
        core.recycle_special(index);
    }
    Arrival::Bytes(front + count)
}

/// Receives once after unread bytes, into their buffer.
#[inline(never)]
fn receive_behind(core: &mut Core, index: u32, mut unread: Chunk, most: usize) -> Arrival {
    unread.make_room(&mut core.pool);
    let received = receive(core, unread.spare(), index, most);
    unread.filled(received.unwrap_or(0));
    core.special(index).unread = unread;
    if received.is_some() { Arrival::Unread } else { Arrival::Progress }
}

/// Makes one `splice` of at most `most` bytes to an empty pipe. Returns how many bytes it brought,
/// if any.
fn receive_into_pipe(core: &mut Core, pipe: &Pipe, index: u32, most: usize) -> Option<usize> {
    let c = &core[index];
    let result = core.kernel.splice(c.socket, pipe.write, most.min(pipe.size));
    // Fewer bytes than fit may not be all there are: small pieces can fill the pipe before.
    let asked = *result.as_ref().unwrap_or(&0);
    let count = note(core, index, asked, result)?;
    core.ledger_of(index).received_by_splice += count as u64;
    Some(count)
}

/// Records that a connection receives through memory because no pipe could be opened.
fn note_no_pipe(core: &mut Core, index: u32, error: &io::Error) {
    log::debug!("{}: no pipe to receive into: {error}", core.describe(index));
    core.ledger_of(index).no_pipe += 1;
}

/// Accounts for a receive of up to `asked` bytes. Nothing else does. Returns how many bytes it
/// brought, if any.
#[inline(always)]
fn note(core: &mut Core, index: u32, asked: usize, result: io::Result<usize>) -> Option<usize> {
    let c = &mut core.connections[index as usize];
    let ledger = &mut core.groups[c.group as usize].ledger;
    ledger.recv_calls += 1;
    match result {
        Ok(count) if count > 0 => {
            c.note_received(count, asked, core.tick, ledger);
            core.receive_quantum.use_bytes(count);
            core.observe_received(index, count as u64);
            Some(count)
        }
        other => {
            note_nothing(core, index, other.err());
            None
        }
    }
}

/// Records why a receive brought nothing: the end of the stream, or an error.
#[inline(never)]
fn note_nothing(core: &mut Core, index: u32, error: Option<io::Error>) {
    let (c, group) = core.pair(index);
    match error {
        None => {
            if let Some(layer) = c.layer() {
                // The kernel opens the records, and has come to no end of them.
                layer.end = Some(End::Cut);
            }
            core.end_input(index);
            deadlines::note_half_closed(core, index);
        }
        Some(error) if is_passing(&error, Direction::Receive, &mut c.ready, &mut group.ledger) => {}
        Some(error) if c.layer().is_some() => transport::held_up(core, index, &error),
        Some(error) => core.fail_with(index, &error),
    }
}

/// How many bytes one receive may bring, given the queued bytes and the high mark. With an empty
/// queue it is the whole buffer, so an echo queues at most one receive more than the mark.
fn room_for_answers(pending: usize, limits: &Limits) -> usize {
    if pending == 0 { usize::MAX } else { limits.send_high.saturating_sub(pending).max(1) }
}
