//! Threads that have nothing to do with each other.

use std::io;

use sluicegate_reactor::{Address, Handler, HandlerId, Listen, Reactor};

use super::common::{Failure, Server};

/// Listens, prints where, and serves until SIGINT or SIGTERM. `make` gives each thread its handler.
pub(crate) fn run<H: Handler>(
    server: &Server,
    listen: &Listen,
    describe: impl FnOnce(&Address) -> String,
    make: impl Fn(&mut Reactor) -> io::Result<HandlerId<H>> + Sync,
) -> Result<(), Failure> {
    let parts = vec![(); server.threads.get()];
    server.run_with(parts, listen, describe, |shard, ()| make(shard))
}
