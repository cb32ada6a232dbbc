//! Threads whose handlers post messages to each other.

use sluicegate_reactor::{Address, Handle, Handler, Limits, Receive, mailbox};

use super::common::{Failure, Server};

/// Listens and serves until SIGINT or SIGTERM. `make` creates the handler of
/// each thread from its number and the handles of all threads.
pub(crate) fn run<H: Handler + Receive<M, H::Session>, M: Send + 'static>(
    server: &Server,
    limits: Limits,
    describe: impl Fn(&Address) -> String + Sync,
    make: impl Fn(usize, Vec<Handle<M>>) -> H + Sync,
) -> Result<(), Failure> {
    let (handles, mailboxes): (Vec<_>, Vec<_>) = (0..server.threads).map(|_| mailbox()).unzip();
    server.run_with(mailboxes, limits, describe, |shard, mailbox| {
        let handler = make(shard.index(), handles.clone());
        let handler = shard.register(handler);
        shard.attach(mailbox, handler);
        Ok(handler)
    })
}
