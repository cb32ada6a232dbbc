//! Waking for many bytes only, while a request for many waits for a sender that does not keep up.
//!
//! The kernel's mark is up only during a request that has run dry with much still missing. Then an
//! event for every segment would bring a receive for every segment.

use crate::core::Core;
use crate::core::connection::Flags;
use crate::sys::Ready;

use super::Strategy;

/// Whether the kernel's mark is up (`SO_RCVLOWAT`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Not now.
    Off,
    On,
    /// Not any more in this request: the kernel has none, or the sender is too slow for it.
    Never,
}

impl Core {
    /// After a receive: raises the mark if nothing more is there and it is worth the two calls,
    /// lowers it before less is missing than it waits for.
    pub(super) fn move_mark(&mut self, index: u32) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let low_water = self.groups[c.group as usize].limits.receive_low_water;
        let may_be_up = low_water > 1 && !c.flags.has(Flags::UNIX);
        let is_dry = !c.ready.any(Ready::READ);
        let Some(extras) = &mut c.extras else { return };
        let Strategy::Exact(exact) = &mut extras.strategy else { return };
        let worth = exact.left() >= low_water.saturating_mul(2);
        match exact.mark {
            Mark::Off if may_be_up && is_dry && worth => self.raise_mark(index, low_water),
            Mark::On if !worth => self.lower_mark(index, Mark::Off),
            _ => {}
        }
    }

    fn raise_mark(&mut self, index: u32, bytes: usize) {
        let Some(socket) = self.get(index).map(|c| c.socket) else { return };
        // Without it there are more events, and that is all.
        let is_up = self.kernel.set_receive_mark(socket, bytes).is_ok();
        if let Some(ledger) = self.ledger_of(index) {
            ledger.low_waters += u64::from(is_up);
        }
        if let Some(exact) = self.exact(index) {
            exact.mark = if is_up { Mark::On } else { Mark::Never };
        }
    }

    /// Lowers the mark if it is up. What is there by then may have made no event.
    pub(crate) fn lower_mark(&mut self, index: u32, now: Mark) {
        match self.exact(index) {
            Some(exact) if exact.mark == Mark::On => exact.mark = now,
            _ => return,
        }
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        c.ready = c.ready.and(Ready::READ);
        if let Err(error) = self.kernel.set_receive_mark(c.socket, 1) {
            self.fail_with(index, &error);
        }
    }

    /// Before a connection is idle since a tick that is past: says whether bytes may be there that
    /// are below the mark. They are received next, and if there are none it is idle a tick later.
    pub(crate) fn look_below_mark(&mut self, index: u32, due: u32) -> bool {
        let tick = self.tick;
        let waits = self.get(index).is_some_and(|c| c.wants_input());
        if !waits || self.exact(index).is_none_or(|exact| exact.mark != Mark::On) {
            return false;
        }
        self.lower_mark(index, Mark::Never);
        if let Some(c) = self.get_mut(index) {
            c.active = c.active.wrapping_add(tick.wrapping_sub(due) + 1);
        }
        self.list(index);
        true
    }
}
