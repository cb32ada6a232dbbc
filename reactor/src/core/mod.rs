//! The data that all other modules work on: the connections, what they share, and the worklists.
//!
//! Nothing here calls a handler or touches a socket's bytes; observers and transports are called.
//! Work still to do is recorded as a bit in the connection and an entry on a worklist; the
//! [turn](crate::turn) acts on them.

use std::cell::OnceCell;
use std::io;

use slab::Slab;

use crate::sys::{AlignedBuffer, Fd, Kernel, Ready, Selector};

mod batches;
mod budget;
mod clock;
mod connect;
mod connection;
mod describe;
mod endpoints;
mod exact;
mod flags;
mod group;
mod held;
mod histogram;
mod id;
mod index;
mod ledger;
mod lifecycle;
mod limits;
mod meter;
mod observer;
mod per_address;
mod pipe;
mod pool;
mod queue;
mod queued_region;
mod relay;
mod requests;
mod special;
mod target;
mod throttle;
mod tick;
pub(crate) mod transport;
mod type_name;
pub mod wheel;

pub(crate) use batches::Batches;
#[cfg(all(test, feature = "testing"))]
pub(crate) use batches::{MOST_HELD, SPARE_BATCHES};
pub(crate) use budget::{Budget, choose_victims};
pub(crate) use connect::Attempt;
pub use connect::Connect;
pub(crate) use connection::{Connection, NO_SESSION, Phase, is_passing};
pub use endpoints::Endpoints;
pub(crate) use exact::{Exact, LowWater};
pub(crate) use flags::Flags;
pub(crate) use group::Group;
pub use histogram::Histogram;
pub use id::{ConnId, HandlerId, Reason, Sent, Timeout};
pub use ledger::Ledger;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use limits::Quantum;
pub use limits::{ColdFiles, Limits};
pub(crate) use meter::{Bucket, Meter};
pub use observer::{Observed, Observer};
pub(crate) use per_address::PerAddress;
pub(crate) use pipe::Pipe;
pub(crate) use pool::{Chunk, MOVED_UNREAD, Pool, Spares};
pub(crate) use queue::{Queue, Segment};
pub(crate) use queued_region::QueuedRegion;
pub use queued_region::Residency;
pub(crate) use relay::Relay;
pub(crate) use special::{Special, Strategy};
pub use target::Target;
pub(crate) use target::in_order;
pub(crate) use throttle::Throttle;
pub(crate) use tick::{TICK, is_due, nanos, tick_after, tick_of, ticks};
pub(crate) use type_name::type_name;

use wheel::{Link, Links, Wheel};

/// Most groups of a reactor, in its lifetime: a [`Connection`] has 16 bits for its group.
const MOST_GROUPS: usize = 1 << 16;

/// The maximum number of connections that wait for the end of the turn with what others have sent
/// on them. Without a limit, an event for thousands of connections would fill as many buffers
/// before the first one is sent, and they would not stay in the processor's cache
/// (benches/README.md).
pub(crate) const MOST_UNFLUSHED: usize = 64;

/// Size of the buffer that bytes are received into before a transport opens them.
pub(crate) const WIRE: usize = 256 << 10;

/// Size of the buffer for file bytes where sendfile is not used (benches/README.md).
pub(crate) const SCRATCH: usize = 64 << 10;

