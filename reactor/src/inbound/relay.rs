//! Passing what one connection receives on to another.
//!
//! A relay is one direction: from its *source*, which has [`Strategy::Relay`], to its
//! *destination*, which knows who feeds it. What is received goes to the destination's socket at
//! once, in the buffer into which it was received, or, if it is little, when the other relays of
//! the turn [have received](super::onward). Only what the socket refuses is queued, in that same
//! buffer, and then the source is [held](Held) until the queue is empty. So a relay holds one
//! buffer while it waits, and none otherwise.
//!
//! After a while of bulk that buffer is a pipe, which the bytes go through without entering the
//! process. A splice from a socket says `EAGAIN` for an empty socket and for a full pipe alike, so
//! only an empty pipe is received into.

use std::io;

use super::onward::LITTLE;
use super::{Extras, Held, Strategy};
use crate::core::Core;
use crate::core::connection::{Connection, Flags, Phase};
use crate::core::limits::{Limits, Quantum};
use crate::handler::context::{Context, Peer};
use crate::handler::{ConnId, Reason};
use crate::listen::listener::Group;
use crate::outbound::{Chunk, Placement, write_through};
use crate::sys::{self, Ready};
use crate::turn::reactor::Reactor;

/// So many splices in turn that brought little end the use of pipes: as many as cost together what
/// it costs to earn the pipe again. Bursts of 256 KiB with seven pieces of 64 bytes between them
/// cost 0.71 times as much as through memory, with fifteen 0.88 times and with 31, after half of
/// which the pipe has to be earned again, 1.02 times. If four ended it, seven cost 0.90 times as
/// much as through memory, fifteen 0.93 and 31 0.97 times (bench `inbound`; Linux 6.18, loopback).
const SMALL_SPLICES: u8 = 16;

/// What a source knows of its relay.
pub(crate) struct Relay {
    to: ConnId,
    way: Way,
}

/// How its bytes move.
enum Way {
    /// Through memory, with so many bytes in large pieces one after the other until now.
    Copy { large: usize },
    /// By a pipe, with so many small pieces one after the other until now.
    Splice { small: u8 },
}

impl Relay {
    fn new(to: ConnId, limits: &Limits) -> Relay {
        let mut relay = Relay { to, way: Way::Copy { large: 0 } };
        relay.consider(limits);
        relay
    }

    /// Learns from a receive how to do the next.
    fn received(&mut self, count: usize, limits: &Limits) {
        match &mut self.way {
            Way::Copy { large } if count < limits.splice_least => *large = 0,
            Way::Copy { large } => *large += count,
            Way::Splice { small } if count < limits.splice_least => *small += 1,
            Way::Splice { small } => *small = 0,
        }
        self.consider(limits);
    }

    fn consider(&mut self, limits: &Limits) {
        match self.way {
            Way::Copy { large } if sys::HAS_SPLICE && large >= limits.splice_after => {
                self.way = Way::Splice { small: 0 };
            }
            Way::Splice { small: SMALL_SPLICES.. } => self.copy(),
            _ => {}
        }
    }

    fn copy(&mut self) {
        self.way = Way::Copy { large: 0 };
    }

    fn splices(&self) -> bool {
        matches!(self.way, Way::Splice { .. })
    }
}

impl Context<'_> {
    /// Passes on to another connection what this one receives. See [`Peer::relay_to`].
    pub fn relay_to(&mut self, peer: ConnId) {
        self.this().relay_to(peer);
    }
}

