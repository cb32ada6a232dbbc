//! The changes that threads make to files they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the [`Files`](super::Files) of several threads of each other's uploads and deletions.
/// Clones share the changes. See [`Files::with_changes`](super::Files::with_changes).
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The number of changes by all threads.
    all: Arc<AtomicU64>,
    /// The number of changes by this thread.
    own: u64,
}

impl Changes {
    /// The number of changes by other threads. What is opened after this call contains them.
    pub(super) fn by_others(&self) -> u64 {
        self.all.load(Ordering::Acquire) - self.own
    }

    /// Tells the other threads of a change that has been made.
    pub(super) fn add_own(&mut self) {
        self.all.fetch_add(1, Ordering::Release);
        self.own += 1;
    }
}
