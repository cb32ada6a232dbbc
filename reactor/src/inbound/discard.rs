//! Receiving what nobody wants.

use crate::core::Core;
use crate::core::connection::Flags;
use crate::core::limits::Quantum;
use crate::turn::reactor::Reactor;

use super::Strategy;

impl Core {
    pub(crate) fn discard(&mut self, index: u32, count: u64) {
        self.set_strategy(index, Strategy::Discard(count));
    }
}

impl Reactor {
    /// One step of discarding input. Says whether there may be another.
    pub(crate) fn step_discard(&mut self, index: u32, input: &mut Quantum) -> bool {
        let core = &mut self.core;
        let Some(c) = core.connections.0.get_mut(index as usize) else { return false };
        let (can_receive, most) = (c.can_receive(), c.receivable(self.receive.len()));
        let Some(extras) = &mut c.extras else { return false };
        let Strategy::Discard(left) = &mut extras.strategy else { return false };
        if c.flags.take(Flags::OWES_KEPT) {
            let count = (*left).min(extras.kept.len() as u64);
            extras.kept.consume(count as usize, &mut core.pool);
            *left -= count;
        }
        if *left == 0 || c.flags.has(Flags::OWES_EOF) {
            extras.strategy = Strategy::Stream;
            c.flags.set(Flags::OWES_KEPT);
            core.recycle_extras(index);
            return true;
        }
        if !can_receive {
            return false;
        }
        let room = (*left).min(most as u64) as usize;
        let result = core.kernel.recv(c.socket, &mut self.receive[..room]);
        if let Some(count) = core.note_received(index, room, result) {
            input.bytes = input.bytes.saturating_sub(count);
            if let Some(c) = core.connections.0.get_mut(index as usize)
                && let Some(Strategy::Discard(left)) = c.extras.as_mut().map(|e| &mut e.strategy)
            {
                *left -= count as u64;
                // The last of them is noticed by the next step, whatever the socket says.
                c.flags.set(Flags::OWES_KEPT);
            }
        }
        true
    }
}
