//! Ledgers of reactors that run in other threads.
//!
//! A reactor counts without locks, so nobody else can look at its counters. A [`LedgerReader`] asks
//! for a copy: the reactor makes one when it delivers its messages. While nobody asks that costs
//! nothing.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::core::{Core, Ledger};
use crate::threads::handle::{Handle, Mailbox, mailbox};

/// What a reactor has done so far, or all reactors of a server together.
///
/// It prints as one line for all of it and, if there are several listeners, one for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// All of it.
    pub total: Ledger,
    /// What the connections of each listener have done of it, by the address of the listener.
    pub listeners: Vec<(Address, Ledger)>,
}

impl Snapshot {
    /// Adds what another reactor has done.
    fn add(&mut self, other: &Snapshot) {
        self.total += &other.total;
        for (address, ledger) in &other.listeners {
            self.add_listener(address, ledger);
        }
    }

    /// Adds what was done by way of a listener. Those at one address are one.
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

/// Reads what a reactor has done so far, or all reactors of a server together: from any thread but
/// their own, and as often as one likes. Clones read the same.
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
pub struct LedgerReader(Arc<[Desk]>);

/// The way to one reactor.
struct Desk {
    slot: Arc<Slot>,
    ask: Handle<Question>,
    /// Until there is the reactor that takes it.
    mailbox: Mutex<Option<Mailbox<Question>>>,
}

/// Where a reactor leaves copies of its ledger.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Default)]
struct State {
    snapshot: Snapshot,
    /// How many were asked for.
    asked: u64,
    /// How many of them the snapshot is an answer to.
    answered: u64,
    /// Whether it is the last.
    ended: bool,
}

impl LedgerReader {
    /// For so many reactors, which are yet to be made.
    pub(crate) fn new(reactors: usize) -> LedgerReader {
        let desk = |_| {
            let (ask, mailbox) = mailbox();
            Desk { slot: Arc::default(), ask, mailbox: Mutex::new(Some(mailbox)) }
        };
        LedgerReader((0..reactors).map(desk).collect())
    }

    /// What all its reactors have done so far; `None` if one of them has not answered within the
    /// time, because it runs a long callback, turns no more or does not run yet.
    ///
    /// Each copy is made after this was called, when its reactor delivers messages; one that sleeps
    /// is woken for it. So it counts all that the caller knows to have happened, and its numbers
    /// belong together: what was given to `send` was sent, dropped or is
    /// [pending](Ledger::pending). Between the copies of several reactors some time has passed.
    /// When a reactor has stopped, what it had done in the end stays to be read.
    #[must_use]
    pub fn snapshot(&self, timeout: Duration) -> Option<Snapshot> {
        let until = Instant::now().checked_add(timeout);
        let numbers: Vec<u64> = self.0.iter().map(Desk::ask).collect();
        let mut sum = Snapshot::default();
        for (desk, number) in self.0.iter().zip(numbers) {
            sum.add(&desk.slot.wait(number, until)?);
        }
        Some(sum)
    }

    /// Nobody will answer any more who has not yet.
    pub(crate) fn end(&self) {
        self.0.iter().for_each(|desk| desk.slot.end());
    }
}

impl Desk {
    /// Asks for a copy and says which number it has.
    fn ask(&self) -> u64 {
        let mut state = self.slot.lock();
        state.asked += 1;
        let number = state.asked;
        drop(state);
        // A full mailbox has somebody else's question, and its answer will do. A reactor that takes
        // no messages any more is about to leave its last copy.
        let _ = self.ask.post(Question(self.slot.clone()));
        number
    }
}

impl Slot {
    fn wait(&self, number: u64, until: Option<Instant>) -> Option<Snapshot> {
        let mut state = self.lock();
        while state.answered < number && !state.ended {
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.unwrap_or(Duration::MAX);
            if left.is_zero() {
                return None;
            }
            let waited = self.answered.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(state.snapshot.clone())
    }

    fn answer(&self, snapshot: Snapshot) {
        let mut state = self.lock();
        state.snapshot = snapshot;
        state.answered = state.asked;
        self.answered.notify_all();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.answered.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LedgerReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerReader")
    }
}

/// Who reads a reactor's ledger, and which of the reader's desks is its own.
pub(crate) struct Read {
    pub(crate) reader: LedgerReader,
    desk: usize,
}

/// A question that a reactor answers with a copy of its ledger.
pub(crate) struct Question(Arc<Slot>);

impl Question {
    pub(crate) fn answer(&self, core: &Core) {
        self.0.answer(snapshot(core));
    }
}

impl Read {
    pub(crate) fn new(reader: &LedgerReader, desk: usize) -> Read {
        Read { reader: reader.clone(), desk }
    }

    /// Where the questions arrive; taken once.
    pub(crate) fn take_mailbox(&self) -> Option<Mailbox<Question>> {
        let mailbox = &self.reader.0[self.desk].mailbox;
        mailbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves what was done in the end to whoever reads it.
    pub(crate) fn leave(&self, core: &Core) {
        let slot = &self.reader.0[self.desk].slot;
        slot.answer(snapshot(core));
        slot.end();
    }
}
