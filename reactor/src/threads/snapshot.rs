//! Reading the ledgers of reactors from other threads.
//!
//! A reactor counts without locks, so other threads cannot read its counters directly. A
//! [`LedgerReader`] requests a copy, which the reactor makes when it delivers messages. As long as
//! no thread requests a copy, this costs nothing.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::core::{Core, Flags, Histogram, Ledger};
use crate::sys::Address;
use crate::threads::handle::{Handle, Mailbox, PostError, mailbox};

/// The counters of a reactor, or of all reactors of a server together, and their state at the time
/// of the copy.
///
/// Its `Display` has one line for the total and, if there are several listeners, one line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The total.
    pub total: Ledger,
    /// The part of the total that belongs to the connections of each listener.
    pub listeners: Vec<ListenerSnapshot>,
    /// The part of the total that belongs to connections without a listener: those that handlers
    /// requested, and adopted ones.
    pub others: Ledger,
    /// The number of connections whose queue has reached
    /// [`Limits::send_high`](crate::Limits::send_high) and has not yet drained to
    /// [`Limits::send_low`](crate::Limits::send_low). While the [memory
    /// budget](crate::Reactor::set_memory_budget) is short, those above `send_low` count too.
    pub slow_readers: u64,
    /// The number of timers that are set.
    pub timers: u64,
    /// The memory held for connections, in bytes: what counts for the
    /// [budget](crate::Reactor::set_memory_budget).
    pub memory: u64,
    /// The memory budget in bytes, if there is one. Of several reactors, the sum.
    pub memory_budget: Option<u64>,
    /// How long turns took, if that is [measured](crate::Reactor::measure_turns).
    pub turn_times: Option<Histogram>,
}

/// The part of a [`Snapshot`] that belongs to the connections of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerSnapshot {
    /// The address that it is bound to.
    pub address: Address,
    /// The counters.
    pub ledger: Ledger,
    /// The peak number of open connections. For several reactors, the sum of their peaks.
    pub peak: u64,
    /// [`Listen::max_connections`](crate::Listen::max_connections).
    pub limit: u64,
    /// The part of [`Snapshot::slow_readers`].
    pub slow_readers: u64,
}

impl Snapshot {
    /// The counters of a reactor with this many timers.
    pub(crate) fn of(core: &Core, timers: usize) -> Snapshot {
        let mut snapshot = Snapshot {
            total: core.total(),
            timers: timers as u64,
            memory: core.held(),
            memory_budget: core.budget.as_ref().map(|budget| budget.limit),
            turn_times: core.turn_times.as_deref().cloned(),
            ..Snapshot::default()
        };
        let mut slow_readers = vec![0; core.groups.len()];
        for (_, c) in &core.connections {
            slow_readers[usize::from(c.group)] += u64::from(c.flags.any(Flags::FULL));
        }
        for (group, slow_readers) in core.groups.iter().zip(slow_readers) {
            snapshot.slow_readers += slow_readers;
            match &group.address {
                Some(address) => snapshot.add_listener(&ListenerSnapshot {
                    address: address.clone(),
                    ledger: group.ledger.clone(),
                    peak: group.peak.into(),
                    limit: group.limit.unwrap_or(0).into(),
                    slow_readers,
                }),
                None => snapshot.others += &group.ledger,
            }
        }
        snapshot
    }

    /// Adds the snapshot of another reactor.
    fn add(&mut self, other: &Snapshot) {
        self.total += &other.total;
        other.listeners.iter().for_each(|listener| self.add_listener(listener));
        self.others += &other.others;
        self.slow_readers += other.slow_readers;
        self.timers += other.timers;
        self.memory += other.memory;
        if let Some(budget) = other.memory_budget {
            *self.memory_budget.get_or_insert_default() += budget;
        }
        if let Some(times) = &other.turn_times {
            self.turn_times.get_or_insert_default().merge(times);
        }
    }

    /// Adds a listener. Listeners at the same address count as one.
    fn add_listener(&mut self, other: &ListenerSnapshot) {
        let known = self.listeners.iter_mut().find(|known| known.address == other.address);
        let Some(known) = known else { return self.listeners.push(other.clone()) };
        known.ledger += &other.ledger;
        known.peak += other.peak;
        known.limit += other.limit;
        known.slow_readers += other.slow_readers;
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.total.fmt(f)?;
        for listener in self.listeners.iter().filter(|_| self.listeners.len() > 1) {
            write!(f, "\n{}: {}", listener.address, listener.ledger)?;
        }
        Ok(())
    }
}

