//! The readiness queue of the simulated kernel: the twin of epoll and kqueue.

use std::io;
use std::time::Duration;

use super::{Event, Fd, Watch, World};

/// Returns the edges of the descriptors registered with it, oldest first.
pub(crate) struct Selector {
    world: World,
    /// Its index in the world.
    index: usize,
    capacity: usize,
    /// The events of the last wait. As with a real kernel, closing a descriptor does not take them
    /// back.
    events: Vec<Event>,
}

impl Selector {
    pub(super) fn new(world: World, index: usize, capacity: usize) -> Selector {
        Selector { world, index, capacity, events: Vec::with_capacity(capacity) }
    }

    pub(crate) fn add(&mut self, socket: Fd, token: u64) -> io::Result<()> {
        let mut state = self.world.0.borrow_mut();
        state.register(socket, Watch { selector: self.index, token })
    }

    pub(crate) fn remove(&mut self, socket: Fd) {
        self.world.0.borrow_mut().unregister(socket);
    }

    /// Never sleeps: without events, the clock advances by `timeout`, if there is one.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        let mut state = self.world.0.borrow_mut();
        state.calls.wait += 1;
        state.take_events(self.index, self.capacity, &mut self.events);
        if self.events.is_empty()
            && let Some(time) = timeout
        {
            state.advance(time);
        }
        state.note_events(&self.events);
        Ok(self.events.len())
    }

    pub(crate) fn event(&self, index: usize) -> Event {
        self.events[index]
    }
}
