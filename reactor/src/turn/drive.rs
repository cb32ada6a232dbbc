//! Moving one connection forward: write, call what is owed, read, and end what is over.

use std::io::{self, ErrorKind};

use crate::core::Core;
use crate::core::connection::{Connection, Flags, Phase};
use crate::core::limits::Quantum;
use crate::handler::{ConnId, Reason, Timeout};
use crate::inbound::{Kept, Strategy};
use crate::listen::listener::Group;
use crate::sys::{NO_FD, Ready};
use crate::time::rates::Direction;
use crate::turn::reactor::Reactor;

impl Reactor {
    /// Does what a connection has to do, within its quantum.
    pub(crate) fn drive(&mut self, index: u32) {
        let core = &mut self.core;
        let c = core.connections.0.get_mut(index as usize).filter(|c| c.phase != Phase::Gone);
        let Some(c) = c else { return };
        c.flags.set(Flags::LISTED);
        c.flags.clear(Flags::YIELDED);
        let group = &core.groups[c.group as usize];
        let mut begun = None;
        if c.just_receives(&group.limits) && !group.is_rated(c) {
            begun = Some(self.step_as_a_rule(index));
            if let Some(c) = self.core.get_mut(index).filter(|c| c.is_at_rest()) {
                return c.flags.clear(Flags::LISTED);
            }
        }
        self.drive_on(index, begun);
    }

    /// A receive and a callback for what it brings, or its relay, where nothing else is due: what
    /// nearly every event of most servers leads to. It is what [`step`](Reactor::step) and a flush
    /// do then, with one look instead of many. Says how many bytes it received.
    fn step_as_a_rule(&mut self, index: u32) -> usize {
        let core = &mut self.core;
        let Some(c) = core.connections.0.get_mut(index as usize) else { return 0 };
        if c.extras.as_ref().is_some_and(|extras| extras.relays()) {
            return core.pass_input(index).unwrap_or(0);
        }
        if !core.onward.is_empty() {
            core.send_onward();
            // Some of it may have been for this one, whose socket did not take it.
            if !core.get(index).is_some_and(|c| c.just_receives(core.limits(c.group))) {
                return 0;
            }
        }
        let Some(c) = core.connections.0.get_mut(index as usize) else { return 0 };
        let Group { limits, ledger, .. } = &mut core.groups[c.group as usize];
        c.flags.clear(Flags::WROTE);
        ledger.recv_calls += 1;
        match core.kernel.recv(c.socket, &mut self.receive) {
            Ok(count) if count > 0 => {
                c.note_received(count, self.receive.len(), core.tick, ledger);
                core.stage.begin(index, limits);
                self.deliver(index, count);
                self.core.end_stage(index);
                count
            }
            other => {
                core.note_nothing(index, other.err());
                0
            }
        }
    }

    /// The rest, or all of it. If it was begun it has received so many bytes.
    #[inline(never)]
    fn drive_on(&mut self, index: u32, begun: Option<usize>) {
        self.core.send_onward();
        let Some(c) = self.core.get(index) else { return };
        let (group, phase, queued) = (c.group, c.phase, c.outbound.is_some());
        if phase == Phase::Connecting {
            self.drive_connecting(index);
        }
        let limits = self.core.limits(group);
        let (mut input, mut output) = (Quantum::to_receive(limits), Quantum::to_send(limits));
        input.metered = self.core.is_rated(index);
        if let Some(received) = begun {
            input.calls -= 1;
            input.bytes = input.bytes.saturating_sub(received);
            self.core.flush(index, &mut output);
        } else if queued {
            let mut before = Quantum::to_send(limits);
            self.core.flush(index, &mut before);
        }
        while !output.is_used_up() && self.step(index, &mut input) {
            self.core.flush(index, &mut output);
        }
        if self.core.draining && self.tell_of_stop(index) {
            self.core.flush(index, &mut output);
        }
        if input.metered {
            self.core.settle_rate(index, Direction::Receive);
        }
        if self.core.get(index).is_some_and(Connection::is_ending) {
            self.settle(index);
        }
        if let Some(c) = self.core.get_mut(index) {
            c.flags.clear(Flags::LISTED);
            if c.is_owed() {
                c.flags.set(Flags::LISTED);
                self.core.later.push(index);
            }
        }
    }