/// Reads the counters of a reactor, or of all reactors of a server together, from any thread except
/// theirs. Clones read the same reactors.
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
#[derive(Clone, Debug)]
pub struct LedgerReader(pub(crate) Arc<[Arc<RemoteLedger>]>);

/// The ledger of one reactor, as other threads see it.
#[derive(Debug)]
pub(crate) struct RemoteLedger {
    requests: Handle<Request>,
    /// The counters of the reactor when it stopped.
    last: OnceLock<Snapshot>,
}

/// Where to send a copy of the ledger. It is dropped if the reactor will make none.
type Request = Sender<Snapshot>;

impl LedgerReader {
    /// Returns the current counters of all its reactors. Returns `None` if a reactor does not
    /// answer within the timeout, because it is in a long callback or is not running. Returns
    /// `None` immediately if 16,384 requests are waiting for one of the reactors.
    ///
    /// Each reactor makes its copy after this call, when it delivers messages; a sleeping reactor
    /// is woken for this. So the copy includes everything that happened before the call, and its
    /// numbers are consistent: bytes passed to `send` were sent, were dropped or are
    /// [pending](Ledger::pending). Several reactors make their copies at different times. The last
    /// ledger of a reactor can still be read after the reactor has stopped or was dropped; the
    /// ledger of a server that was dropped before it ran is empty.
    #[must_use]
    pub fn snapshot(&self, timeout: Duration) -> Option<Snapshot> {
        let until = Instant::now().checked_add(timeout);
        let request = |ledger: &Arc<RemoteLedger>| {
            let (request, answer) = channel();
            let is_full = matches!(ledger.requests.post(request), Err(PostError::Full(_)));
            (!is_full).then_some(answer)
        };
        let answers: Vec<_> = self.0.iter().map(request).collect();
        let mut sum = Snapshot::default();
        for (ledger, answer) in self.0.iter().zip(answers) {
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            match answer?.recv_timeout(left.unwrap_or(Duration::MAX)) {
                Ok(snapshot) => sum.add(&snapshot),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    ledger.last.get().into_iter().for_each(|last| sum.add(last));
                }
            }
        }
        Some(sum)
    }
}

/// The ledger of a reactor that other threads read, as the reactor sees it. If it is dropped, the
/// ledger is empty for all requests that have not been answered.
pub(crate) struct SharedLedger {
    pub(crate) remote: Arc<RemoteLedger>,
    pub(crate) requests: Mailbox<Request>,
}

impl SharedLedger {
    pub(crate) fn new() -> SharedLedger {
        let (handle, requests) = mailbox();
        let remote = Arc::new(RemoteLedger { requests: handle, last: OnceLock::new() });
        SharedLedger { remote, requests }
    }

    /// Answers all requests there are.
    pub(crate) fn answer(&mut self, snapshot: impl Fn() -> Snapshot) {
        for request in self.requests.take() {
            // The thread may have given up waiting.
            let _ = request.send(snapshot());
        }
    }

    /// Leaves the last snapshot, for the requests there are and for all to come.
    pub(crate) fn end(&mut self, snapshot: impl Fn() -> Snapshot) {
        let _ = self.remote.last.set(snapshot());
        self.requests.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;
    use std::thread;

    use super::*;
    use crate::Reactor;

    /// Longer than anything here takes. Only a test that fails waits for it.
    const NEVER: Duration = Duration::from_secs(60);

    /// Starts a thread that asks for a snapshot, and returns once it has.
    fn ask(reader: &LedgerReader) -> Receiver<Option<Snapshot>> {
        let (told, snapshot) = channel();
        let asker = reader.clone();
        thread::spawn(move || told.send(asker.snapshot(Duration::MAX)).unwrap());
        let start = Instant::now();
        while reader.0.iter().all(|ledger| ledger.requests.0.is_empty()) {
            assert!(start.elapsed() < NEVER, "the thread does not ask");
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

    #[test]
    fn the_reader_of_one_thread_of_a_server_reads_only_that_thread() {
        let options = crate::ServerOptions { threads: 2, ..crate::ServerOptions::default() };
        let mut server = crate::Server::new(&options);
        let all = server.ledger_reader();
        server.stopper().stop().unwrap();
        let own = std::sync::Mutex::new(None);
        server
            .run(|shard| {
                *own.lock().unwrap() = Some(shard.ledger_reader());
                Ok(())
            })
            .unwrap();
        let own = own.into_inner().unwrap().expect("a reader");
        let turns = |reader: &LedgerReader| reader.snapshot(NEVER).expect("an answer").total.turns;
        let (own, all) = (turns(&own), turns(&all));
        assert!((1..all).contains(&own), "{own} turns of {all}");
    }
}
