//! The steps of one run.

use std::time::Duration;

use super::world::Sim;
use crate::testing::checks;
use crate::turn::reactor::Reactor;

/// The most virtual time between two steps (a reactor's turn or a client's act).
const MOMENT: Duration = Duration::from_micros(30);

/// How long the simulation continues with nothing but timers before it is considered idle: longer
/// than every default deadline.
const REST: Duration = Duration::from_secs(180);

/// The maximum number of steps in one run. More count as an endless loop.
const MOST_STEPS: u32 = 300_000;

/// Who can act now.
enum Actor {
    Reactor(usize),
    Client(usize),
    Plan(usize),
}

impl Sim {
    /// Runs until no event is left, or until nothing but timers and deadlines has happened for
    /// three minutes.
    ///
    /// That is longer than the default of [`Limits::idle`](crate::Limits::idle), so the connection
    /// of a silent client is closed before this returns. A scenario that needs such connections
    /// afterwards sets the limit to `None`, or uses [`run_for`](Sim::run_for). So does one whose
    /// handlers reconnect when a connection is closed, which never ends otherwise.
    ///
    /// # Panics
    /// If the reactor breaks an invariant in that time, or if it never ends.
    pub fn run(&mut self) {
        self.run_until(|rest_from| rest_from + REST.as_nanos() as u64);
    }

    /// Runs for the given time, or until no event is left.
    ///
    /// # Panics
    /// If the reactor breaks an invariant in that time.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.world.elapsed() + time.as_nanos() as u64;
        self.run_until(|_| end);
    }

    /// Runs until the next step is later than `until` returns for the time at which all came to
    /// rest.
    fn run_until(&mut self, until: impl Fn(u64) -> u64) {
        self.has_run = true;
        let mut rest_from = self.world.elapsed();
        for _ in 0..MOST_STEPS {
            self.world.run_network();
            let now = self.world.elapsed();
            let actors = self.ready(now);
            if !actors.is_empty() && now <= until(rest_from) {
                let actor = self.dice.below(actors.len());
                let idle = self.act(&actors[actor]);
                self.world.advance(Duration::from_nanos(self.dice.time(MOMENT)));
                if !idle {
                    rest_from = now;
                }
                continue;
            }
            match self.next_event(now) {
                Some(next) if next <= until(rest_from) => {
                    self.world.advance(Duration::from_nanos(next - now));
                }
                _ => return,
            }
        }
        panic!(
            "the simulation never becomes idle; if its handlers reconnect or repeat something, use \
             `run_for`, and `stop` at the end of the scenario"
        );
    }

    /// Who has something to do now.
    fn ready(&mut self, now: u64) -> Vec<Actor> {
        let mut actors = Vec::new();
        for index in 0..self.reactors.len() {
            if self.wakes_at(index, now).is_some_and(|at| at <= now) {
                actors.push(Actor::Reactor(index));
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            if client.due(now).is_some_and(|at| at <= now) {
                actors.push(Actor::Client(index));
            }
        }
        let due = self.plans.iter().enumerate().filter(|(_, (at, _))| *at <= now);
        actors.extend(due.map(|(index, _)| Actor::Plan(index)));
        actors
    }

    /// When a reactor has something to do, if ever.
    fn wakes_at(&self, index: usize, now: u64) -> Option<u64> {
        let reactor = &self.reactors[index];
        if reactor.has_stopped() {
            return None;
        }
        let from = now.max(self.stalls[index]);
        if self.world.has_edges_for(index) || reactor.is_owed() {
            return Some(from);
        }
        // Its timeout counts from when it last read the clock.
        let ago = self.world.monotonic() - reactor.turn.core.now;
        let left = u64::try_from(reactor.timeout(None)?.as_nanos()).unwrap_or(u64::MAX);
        Some(now.saturating_add(left.saturating_sub(ago)).max(from))
    }

    /// When something happens next, if ever.
    fn next_event(&self, now: u64) -> Option<u64> {
        let reactors = (0..self.reactors.len()).filter_map(|index| self.wakes_at(index, now));
        let clients = self.clients.iter().filter_map(|client| client.due(now));
        let plans = self.plans.iter().map(|(at, _)| *at);
        reactors.chain(clients).chain(plans).chain(self.world.next_arrival()).min()
    }

    /// Lets one actor act. Returns whether that was a reactor's turn for its timers alone.
    fn act(&mut self, actor: &Actor) -> bool {
        match *actor {
            Actor::Reactor(index) if self.stall(index) => return true,
            Actor::Reactor(index) => return self.turn(index),
            Actor::Client(index) => {
                let client = self.clients[index].clone();
                client.step(&self.world, &self.faults, &mut self.dice);
            }
            Actor::Plan(index) => {
                let (_, plan) = self.plans.swap_remove(index);
                self.world.set_actor("scenario");
                plan(self);
            }
        }
        false
    }

    /// Takes time from a reactor, if the dice say so.
    fn stall(&mut self, index: usize) -> bool {
        let stalls = self.dice.chance(self.faults.stall);
        if stalls {
            let time = self.dice.time(self.faults.longest_stall);
            self.stalls[index] = self.world.elapsed() + time;
            self.world.set_actor(format_args!("reactor {index}"));
            self.world.note(format_args!("gets no time for {:?}", Duration::from_nanos(time)));
        }
        stalls
    }

    fn turn(&mut self, index: usize) -> bool {
        let idle = !self.world.has_edges_for(index) && !self.reactors[index].is_owed();
        self.world.set_actor(format_args!("reactor {index}"));
        let reactor = &mut self.reactors[index];
        reactor.turn(Some(Duration::ZERO)).expect("a simulated wait does not fail");
        for client in &self.clients {
            client.notice(self.world.elapsed(), &self.faults, &mut self.dice);
        }
        checks::after_turn(reactor, &self.world);
        assert_eq!(reactor.ledger().panics, 0, "a handler has panicked");
        assert!(!self.world.waits_in_vain(), "a reactor waits for a blocked disk");
        let queued = most_queued(reactor);
        assert!(
            queued <= self.most_queued,
            "a connection has {queued} bytes of memory queued, more than the limit"
        );
        self.progress[index].after_turn(reactor);
        let sleeps = !self.world.has_edges_for(index) && !reactor.is_owed();
        if sleeps && self.world.next_arrival().is_none() && !reactor.has_stopped() {
            checks::at_rest(reactor, &self.world);
        }
        checks::sockets(self.reactors.iter(), &self.world);
        idle
    }
}

/// The maximum number of bytes of memory that one connection has queued.
fn most_queued(reactor: &Reactor) -> usize {
    let connections = reactor.turn.core.connections.iter();
    let queued = connections.filter_map(|(_, c)| Some(c.outbound.as_ref()?.memory()));
    queued.max().unwrap_or(0)
}
