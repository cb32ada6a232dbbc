//! Wakes a reactor when other threads leave work for it. No wakeup is lost, and a reactor that is
//! awake is not woken.
//!
//! It is one atomic with three states. A thread leaves its work first and then rings; the reactor
//! answers the bell first and then looks for work. So the reactor finds all work left before its
//! answer, and work left later rings again. Only the first ring for a sleeping reactor makes a
//! system call.

use crate::threads::sync::{AtomicU8, Ordering};

/// The reactor works, and will notice a ring before it sleeps.
const AWAKE: u8 = 0;
/// The reactor waits for events, or is about to.
const ASLEEP: u8 = 1;
/// Something was left for the reactor.
const RUNG: u8 = 2;

/// Aligned to its own cache lines: x86 prefetches lines in pairs, and the lines of Apple's
/// processors have 128 bytes. Other threads write to it only when they ring; until then the line
/// stays with the reactor's core.
#[repr(align(128))]
pub(crate) struct Doorbell {
    state: AtomicU8,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Doorbell {
    /// `wake` ends the reactor's present or next wait.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Doorbell {
        Doorbell { state: AtomicU8::new(AWAKE), wake: Box::new(wake) }
    }

    /// Tells the reactor that something was left. For any thread.
    pub(crate) fn ring(&self) {
        // Release: the reactor that answers sees what was left. Acquire: a second ring passes on
        // what the first one released.
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            (self.wake)();
        }
    }

    /// Whether a thread has rung since the last answer.
    pub(crate) fn is_rung(&self) -> bool {
        self.state.load(Ordering::Acquire) == RUNG
    }

    /// Whether a thread has rung since the last answer. This is an answer: the caller then looks at
    /// everything that may have been left.
    pub(crate) fn answer(&self) -> bool {
        self.is_rung() && self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// Goes to sleep, unless a thread has rung. Returns whether the reactor may wait.
    pub(crate) fn sleep(&self) -> bool {
        let previous =
            self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        previous != Err(RUNG)
    }

    /// Ends the sleep.
    pub(crate) fn awake(&self) {
        // This fails if a thread has rung, and the state stays RUNG.
        let _ = self.state.compare_exchange(ASLEEP, AWAKE, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::sync::Arc;

    fn counted() -> (Doorbell, Arc<AtomicU8>) {
        let wakes = Arc::new(AtomicU8::new(0));
        let count = wakes.clone();
        let bell = Doorbell::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        (bell, wakes)
    }

    #[test]
    fn the_first_ring_wakes_a_sleeping_reactor() {
        let (bell, wakes) = counted();
        assert!(bell.sleep());
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        bell.ring();
        bell.ring();
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        bell.awake();
        assert!(bell.answer(), "it was rung");
        assert!(!bell.answer(), "and answered");
    }

    #[test]
    fn a_reactor_that_was_rung_before_it_sleeps_does_not_wait() {
        let (bell, wakes) = counted();
        bell.ring();
        assert!(!bell.sleep());
        bell.awake();
        assert!(bell.answer());
        assert!(bell.sleep(), "answered, it may");
        assert_eq!(wakes.load(Ordering::Relaxed), 0, "awake, it needs no call");
    }
}
