//! The parts of one run.

use std::net::ToSocketAddrs;
use std::ops::DerefMut;
use std::time::Duration;

use super::client::Client;
use super::progress::Progress;
use crate::sys::sim::{Dice, Faults, Files, Mode, Remote, World};
use crate::sys::{Address, Kernel};
use crate::testing::checks::{self, NothingOpen};
use crate::testing::sealing;
use crate::turn::reactor::Reactor;

/// One run of a scenario: a world of files, reactors and clients, in virtual time.
///
/// Once a scenario has set everything up, it can [run](Sim::run) the world and inspect the result,
/// or just return. After it returns, the world runs to its end and all reactors are asked to stop.
/// Once they have stopped, everything is checked again.
pub struct Sim {
    pub(super) reactors: Vec<Reactor>,
    pub(super) clients: Vec<Client>,
    /// What the scenario does later, and when.
    pub(super) plans: Vec<(u64, Plan)>,
    pub(super) progress: Vec<Progress>,
    /// Until when each reactor is stalled.
    pub(super) stalls: Vec<u64>,
    pub(super) world: World,
    pub(super) faults: Faults,
    pub(super) dice: Dice,
    pub(super) most_queued: usize,
    pub(super) has_run: bool,
    /// Dropped after the reactors.
    _nothing_open: NothingOpen,
}

pub(super) type Plan = Box<dyn FnOnce(&mut Sim)>;

impl Sim {
    pub(super) fn new(seed: u64, faults: &Faults, world: World) -> Sim {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let faults = if seed == 0 { Faults::none() } else { faults.drawn(&mut dice) };
        if seed != 0 {
            world.set_faults(faults.clone(), dice.next());
        }
        Sim {
            reactors: Vec::new(),
            clients: Vec::new(),
            plans: Vec::new(),
            progress: Vec::new(),
            stalls: Vec::new(),
            _nothing_open: NothingOpen(world.clone()),
            world,
            faults,
            dice,
            most_queued: usize::MAX,
            has_run: false,
        }
    }

    /// Adds a reactor. `make` registers its handlers and listens. Returns the result of `make`.
    pub fn reactor<R>(&mut self, make: impl FnOnce(&mut Reactor) -> R) -> R {
        let kernel = Kernel::Sim(self.world.clone());
        let mut reactor = Reactor::on(kernel).expect("a simulated reactor");
        self.world.set_actor(format_args!("reactor {}", self.reactors.len()));
        let made = make(&mut reactor);
        if let Some(sealing) = sealing::current() {
            sealing.put_under(&mut reactor);
        }
        self.reactors.push(reactor);
        self.progress.push(Progress::default());
        self.stalls.push(0);
        made
    }

    /// The reactors, in the order in which they were added: to reach their handlers, handles and
    /// ledgers.
    #[must_use]
    pub fn reactors(&mut self) -> &mut [Reactor] {
        &mut self.reactors
    }

    /// Adds a client that soon connects to the listener at this address.
    ///
    /// # Panics
    /// If `of` is not an IP address and port.
    pub fn client(&mut self, of: impl ToSocketAddrs) -> Client {
        let address = of.to_socket_addrs().ok().and_then(|mut found| found.next());
        self.client_at(&address.expect("an address and a port").into())
    }

    /// Like [`client`](Sim::client), for an address of any kind.
    pub fn client_at(&mut self, address: &Address) -> Client {
        let soon = self.dice.time(self.faults.delay);
        let starts_at = self.world.elapsed() + soon;
        let client = Client::new(self.clients.len() + 1, address.clone(), starts_at);
        self.clients.push(client.clone());
        match sealing::current() {
            Some(sealing) => client.through(sealing.client),
            None => client,
        }
    }

    /// Schedules an action after this much time, such as changing a file, stopping, or posting a
    /// message.
    pub fn after(&mut self, time: Duration, act: impl FnOnce(&mut Sim) + 'static) {
        let at = self.world.elapsed() + time.as_nanos() as u64;
        self.plans.push((at, Box::new(act)));
    }

    /// The disk. The simulation cannot run while the result is held.
    #[must_use]
    pub fn files(&mut self) -> impl DerefMut<Target = Files> {
        self.world.files()
    }

    /// Blocks the disk: no worker that waits for it finishes, and nothing that it reads is loaded
    /// into memory, before [`release_disk`](Sim::release_disk) is called. If a reactor itself waits
    /// for the disk, the run fails, since the reactor could do nothing else in the meantime.
    pub fn hold_disk(&mut self) {
        self.world.hold_disks();
    }

    /// Unblocks the disk, and completes what workers have requested in the meantime.
    pub fn release_disk(&mut self) {
        self.world.release_disks();
    }

    /// Sets how a remote outside of this world handles connections from reactors.
    pub fn set_remote(&mut self, address: &Address, remote: Remote) {
        self.world.set_remote(address, remote);
    }

    /// A number below `limit` that the seed determines, for scenarios that vary.
    ///
    /// # Panics
    /// If the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        assert!(limit > 0, "no number is below 0");
        self.dice.below(limit)
    }

    /// Asks all reactors to stop, as [`Turn::stop`](crate::Turn::stop) does.
    pub fn stop(&mut self) {
        for reactor in &mut self.reactors {
            reactor.turn.stop();
        }
    }

    /// The time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.world.elapsed())
    }

    /// The faults of this run.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Sets the maximum number of bytes of memory that any connection may have queued at the end of
    /// a turn: its [`send_high`](crate::Limits::send_high), plus the maximum that one callback
    /// sends.
    pub fn limit_queues(&mut self, bytes: usize) {
        self.most_queued = bytes;
    }

    /// What happens when the scenario has returned.
    pub(super) fn end(mut self) {
        if !self.has_run {
            self.run();
        }
        self.stop();
        self.run();
        for reactor in &self.reactors {
            assert!(reactor.has_stopped(), "a reactor does not stop");
            checks::at_end(reactor, &self.world);
        }
        for client in &self.clients {
            client.check();
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What is closed now belongs to the end of the test.
            self.world.set_trace(Mode::Off);
        }
    }
}
