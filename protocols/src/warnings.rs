//! Warnings that a busy server would repeat too often.

use std::fmt::Display;
use std::time::Duration;

/// Least time between two warnings.
const EVERY: Duration = Duration::from_secs(1);

/// Logs the first of many warnings, and then at most one a second with the number of those left
/// out.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    /// When a warning was last logged.
    at: Option<Duration>,
    /// Warnings since then.
    left_out: u64,
}

impl Warnings {
    /// Logs a warning at this time, or counts that it was not logged.
    pub(crate) fn warn(&mut self, now: Duration, what: impl Display) {
        if self.at.is_some_and(|at| now - at < EVERY) {
            self.left_out += 1;
            return;
        }
        match self.left_out {
            0 => log::warn!("{what}"),
            more => log::warn!("{what} ({more} more since the last warning)"),
        }
        (self.at, self.left_out) = (Some(now), 0);
    }
}
