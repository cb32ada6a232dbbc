//! How time is counted in ticks.

use std::time::Duration;

use super::{TICK, is_due, tick_of, ticks};

#[test]
fn the_present_is_rounded_down_and_what_is_to_come_up() {
    for (nanos, present, to_come) in [
        (0, 0, 0),
        (1, 0, 1),
        (TICK - 1, 0, 1),
        (TICK, 1, 1),
        (TICK + 1, 1, 2),
        (1000 * TICK - 1, 999, 1000),
        (1000 * TICK, 1000, 1000),
    ] {
        assert_eq!(tick_of(nanos), present, "{nanos} ns");
        assert_eq!(ticks(Duration::from_nanos(nanos)), to_come, "{nanos} ns");
    }
}

#[test]
fn a_time_that_does_not_fit_is_far_off_and_not_in_the_past() {
    for time in [Duration::MAX, Duration::from_nanos(u64::MAX)] {
        for now in [0, 1 << 31, u32::MAX] {
            assert!(!is_due(now.wrapping_add(ticks(time)), now));
        }
    }
    assert_eq!(tick_of(TICK << 32), 0, "ticks wrap around");
}

#[test]
fn a_tick_is_due_when_it_has_come_wherever_the_count_wraps() {
    for now in [0u32, 1, 1 << 31, u32::MAX] {
        for (ahead, due) in
            [(-(1 << 30), true), (-1, true), (0, true), (1, false), (1 << 30, false)]
        {
            assert_eq!(is_due(now.wrapping_add_signed(ahead), now), due, "{now} and {ahead}");
        }
    }
}
