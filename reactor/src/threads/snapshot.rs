//! Reading the ledgers of reactors from other threads.
//!
//! A reactor counts without locks, so other threads cannot look at its counters. A [`LedgerReader`]
//! asks for a copy, which the reactor makes when it delivers its messages. While no thread asks,
//! this costs nothing.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::{Core, Ledger};
use crate::sys::Address;
use crate::threads::handle::{Handle, Mailbox, mailbox};

/// What a reactor, or all reactors of a server together, have done so far.
///
/// It is printed as one line for the total and, if there are several listeners, one line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The total.
    pub total: Ledger,
    /// The part of the total that the connections of each listener have done, by the listener's
    /// address.
    pub listeners: Vec<(Address, Ledger)>,
}

impl Snapshot {
    /// Adds the snapshot of another reactor.
    fn add(&mut self, other: &Snapshot) {
        self.total += &other.total;
        for (address, ledger) in &other.listeners {
            self.add_listener(address, ledger);
        }
    }

    /// Adds the ledger of a listener. Listeners at the same address count as one.
    fn add_listener(&mut self, address: &Address, ledger: &Ledger) {
        match self.listeners.iter_mut().find(|(known, _)| known == address) {
            Some((_, sum)) => *sum += ledger,
            None => self.listeners.push((address.clone(), ledger.clone())),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.total.fmt(f)?;
        for (address, ledger) in self.listeners.iter().filter(|_| self.listeners.len() > 1) {
            write!(f, "\n{address}: {ledger}")?;
        }
        Ok(())
    }
}

/// What a reactor has done so far.
fn snapshot(core: &Core) -> Snapshot {
    let mut snapshot = Snapshot { total: core.total(), listeners: Vec::new() };
    for group in &core.groups {
        if let Some(address) = &group.address {
            snapshot.add_listener(address, &group.ledger);
        }
    }
    snapshot
}

/// Reads what a reactor, or all reactors of a server together, have done so far. Any thread but
/// theirs can use it. Clones read the same reactors.
///
/// ```
/// # use sluicegate_reactor::{Context, Handler, Input};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
/// # }
/// use sluicegate_reactor::{Listen, Server, ServerOptions};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut server = Server::new(&ServerOptions { threads: 2, ..ServerOptions::default() });
/// let listener = server.listen("127.0.0.1:0", &Listen::default())?;
/// let (reader, stopper) = (server.ledger_reader(), server.stopper());
/// let watcher = std::thread::spawn(move || {
///     let snapshot = reader.snapshot(Duration::from_secs(10)).expect("two threads that serve");
///     assert_eq!((snapshot.total.open(), snapshot.listeners.len()), (0, 1));
///     stopper.stop()
/// });
/// server.run(|shard| {
///     let echo = shard.register(Echo);
///     shard.serve(&listener, echo)?;
///     Ok(())
/// })?;
/// watcher.join().unwrap()
/// # }
/// ```
#[derive(Clone)]
pub struct LedgerReader(Arc<[RemoteLedger]>);

/// The ledger of one reactor, as other threads see it.
struct RemoteLedger {
    slot: Arc<SnapshotSlot>,
    requests: Handle<SnapshotRequest>,
    /// The other end of `requests`, until there is a reactor that takes it.
    mailbox: Mutex<Option<Mailbox<SnapshotRequest>>>,
}

/// Where a reactor leaves copies of its ledger.
#[derive(Default)]
struct SnapshotSlot {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    snapshot: Snapshot,
    /// How many snapshots were requested.
    requested: u64,
    /// How many of the requests the snapshot answers.
    answered: u64,
    /// Whether the snapshot is the last one.
    ended: bool,
    /// How many threads wait for an answer.
    waiting: usize,
}

impl LedgerReader {
    /// A reader of the ledgers of `reactors` reactors, which may not exist yet.
    pub(crate) fn new(reactors: usize) -> LedgerReader {
        let ledger = |_| {
            let (requests, mailbox) = mailbox();
            RemoteLedger { slot: Arc::default(), requests, mailbox: Mutex::new(Some(mailbox)) }
        };
        LedgerReader((0..reactors).map(ledger).collect())
    }

    /// What all its reactors have done so far. Returns `None` if a reactor has not answered within
    /// the timeout: it runs a long callback, or it does not run now.
    ///
    /// Each reactor makes its copy after this call, when it delivers messages; a sleeping reactor
    /// wakes up for it. So the copy counts everything that the caller knows to have happened, and
    /// its numbers are consistent: bytes given to `send` were sent, were dropped or are
    /// [pending](Ledger::pending). The copies of several reactors are made at different times.
    /// After a reactor has stopped or was dropped, its last ledger can still be read; that of a
    /// server that was dropped before it ran is empty.
    #[must_use]
    pub fn snapshot(&self, timeout: Duration) -> Option<Snapshot> {
        let until = Instant::now().checked_add(timeout);
        let requests: Vec<u64> = self.0.iter().map(RemoteLedger::request).collect();
        let mut sum = Snapshot::default();
        for (ledger, request) in self.0.iter().zip(requests) {
            sum.add(&ledger.slot.wait(request, until)?);
        }
        Some(sum)
    }

