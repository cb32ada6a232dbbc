//! Copies of the ledger for other threads.

use super::reactor::Reactor;
use crate::threads::snapshot::{LedgerReader, Question, Read};

impl Reactor {
    /// A handle with which other threads can read this reactor's [`Ledger`].
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
        if let Some(read) = &self.read {
            return read.reader.clone();
        }
        let reader = LedgerReader::new(1);
        self.read_by(&reader, 0);
        reader
    }

    /// Answers the questions at a reader's desk.
    pub(crate) fn read_by(&mut self, reader: &LedgerReader, desk: usize) {
        let read = Read::new(reader, desk);
        if let Some(mailbox) = read.take_mailbox() {
            self.mail.attach_own(mailbox, |turn, question: Question| question.answer(&turn.core));
        }
        self.read = Some(read);
        if self.has_stopped() {
            self.leave_ledger();
        }
    }

    /// Leaves what was done in the end to whoever reads it.
    pub(super) fn leave_ledger(&self) {
        if let Some(read) = &self.read {
            read.leave(&self.turn.core);
        }
    }
}