impl Peer<'_> {
    /// Passes on to another connection what this one receives, from now on until its end, without
    /// calling its handler: what a callback leaves unconsumed comes first. It is one direction; in
    /// a proxy each of two connections relays to the other.
    ///
    /// - The destination may still be [in the making](crate::Turn::connect). What is
    ///   [sent](Peer::send) to it otherwise, before or meanwhile, leaves in the order of the calls.
    /// - A destination that takes no more stops the receiving, and nothing is read ahead beyond one
    ///   buffer. That the source's own queue is full does not: the two directions do not wait for
    ///   each other.
    /// - The end of the input is passed on: the destination is [shut down](Peer::shutdown) once all
    ///   was sent, and the relay is over. `on_eof` is not called. When both directions of a
    ///   connection have ended it closes with [`Reason::Finished`], as ever.
    /// - If the source is closed by its handler the destination is [closed](Peer::close) after it,
    ///   and if the destination is closed the source is. If one of them is over in any other way,
    ///   such as a reset, the other is reset, with [`Reason::RelayLost`], unless its handler has
    ///   closed it already; but a source whose destination could not be
    ///   [connected](crate::Turn::connect) is closed. What had arrived before a reset goes to the
    ///   destination's socket before it, at the pace of the destination.
    /// - [`pause`](Peer::pause) on the source holds the relay; on the destination it does not
    ///   matter. A destination that its handler has closed or shut down takes no more, so the
    ///   source waits for its end.
    /// - Deadlines are those of each connection. What leaves the destination counts as activity of
    ///   the source.
    /// - Another call changes the destination. A destination has one source: the earlier one's
    ///   input goes to its handler again. So it does if the source is
    ///   [handed over](Context::hand_over).
    ///
    /// To relay to itself is to echo. If the destination is gone, or is closing, the source is
    /// closed.
    pub fn relay_to(&mut self, peer: ConnId) {
        if let Some(index) = self.index {
            self.core.relay_to(index, peer);
        }
    }
}

/// Whether a destination takes something now.
enum Room {
    /// This one does.
    Now(u32),
    /// It will, or will end.
    Later,
    /// There is none.
    Gone,
}

impl Core {
    fn relay_to(&mut self, index: u32, to: ConnId) {
        let Some(c) = self.get(index).filter(|c| c.phase <= Phase::Open) else { return };
        let me = ConnId { index, generation: c.generation };
        let relay = Relay::new(to, self.limits(c.group));
        self.set_strategy(index, Strategy::Relay(relay));
        if self.find(to).is_none_or(|c| c.phase > Phase::Open) {
            return;
        }
        if let Some(earlier) = self.fed_by(to.index) {
            self.stop_relaying(earlier.index);
            self.resume_handler(earlier.index);
        }
        if let Some(extras) = self.extras(to.index) {
            extras.feeder = Some(me);
        }
    }

    /// Who relays to a connection.
    pub(crate) fn fed_by(&self, index: u32) -> Option<ConnId> {
        self.get(index)?.extras.as_ref()?.feeder
    }

    /// To whom a connection relays: nobody, if that one is gone.
    fn destination(&self, index: u32) -> Option<(ConnId, &Connection)> {
        let c = self.get(index)?;
        let me = ConnId { index, generation: c.generation };
        let Strategy::Relay(Relay { to, .. }) = c.extras.as_ref()?.strategy else { return None };
        let c =
            self.find(to).filter(|c| c.extras.as_ref().is_some_and(|e| e.feeder == Some(me)))?;
        Some((to, c))
    }

    /// Ends a source's relay, if there is one: its input goes to the handler.
    pub(crate) fn stop_relaying(&mut self, index: u32) {
        if let Some((to, _)) = self.destination(index) {
            self.forget_source(to.index);
        }
        if let Some(extras) = self.get_mut(index).and_then(|c| c.extras.as_mut())
            && matches!(extras.strategy, Strategy::Relay(_))
        {
            extras.strategy = Strategy::Stream;
            extras.held.clear(Held::DESTINATION);
            self.recycle_extras(index);
        }
    }

