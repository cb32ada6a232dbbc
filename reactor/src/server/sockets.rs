//! The listening sockets of a server, until its threads serve them.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

use crate::listen::listener::Source;
use crate::listen::{self, Listen, Origin};
use crate::sys::{self, Address, Kernel};
use crate::threads::distribute::Distributor;
use crate::threads::handle::Mailbox;

/// Where the connections of a listener come from, for one thread.
pub(super) struct Place {
    /// The sockets that it accepts from. One with a distributor is that of all threads, and belongs
    /// to the first one. There are several if a predecessor had more threads.
    pub(super) sockets: Vec<(Bound, Option<Distributor>)>,
    /// The connections that the first thread passes on, if it does.
    pub(super) passed: Option<Mailbox<OwnedFd>>,
}

/// A listening socket that is not served yet. Dropping it removes its file, then closes it.
pub(super) struct Bound {
    pub(super) origin: Origin,
    pub(super) socket: OwnedFd,
    /// The backlog that it gets when it is served. `None` if it has one already.
    pub(super) backlog: Option<u32>,
}

impl Bound {
    pub(super) fn source(self, distributor: Option<Distributor>) -> io::Result<Source> {
        if let Some(backlog) = self.backlog {
            sys::set_backlog(&self.socket, backlog)?;
        }
        Ok(Source::Socket(self.socket.into_raw_fd(), self.origin, distributor))
    }
}

/// The sockets of a listener.
pub(super) struct Opened {
    pub(super) sockets: Vec<Bound>,
    /// If they are those of the predecessor: the index of its listener there.
    pub(super) from: Option<usize>,
}

/// Opens the sockets of a listener: `count` of them if the kernel divides connections.
pub(super) fn open(address: &Address, listen: &Listen, count: usize) -> io::Result<Opened> {
    let sockets = listen::open(&Kernel::Os, address, listen, count)?.into_iter();
    let bound = |(socket, origin)| Bound { origin, socket: sys::owned(socket), backlog: None };
    Ok(Opened { sockets: sockets.map(bound).collect(), from: None })
}
