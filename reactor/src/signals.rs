//! Ending a reactor by the signals that end programs.

use std::io;

use crate::reactor::Reactor;
use crate::sys;

impl Reactor {
    /// Makes SIGINT and SIGTERM stop this reactor. A second one ends the process at once.
    ///
    /// # Errors
    /// What installing the signal handlers says (`sigaction(2)`).
    ///
    /// # Panics
    /// In a test harness.
    pub fn stop_on_signals(&self) -> io::Result<()> {
        let stopper = self.stopper();
        sys::on_termination(stopper.asked.clone(), move || {
            // Nothing can be reported from inside a signal handler; an eventfd or event filter that
            // exists does not refuse.
            let _ = stopper.stop();
        })
    }
}
