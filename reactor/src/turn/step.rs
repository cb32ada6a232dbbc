//! One connection's part of a turn: send, make the callbacks it is owed, receive, and end it if it
//! is over.

use super::dispatch::Handlers;
use super::reactor::Reactor;
use crate::connect::attempt;
use crate::core::{Flags, NO_SESSION, Phase, Quantum};
use crate::handler::{Input, Payload, Turn};
use crate::inbound::{self, Arrival, Piece};
use crate::outbound;
use crate::transport;

/// Most callbacks for the bytes of one receive, which can hold half a million messages. The rest
/// waits for the next turn.
const MOST_PIECES: u32 = 1024;

impl Reactor {
    /// Does the work of a connection, within its quantum.
    pub(super) fn run_connection(&mut self, index: u32) {
        let Some(mut output) = self.begin(index) else { return };
        while !output.is_used_up() && self.step(index) {
            outbound::flush(&mut self.turn.core, index, &mut output);
            let core = &mut self.turn.core;
            let c = &mut core.connections[index as usize];
            // Most connections are at rest after one step.
            if c.is_at_rest() {
                return c.flags.clear(Flags::SCHEDULED);
            }
        }
        self.finish(index, &mut output);
    }

    /// Flushes the queue, and returns how much the connection may send in this turn.
    #[inline]
    fn begin(&mut self, index: u32) -> Option<Quantum> {
        let core = &mut self.turn.core;
        let c = core.connections.get_mut(index as usize).filter(|c| c.phase != Phase::Gone)?;
        c.flags.set(Flags::SCHEDULED);
        c.flags.clear(Flags::YIELDED);
        let limits = &core.groups[c.group as usize].limits;
        core.receive_quantum = Quantum::new(limits, limits.receive_quantum);
        let output = Quantum::new(limits, limits.send_quantum);
        // What is queued has a quantum of its own.
        outbound::flush(&mut self.turn.core, index, &mut output.clone());
        Some(output)
    }

    /// Takes a connection that is not open yet further. Returns whether it has come that far.
    #[cold]
    fn establish(&mut self, index: u32) -> bool {
        let core = &mut self.turn.core;
        if core[index].phase == Phase::Connecting {
            attempt::advance(core, index);
        }
        if core[index].phase == Phase::Handshake {
            transport::advance(core, index);
        }
        core[index].phase >= Phase::Open
    }

    /// Makes the first callback for a connection: `on_ready` if it came with a session.
    fn begin_session(&mut self, index: u32) {
        let has_session =
            self.turn.core[index].slot != NO_SESSION || self.turn.sessions.contains_key(&index);
        if has_session {
            self.call(index, "on_ready", |h, turn, slot| h.ready(turn, index, slot));
        } else {
            self.call(index, "on_open", |h, turn, _| h.open(turn, index));
        }
    }

    /// Takes one step, if one is due: a callback, or a receive that can lead to one. Returns
    /// whether there may be another.
    #[inline(always)]
    fn step(&mut self, index: u32) -> bool {
        let core = &mut self.turn.core;
        let c = &mut core.connections[index as usize];
        if !c.is_open() {
            return c.phase < Phase::Open && self.establish(index);
        }
        if core.receive_quantum.is_used_up() || c.flags.any(Flags::YIELDED) {
            let ledger = &mut core.groups[c.group as usize].ledger;
            let yielded = c.flags.any(Flags::YIELDED);
            *if yielded { &mut ledger.yields } else { &mut ledger.recv_budget_stops } +=
                u64::from(c.is_owed());
            return false;
        }
        core.receive_quantum.calls -= 1;
        c.flags.clear(Flags::WROTE_THROUGH);
        if c.flags.take(Flags::OWES_START) {
            self.begin_session(index);
        } else if c.owes_drain() {
            c.note_drain();
            self.call(index, "on_drain", |h, turn, slot| h.drain(turn, index, slot));
        } else {
            return c.wants_input() && self.take_input(index);
        }
        true
    }

