//! Data and events on their way in a machine with faults: they arrive in virtual time.

use std::collections::BTreeMap;

use super::{Event, Fd, Inode, Machine, World};

/// Something that happens later.
pub(super) enum Coming {
    /// An edge of a descriptor, if it is still registered with this token.
    Edge(Fd, u64),
    /// An event for a selector, of a descriptor that may be closed by then.
    Event(usize, Event),
    /// What one end of a connection within the machine has done reaches the other end.
    Carry { from: usize, to: usize },
    /// A stream reaches its destination.
    Arrival { stream: usize },
    /// A disk has finished a request.
    Disk(Box<dyn FnOnce()>),
}

/// What a disk does when it is released.
enum Held {
    /// Loads a part of a file into memory.
    Read { file: Inode, offset: u64, bytes: usize },
    /// Reports that a request has finished.
    Done(Box<dyn FnOnce()>),
}

/// Everything on its way, by its time of arrival. What was sent first arrives first if both are
/// due.
#[derive(Default)]
pub(super) struct Network {
    coming: BTreeMap<(u64, u64), Coming>,
    /// The requests to a held disk.
    held: Option<Vec<Held>>,
    /// A caller has waited for a held disk, which never ends.
    pub(super) waits_in_vain: bool,
    sent_off: u64,
}

impl Network {
    pub(super) fn send_off(&mut self, at: u64, what: Coming) {
        self.sent_off += 1;
        self.coming.insert((at, self.sent_off), what);
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Postpones a read if disks are held. Returns whether they are.
    pub(super) fn hold(&mut self, file: Inode, offset: u64, bytes: usize) -> bool {
        let Some(held) = &mut self.held else { return false };
        held.push(Held::Read { file, offset, bytes });
        true
    }
}

impl World {
    /// When the next thing on its way arrives, in nanoseconds since the start.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.0.borrow().network.coming.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything that is due arrive.
    pub(crate) fn run_network(&self) {
        let state = &mut *self.0.borrow_mut();
        while let Some(first) = state.network.coming.first_entry()
            && first.key().0 <= state.elapsed
        {
            let what = first.remove();
            state.arrived(what);
        }
    }
}

impl World {
    /// Reports that a disk has finished, at once or later.
    pub(crate) fn after_disk(&self, done: impl FnOnce() + 'static) {
        let state = &mut *self.0.borrow_mut();
        if let Some(held) = &mut state.network.held {
            return held.push(Held::Done(Box::new(done)));
        }
        match state.delay() {
            0 => done(),
            delay => state.network.send_off(state.elapsed + delay, Coming::Disk(Box::new(done))),
        }
    }
}

impl World {
    /// Makes disks finish nothing until they are released.
    pub(crate) fn hold_disks(&self) {
        self.0.borrow_mut().network.held.get_or_insert_default();
    }

    /// Whether a caller other than a worker's job has waited for a held disk.
    pub(crate) fn waits_in_vain(&self) -> bool {
        self.0.borrow().network.waits_in_vain
    }

    /// Lets disks finish again, beginning with the requests made meanwhile.
    pub(crate) fn release_disks(&self) {
        let held = self.0.borrow_mut().network.held.take();
        for what in held.into_iter().flatten() {
            match what {
                Held::Read { file, offset, bytes } => {
                    self.0.borrow_mut().bring_in(file, offset, bytes);
                }
                Held::Done(done) => done(),
            }
        }
    }
}

impl Machine {
    fn arrived(&mut self, what: Coming) {
        match what {
            Coming::Edge(fd, token) => {
                if self.table.watch(fd).is_some_and(|watch| watch.token == token) {
                    self.edge_now(fd);
                }
            }
            Coming::Event(selector, event) => self.add_event(selector, event),
            Coming::Carry { from, to } => self.carry(from, to),
            Coming::Arrival { stream } if self.streams[stream].fd.is_some() => {
                self.reach(stream);
                self.settle(stream);
            }
            // The attempt was given up meanwhile.
            Coming::Arrival { .. } => {}
            Coming::Disk(done) => done(),
        }
    }

    /// Makes the two ends of a connection within the machine see each other's changes, at once or
    /// later.
    pub(super) fn carry_both(&mut self, stream: usize, other: usize) {
        for (from, to) in [(stream, other), (other, stream)] {
            self.send_over(from, to);
        }
    }

    /// Makes one end see the changes of the other.
    pub(super) fn send_over(&mut self, from: usize, to: usize) {
        match self.delay() {
            0 => self.carry(from, to),
            delay => self.network.send_off(self.elapsed + delay, Coming::Carry { from, to }),
        }
    }
}
