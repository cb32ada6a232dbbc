//! `EVFILT_USER`: an event of the queue itself, without a descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{apply, change};

/// The number of the only event of this kind.
const IDENT: usize = 0;

/// Triggers the event. It keeps the queue open, which may outlive its selector.
pub(crate) struct Waker {
    queue: Arc<OwnedFd>,
    token: u64,
}

impl Waker {
    pub(super) fn new(queue: &Arc<OwnedFd>, token: u64) -> io::Result<Waker> {
        let waker = Waker { queue: queue.clone(), token };
        waker.change(libc::EV_ADD | libc::EV_CLEAR, 0)?;
        Ok(waker)
    }

    pub(in crate::sys) fn wake(&self) -> io::Result<()> {
        // `new` added the event: a trigger that also adds it would lose the previous one.
        self.change(0, libc::NOTE_TRIGGER)
    }

    fn change(&self, flags: u16, fflags: u32) -> io::Result<()> {
        let flags = flags | libc::EV_RECEIPT;
        apply(&self.queue, &mut [change(IDENT, libc::EVFILT_USER, flags, fflags, self.token)])
    }
}