    /// One callback, if one is due. Says whether there may be another.
    fn step(&mut self, index: u32, input: &mut Quantum) -> bool {
        if input.metered {
            self.core.meter_input(index, input);
        }
        let Some(c) = self.core.get_mut(index) else { return false };
        if !c.is_open() {
            return false;
        }
        if input.is_used_up() || c.flags.has(Flags::YIELDED) {
            let (owed, yielded) = (u64::from(c.is_owed()), c.flags.has(Flags::YIELDED));
            let group = c.group;
            let ledger = &mut self.core.groups[group as usize].ledger;
            *if yielded { &mut ledger.yields } else { &mut ledger.recv_budget_stops } += owed;
            return false;
        }
        input.calls -= 1;
        c.flags.clear(Flags::WROTE);
        if c.flags.take(Flags::OWES_READY) {
            self.call(index, |handler, core, slot| handler.ready(core, index, slot));
        } else if c.owes_drain() {
            c.drained();
            self.call(index, |handler, core, slot| handler.drain(core, index, slot));
        } else if !c.wants_input() {
            return false;
        } else if c.has_strategy() {
            return self.step_strategy(index, input);
        } else if c.flags.take(Flags::OWES_KEPT) {
            self.deliver_kept(index);
        } else if c.flags.take(Flags::OWES_EOF) {
            self.call(index, |handler, core, slot| handler.eof(core, index, slot));
        } else if c.can_receive() {
            if let Some(count) = self.receive(index, usize::MAX) {
                input.bytes = input.bytes.saturating_sub(count);
                self.deliver(index, count);
            }
        } else {
            return false;
        }
        true
    }

    /// Calls `on_stop` if that is owed. It is the last callback of a turn, so that what had arrived
    /// was delivered; but it comes in that turn, whatever else there is to do.
    fn tell_of_stop(&mut self, index: u32) -> bool {
        let Some(c) = self.core.get_mut(index) else { return false };
        let ready = c.is_open() && !c.flags.has(Flags::OWES_READY);
        let tell = ready && c.flags.take(Flags::OWES_STOP);
        if tell {
            c.flags.clear(Flags::WROTE);
            self.call(index, |handler, core, slot| handler.stop(core, index, slot));
        }
        tell
    }

    /// One step of a connection whose input does not go to its handler as it comes. Says whether
    /// there may be another.
    fn step_strategy(&mut self, index: u32, input: &mut Quantum) -> bool {
        let extras = self.core.get(index).and_then(|c| c.extras.as_ref());
        match extras.map(|extras| &extras.strategy) {
            Some(Strategy::Exact(_)) => self.step_exact(index, input),
            Some(Strategy::Relay(_)) => self.step_relay(index, input),
            Some(Strategy::File(_)) => self.step_file(index, input),
            Some(Strategy::Discard(_)) => self.step_discard(index, input),
            Some(Strategy::Stream) | None => false,
        }
    }

    /// One `recv` of up to `most` bytes: behind what was kept, or into the shared buffer. Says how
    /// many bytes there are to deliver from that; `None` if it brought nothing.
    pub(crate) fn receive(&mut self, index: u32, most: usize) -> Option<usize> {
        let core = &mut self.core;
        let c = core.connections.0.get_mut(index as usize)?;
        let limits = &core.groups[c.group as usize].limits;
        let (into, front, most) = match c.extras.as_deref_mut() {
            None => (&mut self.receive[..], 0, most),
            Some(extras) => {
                let most = extras.receivable(if extras.brief { most.min(BRIEF) } else { most });
                match &mut extras.kept {
                    kept if kept.len() == 0 => (&mut self.receive[..], 0, most),
                    kept if kept.is_small() => (&mut self.receive[kept.len()..], kept.len(), most),
                    kept => (kept.room(&mut core.pool), 0, most),
                }
            }
        };
        // With an empty queue the whole buffer: at worst one receive more than the mark is queued.
        let pending = c.outbound.as_ref().map_or(0, |queue| queue.memory());
        let room = if pending == 0 { into.len() } else { limits.send_high.saturating_sub(pending) };
        let into_len = into.len().min(most).min(room.max(1));
        let result = core.kernel.recv(c.socket, &mut into[..into_len]);
        let count = core.note_received(index, into_len, result)?;
        let c = core.connections.0.get_mut(index as usize)?;
        if let Some(extras) = &mut c.extras {
            extras.brief = false;
            if front > 0 {
                self.receive[..front].copy_from_slice(extras.kept.bytes());
                extras.kept.clear(&mut core.pool);
                core.recycle_extras(index);
            } else if extras.kept.len() > 0 {
                extras.kept.received(count);
            }
        }
        Some(front + count)
    }

