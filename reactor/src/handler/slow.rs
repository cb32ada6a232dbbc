//! Callbacks that hold the loop for long.

use std::fmt::Display;
use std::time::Duration;

use super::Turn;

/// Makes a callback of a handler. If slow callbacks are [logged](crate::Reactor::log_slow_callbacks),
/// takes the time, and logs it with the name of the callback. A callback that panics is logged as
/// such, and not here.
#[inline]
pub(crate) fn watched<H: ?Sized, N: Display>(
    handler: &mut H,
    turn: &mut Turn,
    callback: impl FnOnce(&mut H, &mut Turn),
    name: impl FnOnce(&H, &Turn) -> N,
) {
    match turn.core.slow_after {
        None => callback(handler, turn),
        Some(limit) => watch(handler, turn, limit, callback, name),
    }
}

#[cold]
#[inline(never)]
fn watch<H: ?Sized, N: Display>(
    handler: &mut H,
    turn: &mut Turn,
    limit: u64,
    callback: impl FnOnce(&mut H, &mut Turn),
    name: impl FnOnce(&H, &Turn) -> N,
) {
    let start = turn.core.kernel.monotonic();
    callback(handler, turn);
    let nanos = turn.core.kernel.monotonic().saturating_sub(start);
    if nanos >= limit {
        turn.core.ledger.slow_callbacks += 1;
        let time = Duration::from_nanos(nanos);
        log::warn!("{} held the loop for {time:.1?}", name(handler, turn));
    }
}
