//! Receiving a known number of bytes.
//!
//! Short messages are received together into the shared buffer and borrowed from there by the
//! handler: several messages cost one receive and no copy. A long message goes straight into its
//! own buffer and stays there.

use std::collections::TryReserveError;
use std::io;

use super::{Arrival, low_water, note, receive_shared, set_strategy};
use crate::core::{Chunk, Core, Exact, Flags, LowWater, Strategy};
use crate::sys::invalid;
use crate::transport;

/// How many bytes a receive for a short message asks for after a long one. Whatever it brings of
/// the next long message has to be copied (benches/README.md).
const AFTER_DIRECT: usize = 4 << 10;

/// Makes a request. The quick path is for a request that follows another, message after message.
pub(crate) fn expect(core: &mut Core, index: u32, count: usize) -> io::Result<()> {
    let (c, group) = core.pair(index);
    let limit = group.limits.max_exact;
    if count > limit {
        let text = format!("cannot receive {count} bytes in one piece: the limit is {limit}");
        return Err(invalid(text));
    }
    let strategy = Strategy::Exact(Exact::new(count));
    match &mut c.special {
        Some(special)
            if matches!(special.strategy, Strategy::Stream) && c.flags.any(Flags::SCHEDULED) =>
        {
            special.strategy = strategy;
            c.flags.set(Flags::REVISIT_INPUT);
        }
        _ => set_strategy(core, index, strategy),
    }
    Ok(())
}

/// Ends a request that is being answered.
pub(super) fn answered(core: &mut Core, index: u32) {
    let (c, group) = core.pair(index);
    group.ledger.exact_receives += 1;
    if let Some(special) = &mut c.special {
        special.strategy = Strategy::Stream;
    }
}

/// Gives a request up. Its bytes that have arrived become ordinary input.
pub(super) fn stop(core: &mut Core, index: u32) {
    low_water::lower(core, index, LowWater::Off);
    if let Some(special) = &mut core.connections[index as usize].special
        && let Strategy::Exact(exact) = &mut special.strategy
    {
        let arrived = exact.take();
        if !arrived.is_empty() {
            special.unread = Chunk::keep(&arrived, &mut core.pool);
        }
        special.strategy = Strategy::Stream;
    }
}

/// Moves the rest of a receive to the separate buffer of a request, if it is the beginning of a
/// long message. Returns whether it did.
pub(super) fn begin(core: &mut Core, index: u32, rest: &[u8]) -> bool {
    let (c, group) = core.pair(index);
    match c.strategy() {
        Some(Strategy::Exact(exact))
            if rest.len() < exact.expected && exact.is_direct(rest.len(), &group.limits) =>
        {
            let filled = exact.fill(rest);
            filled.unwrap_or_else(|error| fail_for_memory(core, index, &error));
            true
        }
        _ => false,
    }
}

/// Ends a connection for lack of memory. A peer may have announced the length, so this must not end
/// the process.
#[cold]
fn fail_for_memory(core: &mut Core, index: u32, error: &TryReserveError) {
    core.fail_with(index, &io::Error::new(io::ErrorKind::OutOfMemory, error.to_string()));
}

pub(super) fn step(core: &mut Core, buffer: &mut [u8], index: u32) -> Arrival {
    let (c, group) = core.pair(index);
    c.flags.clear(Flags::REVISIT_INPUT);
    let can_receive = c.can_receive();
    let Some(special) = &mut c.special else { return Arrival::Nothing };
    let unread = special.unread.len();
    let Strategy::Exact(exact) = &mut special.strategy else { return Arrival::Nothing };
    if exact.expected <= unread {
        Arrival::Unread
    } else if c.flags.any(Flags::INPUT_ENDED) {
        // The stream ended before all bytes had arrived. Those that have arrived stay unread.
        c.flags.clear(Flags::OWES_EOF);
        stop(core, index);
        core.recycle_special(index);
        Arrival::End
    } else if !can_receive {
        Arrival::Nothing
    } else if exact.is_direct(unread, &group.limits) {
        receive_direct(core, buffer, index)
    } else {
        let most = if exact.after_direct { AFTER_DIRECT } else { usize::MAX };
        receive_shared(core, buffer, index, most)
    }
}

/// Receives once into the request's separate buffer. A transport opens its bytes into the shared
/// one, from which they are copied.
fn receive_direct(core: &mut Core, shared: &mut [u8], index: u32) -> Arrival {
    let c = &mut core.connections[index as usize];
    let ledger = &mut core.groups[c.group as usize].ledger;
    let is_layered = c.is_layered();
    let Some(special) = &mut c.special else { return Arrival::Nothing };
    let Strategy::Exact(exact) = &mut special.strategy else { return Arrival::Nothing };
    let (buffer, asked) = match exact.fill(special.unread.bytes()).and_then(|()| exact.spare()) {
        Ok(spare) => spare,
        Err(error) => {
            fail_for_memory(core, index, &error);
            return Arrival::Nothing;
        }
    };
    core.pool.give(std::mem::take(&mut special.unread));
    ledger.direct_receives += 1;
    let count = if is_layered {
        let room = asked.min(shared.len());
        let count = transport::receive(core, index, &mut shared[..room]);
        if let Some(Strategy::Exact(exact)) = core[index].strategy() {
            // The buffer has room for them.
            let _ = exact.fill(&shared[..count.unwrap_or(0)]);
        }
        count
    } else {
        let result = core.kernel.recv_append(c.socket, buffer, asked);
        note(core, index, asked, result)
    };
    let (c, group) = core.pair(index);
    group.ledger.direct_bytes += count.unwrap_or(0) as u64;
    let Some(Strategy::Exact(exact)) = c.strategy() else { return Arrival::Nothing };
    let message = (exact.left() == 0).then(|| exact.take());
    let Some(message) = message else {
        low_water::adjust(core, index);
        return Arrival::Progress;
    };
    low_water::lower(core, index, LowWater::Off);
    answered(core, index);
    Arrival::Message(message)
}

/// Called after a message from a separate buffer was delivered: notes that in the next request.
pub(crate) fn note_direct(core: &mut Core, index: u32) {
    match core[index].strategy() {
        Some(Strategy::Exact(next)) => next.after_direct = true,
        _ => core.recycle_special(index),
    }
}
