//! Threads that share nothing.

use std::io;

use sluicegate_protocols::http::HttpMetrics;
use sluicegate_reactor::{Address, Handler, HandlerId, Limits, Reactor};

use super::common::{Failure, Server};

/// Listens and serves until SIGINT or SIGTERM. `make` creates the handler of each thread, and gets
/// the HTTP metrics if there is a status listener.
pub(crate) fn run<H: Handler>(
    server: &Server,
    limits: Limits,
    describe: impl Fn(&Address) -> String + Sync,
    make: impl Fn(&mut Reactor, Option<HttpMetrics>) -> io::Result<HandlerId<H>> + Sync,
) -> Result<(), Failure> {
    let parts = vec![(); server.threads.into()];
    let opened = server.open(limits)?;
    opened.run_with(parts, describe, |shard, (), (_, metrics, _)| make(shard, metrics))
}
