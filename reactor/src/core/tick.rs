//! Ticks, the unit of deadlines: 2^24 ns, about 17 ms. They wrap around.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// A second in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

const TICK_SHIFT: u32 = 24;
/// A tick in nanoseconds.
pub(crate) const TICK: u64 = 1 << TICK_SHIFT;

/// The tick that a time in nanoseconds belongs to.
pub(crate) fn tick_of(nanos: u64) -> u32 {
    (nanos >> TICK_SHIFT) as u32
}

/// A duration in nanoseconds.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Ticks in a duration, rounded up: a deadline may be a tick late, but never early.
pub(crate) fn ticks(duration: Duration) -> u32 {
    let nanos = duration.as_nanos() + (1 << TICK_SHIFT) - 1;
    u32::try_from(nanos >> TICK_SHIFT).unwrap_or(u32::MAX).min(u32::MAX / 4)
}

/// The tick by which a duration has passed that begins within the tick `from`. That tick is partly
/// over, so it does not count.
pub(crate) fn tick_after(from: u32, duration: Duration) -> u32 {
    from.wrapping_add(ticks(duration) + 1)
}

/// Whether `tick` has been reached at `now`.
pub(crate) fn is_due(tick: u32, now: u32) -> bool {
    now.wrapping_sub(tick) as i32 >= 0
}
