//! What the thread of a test logs.

use std::cell::RefCell;

use log::{Level, LevelFilter};

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.with_borrow_mut(|logged| logged.push((record.level(), record.args().to_string())));
    }

    fn flush(&self) {}
}

/// Runs `what` and returns what this thread logs meanwhile at `level`: `Error` or `Warn`.
pub(crate) fn logged_in(level: Level, what: impl FnOnce()) -> Vec<String> {
    // Another test may have done so.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Warn);
    LOGGED.take();
    what();
    let logged = LOGGED.take();
    logged.into_iter().filter(|(at, _)| *at == level).map(|(_, text)| text).collect()
}