    /// Lets others than the source fill a destination's queue, if it is not full.
    fn forget_source(&mut self, index: u32) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let limits = &self.groups[c.group as usize].limits;
        if c.outbound.as_ref().is_some_and(|queue| queue.is_full(limits)) {
            c.flags.set(Flags::FULL);
        }
        if let Some(extras) = &mut c.extras {
            extras.feeder = None;
        }
        self.recycle_extras(index);
    }

    fn resume_handler(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index) {
            c.flags.set(Flags::OWES_KEPT);
            self.list(index);
        }
    }

    /// Whether a source is held although its destination takes something now.
    #[cfg(feature = "testing")]
    pub(crate) fn is_held_in_vain(&self, c: &Connection) -> bool {
        let Some(Extras { held, strategy: Strategy::Relay(relay), .. }) = c.extras.as_deref()
        else {
            return false;
        };
        let takes = |to: &Connection| {
            to.phase <= Phase::Open && to.outbound.is_none() && !to.flags.has(Flags::SHUTDOWN)
        };
        c.is_open() && held.has(Held::DESTINATION) && self.find(relay.to).is_none_or(takes)
    }

    /// Whether the destination of a source takes something now. What it has queued leaves before,
    /// as far as it can.
    fn room(&mut self, index: u32) -> Room {
        let Some((ConnId { index: to, .. }, c)) = self.destination(index) else {
            return Room::Gone;
        };
        let takes = |c: &Connection| {
            c.outbound.is_none() && c.phase <= Phase::Open && !c.flags.has(Flags::SHUTDOWN)
        };
        if takes(c) {
            return Room::Now(to);
        }
        self.send_onward();
        self.flush_now(to);
        if self.get(to).is_some_and(takes) { Room::Now(to) } else { Room::Later }
    }

    /// Receives once from a source and passes that on; how many bytes it was. Few are with the
    /// destination after [`send_onward`](Core::send_onward) only.
    fn receive_for(&mut self, index: u32, to: u32) -> usize {
        if self.onward.is_long() {
            self.send_onward();
        }
        let Some(c) = self.connections.0.get_mut(index as usize) else { return 0 };
        let most = c.receivable(usize::MAX);
        let Some(relay) = c.extras.as_mut().and_then(|extras| extras.relay()) else { return 0 };
        // A splice does not get past urgent data.
        if relay.splices() && !c.ready.any(Ready::URGENT) {
            return self.splice_to(index, to);
        }
        let spare = self.onward.spare(&mut self.pool);
        let room = spare.len().min(most);
        let Group { limits, ledger, .. } = &mut self.groups[c.group as usize];
        ledger.recv_calls += 1;
        match self.kernel.recv(c.socket, &mut spare[..room]) {
            Ok(count) if count > 0 => {
                relay.received(count, limits);
                c.note_received(count, room, self.tick, ledger);
                self.received_for(to, count);
                count
            }
            other => {
                self.note_nothing(index, other.err());
                0
            }
        }
    }

    #[inline(never)]
    fn splice_to(&mut self, index: u32, to: u32) -> usize {
        self.send_onward();
        let Some(c) = self.get(index) else { return 0 };
        let (socket, most) = (c.socket, c.receivable(usize::MAX));
        let pipe = match self.pool.pipes.take(&self.kernel) {
            Ok(pipe) => pipe,
            Err(error) => {
                self.do_without_pipe(index, &error);
                return 0;
            }
        };
        let result = self.kernel.splice(socket, pipe.write, pipe.size.min(most));
        // Fewer bytes than fit need not be all there are: their pieces may have filled the pipe.
        let asked = *result.as_ref().unwrap_or(&0);
        let Some(count) = self.note_received(index, asked, result) else {
            self.pool.pipes.give(pipe, 0);
            return 0;
        };
        let Some(c) = self.connections.0.get_mut(index as usize) else { return 0 };
        if let Some(relay) = c.extras.as_mut().and_then(|extras| extras.relay()) {
            relay.received(count, &self.groups[c.group as usize].limits);
        }
        if let Some(ledger) = self.ledger_of(to) {
            ledger.queued += count as u64;
            ledger.relayed += count as u64;
        }
        self.append(to, |queue, _| {
            queue.push_pipe(pipe, count);
            0
        });
        self.flush_now(to);
        count
    }

    fn do_without_pipe(&mut self, index: u32, error: &io::Error) {
        log::debug!("no pipe for a relay: {error}");
        if let Some(ledger) = self.ledger_of(index) {
            ledger.no_pipe += 1;
        }
        let extras = self.get_mut(index).and_then(|c| c.extras.as_mut());
        if let Some(relay) = extras.and_then(|extras| extras.relay()) {
            relay.copy();
        }
    }

    /// Sends what a connection has queued, as far as its quantum goes.
    #[inline(never)]
    fn flush_now(&mut self, index: u32) {
        let Some(c) = self.get(index).filter(|c| c.can_send()) else { return };
        let mut quantum = Quantum::to_send(self.limits(c.group));
        self.flush(index, &mut quantum);
        if self.get(index).is_some_and(Connection::can_send) {
            self.list(index);
        }
    }

    /// Sends a chunk to a connection that has nothing queued; what its socket refuses waits there.
    pub(super) fn pass_on(&mut self, to: u32, mut chunk: Chunk) {
        match self.write_onward(to, chunk.bytes()) {
            Some(sent) if sent < chunk.len() => {
                chunk.advance(sent);
                self.pass_on_later(to, chunk);
            }
            _ => self.pool.give(chunk),
        }
    }

    /// Sends bytes to a connection that has nothing queued. Says how many its socket took, unless
    /// there is nobody to whom the rest could go.
    pub(super) fn write_onward(&mut self, to: u32, bytes: &[u8]) -> Option<usize> {
        let c = self.connections.0.get_mut(to as usize)?;
        let group = &mut self.groups[c.group as usize];
        group.ledger.queued += bytes.len() as u64;
        group.ledger.relayed += bytes.len() as u64;
        if !c.is_open() || !c.ready.any(Ready::WRITE) {
            return Some(0);
        }
        write_through(&self.kernel, self.tick, c, group, bytes)
            .inspect_err(|error| self.fail_with(to, error))
            .ok()
    }

    #[cold]
    fn pass_on_later(&mut self, to: u32, chunk: Chunk) {
        if chunk.len() <= LITTLE {
            let few = chunk.bytes().into();
            self.append(to, |queue, pool| queue.push(few, Placement::Join, pool));
            self.pool.give(chunk);
        } else {
            self.append(to, |queue, _| {
                queue.push_chunk(chunk);
                0
            });
        }
    }

    /// A destination has sent something: its source is not idle, and may go on when all has left.
    pub(crate) fn passed_on(&mut self, index: u32) {
        let Some(c) = self.get(index) else { return };
        let emptied = c.outbound.is_none();
        let Some(source) = self.fed_by(index) else { return };
        let tick = self.tick;
        let Some(c) = self.get_mut(source.index) else { return };
        c.active = tick;
        if emptied && c.extras.as_mut().is_some_and(|extras| extras.held.take(Held::DESTINATION)) {
            self.list(source.index);
        }
    }

    /// A connection is over: tells those whose input or output it was.
    pub(crate) fn end_relays(&mut self, index: u32) {
        let Some(c) = self.get(index).filter(|c| c.extras.is_some()) else { return };
        let why = c.reason;
        // One that is over at the same time stays fed, and so is cut off.
        let to = self.destination(index).filter(|(_, c)| c.phase < Phase::Dead);
        if let Some((to, _)) = to {
            self.stop_relaying(index);
            self.end_with(to.index, why);
        }
        if let Some(source) = self.fed_by(index) {
            self.end_with(source.index, why);
        }
    }

    /// Ends a connection because another has ended to or from which it relayed.
    fn end_with(&mut self, index: u32, why: Reason) {
        match why {
            Reason::Closed | Reason::Finished | Reason::Unconnected(_) => self.close(index),
            // Its handler has closed it already, and it ends in order.
            _ if self.get(index).is_some_and(|c| c.phase == Phase::Closing) => {}
            _ => self.fail(index, Reason::RelayLost),
        }
    }
}

