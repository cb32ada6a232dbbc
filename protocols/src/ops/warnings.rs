//! The last warnings of a program.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, Log, Metadata, Record};

/// How many warnings are kept.
const MOST: usize = 50;

/// Bytes of a warning that are kept.
const MOST_BYTES: usize = 500;

/// Keeps the last 50 warnings and errors that a program has logged, for its status page. Clones
/// share them.
///
/// ```
/// use sluicegate_protocols::ops::RecentWarnings;
///
/// struct Quiet;
///
/// impl log::Log for Quiet {
///     fn enabled(&self, _: &log::Metadata<'_>) -> bool { false }
///     fn log(&self, _: &log::Record<'_>) {}
///     fn flush(&self) {}
/// }
///
/// let warnings = RecentWarnings::default();
/// log::set_boxed_logger(Box::new(warnings.logger(Quiet))).unwrap();
/// log::set_max_level(log::LevelFilter::Info);
/// log::info!("not a warning");
/// log::warn!("the disk is slow");
/// assert_eq!(warnings.recent().len(), 1);
/// assert_eq!(warnings.recent()[0].text, "the disk is slow");
/// ```
#[derive(Clone, Debug, Default)]
pub struct RecentWarnings(Arc<Mutex<VecDeque<Warning>>>);

/// A warning or an error that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// When it was logged, in seconds since 1970.
    pub time: u64,
    /// [`Level::Warn`] or [`Level::Error`].
    pub level: Level,
    /// The message, up to 500 bytes of it.
    pub text: String,
}

impl RecentWarnings {
    /// Returns a logger that keeps warnings and errors, and passes all records on to `inner`.
    pub fn logger<L: Log>(&self, inner: L) -> impl Log + use<L> {
        Tee { warnings: self.clone(), inner }
    }

    /// The warnings, the oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Warning> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn keep(&self, record: &Record<'_>) {
        let mut text = record.args().to_string();
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        // A clock set before 1970 counts as 1970.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() == MOST {
            warnings.pop_front();
        }
        warnings.push_back(Warning { time, level: record.level(), text });
    }
}

/// A logger in front of another one.
struct Tee<L> {
    warnings: RecentWarnings,
    inner: L,
}

impl<L: Log> Log for Tee<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() <= Level::Warn {
            self.warnings.keep(record);
        }
        self.inner.log(record);
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(warnings: &RecentWarnings, text: &str) {
        warnings.keep(&Record::builder().level(Level::Warn).args(format_args!("{text}")).build());
    }

    #[test]
    fn the_oldest_warnings_make_room_for_new_ones() {
        let warnings = RecentWarnings::default();
        (0..MOST + 3).for_each(|number| keep(&warnings, &number.to_string()));
        let texts: Vec<_> = warnings.recent().into_iter().map(|warning| warning.text).collect();
        assert_eq!((texts.len(), &*texts[0], &*texts[MOST - 1]), (MOST, "3", "52"));
    }

    #[test]
    fn a_long_warning_is_cut_between_two_characters() {
        let warnings = RecentWarnings::default();
        keep(&warnings, &"é".repeat(MOST_BYTES));
        keep(&warnings, &format!("a{}", "é".repeat(MOST_BYTES)));
        let lengths: Vec<_> = warnings.recent().iter().map(|warning| warning.text.len()).collect();
        assert_eq!(lengths, [MOST_BYTES, MOST_BYTES - 1]);
    }
}
