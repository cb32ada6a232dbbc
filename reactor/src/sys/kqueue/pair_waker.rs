//! A socket pair, for systems where `EVFILT_USER` is missing (OpenBSD, NetBSD before 10) or cannot
//! be used (libkqueue).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::{apply, change, system};

/// Every byte written causes an edge at the other end, so they are only read when the socket is
/// full.
pub(crate) struct Waker {
    /// A file to the standard library, whose `write(2)` a trace or filter does not take for a send
    /// on a connection.
    sender: File,
    receiver: UnixStream,
}

impl Waker {
    pub(super) fn new(queue: &Arc<OwnedFd>, token: u64) -> io::Result<Waker> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        let ident = receiver.as_raw_fd() as usize;
        let flags = system::EV_ADD | system::EV_CLEAR | system::EV_RECEIPT;
        apply(queue, &mut [change(ident, system::EVFILT_READ, flags, 0, token)])?;
        Ok(Waker { sender: OwnedFd::from(sender).into(), receiver })
    }

    pub(in crate::sys) fn wake(&self) -> io::Result<()> {
        match self.write() {
            // Full. Another thread may read at the same time, which also leaves room to write.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = (&self.receiver).read(&mut [0; 4096]);
                self.write()
            }
            other => other,
        }
    }

    fn write(&self) -> io::Result<()> {
        (&self.sender).write(&[1]).map(drop)
    }
}