    /// Takes a step of the connection's receive strategy and delivers its result. Returns whether
    /// there may be another step.
    fn take_input(&mut self, index: u32) -> bool {
        match inbound::step(&mut self.turn.core, &mut self.receive, index) {
            Arrival::Nothing => return false,
            Arrival::Progress => {}
            Arrival::Bytes(count) => self.deliver_bytes(index, count),
            Arrival::Unread => self.deliver_unread(index),
            Arrival::Message(message) => {
                let bytes = Payload::Owned(message);
                self.call(index, "on_received", |h, turn, slot| {
                    h.received(turn, index, slot, bytes);
                });
                inbound::note_direct(&mut self.turn.core, index);
            }
            Arrival::File(saved) => {
                self.call(index, "on_saved", |h, turn, slot| h.saved(turn, index, slot, saved));
            }
            Arrival::Relayed(left) => {
                self.call(index, "on_relayed", |h, turn, slot| h.relayed(turn, index, slot, left));
            }
            Arrival::End => {
                self.call(index, "on_eof", |h, turn, slot| h.eof(turn, index, slot));
                inbound::close_if_waiting_in_vain(&mut self.turn.core, index);
            }
        }
        true
    }

    /// Delivers `count` bytes of the shared buffer and keeps what the handler leaves.
    #[inline]
    pub(super) fn deliver_bytes(&mut self, index: u32, count: usize) {
        let consumed =
            deliver_pieces(&mut self.handlers, &mut self.turn, index, &self.receive[..count]);
        let core = &mut self.turn.core;
        if consumed < count || core[index].special.is_some() {
            inbound::store_rest(core, &mut self.receive, index, consumed..count);
        }
    }

    /// Offers all unread bytes again.
    pub(super) fn deliver_unread(&mut self, index: u32) {
        let Some(unread) = inbound::take_unread(&mut self.turn.core, index) else { return };
        let consumed = deliver_pieces(&mut self.handlers, &mut self.turn, index, unread.bytes());
        inbound::put_back(&mut self.turn.core, index, unread, consumed);
    }

    /// Ends a connection's part of the turn, and schedules its remaining work for the next one.
    fn finish(&mut self, index: u32, output: &mut Quantum) {
        if self.turn.core.is_draining() && self.tell_of_stop(index) {
            outbound::flush(&mut self.turn.core, index, output);
        }
        if !self.turn.core[index].accepts_output() {
            self.settle(index);
        }
        let core = &mut self.turn.core;
        let c = &mut core.connections[index as usize];
        c.flags.clear(Flags::SCHEDULED);
        if c.is_owed() {
            c.flags.set(Flags::SCHEDULED);
            core.later.push(index);
        }
    }

    /// Calls `on_stop` if the connection is owed it. It is the last callback of the turn, so that
    /// input which had arrived is delivered first; but it comes in that turn, whatever else is left
    /// to do.
    fn tell_of_stop(&mut self, index: u32) -> bool {
        let c = &mut self.turn.core[index];
        let has_started = c.is_open() && !c.flags.any(Flags::OWES_START);
        let tell = has_started && c.flags.take(Flags::OWES_STOP);
        if tell {
            c.flags.clear(Flags::WROTE_THROUGH);
            self.call(index, "on_stop", |h, turn, slot| h.stop(turn, index, slot));
        }
        tell
    }
}

/// Calls a handler with the bytes that have arrived, repeatedly while it consumes them. Returns how
/// many it consumed.
#[inline]
fn deliver_pieces(handlers: &mut Handlers, turn: &mut Turn, index: u32, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    for _ in 0..MOST_PIECES {
        match inbound::next_piece(&mut turn.core, index, rest.len()) {
            None => return bytes.len() - rest.len(),
            Some(Piece::Stream) => {
                let mut input = Input::new(rest);
                handlers.call(turn, index, "on_data", |h, turn, slot| {
                    h.data(turn, index, slot, &mut input);
                });
                rest = input.bytes();
                if rest.is_empty() || !turn.core[index].has_strategy() {
                    return bytes.len() - rest.len();
                }
            }
            Some(Piece::Skip(count)) => rest = &rest[count..],
            Some(Piece::Exact(count)) => {
                let (message, behind) = rest.split_at(count);
                rest = behind;
                handlers.call(turn, index, "on_received", |h, turn, slot| {
                    h.received(turn, index, slot, Payload::Borrowed(message));
                });
            }
        }
    }
    turn.core.yield_now(index);
    bytes.len() - rest.len()
}
