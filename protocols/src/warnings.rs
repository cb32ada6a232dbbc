//! Warnings that a busy server would repeat too often.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The minimum time between two warnings.
const EVERY: Duration = Duration::from_secs(1);

/// Logs the first of many warnings, and then at most one per second with the number of those left
/// out. The number of the last ones is logged with the next warning, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Warnings {
    /// The module that warns.
    target: &'static str,
    /// When a warning was last logged.
    at: Option<Duration>,
    /// Warnings since then.
    left_out: u64,
}

impl Warnings {
    /// Warnings of the module with this path.
    pub(crate) fn of(target: &'static str) -> Warnings {
        Warnings { target, at: None, left_out: 0 }
    }

    /// Logs a warning at this time, or counts that it was not logged.
    pub(crate) fn warn(&mut self, now: Duration, what: impl Display) {
        // Another thread may have looked at the clock later and warned first.
        if self.at.is_some_and(|at| now.saturating_sub(at) < EVERY) {
            self.left_out += 1;
            return;
        }
        match self.left_out {
            0 => log::warn!(target: self.target, "{what}"),
            more => {
                log::warn!(target: self.target, "{what} ({more} more since the last warning)");
            }
        }
        (self.at, self.left_out) = (Some(now), 0);
    }
}

impl Drop for Warnings {
    fn drop(&mut self) {
        if self.left_out > 0 {
            log::warn!(target: self.target, "{} more since the last warning", self.left_out);
        }
    }
}

/// The same for state that the threads of a server share, which has no reactor's clock.
#[derive(Debug)]
pub(crate) struct SharedWarnings {
    start: Instant,
    warnings: Mutex<Warnings>,
}

impl SharedWarnings {
    /// Warnings of the module with this path.
    pub(crate) fn of(target: &'static str) -> SharedWarnings {
        SharedWarnings { start: Instant::now(), warnings: Mutex::new(Warnings::of(target)) }
    }

    /// Logs a warning, or counts that it was not logged.
    pub(crate) fn warn(&self, what: impl Display) {
        let now = self.start.elapsed();
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).warn(now, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_overtaken_by_another_does_not_warn() {
        let mut warnings = Warnings::of(module_path!());
        warnings.warn(2 * EVERY, "first");
        warnings.warn(EVERY, "overtaken");
        assert_eq!((warnings.at, warnings.left_out), (Some(2 * EVERY), 1));
    }
}
