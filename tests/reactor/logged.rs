//! What the thread of a test logs.

use std::cell::RefCell;

thread_local! {
    static LOGGED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.with_borrow_mut(|logged| logged.push(record.args().to_string()));
    }

    fn flush(&self) {}
}

/// The errors that this thread logs in it.
pub(crate) fn errors_in(what: impl FnOnce()) -> Vec<String> {
    // Another test may have done so.
    let _ = log::set_logger(&Logger);
    log::set_max_level(log::LevelFilter::Error);
    LOGGED.take();
    what();
    LOGGED.take()
}
