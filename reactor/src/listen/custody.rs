//! Listening sockets that several processes have open while one takes over from another.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::SocketFile;

/// Which process the sockets of a listener belong to, and copies of their descriptors for a
/// successor. The threads of a server share it.
#[derive(Clone)]
pub(crate) struct Custody(Arc<Mutex<Sockets>>);

/// The sockets of a listener.
pub(crate) struct Sockets {
    /// The file of a Unix socket. Dropped before the last copy of the socket is closed.
    pub(crate) file: Option<SocketFile>,
    /// Copies of the descriptors. `None` once a socket is closed here.
    pub(crate) copies: Vec<Option<OwnedFd>>,
    pub(crate) owner: Owner,
    /// Whether others have them open: whoever opened them, or the service manager that stores them.
    /// They must still listen there when they are closed here.
    pub(crate) adopted: bool,
}

/// Which process sockets belong to. It decides what a process does when it closes them:
///
/// | Owner | Backlog | File of a Unix socket |
/// | --- | --- | --- |
/// | this process | accepts it first | removes it |
/// | this process, offered | accepts it first | leaves it |
/// | another process | leaves it | leaves it |
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    ThisProcess,
    /// Still this process. A successor that is starting has copies too, and becomes the owner if
    /// they are closed here. If it then fails, a file stays behind, which the next server replaces.
    Offered,
    AnotherProcess,
}

impl Custody {
    pub(crate) fn new(sockets: Sockets) -> Custody {
        Custody(Arc::new(Mutex::new(sockets)))
    }

    /// Whether the sockets belong to another process.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.with(|sockets| sockets.owner == Owner::AnotherProcess)
    }

    /// Calls `act` with the sockets.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Sockets) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sockets belong to this process from now on.
    pub(crate) fn receive(&self) {
        self.with(|sockets| {
            sockets.owner = Owner::ThisProcess;
            if let Some(Err(error)) = sockets.file.as_ref().map(SocketFile::receive) {
                log::warn!("{error}");
            }
        });
    }

    /// The sockets belong to a successor from now on.
    pub(crate) fn release(&self) {
        self.with(|sockets| sockets.owner = Owner::AnotherProcess);
    }

    /// The successor that was starting has failed, or does not serve the sockets.
    pub(crate) fn withdraw(&self) {
        self.with(|sockets| {
            if sockets.owner == Owner::Offered {
                sockets.owner = Owner::ThisProcess;
            }
        });
    }
}

/// A socket's share in the custody of its listener. Drop it before the socket is closed.
pub(crate) struct Hold {
    pub(crate) custody: Custody,
    /// The index of its copy.
    pub(crate) copy: usize,
}

impl Hold {
    /// Calls `stop` unless another process may accept the connections of the socket, which none
    /// may do from then on.
    pub(crate) fn if_ours(&self, stop: impl FnOnce()) {
        self.custody.with(|sockets| {
            // A Unix socket with a file needs no such call.
            let needs_it = sockets.file.is_none() && !sockets.adopted;
            if sockets.owner == Owner::ThisProcess && needs_it {
                sockets.copies[self.copy] = None;
                stop();
            }
        });
    }
}

/// Closes the copy: the socket is about to be closed. If a successor is starting and this was the
/// last one here, the sockets belong to the successor from now on, whether it gets ready before this
/// process ends or after that.
impl Drop for Hold {
    fn drop(&mut self) {
        self.custody.with(|sockets| {
            sockets.copies[self.copy] = None;
            let is_last = sockets.copies.iter().all(Option::is_none);
            if sockets.owner == Owner::Offered && is_last {
                sockets.owner = Owner::AnotherProcess;
            }
            if let Some(mut file) = sockets.file.take() {
                file.is_elsewhere = sockets.owner == Owner::AnotherProcess;
            }
        });
    }
}
