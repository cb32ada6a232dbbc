//! Controls what the kernel of a harness does, and counts the calls made to it.

use super::harness::ADDRESS;
use super::{Client, Harness};
use crate::handler::Handler;
use crate::sys::sim::{Calls, KernelTls, OpenDescriptors, Step};

impl<H: Handler> Harness<H> {
    /// Sets how many bytes may be in flight to a client before it takes some: 256 KiB at first.
    /// With a small number, sends are cut short or refused.
    pub fn set_room(&mut self, client: Client, bytes: usize) {
        self.client(client).set_send_capacity(bytes);
        self.run();
    }

    /// Queues the results of the next receives from a client, one step per call.
    pub fn script_recv(&mut self, client: Client, steps: impl IntoIterator<Item = Step>) {
        self.client(client).script_recv(steps);
    }

    /// Queues the results of the next sends to a client, one step per call, from memory or from a
    /// file.
    pub fn script_send(&mut self, client: Client, steps: impl IntoIterator<Item = Step>) {
        self.client(client).script_send(steps);
    }

    /// Queues the results of the next accepts on the listener of [`open`](Harness::open), one step
    /// per call.
    pub fn script_accept(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.world.script_accept(&ADDRESS.into(), steps);
    }

    /// Creates an event for a connection on which nothing has happened.
    pub fn wake(&mut self, client: Client) {
        self.client(client).spurious_edge();
        self.run();
    }

    /// Sets the most descriptors that can be open at once. No limit at first.
    pub fn set_descriptor_limit(&mut self, limit: usize) {
        self.world.set_descriptor_limit(limit);
    }

    /// Sets the most descriptors that can be watched at once (`max_user_watches` of `epoll(7)`),
    /// the listener included. No limit at first.
    pub fn set_watch_limit(&mut self, limit: usize) {
        self.world.set_watch_limit(limit);
    }

    /// Sets the largest size of new pipes; with 0 there are none. No limit at first.
    pub fn set_pipe_size(&mut self, bytes: usize) {
        self.world.set_pipe_size(bytes);
    }

    /// Sets what the kernel can do of TLS: everything at first, but only for
    /// [`Records::offloaded`](super::Records::offloaded).
    pub fn set_kernel_tls(&mut self, tls: KernelTls) {
        self.world.set_kernel_tls(tls);
    }

    /// How often the reactor made each kind of system call.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.world.calls()
    }

    /// The open descriptors, including the harness's own listener.
    #[must_use]
    pub fn open_descriptors(&self) -> OpenDescriptors {
        self.world.open_descriptors()
    }
}
