//! The responses to `stats` and `version`.

use std::fmt::Write;

use sluicegate_reactor::Turn;

use super::cache::{Cache, Reply};
use super::counters::Counters;
use super::server::Settings;

/// Clients look at the version to learn which commands a server knows: here those of 1.6.
pub(crate) const VERSION: &str =
    concat!("VERSION 1.6.0-sluicegate-", env!("CARGO_PKG_VERSION"), "\r\n");

impl Cache {
    /// Starts to count again.
    pub(crate) fn reset_counters(&mut self) {
        self.counters = Counters::default();
        self.store.removed = super::store::Removed::default();
    }
}

/// The counters of one reactor.
pub(crate) fn counters(cache: &Cache, cx: &Turn) -> Counters {
    let (store, ledger) = (&cache.store, cx.ledger());
    Counters {
        curr_connections: ledger.open(),
        total_connections: ledger.accepted,
        bytes_read: ledger.received,
        bytes_written: ledger.sent,
        limit_maxbytes: store.limit() as u64,
        bytes: store.used() as u64,
        curr_items: store.len() as u64,
        evictions: store.removed.evictions,
        evicted_unfetched: store.removed.evicted_unfetched,
        expired_unfetched: store.removed.expired_unfetched,
        ..cache.counters
    }
}

/// The response to `stats`.
pub(crate) fn general(
    counters: &Counters,
    settings: &Settings,
    uptime: u64,
    unix_time: u64,
) -> String {
    let version = &VERSION["VERSION ".len()..];
    let mut text = format!(
        "STAT pid {}\r\nSTAT uptime {uptime}\r\nSTAT time {unix_time}\r\nSTAT version {version}\
         STAT pointer_size {}\r\nSTAT max_connections {}\r\nSTAT threads {}\r\n",
        settings.pid,
        usize::BITS,
        settings.max_connections,
        settings.threads,
    );
    for (name, value) in counters.named() {
        let _ = write!(text, "STAT {name} {value}\r\n");
    }
    text + "END\r\n"
}

/// Adds the response to `stats settings`.
pub(crate) fn settings(reply: &mut Reply, settings: &Settings) {
    reply.push(&format!(
        "STAT maxbytes {}\r\nSTAT maxconns {}\r\nSTAT evictions on\r\nSTAT cas_enabled yes\r\n\
         STAT num_threads {}\r\nSTAT item_size_max {}\r\nSTAT flush_enabled yes\r\nEND\r\n",
        settings.memory, settings.max_connections, settings.threads, settings.max_value,
    ));
}
