//! Copies of the ledger for other threads.

use super::reactor::Reactor;
use crate::threads::snapshot::{LedgerReader, SharedLedger};

impl Reactor {
    /// Returns a handle that other threads can use to read this reactor's
    /// [`Ledger`](crate::Ledger).
    ///
    /// ```
    /// # use sluicegate_reactor::Reactor;
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let reader = reactor.ledger_reader();
    /// let thread = std::thread::spawn(move || reader.snapshot(Duration::from_secs(10)));
    /// while !thread.is_finished() {
    ///     reactor.turn(Some(Duration::from_millis(10)))?;
    /// }
    /// assert!(thread.join().unwrap().is_some_and(|snapshot| snapshot.total.turns > 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ledger_reader(&mut self) -> LedgerReader {
        if self.shared_ledger.is_none() {
            self.share_ledger(SharedLedger::new());
        }
        LedgerReader(self.shared_ledger.iter().map(|shared| shared.remote.clone()).collect())
    }

    /// Answers the requests of readers.
    pub(crate) fn share_ledger(&mut self, mut shared: SharedLedger) {
        shared.requests.queue.attach(self.inboxes.bell());
        if self.has_stopped() {
            shared.end(|| self.turn.snapshot());
        }
        self.shared_ledger = Some(shared);
    }
}
