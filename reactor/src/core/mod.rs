//! What handlers act on: the connections, their queues and deadlines, and the worklists.
//!
//! Nothing here calls a handler. What would have to is left as a bit in the connection and an entry
//! on a worklist, and the [reactor](crate::reactor) settles it when no handler is running.

pub(crate) mod connection;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod per_address;
pub(crate) mod target;

use std::io;

use slab::Slab;

use crate::connect::attempt::Connecting;
use crate::core::connection::{Connection, Flags, Phase};
use crate::core::ledger::Ledger;
use crate::core::limits::Limits;
use crate::handler::{ConnId, Reason};
use crate::inbound::{Batches, Extras, Mark, Onward};
use crate::listen::listener::Group;
use crate::outbound::{Cold, Pool, Queue, Stage};
use crate::sys::{AlignedBuffer, Fd, Kernel, NO_FD, Ready, Selector};
use crate::threads::jobs::Jobs;
use crate::time::deadlines::tick_of;
use crate::time::timers::Timers;
use crate::time::wheel::{Link, Links, Wheel};
use crate::turn::hand_over::HandOver;

/// Most boxes of a kind kept for reuse; they are small, and as many are in use as there are
/// connections with something to send, or with input left, at one time.
const SPARES: usize = 256;

pub(crate) struct Core {
    pub(crate) kernel: Kernel,
    pub(crate) selector: Selector,
    pub(crate) connections: Connections,
    pub(crate) groups: Vec<Group>,
    pub(crate) connecting: Connecting,
    /// Who waits for disks; nobody if no files are used.
    pub(crate) jobs: Option<Jobs>,
    pub(crate) cold: Cold,
    pub(crate) wheel: Wheel,
    /// Those that may go on within their rates.
    pub(crate) due_rates: Vec<u32>,
    pub(crate) timers: Timers,
    /// Monotonic nanoseconds, read once a turn.
    pub(crate) now: u64,
    /// The same in ticks.
    pub(crate) tick: u32,
    /// Connections with something to do in this turn. Bounded by one entry for each.
    pub(crate) owed: Vec<u32>,
    /// Those that have used up their quantum: for the next turn.
    pub(crate) later: Vec<u32>,
    /// Those that are over: their places are freed at the end of the turn.
    pub(crate) gone: Vec<u32>,
    /// To whom the running callback hands its connection over. Empty between callbacks.
    pub(crate) hand_overs: Vec<HandOver>,
    pub(crate) pool: Pool,
    pub(crate) stage: Stage,
    pub(crate) onward: Onward,
    pub(crate) batches: Batches,
    pub(crate) scratch: AlignedBuffer,
    #[expect(clippy::vec_box, reason = "the boxes are what is reused")]
    pub(crate) spare_queues: Vec<Box<Queue>>,
    #[expect(clippy::vec_box, reason = "the boxes are what is reused")]
    spare_extras: Vec<Box<Extras>>,
    next_generation: u32,
    /// What belongs to no connection; the rest is counted in their groups.
    pub(crate) ledger: Ledger,
    pub(crate) stopping: bool,
    /// Whether `on_stop` was owed to every session there was.
    pub(crate) draining: bool,
}

/// The connections by index. A type of its own so that the wheel can be given the links in it.
pub(crate) struct Connections(pub(crate) Slab<Connection>);

