//! Ledgers of reactors that run in other threads.
//!
//! A reactor counts without locks, so nobody else can look at its counters. A [`LedgerReader`] asks
//! for a copy: the reactor makes one when it delivers its messages. While nobody asks that costs
//! nothing.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::core::ledger::{GroupId, Ledger};
use crate::sys::Address;
use crate::threads::handle::{Handle, Mailbox, mailbox};
use crate::turn::reactor::Reactor;

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

impl Core {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { total: self.total(), listeners: Vec::new() };
        for (index, group) in self.groups.iter().enumerate() {
            if let Some(address) = &group.address {
                snapshot.add_listener(address, &self.total_of(GroupId(index as u16)));
            }
        }
        snapshot
    }
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
    ask: Handle<Arc<Slot>>,
    /// Until there is the reactor that takes it.
    mailbox: Mutex<Option<Mailbox<Arc<Slot>>>>,
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
        let _ = self.ask.post(self.slot.clone());
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
    reader: LedgerReader,
    desk: usize,
}

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
        let mailbox = &reader.0[desk].mailbox;
        let mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mailbox) = mailbox {
            self.mail.attach_own(mailbox, |core, slot: Arc<Slot>| slot.answer(core.snapshot()));
        }
        self.read = Some(Read { reader: reader.clone(), desk });
        if self.has_stopped() {
            self.leave_ledger();
        }
    }

    /// Leaves what was done in the end to whoever reads it.
    pub(crate) fn leave_ledger(&self) {
        if let Some(Read { reader, desk }) = &self.read {
            let slot = &reader.0[*desk].slot;
            slot.answer(self.core.snapshot());
            slot.end();
        }
    }
}
