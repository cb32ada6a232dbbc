//! What the thread of a test logs.

use std::cell::RefCell;

use log::{Level, LevelFilter};

thread_local! {
    /// What was logged, while somebody wants to know.
    static LOGGED: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.with_borrow_mut(|logged| {
            if let Some(logged) = logged {
                logged.push((record.level(), record.args().to_string()));
            }
        });
    }

    fn flush(&self) {}
}

/// Runs `what` and returns what this thread logs meanwhile at `level`, which is not below `Debug`.
pub(crate) fn logged_in(level: Level, what: impl FnOnce()) -> Vec<String> {
    // Another test may have done so.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Debug);
    LOGGED.set(Some(Vec::new()));
    what();
    let logged = LOGGED.take().unwrap_or_default();
    logged.into_iter().filter(|(at, _)| *at == level).map(|(_, text)| text).collect()
}
