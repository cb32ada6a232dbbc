//! Distributes accepted sockets from the reactor that accepts them to the reactors that serve them.

use std::os::fd::{IntoRawFd, OwnedFd};

use crate::sys::{self, Fd};
use crate::threads::handle::{Handle, Mailbox, MailboxLimits, PostError, mailbox_with};

/// Most sockets that wait for one reactor. When the queues of all reactors are full, the first
/// reactor pauses, and connections wait in the kernel.
const CAPACITY: usize = 1024;

/// A distributor, and a mailbox for each of `count` reactors.
pub(crate) fn distribute(count: usize) -> (Distributor, Vec<Mailbox<OwnedFd>>) {
    let limits = MailboxLimits { capacity: CAPACITY, ..MailboxLimits::default() };
    let (reactors, mailboxes) = (0..count).map(|_| mailbox_with(&limits)).unzip();
    (Distributor { reactors, next: 0 }, mailboxes)
}

/// Gives one socket to each reactor in turn.
#[derive(Clone)]
pub(crate) struct Distributor {
    reactors: Vec<Handle<OwnedFd>>,
    next: usize,
}

impl Distributor {
    /// Gives a socket to the next reactor that has room and has not stopped. Returns the socket if
    /// there is none.
    pub(crate) fn send(&mut self, socket: Fd) -> Result<(), Fd> {
        let mut socket = sys::owned(socket);
        for _ in 0..self.reactors.len() {
            let reactor = &self.reactors[self.next];
            self.next = (self.next + 1) % self.reactors.len();
            match reactor.post(socket) {
                Ok(()) => return Ok(()),
                Err(PostError::Full(it) | PostError::Disconnected(it)) => socket = it,
            }
        }
        Err(socket.into_raw_fd())
    }
}
