//! The handler that turns a service into an HTTP server.

use super::limits::HttpLimits;
use super::metrics::HttpMetrics;
use super::output::Output;
use super::service::Service;
use super::target::HostCache;

/// An HTTP/1.1 server as a handler of the reactor.
///
/// It answers at most 1,024 requests of a connection in one callback. The rest wait for the next
/// turn, so that a client that pipelines thousands of requests does not delay other clients.
///
/// ```no_run
/// # use sluicegate_protocols::http::{Answered, Http, HttpLimits, Reply, Request, Service};
/// # struct Hello;
/// # impl Service for Hello {
/// #     type State = ();
/// #     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered { reply.send("") }
/// # }
/// use sluicegate_reactor::{Listen, Reactor};
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let http = reactor.register(Http::with(Hello, HttpLimits::default()));
/// reactor.listen("127.0.0.1:8080", &Listen::default(), http)?;
/// reactor.run()
/// # }
/// ```
pub struct Http<S: Service> {
    pub(super) service: S,
    pub(super) limits: HttpLimits,
    pub(super) output: Output,
    pub(super) hosts: HostCache,
    pub(super) metrics: Option<HttpMetrics>,
}

impl<S: Service> Http<S> {
    /// Creates a server for this service, with the default limits.
    pub fn new(service: S) -> Http<S> {
        Http::with(service, HttpLimits::default())
    }

    /// Creates a server for this service, with these limits.
    pub fn with(service: S, limits: HttpLimits) -> Http<S> {
        let (output, hosts) = (Output::new(), HostCache::default());
        Http { service, limits, output, hosts, metrics: None }
    }

    /// Counts responses and their times. This costs one clock read per callback with a response.
    /// `None`, which is the default, costs nothing.
    #[must_use]
    pub fn with_metrics(mut self, metrics: impl Into<Option<HttpMetrics>>) -> Http<S> {
        self.metrics = metrics.into();
        self
    }

    /// The service.
    pub fn service(&mut self) -> &mut S {
        &mut self.service
    }
}
