//! Rate-limited log lines, for causes that could repeat for every connection.

use super::tick::SECOND;

/// Lets at most one log line a second through.
#[derive(Default)]
pub(crate) struct Throttle {
    /// When a line was last let through, in nanoseconds.
    last: Option<u64>,
}

impl Throttle {
    /// Whether a line may be logged at this time, in nanoseconds.
    pub(crate) fn allows(&mut self, now: u64) -> bool {
        let allowed = self.last.is_none_or(|last| now.saturating_sub(last) >= SECOND);
        if allowed {
            self.last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_let_through_and_then_one_a_second() {
        let mut throttle = Throttle::default();
        let times = [0, SECOND - 1, SECOND, SECOND + 1, 5 * SECOND, 6 * SECOND - 1];
        let allowed = times.map(|now| throttle.allows(now));
        assert_eq!(allowed, [true, false, true, false, true, false]);
    }
}