    /// Ends the wait for reactors that have not answered and never will.
    pub(crate) fn end(&self) {
        self.0.iter().for_each(|ledger| ledger.slot.update(|inner| inner.ended = true));
    }
}

impl RemoteLedger {
    /// Requests a snapshot and returns the number of the request.
    fn request(&self) -> u64 {
        let mut inner = self.slot.lock();
        inner.requested += 1;
        let number = inner.requested;
        drop(inner);
        // A full mailbox holds an earlier request, whose answer will do. A reactor that takes no
        // messages any more is about to leave its last snapshot.
        let _ = self.requests.post(SnapshotRequest(self.slot.clone()));
        number
    }
}

impl SnapshotSlot {
    /// Waits for the answer to a request, or for the last snapshot.
    fn wait(&self, request: u64, until: Option<Instant>) -> Option<Snapshot> {
        let mut inner = self.lock();
        while inner.answered < request && !inner.ended {
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.unwrap_or(Duration::MAX);
            if left.is_zero() {
                return None;
            }
            inner.waiting += 1;
            let waited = self.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            inner.waiting -= 1;
        }
        Some(inner.snapshot.clone())
    }

    /// Answers all requests there are.
    fn answer(&self, snapshot: Snapshot) {
        self.update(|inner| inner.answer(snapshot));
    }

    fn update(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        change(&mut inner);
        if inner.waiting > 0 {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn answer(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
        self.answered = self.requested;
    }
}

impl fmt::Debug for LedgerReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerReader")
    }
}

/// A request of another thread for a copy of the ledger.
pub(crate) struct SnapshotRequest(Arc<SnapshotSlot>);

impl SnapshotRequest {
    pub(crate) fn answer(&self, core: &Core) {
        self.0.answer(snapshot(core));
    }
}

/// The reader of a reactor's ledger, and which of its ledgers is that of the reactor.
pub(crate) struct AttachedReader {
    pub(crate) reader: LedgerReader,
    index: usize,
}

impl AttachedReader {
    pub(crate) fn new(reader: &LedgerReader, index: usize) -> AttachedReader {
        AttachedReader { reader: reader.clone(), index }
    }

    /// Where the requests arrive; taken once.
    pub(crate) fn take_mailbox(&self) -> Option<Mailbox<SnapshotRequest>> {
        let mailbox = &self.reader.0[self.index].mailbox;
        mailbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves the last snapshot for its readers.
    pub(crate) fn leave(&self, core: &Core) {
        let snapshot = snapshot(core);
        self.reader.0[self.index].slot.update(|inner| {
            inner.answer(snapshot);
            inner.ended = true;
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::Reactor;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;

    /// Longer than anything here takes. Only a test that fails waits for it.
    const NEVER: Duration = Duration::from_secs(60);

    /// Starts a thread that asks for a snapshot, and returns once it waits.
    fn ask(reader: &LedgerReader) -> Receiver<Option<Snapshot>> {
        let (told, snapshot) = channel();
        let asker = reader.clone();
        thread::spawn(move || told.send(asker.snapshot(Duration::MAX)).unwrap());
        let start = Instant::now();
        while reader.0.iter().all(|ledger| ledger.slot.lock().waiting == 0) {
            assert!(start.elapsed() < NEVER, "the thread does not wait");
            thread::yield_now();
        }
        snapshot
    }

    #[test]
    fn a_thread_that_waits_for_a_snapshot_gets_it_when_the_reactor_turns() {
        let mut reactor = Reactor::new().unwrap();
        let snapshot = ask(&reactor.ledger_reader());
        reactor.turn(Some(Duration::ZERO)).unwrap();
        let snapshot = snapshot.recv_timeout(NEVER).expect("an answer");
        assert_eq!(snapshot.map(|it| it.total.turns), Some(1));
    }

    #[test]
    fn a_thread_that_waits_for_a_snapshot_gets_the_last_one_when_the_reactor_stops() {
        let mut reactor = Reactor::new().unwrap();
        let snapshot = ask(&reactor.ledger_reader());
        reactor.stopper().stop().unwrap();
        reactor.run().unwrap();
        let snapshot = snapshot.recv_timeout(NEVER).expect("an answer");
        assert_eq!(snapshot.map(|it| it.total.turns), Some(1));
    }

    #[test]
    fn a_thread_that_waits_for_a_snapshot_gets_it_when_a_reactor_that_never_ran_is_dropped() {
        let mut reactor = Reactor::new().unwrap();
        let snapshot = ask(&reactor.ledger_reader());
        drop(reactor);
        assert_eq!(snapshot.recv_timeout(NEVER), Ok(Some(Snapshot::default())));
    }

    #[test]
    fn a_thread_that_waits_for_a_snapshot_goes_on_when_a_server_that_never_ran_is_dropped() {
        let mut server = crate::Server::new(&crate::ServerOptions::default());
        let snapshot = ask(&server.ledger_reader());
        drop(server);
        assert_eq!(snapshot.recv_timeout(NEVER), Ok(Some(Snapshot::default())));
    }
}
