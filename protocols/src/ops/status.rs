//! What each thread of a server needs for its status listener.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sluicegate_reactor::{HandlerId, Limits, Listen, Mailbox, Reactor, Target, mailbox};

use super::gather::{Message, Shared};
use super::sample::StatusOptions;
use super::service::StatusService;
use crate::http::{Http, HttpMetrics};

/// What one thread of a server needs for the status listener: see [the module](crate::ops).
pub struct StatusPart {
    shared: Arc<Shared>,
    index: usize,
    mailbox: Mailbox<Message>,
}

impl StatusPart {
    /// The parts of a server with this many threads, one for each.
    #[must_use]
    pub fn for_threads(options: StatusOptions, threads: usize) -> Vec<StatusPart> {
        let (handles, mailboxes): (_, Vec<_>) = (0..threads).map(|_| mailbox()).unzip();
        let shared = Arc::new(Shared { options, threads: handles, started: OnceLock::new() });
        let part = |(index, mailbox)| StatusPart { shared: shared.clone(), index, mailbox };
        mailboxes.into_iter().enumerate().map(part).collect()
    }

    /// Registers the handler for the status listener, and measures from now on how long the turns
    /// of this reactor take.
    pub fn register(self, reactor: &mut Reactor) -> StatusThread {
        let StatusPart { shared, index, mailbox } = self;
        shared.started.get_or_init(|| reactor.unix_time());
        reactor.measure_turns();
        let (handler, http) = (reactor.reserve(), HttpMetrics::default());
        let threads = shared.threads.len();
        let service = StatusService::new(shared, index, handler, http.clone());
        reactor.install(handler, Http::new(service));
        // Without other threads, nobody writes.
        if threads > 1 {
            reactor.attach(mailbox, handler);
        }
        StatusThread { handler, http }
    }
}

/// The status listener on one thread of a server.
#[derive(Debug)]
pub struct StatusThread {
    /// The handler with which to serve the listener.
    pub handler: HandlerId<Http<StatusService>>,
    /// Counts the requests of this thread, if its [`Http`] gets it.
    pub http: HttpMetrics,
}

/// The options of a status listener: the default ones for a few connections, which are closed after
/// 10 seconds without traffic so that probes get their turn. Clients that watch are not.
#[must_use]
pub fn listen_options() -> Listen {
    let limits = Limits { idle: Some(Duration::from_secs(10)), ..Limits::default() };
    Listen { max_connections: 256, limits, ..Listen::default() }
}

/// The address of a status listener: `HOST:PORT`, `unix:PATH`, or a port of the loopback address,
/// as `9100` or `:9100`.
///
/// ```
/// use sluicegate_protocols::ops::address;
///
/// assert_eq!(address("9100").unwrap().to_string(), "127.0.0.1:9100");
/// assert_eq!(address(":9100").unwrap().to_string(), "127.0.0.1:9100");
/// assert_eq!(address("0.0.0.0:9100").unwrap().to_string(), "0.0.0.0:9100");
/// assert!(address("http").is_err());
/// ```
///
/// # Errors
/// `ErrorKind::InvalidInput` if the text is none of them.
pub fn address(text: &str) -> io::Result<Target> {
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse::<u16>() {
        Ok(port) => Ok(Target::from(("127.0.0.1", port))),
        Err(_) => text.parse(),
    }
}
