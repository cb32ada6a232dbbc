//! The part of each thread in a status listener.

use std::sync::{Arc, OnceLock};

use sluicegate_reactor::{HandlerId, Mailbox, Reactor, mailbox};

use super::gather::{Message, Shared};
use super::sample::StatusOptions;
use super::service::StatusService;
use crate::http::{Http, HttpMetrics};

/// The part of one thread in the status listener: see [the module](crate::ops).
pub struct StatusPart {
    shared: Arc<Shared>,
    index: usize,
    mailbox: Mailbox<Message>,
}

impl StatusPart {
    /// Creates the parts for a server with this many threads, one per thread.
    #[must_use]
    pub fn for_threads(options: StatusOptions, threads: usize) -> Vec<StatusPart> {
        let (handles, mailboxes): (_, Vec<_>) = (0..threads).map(|_| mailbox()).unzip();
        let shared = Arc::new(Shared { options, threads: handles, started: OnceLock::new() });
        let part = |(index, mailbox)| StatusPart { shared: shared.clone(), index, mailbox };
        mailboxes.into_iter().enumerate().map(part).collect()
    }

    /// Registers the handler for the status listener, and starts to measure how long the turns of
    /// this reactor take.
    pub fn register(self, reactor: &mut Reactor) -> StatusThread {
        let StatusPart { shared, index, mailbox } = self;
        shared.started.get_or_init(|| reactor.unix_time());
        reactor.measure_turns();
        let (handler, http) = (reactor.reserve(), HttpMetrics::default());
        let is_written_to = shared.threads.len() > 1 || !shared.options.upstreams.is_empty();
        let service = StatusService::new(shared, index, handler, http.clone());
        reactor.install(handler, Http::new(service));
        if is_written_to {
            reactor.attach(mailbox, handler);
        }
        StatusThread { handler, http }
    }
}

/// The status listener on one thread of a server.
#[derive(Debug)]
pub struct StatusThread {
    /// The handler of the listener.
    pub handler: HandlerId<Http<StatusService>>,
    /// Counts the requests of this thread. Pass it to the thread's [`Http`].
    pub http: HttpMetrics,
}
