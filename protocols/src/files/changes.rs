//! The changes that a server makes to the files it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the [`Files`](super::Files) of several threads of each other's uploads and deletions.
/// Clones share the changes. See [`Files::with_changes`](super::Files::with_changes).
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<AtomicU64>);

impl Changes {
    /// The number of changes so far. What is opened after this call contains them.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Counts a change that has been made.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
