//! Distributes accepted sockets from the reactor that accepts them to the reactors that serve them.

use std::collections::VecDeque;

use crate::sys::{Fd, Kernel};
use crate::threads::bounded_queue::BoundedQueue;
use crate::threads::doorbell::Doorbell;
use crate::threads::sync::Arc;

/// Most sockets that wait for one reactor. When the queues of all reactors are full, the first
/// reactor pauses, and connections wait in the kernel.
const CAPACITY: usize = 1024;

/// An accepted socket. Closed when it is dropped, unless a reactor has taken the descriptor.
pub(crate) struct AcceptedSocket(Option<Fd>);

impl AcceptedSocket {
    fn into_fd(mut self) -> Option<Fd> {
        self.0.take()
    }
}

impl Drop for AcceptedSocket {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            Kernel::Os.close(socket);
        }
    }
}

type SocketQueue = Arc<BoundedQueue<AcceptedSocket>>;

/// A distributor, and a receiver for each of `count` reactors.
pub(crate) fn distribute(count: usize) -> (Distributor, Vec<SocketReceiver>) {
    let queues: Vec<SocketQueue> =
        (0..count).map(|_| Arc::new(BoundedQueue::new(CAPACITY))).collect();
    let receiver =
        |queue: &SocketQueue| SocketReceiver { queue: queue.clone(), taken: VecDeque::new() };
    let receivers = queues.iter().map(receiver).collect();
    (Distributor { queues, next: 0, held: None }, receivers)
}

/// Gives one socket to each reactor in turn.
pub(crate) struct Distributor {
    queues: Vec<SocketQueue>,
    next: usize,
    /// A socket for which no reactor had room.
    held: Option<AcceptedSocket>,
}

impl Distributor {
    /// Takes back the socket for which no reactor had room.
    pub(crate) fn take_held(&mut self) -> Option<Fd> {
        self.held.take().and_then(AcceptedSocket::into_fd)
    }

    /// Gives a socket to the next reactor that has room and has not stopped. Returns false if there
    /// is none; the socket is held then.
    pub(crate) fn send(&mut self, socket: Fd) -> bool {
        let mut socket = AcceptedSocket(Some(socket));
        for _ in 0..self.queues.len() {
            let queue = &self.queues[self.next];
            self.next = (self.next + 1) % self.queues.len();
            match queue.post(socket) {
                Ok(()) => return true,
                Err(refused) => socket = refused.into_inner(),
            }
        }
        self.held = Some(socket);
        false
    }
}

/// Where the sockets for one reactor arrive.
pub(crate) struct SocketReceiver {
    queue: SocketQueue,
    /// Taken from the queue, and not accepted yet.
    taken: VecDeque<AcceptedSocket>,
}

impl SocketReceiver {
    /// Rings the reactor's doorbell for sockets that arrive from now on, and for those there are.
    pub(crate) fn attach(&self, bell: &Arc<Doorbell>) {
        self.queue.attach(bell);
    }

    /// The next socket. If there is none, the doorbell rings for the next one.
    pub(crate) fn next(&mut self) -> Option<Fd> {
        if self.taken.is_empty() {
            self.queue.take(&mut self.taken);
        }
        self.taken.pop_front().and_then(AcceptedSocket::into_fd)
    }

    /// Refuses further sockets. Returns how many are left to take.
    pub(crate) fn close(&mut self) -> usize {
        self.taken.extend(self.queue.close());
        self.taken.len()
    }
}

impl Drop for SocketReceiver {
    fn drop(&mut self) {
        // Sockets that nobody takes any more are closed with the receiver.
        self.close();
    }
}
