//! Callbacks that hold the loop for long.

use std::time::Duration;

use super::Turn;

/// The time at which a callback begins, in nanoseconds, if slow callbacks are
/// [logged](crate::Reactor::log_slow_callbacks).
#[inline]
pub(crate) fn begin(turn: &Turn) -> Option<u64> {
    turn.core.slow_after.map(|_| turn.core.kernel.monotonic())
}

/// Logs the callback of this name if it has taken long. Not called for a callback that has
/// panicked, which is logged as such.
#[cold]
#[inline(never)]
pub(crate) fn end(turn: &mut Turn, start: u64, name: impl FnOnce(&Turn) -> String) {
    let nanos = turn.core.kernel.monotonic().saturating_sub(start);
    if turn.core.slow_after.is_some_and(|limit| nanos >= limit) {
        turn.core.ledger.slow_callbacks += 1;
        let time = Duration::from_nanos(nanos);
        log::warn!("{} held the loop for {time:.1?}", name(turn));
    }
}
