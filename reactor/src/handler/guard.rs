//! Callbacks that panic, or hold the loop for long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Turn;

/// Makes the callback of this name. Returns whether it ended without a panic; a panic is logged
/// with its `consequence`.
#[inline]
pub(crate) fn guard(
    turn: &mut Turn,
    name: impl FnOnce(&Turn) -> String,
    consequence: &str,
    callback: impl FnOnce(&mut Turn),
) -> bool {
    let start = turn.core.slow_after.map(|_| turn.core.kernel.monotonic());
    let ended = catch_unwind(AssertUnwindSafe(|| callback(turn))).is_ok();
    if !ended {
        panicked(turn, name, consequence);
    } else if let Some(start) = start {
        note_slow(turn, name, start);
    }
    ended
}

#[cold]
#[inline(never)]
fn panicked(turn: &mut Turn, name: impl FnOnce(&Turn) -> String, consequence: &str) {
    turn.core.ledger.panics += 1;
    log::error!("{} panicked; {consequence}", name(turn));
}

/// Logs a callback if it has taken [long](crate::Reactor::log_slow_callbacks).
#[cold]
#[inline(never)]
fn note_slow(turn: &mut Turn, name: impl FnOnce(&Turn) -> String, start: u64) {
    let nanos = turn.core.kernel.monotonic().saturating_sub(start);
    if turn.core.slow_after.is_some_and(|limit| nanos >= limit) {
        turn.core.ledger.slow_callbacks += 1;
        let time = Duration::from_nanos(nanos);
        log::warn!("{} held the loop for {time:.1?}", name(turn));
    }
}
