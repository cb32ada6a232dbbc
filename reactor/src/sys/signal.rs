//! The signals that ask a program to end, and those that I/O raises.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Calls `action` on each SIGINT and SIGTERM. It runs inside the signal handler, on the thread that
/// the signal interrupts, and may only do what `signal-safety(7)` allows: no locks, no allocation.
/// A signal that arrives while `ends_at_signal` is set ends the process.
///
/// No thread waits for signals, because a second thread slows the first one down: Linux then counts
/// the references to each descriptor it uses (`fdget`).
pub(crate) fn on_termination(
    ends_at_signal: Arc<AtomicBool>,
    action: impl Fn() + Clone + Send + Sync + 'static,
) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(
            signal,
            128 + signal,
            ends_at_signal.clone(),
        )?;
        let action = action.clone();
        // SAFETY: the action is async-signal-safe, as this function requires of its caller.
        unsafe { signal_hook::low_level::register(signal, action) }?;
    }
    Ok(())
}

/// Blocks `SIGPIPE` and `SIGXFSZ` in the calling thread, for good. `sendfile(2)` and `splice(2)`
/// raise the first in the calling thread when the peer is gone, and have no flag against that like
/// the one of `send(2)`. A write beyond the file size limit of the process (`setrlimit(2)`) raises
/// the second, which by default ends the process. The signals stay pending, and the calls return
/// `EPIPE` and `EFBIG`.
///
/// Reactors and their workers do this before their own calls, so that neither signal ends the
/// process or reaches a signal handler of the program. Call it in a thread of your own that writes
/// to files. Threads that are started later by that thread inherit it (`pthread_sigmask(3)`).
///
/// The BSDs and macOS raise `SIGXFSZ` in any thread that has not blocked it. If files have a size
/// limit there, call this at the start of `main`.
///
/// ```
/// use std::thread;
///
/// thread::spawn(|| {
///     sluicegate_reactor::block_io_signals();
///     // Writes a journal, which may become too large.
/// });
/// ```
pub fn block_io_signals() {
    thread_local! {
        #[allow(
            clippy::missing_const_for_thread_local,
            reason = "clippy 1.96 overlooks the const on OpenBSD"
        )]
        static BLOCKED: Cell<bool> = const { Cell::new(false) };
    }
    if !BLOCKED.replace(true) {
        block(&[libc::SIGPIPE, libc::SIGXFSZ]);
    }
}

#[cold]
fn block(signals: &[libc::c_int]) {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the function initializes the set, which is a local.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in signals {
        // SAFETY: the set was initialized above.
        unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) };
    }
    // SAFETY: the set is initialized; a null pointer means that the previous set is not wanted. The
    // call fails only for an unknown first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
}
