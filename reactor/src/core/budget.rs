//! The memory budget of a reactor: when it looks at what connections hold, and what it decides.
//!
//! Nothing is counted as bytes move. What connections hold can grow by no more than the bytes that
//! were received, queued and taken as buffers meanwhile, and those are counted anyway. So the
//! reactor [adds up](super::held) what they hold only when that could have grown by a good part of
//! what is left of the budget, and in each tick while memory is short.

use super::Throttle;
use super::tick::TICK;

/// Shares of the budget are in sixteenths. Above this one, memory is short.
const SHORT: u64 = 12;
/// Not above this one, it no longer is.
const ENOUGH: u64 = 10;
/// Above this one, connections are aborted. What is left is for what a turn may add.
const MOST: u64 = 15;
/// Down to this one.
const AFTER_ABORTS: u64 = 14;

/// How long memory may be short, in nanoseconds. After that, connections are aborted until it no
/// longer is: those that hold much and hardly move it would keep others out as long as they like.
const LONGEST_SHORTAGE: u64 = 10_000_000_000;

/// The memory budget of a reactor, and how much of it is in use.
#[derive(Default)]
pub(crate) struct Budget {
    pub(crate) limit: u64,
    /// Whether memory is short: less is read, fewer connections are accepted.
    pub(crate) is_short: bool,
    /// When memory became short (nanoseconds).
    short_since: u64,
    /// Look again at this volume.
    next_volume: u64,
    /// Look again at this time in nanoseconds, if memory is short.
    next_time: u64,
    /// For the log lines about shortages.
    pub(crate) shortage_log: Throttle,
    /// For those about aborted connections.
    pub(crate) abort_log: Throttle,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { limit, ..Budget::default() }
    }

    /// Whether to look at what connections hold, at this volume and time.
    pub(crate) fn is_due(&self, volume: u64, now: u64) -> bool {
        volume >= self.next_volume || self.is_short && now >= self.next_time
    }

    /// Notes how much is in use. Returns whether memory has become short.
    pub(crate) fn note(&mut self, used: u64, volume: u64, now: u64) -> bool {
        let was_short = self.is_short;
        // Once memory is short, it stays so until it has clearly become less.
        self.is_short = used > share(self.limit, if was_short { ENOUGH } else { SHORT });
        // Until then, no more than half of what is left can be used up, or a small part of the
        // budget if hardly anything is left.
        let more = (self.limit.saturating_sub(used) / 2).max(self.limit / 32).max(1);
        self.next_volume = volume.saturating_add(more);
        self.next_time = now + TICK;
        let begins = self.is_short && !was_short;
        if begins {
            self.short_since = now;
        }
        begins
    }

    /// How many bytes of memory must become free.
    pub(crate) fn excess(&self, used: u64, now: u64) -> u64 {
        let lasts = self.is_short && now - self.short_since >= LONGEST_SHORTAGE;
        let (most, after) = if lasts { (ENOUGH, ENOUGH) } else { (MOST, AFTER_ABORTS) };
        if used > share(self.limit, most) { used - share(self.limit, after) } else { 0 }
    }

    /// How long to wait for the next look at most, in nanoseconds, if memory is short.
    pub(crate) fn wait(&self, now: u64) -> Option<u64> {
        self.is_short.then(|| self.next_time.saturating_sub(now))
    }
}

/// A share of a budget, in sixteenths.
fn share(limit: u64, sixteenths: u64) -> u64 {
    limit / 16 * sixteenths + limit % 16 * sixteenths / 16
}

/// Keeps those that must end to free `excess` bytes, the one that holds most first: as few as
/// possible.
pub(crate) fn choose_victims(holders: &mut Vec<(u64, u32)>, excess: u64) {
    holders.sort_unstable_by(|one, other| other.cmp(one));
    let mut freed = 0;
    holders.retain(|(held, _)| {
        let must_end = freed < excess;
        freed += held;
        must_end
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fewest_connections_end_and_they_are_those_that_hold_most(
            held in prop::collection::vec(0_u64..1000, 0..50),
            excess in 0_u64..20_000,
        ) {
            let all: Vec<_> = held.iter().copied().zip(0..).collect();
            let mut victims = all.clone();
            choose_victims(&mut victims, excess);
            let freed: u64 = victims.iter().map(|(held, _)| held).sum();
            let total: u64 = held.iter().sum();
            prop_assert!(freed >= excess.min(total), "{freed} of {excess}");
            if let Some((least, _)) = victims.last() {
                prop_assert!(freed - least < excess, "one less would do");
            }
            let least = victims.iter().map(|(held, _)| *held).min().unwrap_or(u64::MAX);
            let spared = all.iter().filter(|holder| !victims.contains(holder));
            prop_assert!(spared.clone().all(|(held, _)| *held <= least), "{victims:?}");
        }

        /// Connections that take as much as they can between two looks, and never give back.
        #[test]
        fn however_fast_memory_grows_the_budget_is_kept(
            limit in 1_u64..1 << 40,
            shares in prop::collection::vec(0.0..1.0_f64, 1..100),
        ) {
            let mut budget = Budget::new(limit);
            let (mut used, mut volume) = (0, 0);
            for share in shares {
                budget.note(used, volume, 0);
                used -= budget.excess(used, 0).min(used);
                let room = budget.next_volume - volume;
                // At the last moment at which it is not due, as long as one byte is not too much.
                let more = ((room - 1) as f64 * share) as u64;
                prop_assert!(!budget.is_due(volume + more, 0));
                (used, volume) = (used + more, volume + more);
                prop_assert!(used <= limit, "{used} of {limit}");
            }
        }

        #[test]
        fn memory_that_is_short_stays_so_until_it_has_clearly_become_less(
            limit in 16_u64..u64::MAX,
            shares in prop::collection::vec(0.0..1.2_f64, 1..50),
        ) {
            let mut budget = Budget::new(limit);
            for part in shares {
                let (used, before) = ((limit as f64 * part) as u64, budget.is_short);
                let begins = budget.note(used, 0, 0);
                prop_assert_eq!(begins, budget.is_short && !before);
                if used <= share(limit, ENOUGH) {
                    prop_assert!(!budget.is_short);
                } else if used > share(limit, SHORT) {
                    prop_assert!(budget.is_short);
                } else {
                    prop_assert_eq!(budget.is_short, before);
                }
            }
        }
    }

    #[test]
    fn while_memory_is_short_it_looks_in_each_tick() {
        let mut budget = Budget::new(1600);
        assert!(budget.is_due(0, 0), "at first");
        budget.note(1200, 0, 5);
        assert_eq!((budget.is_due(199, u64::MAX), budget.is_due(200, 5)), (false, true));
        assert_eq!(budget.wait(5), None);
        budget.note(1201, 200, 5);
        assert_eq!((budget.is_due(200, 4 + TICK), budget.is_due(200, 5 + TICK)), (false, true));
        assert_eq!(budget.wait(6), Some(TICK - 1));
    }

    #[test]
    fn connections_are_aborted_near_the_budget_and_not_before() {
        let mut budget = Budget::new(1600);
        assert_eq!([1500, 1501, 2000].map(|used| budget.excess(used, 0)), [0, 101, 600]);
        budget.note(1300, 0, 0);
        let excess = [LONGEST_SHORTAGE - 1, LONGEST_SHORTAGE].map(|now| budget.excess(1300, now));
        assert_eq!(excess, [0, 300], "a shortage does not last");
    }
}
