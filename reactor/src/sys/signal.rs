//! Signals that end programs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Calls `action` at each SIGINT and SIGTERM. It runs inside the signal handler, on whatever thread
/// the signal interrupts, and may do only what `signal-safety(7)` allows: no lock, no allocation.
/// A signal that comes when `asked` is set ends the process.
///
/// There is no thread that waits for signals: a process with one thread saves the reference counts
/// of descriptors in the kernel (Linux `fdget`) and the cancellation points in glibc, together 2%
/// of an echo of 64 bytes.
pub(crate) fn on_termination(
    asked: Arc<AtomicBool>,
    action: impl Fn() + Clone + Send + Sync + 'static,
) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())?;
        let action = action.clone();
        // SAFETY: the caller's action is async-signal-safe, as this function demands.
        unsafe { signal_hook::low_level::register(signal, action) }?;
    }
    Ok(())
}