impl Reactor {
    /// One step of a relay. Says whether there may be another.
    pub(crate) fn step_relay(&mut self, index: u32, input: &mut Quantum) -> bool {
        let owed = Flags::OWES_KEPT.and(Flags::OWES_EOF);
        let due = |c: &Connection| c.can_receive() || c.flags.has(owed);
        if !self.core.get(index).is_some_and(due) {
            return false;
        }
        let received = self.core.pass_input(index);
        self.core.send_onward();
        input.bytes = input.bytes.saturating_sub(received.unwrap_or(0));
        received.is_some()
    }
}

impl Core {
    /// Passes on what is due: what was kept, what a receive brings, or the end. Says how many bytes
    /// it received, unless the destination takes none.
    pub(crate) fn pass_input(&mut self, index: u32) -> Option<usize> {
        let to = match self.room(index) {
            Room::Now(to) => to,
            Room::Later => {
                self.extras(index)?.held.set(Held::DESTINATION);
                return None;
            }
            Room::Gone => {
                self.close(index);
                return None;
            }
        };
        let c = self.connections.0.get_mut(index as usize)?;
        if !c.flags.has(Flags::OWES_KEPT.and(Flags::OWES_EOF)) {
            return Some(self.receive_for(index, to));
        }
        if c.flags.take(Flags::OWES_KEPT) {
            if let Some(Extras { kept, .. }) = c.extras.as_deref_mut()
                && kept.len() > 0
            {
                let chunk = kept.take();
                self.pass_on(to, chunk);
            }
        } else {
            c.flags.clear(Flags::OWES_EOF);
            self.stop_relaying(index);
            self.shutdown(to);
        }
        Some(0)
    }
}