pub(crate) struct Core {
    pub(crate) kernel: Kernel,
    pub(crate) selector: Selector,
    pub(crate) connections: Slab<Connection>,
    pub(crate) groups: Vec<Group>,
    /// The deadlines of connections.
    pub(crate) wheel: Wheel,
    /// The monotonic clock in nanoseconds, read once per turn.
    pub(crate) now: u64,
    /// `now` in ticks.
    pub(crate) tick: u32,
    /// Seconds since 1970, if they were asked for since the clock was last read.
    unix_time: OnceCell<u64>,
    /// What the connection that is running may still receive in this turn. `run_connection` sets
    /// it; only what that calls may receive. A handshake uses it, too.
    pub(crate) receive_quantum: Quantum,
    /// The worklist of this turn: connections with something to do. The flag `SCHEDULED` keeps each
    /// from being added again until it has run.
    pub(crate) owed: Vec<u32>,
    /// Connections that have used up their quantum and continue in the next turn.
    pub(crate) later: Vec<u32>,
    /// Connections whose wait for their rate is over.
    pub(crate) due_rates: Vec<u32>,
    /// Idle connections that listeners have chosen to make room for others.
    pub(crate) shed: Vec<u32>,
    /// Closed connections, whose slots are freed at the end of the turn.
    pub(crate) gone: Vec<u32>,
    /// Work for other threads that has not been handed over yet.
    pub(crate) jobs: Vec<Job>,
    /// Files for a worker to close.
    pub(crate) closing: std::rc::Rc<crate::fs::Closing>,
    /// Names whose addresses connections wait for, not handed over yet either.
    pub(crate) lookups: Vec<(ConnId, Box<str>)>,
    /// Reads of files for queues that wait for a disk.
    pub(crate) cold: ColdReads,
    /// Buffers whose bytes workers write to files.
    pub(crate) batches: Batches,
    pub(crate) pool: Pool,
    /// The buffer that the bytes of transports are received into. Until one is used, neither this
    /// buffer nor the next one takes memory.
    pub(crate) wire: AlignedBuffer,
    /// The buffer for file bytes that pass through memory.
    pub(crate) scratch: AlignedBuffer,
    /// Connections that callbacks of others, or relays, have sent to, and whose queues are not
    /// flushed yet.
    pub(crate) unflushed: Vec<u32>,
    pub(crate) spare_queues: Spares<Queue>,
    spare_specials: Spares<Special>,
    next_generation: u32,
    /// Counts what belongs to no connection; the rest is counted in the groups.
    pub(crate) ledger: Ledger,
    /// How long turns take, if that is measured.
    pub(crate) turn_times: Option<Box<Histogram>>,
    pub(crate) observer: Option<Box<dyn Observer>>,
    /// From how many nanoseconds on a callback is slow, if slow callbacks are logged.
    pub(crate) slow_after: Option<u64>,
    /// If the memory of connections is limited.
    pub(crate) budget: Option<Box<Budget>>,
    pub(crate) lifecycle: Lifecycle,
}

/// Reads of files that are not in memory, see [`outbound`](crate::outbound#cold-files).
#[derive(Default)]
pub(crate) struct ColdReads {
    /// How many reads workers are doing.
    pub(crate) running: usize,
    /// The connections to read for next, each with the number of bytes.
    pub(crate) waiting: std::collections::VecDeque<(ConnId, usize)>,
}

impl Links for Slab<Connection> {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self[index as usize].link
    }
}

/// Work for another thread. It receives an error if no thread could be started, and returns what
/// the reactor's thread does afterwards.
pub(crate) type Job = Box<dyn FnOnce(io::Result<&Kernel>) -> Then + Send>;

/// The action of the reactor's thread after a job.
pub(crate) type Then = Box<dyn FnOnce(&mut Core) + Send>;

