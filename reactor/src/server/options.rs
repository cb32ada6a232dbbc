//! The options of a server.

use std::time::Duration;

use crate::threads::workers::WorkersLimits;

/// The options of a server: its threads, workers and shutdown delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// The number of threads with a reactor, at least one. The first is the thread that calls
    /// [`Server::run`](crate::Server::run). The default is 1.
    pub threads: usize,
    /// How connections are spread over the threads. The default is [`Spread::Divided`].
    pub spread: Spread,
    /// The limits of the [worker pool](crate::workers) that all reactors of the server share, for
    /// disk access and name lookups. Its threads are in addition to [`threads`](Self::threads), and
    /// are started on demand.
    pub workers: WorkersLimits,
    /// The [memory budget](crate::Reactor::set_memory_budget) of all threads together, in bytes.
    /// Each thread has an equal share. The default is none.
    pub memory: Option<u64>,
    /// How long the server keeps accepting after the signal that
    /// [stops](crate::Server::stop_on_signals) it. During this time
    /// [`Stopper::will_stop`](crate::Stopper::will_stop) returns true, so that health checks can
    /// tell load balancers to send no new clients. A second signal ends the delay. The default is
    /// zero.
    ///
    /// Kubernetes removes a pod from its services while it already stops it, and a load balancer
    /// notices a failing health check only when it performs the next one. The server still serves
    /// the clients that they send in the meantime.
    pub shutdown_delay: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            threads: 1,
            spread: Spread::Divided,
            workers: WorkersLimits::default(),
            memory: None,
            shutdown_delay: Duration::ZERO,
        }
    }
}

/// How connections are spread over the threads of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Spread {
    /// Each thread has its own socket, and the kernel divides the connections by a hash of their
    /// addresses (`SO_REUSEPORT`; on FreeBSD `SO_REUSEPORT_LB`). Many connections are spread
    /// evenly, a few are not. If the kernel cannot do this (macOS, NetBSD, OpenBSD), and for Unix
    /// and [adopted](crate::Server::adopt_listener) sockets, this is the same as
    /// [`Passed`](Self::Passed).
    #[default]
    Divided,
    /// The first thread accepts all connections and passes them to the threads in turn. Even a few
    /// connections are spread evenly, but each connection costs a wakeup.
    Passed,
}
