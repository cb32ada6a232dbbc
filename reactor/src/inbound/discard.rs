//! Receiving bytes only to skip them.

use super::{Arrival, receive};
use crate::core::{Core, Flags, Strategy};

pub(super) fn step(core: &mut Core, buffer: &mut [u8], index: u32) -> Arrival {
    let c = &mut core.connections[index as usize];
    let can_receive = c.can_receive();
    let Some(special) = &mut c.special else { return Arrival::Nothing };
    let Strategy::Discard(left) = &mut special.strategy else { return Arrival::Nothing };
    if c.flags.take(Flags::REVISIT_INPUT) {
        let count = (*left).min(special.unread.len() as u64);
        special.unread.consume(count as usize, &mut core.pool);
        *left -= count;
    }
    if *left == 0 || c.flags.any(Flags::OWES_EOF) {
        special.strategy = Strategy::Stream;
        c.flags.set(Flags::REVISIT_INPUT);
        core.recycle_special(index);
        return Arrival::Progress;
    }
    if !can_receive {
        return Arrival::Nothing;
    }
    let most = usize::try_from(*left).unwrap_or(usize::MAX);
    if let Some(count) = receive(core, buffer, index, most)
        && let Some(Strategy::Discard(left)) = core[index].strategy()
    {
        *left -= count as u64;
        // So that a next step sees that all are skipped, even if the socket has no more input.
        core[index].flags.set(Flags::REVISIT_INPUT);
    }
    Arrival::Progress
}
