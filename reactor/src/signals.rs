//! Ending a reactor by the signals that end programs.

use std::io;

use crate::reactor::Reactor;
use crate::sys;

impl Reactor {
    /// Makes SIGINT and SIGTERM stop this reactor. A second one ends the process at once. Asking
    /// again changes nothing.
    ///
    /// # Errors
    /// What installing the signal handlers says (`sigaction(2)`).
    ///
    /// # Panics
    /// In a test harness.
    pub fn stop_on_signals(&mut self) -> io::Result<()> {
        let stopper = self.stopper();
        // Arranged twice, the first signal would be taken for the second.
        if std::mem::replace(&mut self.on_signals, true) {
            return Ok(());
        }
        sys::on_termination(stopper.asked.clone(), move || {
            // Nothing can be reported from inside a signal handler; an eventfd or event filter that
            // exists does not refuse.
            let _ = stopper.stop();
        })
    }
}
