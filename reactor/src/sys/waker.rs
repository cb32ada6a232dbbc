//! Waking a selector from other threads.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use rustix::io::write;

use super::safe_ret::returned;

/// Wakes a [`Selector`](super::Selector) by a write to a file that it watches. Several calls may
/// cause a single event.
///
/// Every write causes an edge, whatever is still unread, so the file is only read when it is full.
#[derive(Clone)]
pub(crate) struct Waker {
    /// The end that is written to. Each write is 8 bytes, as an `eventfd(2)` requires. It is a
    /// `write(2)`, which a trace or filter does not take for a send on a connection.
    pub(super) sender: Arc<File>,
    /// The end that the selector watches. An `eventfd(2)` is both ends.
    pub(super) receiver: Arc<File>,
}

impl Waker {
    /// Makes the selector's current or next wait return with an event of the waker's token. May be
    /// called from a signal handler.
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self.write(1) {
            // Full. Another thread may read at the same time, which also leaves room to write.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = (&*self.receiver).read(&mut [0; 4096]);
                self.write(1)
            }
            other => other,
        }
    }

    fn write(&self, number: u64) -> io::Result<()> {
        Ok(returned(write(&self.sender, &number.to_ne_bytes())).map(drop)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Kernel, Ready, Selector};
    use super::*;

    #[test]
    fn a_waker_that_is_full_still_wakes() {
        let mut selector = Selector::new(&Kernel::Os, 4).unwrap();
        let waker = selector.add_waker(7).unwrap().unwrap();
        // An `eventfd(2)` is full at this sum, a socket after some writes.
        while waker.write(u64::MAX - 1).is_ok() {}
        assert_eq!(waker.write(1).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(selector.wait(None).unwrap(), 1);

        waker.wake().unwrap();
        assert_eq!(selector.wait(None).unwrap(), 1);
        let Event { token, ready } = selector.event(0);
        assert!(token == 7 && ready.any(Ready::READ));
    }
}
