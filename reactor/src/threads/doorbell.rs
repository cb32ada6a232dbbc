//! Waking a reactor for what other threads have left for it: no wake-up is lost, and none is made
//! for a reactor that is awake.
//!
//! One atomic says which of three things is the case. Whoever leaves something rings afterwards;
//! the reactor answers before it looks. So what was left before the answer is found, and what is
//! left after it rings again. Only who rings at a sleeping reactor makes a system call, once a
//! sleep.

use crate::threads::sync::{AtomicU8, Ordering};

/// The reactor is at work, and will see a ring before it sleeps.
const AWAKE: u8 = 0;
/// The reactor waits for events, or is about to.
const ASLEEP: u8 = 1;
/// Something was left for the reactor.
const RUNG: u8 = 2;

/// In a cache line of its own, or two: x86 fetches lines in pairs, and those of Apple's processors
/// are as long. Other threads write to it only when they ring, so as long as nobody does, the line
/// stays with the reactor.
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

    /// Says that something was left. From any thread.
    pub(crate) fn ring(&self) {
        // Release: who answers sees what was left. Acquire: who rings second passes that on.
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            (self.wake)();
        }
    }

    /// Whether somebody has rung since the last answer.
    pub(crate) fn is_rung(&self) -> bool {
        self.state.load(Ordering::Acquire) == RUNG
    }

    /// Whether somebody has rung; from now on it takes another ring. To be followed by a look at
    /// everything that may have been left.
    pub(crate) fn answer(&self) -> bool {
        self.is_rung() && self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// Goes to sleep, unless somebody has rung: says whether the reactor may wait.
    pub(crate) fn sleep(&self) -> bool {
        let previous =
            self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        previous != Err(RUNG)
    }

    /// The wait is over.
    pub(crate) fn awake(&self) {
        // It fails if somebody has rung, and then it is right as it is.
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
    fn whoever_rings_first_at_a_sleeping_reactor_wakes_it() {
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