    /// Does what follows from the phase: shuts down, ends the session, lingers, closes.
    fn settle(&mut self, index: u32) {
        let Some(c) = self.core.get_mut(index) else { return };
        let flushed = c.outbound.is_none();
        match c.phase {
            Phase::Open if flushed && c.flags.has(Flags::SHUTDOWN) => {
                self.core.shut(index);
                if let Some(c) = self.core.get_mut(index)
                    && c.flags.has(Flags::END_READ)
                    && !c.flags.has(Flags::OWES_EOF)
                    && c.is_open()
                {
                    self.core.fail(index, Reason::Finished);
                }
            }
            Phase::Closing if flushed => c.phase = Phase::Dead,
            _ => {}
        }
        match self.core.get(index).map(|c| c.phase) {
            Some(Phase::Dead) => self.end(index),
            Some(Phase::Lingering) => self.linger(index),
            _ => {}
        }
    }

    /// Ends a session, then the connection: at once, or after the peer had time to end its side.
    fn end(&mut self, index: u32) {
        let fed = self.core.fed_by(index).is_some();
        let cut = fed || self.core.get(index).is_some_and(|c| c.outbound.is_some());
        self.core.end_relays(index);
        self.core.drop_buffers(index);
        if self.core.get(index).is_some_and(|c| !c.flags.has(Flags::SESSION)) {
            // It was given up in the turn that asked for it.
            self.store_session(index);
        }
        let Some(c) = self.core.get_mut(index) else { return };
        let (id, slot, why) = (ConnId { index, generation: c.generation }, c.slot, c.reason);
        if c.flags.take(Flags::SESSION) {
            self.call(index, |handler, core, _| handler.close(core, id, slot, why));
        }
        let Some(c) = self.core.get_mut(index) else { return };
        match c.reason {
            _ if c.socket == NO_FD => self.core.close_socket(index),
            Reason::Closed | Reason::Finished if c.flags.has(Flags::END_READ) => {
                self.core.close_socket(index);
            }
            Reason::Closed | Reason::Finished => {
                self.core.start_lingering(index);
                self.linger(index);
            }
            Reason::Reset => self.core.close_socket(index),
            Reason::Stopped if !cut => self.core.close_socket(index),
            // What the peer got is not all that was promised, and must not look like it.
            _ => self.core.reset_socket(index),
        }
    }

