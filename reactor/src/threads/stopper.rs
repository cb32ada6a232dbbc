//! Stopping a reactor, or all reactors of a server, from any thread.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};

use crate::sys::{self, Waker};

/// Asks a reactor to stop, or all reactors of a server: from any thread, and as often as one likes.
#[derive(Clone)]
pub struct Stopper(Arc<StopRequest>);

/// What threads share to stop together. Only stopping writes to it.
struct StopRequest {
    /// By itself, since the signal handlers keep it.
    asked: Arc<AtomicBool>,
    on_signals: AtomicBool,
    /// One for each reactor, there as soon as the reactor is.
    wakers: Box<[OnceLock<Waker>]>,
}

impl Stopper {
    /// For so many reactors, which are yet to be made.
    pub(crate) fn new(reactors: usize) -> Stopper {
        Stopper(Arc::new(StopRequest {
            asked: Arc::default(),
            on_signals: AtomicBool::new(false),
            wakers: (0..reactors).map(|_| OnceLock::new()).collect(),
        }))
    }

    /// Lets the `index`th reactor be woken. Afterwards it must ask [`is_asked`](Self::is_asked)
    /// before it waits.
    pub(crate) fn add(&self, index: usize, waker: Waker) {
        let new = self.0.wakers[index].set(waker).is_ok();
        debug_assert!(new, "a reactor is made once");
        // Either the reactor sees that it was asked, or whoever asks sees the waker.
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Asks to stop. The connections get time to end, see
    /// [`Reactor::set_drain`](crate::Reactor::set_drain).
    ///
    /// # Errors
    /// What waking a thread says; the others are woken all the same.
    pub fn stop(&self) -> io::Result<()> {
        self.0.asked.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let wake = |waker: &OnceLock<Waker>| waker.get().map_or(Ok(()), Waker::wake);
        self.0.wakers.iter().map(wake).fold(Ok(()), io::Result::and)
    }

    pub(crate) fn stop_on_signals(&self) -> io::Result<()> {
        // Arranged twice, the first signal would be taken for the second.
        if self.0.on_signals.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let stopper = self.clone();
        let stop = move || {
            // Nothing can be reported from inside a signal handler; an eventfd or event filter that
            // exists does not refuse.
            let _ = stopper.stop();
        };
        sys::on_termination(self.0.asked.clone(), stop)
            .inspect_err(|_| self.0.on_signals.store(false, Ordering::Relaxed))
    }
}
