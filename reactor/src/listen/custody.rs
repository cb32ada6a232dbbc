//! Listening sockets that several processes have open while one takes over from another.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::SharedFile;

/// Which process the sockets of a listener belong to, and copies of their descriptors for a
/// successor. The threads of a server share it.
///
/// The action of a process when it closes the sockets:
///
/// | State | Backlog | File of a Unix socket |
/// | --- | --- | --- |
/// | They belong to this process | accepts it first | removes it |
/// | A successor that is starting has been offered them | accepts it first | leaves it |
/// | They belong to another process | leaves it | leaves it |
///
/// In the second state, closing them makes them belong to the successor. If that one then fails, a
/// file stays behind, which the next server replaces.
#[derive(Clone)]
pub(crate) struct Custody {
    is_elsewhere: Arc<AtomicBool>,
    copies: Arc<Mutex<Copies>>,
}

/// Copies of descriptors. There are none once the sockets are closed here.
#[derive(Default)]
pub(crate) struct Copies {
    pub(crate) sockets: Vec<OwnedFd>,
    pub(crate) file: Option<SharedFile>,
    /// Whether a successor that is starting has copies too.
    pub(crate) is_offered: bool,
}

impl Copies {
    /// All descriptors, the lock last.
    pub(crate) fn all(&self) -> Vec<BorrowedFd<'_>> {
        let locks = self.file.iter().map(|file| file.lock.as_fd());
        self.sockets.iter().map(AsFd::as_fd).chain(locks).collect()
    }
}

impl Custody {
    /// The custody of sockets that belong to a predecessor, or to this process.
    pub(crate) fn new(copies: Copies, is_elsewhere: bool) -> Custody {
        Custody {
            is_elsewhere: Arc::new(AtomicBool::new(is_elsewhere)),
            copies: Arc::new(Mutex::new(copies)),
        }
    }

    /// Whether the sockets belong to another process, for the file of a Unix socket.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.is_elsewhere.clone()
    }

    pub(crate) fn is_elsewhere(&self) -> bool {
        self.is_elsewhere.load(Ordering::Acquire)
    }

    /// Calls `act` with the copies.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Copies) -> R) -> R {
        act(&mut self.copies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sockets belong to this process from now on.
    pub(crate) fn receive(&self) {
        self.is_elsewhere.store(false, Ordering::Release);
        self.with(|copies| {
            if let Some(Err(error)) = copies.file.as_ref().map(SharedFile::receive) {
                log::warn!("{error}");
            }
        });
    }

    /// The sockets belong to a successor from now on.
    pub(crate) fn release(&self) {
        self.is_elsewhere.store(true, Ordering::Release);
    }

    /// The successor that was starting has failed, or does not serve the sockets.
    pub(crate) fn withdraw(&self) {
        self.with(|copies| copies.is_offered = false);
    }

    /// Closes the copies: a socket is about to be closed, and so are the others. If a successor is
    /// starting, the sockets belong to it from now on, whether it gets ready before this process
    /// ends or after that.
    pub(crate) fn close(&self) {
        self.with(|copies| {
            if std::mem::take(copies).is_offered {
                self.release();
            }
        });
    }
}
