//! What a reactor measures and reports if it is asked to, also to other threads.

use std::time::Duration;

use super::reactor::Reactor;
use crate::core::{Observer, nanos};
use crate::threads::snapshot::{LedgerReader, SharedLedger};

impl Reactor {
    /// Starts to measure how long turns take, from the end of the wait to the end of the turn: see
    /// [`Snapshot::turn_times`](crate::Snapshot::turn_times). This costs one clock read per turn.
    pub fn measure_turns(&mut self) {
        self.turn.core.turn_times.get_or_insert_default();
    }

    /// Logs a warning for each callback that takes `limit` or longer, and counts it in
    /// [`Ledger::slow_callbacks`](crate::Ledger::slow_callbacks). While a callback runs, all other
    /// connections of its reactor wait.
    ///
    /// The warning names the type of the handler, the callback, the connection and the time:
    ///
    /// ```text
    /// ConnId(17.204) from 10.0.0.9:51712 at 10.0.0.1:80: Http<Files>::on_data held the loop for 24.1ms
    /// ```
    ///
    /// A callback for a [message](crate::Receive) or a timer has no connection; the warning names
    /// the type of the message instead. The time is that of the clock: it includes the time in
    /// which the thread did not run, such as while it waited for a disk. There are at most
    /// `1 / limit` warnings per second.
    ///
    /// This costs two looks at the clock for each callback. It is off by default, and then costs
    /// nothing.
    ///
    /// ```
    /// # use sluicegate_reactor::Reactor;
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// reactor.log_slow_callbacks(Duration::from_millis(10));
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_slow_callbacks(&mut self, limit: Duration) {
        self.turn.core.slow_after = Some(nanos(limit));
    }

    /// Tells an observer about connections and turns from now on, in place of the previous one if
    /// there is one. Of connections that are already open it sees the rest.
    ///
    /// A reactor without an observer tests once for each event whether there is one. With an
    /// observer, each turn also takes a look at the clock.
    pub fn observe(&mut self, observer: impl Observer) {
        self.turn.core.observer = Some(Box::new(observer));
    }

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
        shared.requests.queue.attach(&self.inboxes.bell);
        if self.has_stopped() {
            shared.end(|| self.turn.snapshot());
        }
        self.shared_ledger = Some(shared);
    }
}
