//! Descriptors of files that reactors and workers share.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::unix::owned;
use super::{Fd, Kernel};

/// The descriptor of an open file. Closed when the last clone is dropped, on whichever thread that
/// happens.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    fd: Fd,
    /// `None` in the simulated kernel: see [`close_simulated`](Shared::close_simulated).
    owned: Option<Arc<OwnedFd>>,
}

impl Shared {
    /// Takes ownership of a descriptor.
    pub(crate) fn new(kernel: &Kernel, fd: Fd) -> Shared {
        Shared { fd, owned: matches!(kernel, Kernel::Os).then(|| Arc::new(owned(fd))) }
    }

    pub(crate) fn fd(&self) -> Fd {
        self.fd
    }

    /// Closes a descriptor of the simulated kernel. That kernel has one thread, on which every job
    /// of a worker is done before the reactor drops the file.
    pub(crate) fn close_simulated(&self, kernel: &Kernel) {
        if self.owned.is_none() {
            kernel.close(self.fd);
        }
    }
}