    /// Discards input of a closed connection, within its limits.
    fn linger(&mut self, index: u32) {
        let core = &mut self.core;
        for _ in 0..LINGER_CALLS {
            let Some(c) = core.connections.0.get_mut(index as usize) else { return };
            if c.phase != Phase::Lingering || !c.ready.any(Ready::READ) {
                return;
            }
            let ledger = &mut core.groups[c.group as usize].ledger;
            ledger.recv_calls += 1;
            match core.kernel.recv(c.socket, &mut self.receive) {
                Ok(count) if count > 0 && count as u64 <= u64::from(c.slot) => {
                    c.slot -= count as u32;
                    ledger.received += count as u64;
                    if count < self.receive.len() && c.short_means_empty() {
                        c.ready = c.ready.without(Ready::READ);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ledger.recv_would_block += 1;
                    c.ready = c.ready.without(Ready::READ.and(Ready::URGENT));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The end, an error, or more than the limit.
                Ok(_) | Err(_) => core.close_socket(index),
            }
        }
    }

    /// A deadline has passed.
    pub(crate) fn time_out(&mut self, index: u32, which: Timeout) {
        let Some(c) = self.core.get(index) else { return };
        match c.phase {
            Phase::Connecting if which != Timeout::Own => self.core.connecting_timed_out(index),
            // It has used up its quantum, and hears first that it is ready. A deadline that can
            // have passed meanwhile runs again.
            Phase::Open if c.flags.has(Flags::OWES_READY) => {}
            Phase::Connecting | Phase::Open => {
                self.call(index, |handler, core, slot| handler.timeout(core, index, slot, which));
                self.core.list(index);
            }
            Phase::Closing if c.outbound.is_some() => self.core.fail(index, Reason::TimedOut),
            Phase::Lingering => self.core.close_socket(index),
            // Closed a moment ago, with nothing to flush: its end is next.
            Phase::Closing | Phase::Dead | Phase::Gone => {}
        }
    }
}

/// Size of a receive that is to bring a head and little of what follows it. With all that there is
/// an upload of 8 MiB costs as much, within 0.05, and more is copied (bench `inbound`; Linux 6.18).
const BRIEF: usize = 4 << 10;

/// Most receives of a lingering connection in one turn.
const LINGER_CALLS: u32 = 4;

/// The ends of a connection, as far as no handler is concerned.
impl Core {
    /// Keeps what a handler has left. The limit or more, while it waits for more, is an overrun,
    /// unless it is left for the next turn, for another handler or for what it said it expects.
    pub(crate) fn keep(&mut self, index: u32, kept: Kept) {
        let len = kept.len();
        if let Some(extras) = self.extras(index) {
            extras.kept = kept;
        }
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let Group { limits, ledger, .. } = &mut self.groups[c.group as usize];
        let judged = !c.flags.has(Flags::YIELDED) && !c.flags.has(Flags::OWES_READY);
        if len >= limits.keep && c.wants_input() && judged && !c.has_strategy() {
            ledger.overruns += 1;
            self.fail(index, Reason::Overrun);
        }
    }

    /// Notes what a receive of up to `asked` bytes has said; how many it brought, if any.
    pub(crate) fn note_received(
        &mut self,
        index: u32,
        asked: usize,
        result: io::Result<usize>,
    ) -> Option<usize> {
        let c = self.connections.0.get_mut(index as usize)?;
        let ledger = &mut self.groups[c.group as usize].ledger;
        ledger.recv_calls += 1;
        match result {
            Ok(count) if count > 0 => {
                c.note_received(count, asked, self.tick, ledger);
                Some(count)
            }
            other => {
                self.note_nothing(index, other.err());
                None
            }
        }
    }

    /// A receive has brought nothing: the end, or an error.
    #[inline(never)]
    pub(crate) fn note_nothing(&mut self, index: u32, error: Option<io::Error>) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        match error {
            None => {
                c.flags.set(Flags::END_READ);
                c.flags.set(Flags::OWES_EOF);
            }
            Some(error) if error.kind() == ErrorKind::WouldBlock => {
                self.groups[c.group as usize].ledger.recv_would_block += 1;
                c.ready = c.ready.without(Ready::READ.and(Ready::URGENT));
            }
            Some(error) if error.kind() == ErrorKind::Interrupted => {}
            Some(error) => self.fail_with(index, &error),
        }
    }

    /// Sends the end of our direction, once.
    fn shut(&mut self, index: u32) {
        let Some(c) = self.get_mut(index) else { return };
        if !c.flags.has(Flags::SHUT) {
            c.flags.set(Flags::SHUT);
            let socket = c.socket;
            if let Err(error) = self.kernel.shutdown_write(socket) {
                self.fail_with(index, &error);
            }
        }
    }

    fn start_lingering(&mut self, index: u32) {
        self.shut(index);
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let limits = &self.groups[c.group as usize].limits;
        c.phase = Phase::Lingering;
        c.slot = limits.linger_bytes;
        let time = limits.linger_time;
        self.set_deadline(index, Some(time));
    }

    pub(crate) fn close_socket(&mut self, index: u32) {
        if let Some(socket) = self.leave(index) {
            self.kernel.close(socket);
        }
    }

    fn reset_socket(&mut self, index: u32) {
        if let Some(socket) = self.leave(index) {
            self.kernel.reset(socket);
        }
    }

    /// Takes a connection out of the books; its place is freed at the end of the turn.
    fn leave(&mut self, index: u32) -> Option<crate::sys::Fd> {
        let c = self.connections.0.get_mut(index as usize).filter(|c| c.phase != Phase::Gone)?;
        c.phase = Phase::Gone;
        let socket = c.socket;
        let group = &mut self.groups[c.group as usize];
        group.ledger.closed += 1;
        group.leave(index);
        if group.shared {
            self.selector.remove(socket);
        }
        self.wheel.cancel(&mut self.connections, index);
        self.gone.push(index);
        (socket != NO_FD).then_some(socket)
    }
}
