//! Copies of the ledger for other threads.

use super::reactor::Reactor;
use crate::handler::Turn;
use crate::threads::snapshot::{AttachedReader, LedgerReader, SnapshotRequest};

impl Reactor {
    /// A handle with which other threads can read this reactor's [`Ledger`](crate::Ledger).
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
        if let Some(attached) = &self.reader {
            return attached.reader.clone();
        }
        let reader = LedgerReader::new(1);
        self.attach_reader(&reader, 0);
        reader
    }

    /// Answers the requests of a reader, as the reactor with this index.
    pub(crate) fn attach_reader(&mut self, reader: &LedgerReader, index: usize) {
        let attached = AttachedReader::new(reader, index);
        if let Some(mailbox) = attached.take_mailbox()
            && !self.has_stopped()
        {
            let answer = |turn: &mut Turn, request: SnapshotRequest| request.answer(&turn.core);
            self.inboxes.attach_own(mailbox, answer);
        }
        self.reader = Some(attached);
        if self.has_stopped() {
            self.leave_last_snapshot();
        }
    }

    /// Leaves a last snapshot for the readers.
    pub(super) fn leave_last_snapshot(&self) {
        if let Some(attached) = &self.reader {
            attached.leave(&self.turn.core);
        }
    }
}
