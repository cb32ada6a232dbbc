//! Everything shared between threads: mailboxes and their handles, workers, copies of ledgers.

pub(crate) mod bounded_queue;
pub(crate) mod distribute;
pub(crate) mod doorbell;
pub mod handle;
pub(crate) mod jobs;
#[cfg(all(loom, test))]
mod models;
pub(crate) mod snapshot;
pub(crate) mod stopper;
pub(crate) mod sync;
pub mod workers;
