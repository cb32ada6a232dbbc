//! Raises the kernel's low-water mark while a request for many bytes is waiting for a slow sender.
//!
//! The mark (`SO_RCVLOWAT`) is raised only while a request has read all available input and still
//! lacks many bytes. Without it, every segment would cause an event and a receive.

use crate::core::{Core, Flags, Group, LowWater, Strategy};
use crate::sys::Ready;

/// Called after a receive. Raises the mark if the socket is empty and enough bytes are missing to
/// be worth two calls. Lowers it before fewer bytes are missing than the mark.
pub(super) fn adjust(core: &mut Core, index: u32) {
    let c = &mut core.connections[index as usize];
    let Group { limits, ledger, .. } = &mut core.groups[c.group as usize];
    let mark = limits.receive_low_water;
    // Through a transport, in the kernel or not, other bytes arrive than are expected.
    let may_be_up = mark > 1 && !c.flags.any(Flags::STOPS_SHORT) && !c.is_layered();
    let is_dry = !c.ready.any(Ready::READ);
    let socket = c.socket;
    let Some(Strategy::Exact(exact)) = c.strategy() else { return };
    let is_worth_it = exact.left() >= mark.saturating_mul(2);
    match exact.low_water {
        LowWater::Off if may_be_up && is_dry && is_worth_it => {
            // If it fails there are more events, and nothing else is different.
            let is_up = core.kernel.set_receive_mark(socket, mark).is_ok();
            exact.low_water = if is_up { LowWater::On } else { LowWater::Never };
            ledger.low_waters += u64::from(is_up);
        }
        LowWater::On if !is_worth_it => lower(core, index, LowWater::Off),
        _ => {}
    }
}

/// Lowers the mark if it is up. Bytes below the mark may have arrived without an event.
pub(crate) fn lower(core: &mut Core, index: u32, now: LowWater) {
    let c = &mut core.connections[index as usize];
    match c.strategy() {
        Some(Strategy::Exact(exact)) if exact.low_water == LowWater::On => exact.low_water = now,
        _ => return,
    }
    c.ready = c.ready.union(Ready::READ);
    if let Err(error) = core.kernel.set_receive_mark(c.socket, 1) {
        core.fail_with(index, &error);
    }
}

/// Called before a connection counts as idle, and before its handler's own deadline. Returns
/// whether bytes below the mark may have arrived. They are received in this turn, and the deadline
/// passes at the next tick, unless it has moved.
pub(crate) fn look_below(core: &mut Core, index: u32) -> bool {
    let c = &mut core[index];
    let is_up = c.wants_input()
        && matches!(c.strategy(), Some(Strategy::Exact(exact)) if exact.low_water == LowWater::On);
    if is_up {
        lower(core, index, LowWater::Never);
        core.schedule(index);
    }
    is_up
}