impl Links for Connections {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

impl Core {
    pub(crate) fn new(kernel: Kernel, selector: Selector) -> Core {
        let now = kernel.monotonic();
        let tick = tick_of(now);
        Core {
            kernel,
            selector,
            connections: Connections(Slab::new()),
            groups: Vec::new(),
            connecting: Connecting::default(),
            jobs: None,
            cold: Cold::default(),
            wheel: Wheel::new(tick),
            due_rates: Vec::new(),
            timers: Timers::new(tick),
            now,
            tick,
            owed: Vec::new(),
            later: Vec::new(),
            gone: Vec::new(),
            hand_overs: Vec::new(),
            pool: Pool::default(),
            stage: Stage::default(),
            onward: Onward::default(),
            batches: Batches::default(),
            scratch: AlignedBuffer::default(),
            spare_queues: Vec::new(),
            spare_extras: Vec::new(),
            next_generation: 1,
            ledger: Ledger::default(),
            stopping: false,
            draining: false,
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Connection> {
        self.connections.0.get(index as usize)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Connection> {
        self.connections.0.get_mut(index as usize)
    }

    /// The connection of that name, unless it is gone.
    pub(crate) fn find(&self, id: ConnId) -> Option<&Connection> {
        self.get(id.index).filter(|c| c.generation == id.generation && c.phase < Phase::Lingering)
    }

    pub(crate) fn socket(&self, index: u32) -> io::Result<Fd> {
        let socket = self.get(index).map(|c| c.socket).filter(|socket| *socket != NO_FD);
        socket.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(crate) fn limits(&self, group: u16) -> &Limits {
        &self.groups[group as usize].limits
    }

    /// The counters of a connection's group.
    pub(crate) fn ledger_of(&mut self, index: u32) -> Option<&mut Ledger> {
        let group = self.get(index)?.group;
        Some(&mut self.groups[group as usize].ledger)
    }

    /// Takes in a group of connections.
    pub(crate) fn add_group(&mut self, group: Group) -> u16 {
        let index = u16::try_from(self.groups.len()).expect("at most 65,536 groups");
        self.groups.push(group);
        index
    }

    /// Takes up a socket: registers it and gives it a place.
    pub(crate) fn adopt(
        &mut self,
        socket: Fd,
        group: u16,
        handler: u8,
        flags: Flags,
    ) -> io::Result<ConnId> {
        let index = self.connections.0.vacant_key() as u32;
        self.selector.add_stream(socket, token(index, self.next_generation))?;
        let id = self.insert(socket, group, handler);
        if let Some(c) = self.get_mut(index) {
            c.flags = flags;
        }
        self.arm(index);
        Ok(id)
    }

    /// Gives a connection a place and a name.
    pub(crate) fn insert(&mut self, socket: Fd, group: u16, handler: u8) -> ConnId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let connection = Connection::new(socket, generation, group, handler, self.tick);
        let index = self.connections.0.insert(connection) as u32;
        self.groups[group as usize].open += 1;
        ConnId { index, generation }
    }

    /// Puts a connection on the worklist of this turn, once.
    pub(crate) fn list(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index)
            && !c.flags.has(Flags::LISTED)
        {
            c.flags.set(Flags::LISTED);
            self.owed.push(index);
        }
    }

    /// Notes what an event says.
    pub(crate) fn note(&mut self, token: u64, ready: Ready) {
        self.ledger.events += 1;
        let (index, generation) = (token as u32, (token >> 32) as u32);
        match self.get_mut(index) {
            Some(c) if c.generation == generation && c.phase != Phase::Gone => {
                c.ready = c.ready.and(ready);
                if !c.flags.has(Flags::LISTED) {
                    c.flags.set(Flags::LISTED);
                    self.owed.push(index);
                }
            }
            _ => self.ledger.stale_events += 1,
        }
    }

    pub(crate) fn pause(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index) {
            c.flags.set(Flags::PAUSED);
        }
    }

    pub(crate) fn resume(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index)
            && c.flags.take(Flags::PAUSED)
        {
            c.flags.set(Flags::OWES_KEPT);
            self.list(index);
        }
    }

    pub(crate) fn yield_now(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index) {
            c.flags.set(Flags::YIELDED);
            c.flags.set(Flags::OWES_KEPT);
        }
    }

