//! Signals that end programs.

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
use std::cell::Cell;
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

/// Blocks `SIGPIPE` in this thread, for good. `sendfile(2)` and `splice(2)` raise it in the thread
/// that calls them when the peer is gone, and take no flag against that as `send(2)` does; whoever
/// handles the signal, or a C program that leaves it to the default, must not hear of it. It stays
/// pending, and the call returns `EPIPE`.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(super) fn block_sigpipe() {
    thread_local! {
        static BLOCKED: Cell<bool> = const { Cell::new(false) };
    }
    if !BLOCKED.replace(true) {
        block(libc::SIGPIPE);
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn block(signal: libc::c_int) {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the function initializes the set, which is a local.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialized by the line above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: the set is initialized; a null pointer says that the former one is not wanted. It can
    // only fail for an unknown first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
}
