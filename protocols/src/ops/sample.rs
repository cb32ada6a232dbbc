//! The data that the status listener shows, at one moment.

use std::time::Duration;

use sluicegate_reactor::{Handle, Ledger, ListenerSnapshot, ProcessUsage, Snapshot};

use super::readiness::Readiness;
use super::warnings::RecentWarnings;
use crate::http::HttpCounters;
#[cfg(feature = "tls")]
use crate::tls::TlsCounters;
use crate::upstreams::{Inspect, UpstreamStatus, UpstreamsStatus};

/// The options of a status listener: the server that it describes, and the state that it shows.
#[derive(Clone, Debug, Default)]
pub struct StatusOptions {
    /// The name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The number of processes that have taken over the listeners from each other, including this
    /// one: see [`Server::generation`](sluicegate_reactor::Server::generation). 0 counts as 1.
    pub generation: u64,
    /// The names of hosts that requests may be addressed to, besides `localhost` and all IP
    /// addresses: see [the module](crate::ops).
    pub hosts: Vec<String>,
    /// Whether the server should get traffic.
    pub readiness: Readiness,
    /// The warnings to show.
    pub warnings: RecentWarnings,
    /// The counters of the server's [`Acceptor`](crate::tls::Acceptor), if it has one.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsCounters>,
    /// Handles whose mailboxes are attached to the [`Balancer`](crate::upstreams::Balancer) of each
    /// thread, or to the `Http` of its [`Forward`](crate::forward::Forward), in the order of the
    /// threads; empty if the server has none. If one of them does not answer, its thread counts as
    /// one that does not.
    pub upstreams: Vec<Handle<Inspect>>,
}

/// The counters of one thread.
pub(super) struct ThreadSample {
    pub(super) snapshot: Snapshot,
    pub(super) http: HttpCounters,
    pub(super) upstreams: Option<UpstreamsStatus>,
}

/// The counters of all threads.
pub(super) struct Sample<'a> {
    pub(super) options: &'a StatusOptions,
    /// Seconds since 1970.
    pub(super) time: u64,
    /// When the server started, in seconds since 1970.
    pub(super) started: u64,
    /// A clock that does not jump, for rates.
    pub(super) clock: Duration,
    pub(super) process: ProcessUsage,
    /// By the index of the thread. `None` if it has not answered in time, or has ended.
    pub(super) threads: Vec<Option<ThreadSample>>,
}

/// The counters of the connections of one listener on one thread, or of all connections there
/// without a listener.
pub(super) struct Row<'a> {
    pub(super) thread: usize,
    pub(super) listener: Option<&'a ListenerSnapshot>,
    pub(super) ledger: &'a Ledger,
}

impl Row<'_> {
    /// The address of the listener.
    pub(super) fn address(&self) -> String {
        self.listener.map_or_else(|| "none".to_owned(), |listener| listener.address.to_string())
    }

    /// Whether this is a listener, or there have been other connections.
    pub(super) fn is_used(&self) -> bool {
        self.listener.is_some() || self.ledger.connects + self.ledger.adopted > 0
    }
}

impl Sample<'_> {
    /// The threads that have answered, with their indexes.
    pub(super) fn answered(&self) -> impl Iterator<Item = (usize, &ThreadSample)> {
        self.threads
            .iter()
            .enumerate()
            .filter_map(|(index, thread)| Some((index, thread.as_ref()?)))
    }

    /// The upstreams of each thread that has answered and has some, with the index of the thread.
    pub(super) fn upstreams_by_thread(&self) -> impl Iterator<Item = (usize, &UpstreamsStatus)> {
        self.answered().filter_map(|(index, thread)| Some((index, thread.upstreams.as_ref()?)))
    }

    /// All upstreams, with the indexes of their threads.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = (usize, &UpstreamStatus)> {
        let all = self.upstreams_by_thread();
        all.flat_map(|(index, status)| status.upstreams.iter().map(move |it| (index, it)))
    }

    /// A row for each listener and thread, and one for the other connections of each thread.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for (thread, ThreadSample { snapshot, .. }) in self.answered() {
            rows.extend(snapshot.listeners.iter().map(|listener| Row {
                thread,
                listener: Some(listener),
                ledger: &listener.ledger,
            }));
            rows.push(Row { thread, listener: None, ledger: &snapshot.others });
        }
        rows
    }
}
