//! Counting handshakes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::protocol_version::Version;

/// Counts the completed handshakes of an [`Acceptor`](super::Acceptor). Clones share the counters,
/// and so do threads: the cost of an update is negligible compared with a handshake.
///
/// [`Ledger::handshake_failures`](sluicegate_reactor::Ledger) counts those that failed.
#[derive(Clone, Default)]
pub struct TlsCounters(Arc<[[AtomicU64; 2]; 2]>);

const VERSIONS: [(Version, &str); 2] = [(Version::Tls12, "1.2"), (Version::Tls13, "1.3")];

impl TlsCounters {
    /// How many handshakes were completed, by the version of TLS, such as `"1.3"`, and by whether a
    /// session was resumed.
    pub fn completed(&self) -> impl Iterator<Item = (&'static str, bool, u64)> {
        VERSIONS.into_iter().flat_map(move |(version, name)| {
            let count = move |resumed| self.counter(version, resumed).load(Ordering::Relaxed);
            [false, true].map(|resumed| (name, resumed, count(resumed)))
        })
    }

    pub(super) fn note(&self, version: Version, resumed: bool) {
        self.counter(version, resumed).fetch_add(1, Ordering::Relaxed);
    }

    fn counter(&self, version: Version, resumed: bool) -> &AtomicU64 {
        &self.0[usize::from(version == Version::Tls13)][usize::from(resumed)]
    }
}

impl fmt::Debug for TlsCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.completed()).finish()
    }
}
