//! Passing accepted sockets from the reactor that accepts to those that serve.

use std::collections::VecDeque;

use crate::sys::{Fd, Kernel};
use crate::threads::doorbell::Doorbell;
use crate::threads::mailbox::Shared;
use crate::threads::sync::Arc;

/// Most sockets that wait for one reactor. With more in the queues of all, the first reactor waits
/// before it accepts again, and connections wait in the kernel.
const CAPACITY: usize = 1024;

/// An accepted socket on its way. Closed if it does not arrive.
pub(crate) struct InFlight(Option<Fd>);

impl InFlight {
    fn arrive(mut self) -> Option<Fd> {
        self.0.take()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            Kernel::Os.close(socket);
        }
    }
}

/// The way to one reactor.
pub(crate) struct Lane(Arc<Shared<InFlight>>);

/// Both ends of the ways to so many reactors.
pub(crate) fn lanes(count: usize) -> (Ring, Vec<Lane>) {
    let lanes = || (0..count).map(|_| Arc::new(Shared::new(CAPACITY)));
    let lanes: Vec<_> = lanes().collect();
    let ring = Ring { lanes: lanes.clone(), next: 0, held: None };
    (ring, lanes.into_iter().map(Lane).collect())
}

/// Gives one socket to each reactor in turn.
pub(crate) struct Ring {
    lanes: Vec<Arc<Shared<InFlight>>>,
    next: usize,
    /// One that nobody had room for.
    held: Option<InFlight>,
}

impl Ring {
    /// Takes back the socket that nobody had room for.
    pub(crate) fn take_held(&mut self) -> Option<Fd> {
        self.held.take().and_then(InFlight::arrive)
    }

    /// Gives a socket to the next reactor that has room and has not stopped. If there is none it is
    /// held, and the answer is false.
    pub(crate) fn pass(&mut self, socket: Fd) -> bool {
        let mut socket = InFlight(Some(socket));
        for _ in 0..self.lanes.len() {
            let lane = &self.lanes[self.next];
            self.next = (self.next + 1) % self.lanes.len();
            match lane.post(socket) {
                Ok(()) => return true,
                Err(refused) => socket = refused.into_inner(),
            }
        }
        self.held = Some(socket);
        false
    }
}

/// Where the sockets for a reactor arrive.
pub(crate) struct Landing {
    lane: Lane,
    taken: VecDeque<InFlight>,
}

impl Lane {
    /// Its end; the bell is rung for what comes.
    pub(crate) fn land(self, bell: &Arc<Doorbell>) -> Landing {
        self.0.attach(bell);
        Landing { lane: self, taken: VecDeque::new() }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // What is still on its way is closed.
        drop(self.0.close());
    }
}

impl Landing {
    /// The next socket, if one is there. If none is, the bell is rung for the next.
    pub(crate) fn next(&mut self) -> Option<Fd> {
        if self.taken.is_empty() {
            self.lane.0.take(&mut self.taken);
        }
        self.taken.pop_front().and_then(InFlight::arrive)
    }

    /// Lets nothing more come. What was on its way is there now; says how much that is.
    pub(crate) fn refuse(&mut self) -> usize {
        self.taken.extend(self.lane.0.close());
        self.taken.len()
    }
}