    pub(crate) fn request_drain(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index) {
            c.flags.set(Flags::WANTS_DRAIN);
            self.list(index);
        }
    }

    pub(crate) fn shutdown(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index) {
            c.flags.set(Flags::SHUTDOWN);
            self.list(index);
        }
    }

    pub(crate) fn close(&mut self, index: u32) {
        let Some(c) = self.get_mut(index) else { return };
        match c.phase {
            Phase::Connecting => self.close_connecting(index),
            Phase::Open => {
                (c.phase, c.reason, c.deadline) = (Phase::Closing, Reason::Closed, 0);
                self.list(index);
            }
            _ => {}
        }
    }

    pub(crate) fn abort(&mut self, index: u32) {
        self.fail(index, Reason::Aborted);
    }

    /// Ends a connection at once, without sending what is queued. The session goes later.
    pub(crate) fn fail(&mut self, index: u32, reason: Reason) {
        if let Some(c) = self.get_mut(index)
            && c.phase < Phase::Dead
        {
            let was = std::mem::replace(&mut c.phase, Phase::Dead);
            c.reason = reason;
            self.list(index);
            if was == Phase::Connecting {
                self.stop_connecting(index);
            }
        }
    }

    /// The same for what a call on the socket said.
    pub(crate) fn fail_with(&mut self, index: u32, error: &io::Error) {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown,
            NetworkUnreachable, NotConnected, TimedOut,
        };
        match error.kind() {
            // The unreachable ones are what ICMP has said by the time Linux gives up sending again.
            ConnectionReset | BrokenPipe | ConnectionAborted | NotConnected | TimedOut
            | HostUnreachable | NetworkUnreachable | NetworkDown => {
                log::debug!("connection lost: {error}");
                self.fail(index, Reason::Reset);
            }
            _ => {
                log::warn!("connection failed: {error}");
                self.fail(index, Reason::Failed);
            }
        }
    }

    /// Drops what waits to be sent and what was kept; buffers go back to the pool.
    pub(crate) fn drop_buffers(&mut self, index: u32) {
        self.drop_meters(index);
        self.stop_saving(index);
        self.lower_mark(index, Mark::Off);
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        if let Some(mut extras) = c.extras.take() {
            extras.clear(&mut self.pool);
            self.spare_extras.extend((self.spare_extras.len() < SPARES).then_some(extras));
        }
        if let Some(mut queue) = c.outbound.take() {
            self.groups[c.group as usize].ledger.dropped += queue.clear(&mut self.pool);
            self.keep_queue(queue);
        }
    }

    /// Keeps an empty queue for the next connection that needs one.
    pub(crate) fn keep_queue(&mut self, queue: Box<Queue>) {
        if self.spare_queues.len() < SPARES {
            self.spare_queues.push(queue);
        }
    }

    /// The extras of a connection; it has them from now on.
    pub(crate) fn extras(&mut self, index: u32) -> Option<&mut Extras> {
        let c = self.connections.0.get_mut(index as usize)?;
        Some(c.extras.get_or_insert_with(|| self.spare_extras.pop().unwrap_or_default()))
    }

    /// Takes back a connection's extras if there is nothing in them.
    pub(crate) fn recycle_extras(&mut self, index: u32) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        if let Some(extras) = c.extras.take_if(|extras| extras.is_empty()) {
            self.spare_extras.extend((self.spare_extras.len() < SPARES).then_some(extras));
        }
    }
}

/// What the selector is told about a connection.
pub(crate) fn token(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::Harness;
    use crate::{Context, Handler, Input};

    struct Silent;

    impl Handler for Silent {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
            input.take();
        }
    }

    /// The kernel goes on reporting a closed socket that a child process has inherited.
    #[test]
    fn an_event_of_an_earlier_connection_does_not_reach_the_one_in_its_place() {
        let mut h = Harness::new(Silent);
        let first = h.open();
        let place = |h: &mut Harness<Silent>| {
            let (index, c) = h.reactor().core.connections.0.iter().next().expect("a connection");
            (index as u32, c.generation)
        };
        let (index, stale) = place(&mut h);
        h.reset(first);
        h.open();
        let (same, generation) = place(&mut h);
        assert!(same == index && generation != stale);

        let core = &mut h.reactor().core;
        core.note(token(index, stale), Ready::READ);
        assert_eq!(core.ledger.stale_events, 1);
        core.note(token(index, generation), Ready::READ);
        assert_eq!(core.ledger.stale_events, 1);
    }
}
