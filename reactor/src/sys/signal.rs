//! The signals that ask a program to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Calls `action` on each SIGINT and SIGTERM. It runs inside the signal handler, on the thread that
/// the signal interrupts, and may only do what `signal-safety(7)` allows: no locks, no allocation.
/// A signal that arrives while `asked` is set ends the process.
///
/// No thread waits for signals, because a second thread slows the first one down: Linux then counts
/// the references to each descriptor it uses (`fdget`), and glibc checks for cancellation. Together
/// that is 2% of a 64-byte echo.
pub(crate) fn on_termination(
    asked: Arc<AtomicBool>,
    action: impl Fn() + Clone + Send + Sync + 'static,
) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())?;
        let action = action.clone();
        // SAFETY: the action is async-signal-safe, as this function requires of its caller.
        unsafe { signal_hook::low_level::register(signal, action) }?;
    }
    Ok(())
}