/// The token with which a connection is registered at the selector.
pub(crate) fn token(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

impl Core {
    pub(crate) fn new(kernel: Kernel, selector: Selector) -> Core {
        let now = kernel.monotonic();
        Core {
            kernel,
            selector,
            connections: Slab::new(),
            groups: Vec::new(),
            wheel: Wheel::new(tick_of(now)),
            now,
            tick: tick_of(now),
            unix_time: OnceCell::new(),
            receive_quantum: Quantum::default(),
            owed: Vec::new(),
            later: Vec::new(),
            due_rates: Vec::new(),
            shed: Vec::new(),
            gone: Vec::new(),
            jobs: Vec::new(),
            closing: Default::default(),
            lookups: Vec::new(),
            cold: ColdReads::default(),
            batches: Batches::default(),
            pool: Pool::default(),
            wire: AlignedBuffer::new(WIRE),
            scratch: AlignedBuffer::new(SCRATCH),
            unflushed: Vec::with_capacity(MOST_UNFLUSHED),
            spare_queues: Spares::default(),
            spare_specials: Spares::default(),
            next_generation: 1,
            ledger: Ledger::default(),
            turn_times: None,
            observer: None,
            slow_after: None,
            budget: None,
            lifecycle: Lifecycle::Running,
        }
    }

    /// Whether the reactor drains, or has stopped.
    pub(crate) fn is_draining(&self) -> bool {
        self.lifecycle > Lifecycle::Asked
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.lifecycle == Lifecycle::Stopped
    }

    /// The connection at an index that may be of an earlier turn.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&Connection> {
        self.connections.get(index as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Connection> {
        self.connections.get_mut(index as usize)
    }

    /// The indexes of all connections.
    pub(crate) fn indexes(&self) -> Vec<u32> {
        self.connections.iter().map(|(index, _)| index as u32).collect()
    }

    /// A connection and its group.
    #[inline]
    pub(crate) fn pair(&mut self, index: u32) -> (&mut Connection, &mut Group) {
        let c = &mut self.connections[index as usize];
        let group = &mut self.groups[c.group as usize];
        (c, group)
    }

    /// The connection that `id` names, unless it has ended.
    pub(crate) fn find(&self, id: ConnId) -> Option<&Connection> {
        self.get(id.index).filter(|c| c.generation == id.generation && c.phase < Phase::Lingering)
    }

    /// The id of the connection at an index.
    pub(crate) fn id(&self, index: u32) -> ConnId {
        ConnId { index, generation: self[index].generation }
    }

    pub(crate) fn limits(&self, group: u16) -> &Limits {
        &self.groups[group as usize].limits
    }

    /// The counters of a connection's group.
    pub(crate) fn ledger_of(&mut self, index: u32) -> &mut Ledger {
        &mut self.pair(index).1.ledger
    }

    /// The sum of the counters of all groups and of the reactor.
    pub(crate) fn total(&self) -> Ledger {
        let mut total = self.ledger.clone();
        self.groups.iter().for_each(|group| total += &group.ledger);
        total
    }

    /// Adds a group of connections.
    ///
    /// # Errors
    /// `ErrorKind::QuotaExceeded` if there have been 65,536 groups: none is used again.
    pub(crate) fn add_group(&mut self, group: Group) -> io::Result<u16> {
        if self.groups.len() == MOST_GROUPS {
            let text = "a reactor has at most 65,536 listeners, connectors and sets of limits in \
                        its lifetime, closed ones included";
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        self.groups.push(group);
        Ok((self.groups.len() - 1) as u16)
    }

    /// Registers a connected socket and gives it a slot. Does not arm its deadlines.
    pub(crate) fn register(
        &mut self,
        socket: Fd,
        group: u16,
        handler: u8,
        flags: Flags,
    ) -> io::Result<ConnId> {
        let index = self.connections.vacant_key() as u32;
        self.selector.add(socket, token(index, self.next_generation))?;
        let id = self.insert(socket, group, handler);
        self[index].flags.set(flags);
        Ok(id)
    }

    /// Gives a connection a slot and an id.
    pub(crate) fn insert(&mut self, socket: Fd, group: u16, handler: u8) -> ConnId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let connection = Connection::new(socket, generation, group, handler, self.tick);
        let index = self.connections.insert(connection) as u32;
        self.groups[group as usize].enter();
        ConnId { index, generation }
    }

    /// Puts a connection on the worklist of this turn, once.
    #[inline]
    pub(crate) fn schedule(&mut self, index: u32) {
        let c = &mut self.connections[index as usize];
        if !c.flags.any(Flags::SCHEDULED) {
            c.flags.set(Flags::SCHEDULED);
            self.owed.push(index);
        }
    }

    /// Records the readiness that an event reports.
    #[inline]
    pub(crate) fn note_event(&mut self, token: u64, ready: Ready) {
        self.ledger.events += 1;
        let (index, generation) = (token as u32, (token >> 32) as u32);
        match self.get_mut(index) {
            Some(c) if c.generation == generation && c.phase != Phase::Gone => {
                c.ready = c.ready.union(ready);
                self.schedule(index);
            }
            _ => self.ledger.stale_events += 1,
        }
    }

    /// Runs `job` in another thread, and then `then` with its result in the reactor's thread. If no
    /// thread can be started, the job receives that error instead of the kernel.
    pub(crate) fn push_job<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(io::Result<&Kernel>) -> T + Send + 'static,
        then: impl FnOnce(&mut Core, T) + Send + 'static,
    ) {
        #[cfg(feature = "testing")]
        if let Kernel::Sim(_) = &self.kernel {
            // In the simulated kernel a worker cannot keep a descriptor open after its owner is
            // gone. So the job runs now, and only its result is delivered later.
            let result = job(Ok(&self.kernel));
            self.jobs.push(Box::new(move |_| Box::new(move |core| then(core, result))));
            return;
        }
        self.jobs.push(Box::new(move |kernel| {
            let result = job(kernel);
            Box::new(move |core| then(core, result))
        }));
    }

    /// The [`Special`] state of a connection, created if it has none.
    pub(crate) fn special(&mut self, index: u32) -> &mut Special {
        let c = &mut self.connections[index as usize];
        c.special.get_or_insert_with(|| self.spare_specials.take())
    }

    /// Recycles the [`Special`] state of a connection if it is empty.
    pub(crate) fn recycle_special(&mut self, index: u32) {
        let c = &mut self.connections[index as usize];
        if let Some(special) = c.special.take_if(|special| special.is_empty()) {
            self.spare_specials.give(special);
        }
    }

    /// Drops the queued output.
    pub(crate) fn drop_queue(&mut self, index: u32) {
        let c = &mut self.connections[index as usize];
        if let Some(mut queue) = c.outbound.take() {
            let dropped = queue.clear(&mut self.pool);
            self.groups[c.group as usize].ledger.dropped += dropped;
            queue.shrink();
            self.spare_queues.give(queue);
        }
    }

    /// Drops the queued output and the unread input. Buffers go back to the pool.
    pub(crate) fn drop_buffers(&mut self, index: u32) {
        self.drop_queue(index);
        let c = &mut self.connections[index as usize];
        if let Some(mut special) = c.special.take() {
            let Special { unread, layer, .. } = std::mem::take(&mut *special);
            self.pool.give(unread);
            if let Some(layer) = layer {
                let group = &mut self.groups[c.group as usize];
                group.handshaking -= u32::from(layer.handshaking);
                group.ledger.handshake_failures += u64::from(layer.handshaking);
                for chunk in [layer.incoming, layer.plain, layer.outgoing] {
                    self.pool.give(chunk);
                }
            }
            self.spare_specials.give(special);
        }
    }
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

    /// The kernel goes on reporting events of a closed socket that a child process has inherited.
    #[test]
    fn an_event_of_an_earlier_connection_does_not_reach_the_one_in_its_place() {
        let mut h = Harness::new(Silent);
        let first = h.open();
        let place = |h: &mut Harness<Silent>| {
            let (index, c) = h.reactor().turn.core.connections.iter().next().expect("a connection");
            (index as u32, c.generation)
        };
        let (index, stale) = place(&mut h);
        h.reset(first);
        h.open();
        let (same, generation) = place(&mut h);
        assert!(same == index && generation != stale);

        let core = &mut h.reactor().turn.core;
        core.note_event(token(index, stale), Ready::READ);
        assert_eq!(core.ledger.stale_events, 1);
        core.note_event(token(index, generation), Ready::READ);
        assert_eq!(core.ledger.stale_events, 1);
    }
}
