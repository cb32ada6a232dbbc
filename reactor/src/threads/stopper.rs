//! Stopping a reactor, or all reactors of a server, from any thread.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::sys::{self, Waker};

/// Asks a reactor, or all reactors of a server, to stop. Any thread may use it, any number of
/// times.
#[derive(Clone)]
pub struct Stopper(Arc<StopRequest>);

/// Shared by the threads that stop together. It is written only when they are created and when
/// they stop.
#[derive(Default)]
struct StopRequest {
    asked: AtomicBool,
    on_signals: AtomicBool,
    /// Whether the next signal ends the process. In a separate `Arc`, because the signal handlers
    /// keep it.
    ends_at_signal: Arc<AtomicBool>,
    /// Set by the first signal.
    announced: AtomicBool,
    /// How long the reactors keep accepting after the first signal.
    delay: Duration,
    /// The waker of each reactor, set when the reactor is created.
    wakers: Box<[OnceLock<Waker>]>,
    /// How many reactors have not drained. One that does not exist yet may still get connections.
    undrained: AtomicUsize,
}

impl Stopper {
    /// A stopper of reactors that are created later.
    pub(crate) fn new(reactors: usize, delay: Duration) -> Stopper {
        Stopper(Arc::new(StopRequest {
            delay,
            wakers: (0..reactors).map(|_| OnceLock::new()).collect(),
            undrained: AtomicUsize::new(reactors),
            ..StopRequest::default()
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

    /// Asks the reactors to stop. Their connections then have a grace period to finish: see
    /// [`Reactor::set_drain`](crate::Reactor::set_drain). Further calls have no effect.
    ///
    /// # Errors
    /// The first error from waking a thread. The other threads are woken nevertheless.
    pub fn stop(&self) -> io::Result<()> {
        self.0.ends_at_signal.store(true, Ordering::SeqCst);
        self.retire()
    }

    /// Asks the reactors to stop because another process has taken over. Whoever stops the service
    /// may signal both processes, and the first signal must not cut off the connections of this one.
    pub(crate) fn retire(&self) -> io::Result<()> {
        // Several threads may ask at once, such as when the shutdown delay ends on all of them.
        if self.0.asked.swap(true, Ordering::SeqCst) { Ok(()) } else { self.wake() }
    }

    /// Notes that a reactor which stops has lost its last connection, or has opened one again, or
    /// that one cannot be created. Wakes all once none has any.
    pub(crate) fn note_drained(&self, is_drained: bool) {
        if !is_drained {
            self.0.undrained.fetch_add(1, Ordering::SeqCst);
        } else if self.0.undrained.fetch_sub(1, Ordering::SeqCst) == 1 {
            // A waker that exists does not refuse.
            let _ = self.wake();
        }
    }

    /// Whether all reactors have drained.
    pub(crate) fn are_drained(&self) -> bool {
        self.0.undrained.load(Ordering::SeqCst) == 0
    }

    /// Whether the reactors were asked to stop, or a signal has announced that they will stop. If
    /// so, load balancers should send no new clients; see
    /// [`ServerOptions::shutdown_delay`](crate::ServerOptions::shutdown_delay).
    pub fn will_stop(&self) -> bool {
        self.is_asked() || self.0.announced.load(Ordering::SeqCst)
    }

    /// How long to keep accepting, if a signal has announced the stop and nothing has requested it
    /// yet.
    pub(crate) fn delay(&self) -> Option<Duration> {
        (!self.is_asked() && self.will_stop()).then_some(self.0.delay)
    }

    /// Wakes all reactors, to notice what was stored before.
    fn wake(&self) -> io::Result<()> {
        fence(Ordering::SeqCst);
        let wake = |waker: &OnceLock<Waker>| waker.get().map_or(Ok(()), Waker::wake);
        self.0.wakers.iter().map(wake).fold(Ok(()), io::Result::and)
    }

    pub(crate) fn stop_on_signals(&self) -> io::Result<()> {
        // If this were done twice, the first signal would count as the second.
        if self.0.on_signals.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let stopper = self.clone();
        let stop = move || {
            let is_first = !stopper.0.announced.swap(true, Ordering::SeqCst);
            // Nothing can be reported from inside a signal handler, and a waker that exists does
            // not refuse.
            let delays = is_first && !stopper.0.delay.is_zero() && !stopper.is_asked();
            let _ = if delays { stopper.wake() } else { stopper.stop() };
        };
        sys::on_termination(self.0.ends_at_signal.clone(), stop)
            .inspect_err(|_| self.0.on_signals.store(false, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Kernel, Selector};

    #[test]
    fn only_the_first_request_to_stop_wakes_the_threads() {
        let mut selector = Selector::new(&Kernel::Os, 4).unwrap();
        let stopper = Stopper::new(1, Duration::ZERO);
        stopper.add(0, selector.add_waker(1).unwrap().unwrap());
        stopper.stop().unwrap();
        assert_eq!(selector.wait(Some(Duration::ZERO)).unwrap(), 1);
        stopper.stop().unwrap();
        assert_eq!(selector.wait(Some(Duration::ZERO)).unwrap(), 0);
    }
}
