//! What the kernel of a harness does, and what it has been asked to do.

use super::harness::ADDRESS;
use super::{Client, Harness};
use crate::handler::Handler;
use crate::sys::sim::{Calls, OpenDescriptors, Step};

impl<H: Handler> Harness<H> {
    /// How many bytes may be on their way to a client before it takes some: 256 KiB at first. With
    /// few a send is cut short or refused.
    pub fn set_room(&mut self, client: Client, bytes: usize) {
        self.client(client).set_send_capacity(bytes);
        self.run();
    }

    /// Says how the next receives from a client go, one step a call.
    pub fn script_recv(&mut self, client: Client, steps: impl IntoIterator<Item = Step>) {
        self.client(client).script_recv(steps);
    }

    /// Says how the next sends to a client go, one step a call, from memory or from a file.
    pub fn script_send(&mut self, client: Client, steps: impl IntoIterator<Item = Step>) {
        self.client(client).script_send(steps);
    }

    /// Says how the next accepts go, one step a call, on the listener of [`open`](Harness::open).
    pub fn script_accept(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.world.script_accept(&ADDRESS.into(), steps);
    }

    /// Makes an event for a connection although nothing has happened on it.
    pub fn wake(&mut self, client: Client) {
        self.client(client).spurious_edge();
        self.run();
    }

    /// The most descriptors that can be open at once; none is the limit at first.
    pub fn set_descriptor_limit(&mut self, limit: usize) {
        self.world.set_descriptor_limit(limit);
    }

    /// The most descriptors that can be watched at once (`max_user_watches` of `epoll(7)`), the
    /// listener included; none is the limit at first.
    pub fn set_watch_limit(&mut self, limit: usize) {
        self.world.set_watch_limit(limit);
    }

    /// The largest size of new pipes; with 0 none can be had. No limit at first.
    pub fn set_pipe_size(&mut self, bytes: usize) {
        self.world.set_pipe_size(bytes);
    }

    /// How often each kind of system call was made.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.world.calls()
    }

    /// What is open, the harness's own listener included.
    #[must_use]
    pub fn open_descriptors(&self) -> OpenDescriptors {
        self.world.open_descriptors()
    }
}
