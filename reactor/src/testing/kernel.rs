//! Controls what the kernel of a harness does, and counts the calls made to it.

use super::harness::ADDRESS;
use super::{Client, Harness};
use crate::handler::Handler;
use crate::sys::sim::{Calls, KernelTls, OpenDescriptors, Step};

impl<H: Handler> Harness<H> {
    /// Sets how many bytes may be in flight to a client before it takes some. With a small number,
    /// sends are short or refused. With 0, nothing is sent, whatever the client takes, until this is
    /// called with another number. Initially 256 KiB.
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

    /// Creates a spurious event for a connection.
    pub fn wake(&mut self, client: Client) {
        self.client(client).spurious_edge();
        self.run();
    }

    /// Sets the maximum number of open descriptors. Initially there is no limit.
    pub fn set_descriptor_limit(&mut self, limit: usize) {
        self.world.set_descriptor_limit(limit);
    }

    /// Sets the maximum number of watched descriptors (`max_user_watches` of `epoll(7)`), the
    /// listener included. Initially there is no limit.
    pub fn set_watch_limit(&mut self, limit: usize) {
        self.world.set_watch_limit(limit);
    }

    /// Sets the maximum size of new pipes; with 0, pipes cannot be created. Initially there is no
    /// limit.
    pub fn set_pipe_size(&mut self, bytes: usize) {
        self.world.set_pipe_size(bytes);
    }

    /// Sets what the kernel supports of TLS: initially everything, but only for
    /// [`Records::offloaded`](super::Records::offloaded).
    pub fn set_kernel_tls(&mut self, tls: KernelTls) {
        self.world.set_kernel_tls(tls);
    }

    /// The number of system calls that the reactor has made, by kind.
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
