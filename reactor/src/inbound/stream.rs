//! Input that goes to the handler as it arrives, and the rest that the handler leaves. What it does
//! not want to see is skipped.

use std::ops::Range;

use super::{Arrival, exact, file, receive_shared};
use crate::core::{Chunk, Core, Flags, Group, Phase, Reason, Strategy};
use crate::sys::AlignedBuffer;

/// The next piece of the bytes that have arrived.
pub(crate) enum Piece {
    /// All of them, for `on_data`.
    Stream,
    /// This many, for `on_received`.
    Exact(usize),
    /// This many, for nobody.
    Skip(usize),
}

pub(super) fn step(core: &mut Core, buffer: &mut [u8], index: u32) -> Arrival {
    let (c, group) = core.pair(index);
    if c.flags.take(Flags::REVISIT_INPUT) {
        Arrival::Unread
    } else if c.flags.take(Flags::OWES_EOF) {
        Arrival::End
    } else if c.can_receive() {
        let most = group.limits.receive_most.max(1);
        receive_shared(core, buffer, index, most)
    } else {
        Arrival::Nothing
    }
}

/// The front of `available` bytes that are to be discarded. After the last of them, and if there
/// are none, later bytes go to the handler.
fn skip(strategy: &mut Strategy, available: usize) -> Option<Piece> {
    let Strategy::Discard(left) = strategy else { return None };
    let count = (*left).min(available as u64);
    *left -= count;
    let is_last = *left == 0;
    if is_last {
        *strategy = Strategy::Stream;
    }
    (is_last || count > 0).then_some(Piece::Skip(count as usize))
}

/// The piece of `available` bytes that the handler wants now, if any.
#[inline]
pub(crate) fn next_piece(core: &mut Core, index: u32, available: usize) -> Option<Piece> {
    let c = &mut core[index];
    if !c.wants_input() || c.flags.any(Flags::YIELDED.union(Flags::OWES_START)) {
        return None;
    }
    let exact = match c.strategy() {
        None | Some(Strategy::Stream) => None,
        // While bytes are delivered from elsewhere, the separate buffer is empty.
        Some(Strategy::Exact(exact)) => Some(exact.expected),
        Some(strategy @ Strategy::Discard(_)) => return skip(strategy, available),
        // These take their bytes from what is unread.
        Some(Strategy::Relay(_) | Strategy::File(_)) => return None,
    };
    c.flags.clear(Flags::REVISIT_INPUT);
    match exact {
        None => (available > 0).then_some(Piece::Stream),
        Some(count) if count > available => None,
        Some(count) => {
            exact::answered(core, index);
            Some(Piece::Exact(count))
        }
    }
}

/// Keeps the unconsumed rest of the shared buffer, or moves it to where it is expected.
#[inline(never)]
pub(crate) fn store_rest(
    core: &mut Core,
    buffer: &mut AlignedBuffer,
    index: u32,
    rest: Range<usize>,
) {
    // If the callback has started a transport, what it leaves is nobody's.
    let saves = core[index].is_open();
    let saved = if saves { file::take(core, buffer, index, rest.clone()) } else { 0 };
    let rest = &buffer[rest.start + saved..rest.end];
    if rest.is_empty() || core[index].phase > Phase::Open {
        return core.recycle_special(index);
    }
    if !exact::begin(core, index, rest) {
        let unread = Chunk::keep(rest, &mut core.pool);
        core.ledger_of(index).kept += rest.len() as u64;
        keep(core, index, unread);
    }
}

/// Takes out the unread bytes, to offer all of them to the handler.
pub(crate) fn take_unread(core: &mut Core, index: u32) -> Option<Chunk> {
    Some(std::mem::take(&mut core[index].special.as_mut()?.unread))
}

/// Puts back the unread bytes after the handler has consumed `count` of them.
pub(crate) fn put_back(core: &mut Core, index: u32, mut unread: Chunk, count: usize) {
    unread.consume(count, &mut core.pool);
    if unread.len() > 0 && core[index].phase <= Phase::Open {
        keep(core, index, unread);
    } else {
        core.pool.give(unread);
        core.recycle_special(index);
    }
}

/// Keeps what a handler has left. If that reaches the limit while the handler waits for more, it is
/// an overrun, unless it was left for the next turn, for another handler or for another strategy.
fn keep(core: &mut Core, index: u32, unread: Chunk) {
    let len = unread.len();
    core.special(index).unread = unread;
    let (c, Group { limits, ledger, .. }) = core.pair(index);
    let is_judged = !c.flags.any(Flags::YIELDED.union(Flags::OWES_START)) && !c.has_strategy();
    if len >= limits.max_unread && c.wants_input() && is_judged {
        ledger.overruns += 1;
        core.fail(index, Reason::Overrun);
    }
}
