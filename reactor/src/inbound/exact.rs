//! Receiving a known number of bytes straight into the buffer in which they stay.

use crate::connection::Flags;
use crate::limits::Quantum;
use crate::reactor::Reactor;
use crate::state::Core;

use super::Strategy;

/// The buffer's first size: it grows with what arrives, not with what is announced.
const FIRST: usize = 64 << 10;

/// Bytes that are expected, and those of them that are there.
pub(crate) struct Exact {
    buffer: Vec<u8>,
    expected: usize,
}

impl Exact {
    /// Takes what it still needs of `bytes`; says how many that was.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.left());
        self.make_room();
        self.buffer.extend_from_slice(&bytes[..count]);
        count
    }

    fn left(&self) -> usize {
        self.expected - self.buffer.len()
    }

    /// Makes sure of some room behind what is there, unless all is there.
    fn make_room(&mut self) {
        let room = self.buffer.capacity() - self.buffer.len();
        if room == 0 {
            let more = self.buffer.len().max(FIRST).min(self.left());
            self.buffer.reserve_exact(more);
        }
    }
}

impl Core {
    pub(crate) fn receive_exact(&mut self, index: u32, count: usize) {
        let exact = Exact { buffer: Vec::new(), expected: count };
        self.set_strategy(index, Strategy::Exact(exact));
    }
}

impl Reactor {
    /// One step of an exact receive. Says whether there may be another.
    pub(crate) fn step_exact(&mut self, index: u32, input: &mut Quantum) -> bool {
        let core = &mut self.core;
        let Some(c) = core.connections.0.get_mut(index as usize) else { return false };
        let can_receive = c.can_receive();
        let Some(extras) = &mut c.extras else { return false };
        let Strategy::Exact(exact) = &mut extras.strategy else { return false };
        if c.flags.take(Flags::OWES_KEPT) {
            let count = exact.fill(extras.kept.bytes());
            extras.kept.consume(count, &mut core.pool);
        }
        if exact.left() == 0 {
            let received = std::mem::take(&mut exact.buffer);
            extras.strategy = Strategy::Stream;
            c.flags.set(Flags::OWES_KEPT);
            core.recycle_extras(index);
            self.call(index, |handler, core, slot| handler.received(core, index, slot, received));
            return true;
        }
        if c.flags.has(Flags::OWES_EOF) {
            // It will never be complete; `on_eof` comes next.
            extras.strategy = Strategy::Stream;
            core.recycle_extras(index);
            return true;
        }
        if !can_receive {
            return false;
        }
        exact.make_room();
        let most = exact.left();
        let result = core.kernel.recv_append(c.socket, &mut exact.buffer, most);
        let asked = most;
        if let Some(count) = core.note_received(index, asked, result) {
            input.bytes = input.bytes.saturating_sub(count);
        }
        true
    }
}
