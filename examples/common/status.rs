//! The status listener.

use std::io;
use std::iter;
use std::sync::LazyLock;

use clap::Args;
use sluicegate_protocols::http::HttpMetrics;
use sluicegate_protocols::ops::{self, Readiness, RecentWarnings, StatusOptions, StatusPart};
use sluicegate_protocols::upstreams::Inspect;
use sluicegate_reactor::{Handle, Server, ServerListener, Shard, Target};

use super::tls::Certificates;

/// The warnings that the program has logged.
pub(crate) static WARNINGS: LazyLock<RecentWarnings> = LazyLock::new(RecentWarnings::default);

#[derive(Args)]
pub(crate) struct Status {
    /// Serve health checks, Prometheus metrics and a live page over HTTP at this address: a port on
    /// the loopback interface, HOST:PORT or unix:PATH. There is no authentication.
    #[arg(long = "status", value_name = "ADDR", value_parser = ops::address)]
    #[arg(help_heading = "Process")]
    at: Option<Target>,
    /// Name of a host that requests to the status listener may be addressed to, besides localhost
    /// and IP addresses, as when Prometheus scrapes it by name; may be repeated.
    #[arg(long = "status-host", value_name = "NAME", value_delimiter = ',', requires = "at")]
    #[arg(help_heading = "Process")]
    hosts: Vec<String>,
    /// Whether the server should get traffic.
    #[arg(skip)]
    pub(crate) readiness: Readiness,
    /// The balancer or the forwarding service of each thread, if the program has one.
    #[arg(skip)]
    pub(crate) upstreams: Vec<Handle<Inspect>>,
}

impl Status {
    /// Opens the listener, if one is configured.
    pub(crate) fn listen(&self, server: &mut Server) -> io::Result<Option<ServerListener>> {
        self.at.as_ref().map(|at| server.listen(at, &ops::listen_options())).transpose()
    }

    /// The parts of the threads in the listener, if there is one.
    pub(crate) fn parts(
        &self,
        threads: u16,
        generation: u64,
        certificates: Option<&Certificates>,
    ) -> impl Iterator<Item = Option<StatusPart>> + use<> {
        let mut options = StatusOptions {
            // The example that this file is compiled into.
            name: env!("CARGO_CRATE_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation,
            hosts: self.hosts.clone(),
            readiness: self.readiness.clone(),
            warnings: WARNINGS.clone(),
            upstreams: self.upstreams.clone(),
            ..StatusOptions::default()
        };
        certificates.iter().for_each(|certificates| certificates.show(&mut options));
        let parts = self.at.as_ref().map(|_| StatusPart::for_threads(options, threads.into()));
        parts.into_iter().flatten().map(Some).chain(iter::repeat_with(|| None))
    }
}

/// Serves the listener on a thread, if there is one. Returns the metrics for the thread's HTTP
/// requests.
pub(crate) fn serve(
    shard: &mut Shard<'_>,
    part: Option<StatusPart>,
    listener: Option<&ServerListener>,
) -> io::Result<Option<HttpMetrics>> {
    let (Some(part), Some(listener)) = (part, listener) else { return Ok(None) };
    let thread = part.register(shard);
    shard.serve(listener, thread.handler)?;
    Ok(Some(thread.http))
}
