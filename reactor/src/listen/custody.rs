//! Listening sockets that several processes have open while one takes over from another.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::SocketFile;

/// Which process the sockets of a listener belong to, and copies of their descriptors for a
/// successor. The threads of a server share it.
#[derive(Clone)]
pub(crate) struct Custody(Arc<Mutex<Sockets>>);

/// The sockets of a listener: copies of their descriptors. There are none once the sockets are
/// closed here.
pub(crate) struct Sockets {
    /// The file of a Unix socket. Dropped before the last copy of the socket is closed.
    pub(crate) file: Option<SocketFile>,
    pub(crate) copies: Vec<OwnedFd>,
    pub(crate) owner: Owner,
    /// Whether they were opened elsewhere. They may be open there when they are closed here.
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
pub(crate) struct Hold(pub(crate) Custody);

impl Hold {
    /// Calls `stop` unless another process may accept the connections of the socket, which none
    /// may do from then on.
    pub(crate) fn if_ours(&self, stop: impl FnOnce()) {
        self.0.with(|sockets| {
            // A Unix socket with a file needs no such call.
            let needs_it = sockets.file.is_none() && !sockets.adopted;
            if sockets.owner == Owner::ThisProcess && needs_it {
                sockets.copies.clear();
                stop();
            }
        });
    }
}

/// Closes the copies: a socket is about to be closed, and so are the others. If a successor is
/// starting, the sockets belong to it from now on, whether it gets ready before this process ends
/// or after that.
impl Drop for Hold {
    fn drop(&mut self) {
        self.0.with(|sockets| {
            if sockets.owner == Owner::Offered {
                sockets.owner = Owner::AnotherProcess;
            }
            if let Some(mut file) = sockets.file.take() {
                file.is_elsewhere = sockets.owner == Owner::AnotherProcess;
            }
            sockets.copies.clear();
        });
    }
}
