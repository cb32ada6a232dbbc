//! The end of a connection: shutting down, ending its session, lingering, closing.

use super::reactor::Reactor;
use crate::connect::attempt;
use crate::core::{Core, Flags, LowWater, Phase, Reason, is_passing};
use crate::inbound;
use crate::sys::{self, Direction, Fd, HeldUp, Kernel, NO_FD, Ready};
use crate::time::{deadlines, rates};
use crate::transport;

impl Reactor {
    /// Takes the next step of ending, according to the phase.
    pub(super) fn settle(&mut self, index: u32) {
        let core = &mut self.turn.core;
        let c = &core[index];
        if c.is_lost() {
            // What arrived before the loss is still in the socket and is delivered first. What a relay
            // would pass to a connection that is lost as well is dropped.
            let destination = inbound::blocked_by(core, index);
            let delivers = c.has_input() && !c.flags.any(Flags::PAUSED);
            if delivers && destination.is_none_or(|to| core[to].accepts_output()) {
                return;
            }
            core.fail(index, Reason::Reset);
        } else if c.outbound.is_none() && matches!(c.phase, Phase::Open | Phase::Closing) {
            transport::close(core, index);
        }
        let c = &mut core[index];
        let flushed = c.outbound.is_none();
        match c.phase {
            Phase::Open if flushed && c.flags.any(Flags::OUTPUT_CLOSED) => {
                shut(core, index);
                let c = &mut core[index];
                if c.is_open() && c.flags.any(Flags::INPUT_ENDED) && !c.flags.any(Flags::OWES_EOF) {
                    (c.phase, c.reason) = (Phase::Ended, Reason::Finished);
                }
            }
            Phase::Closing if flushed => c.phase = Phase::Ended,
            _ => {}
        }
        match core[index].phase {
            Phase::Ended | Phase::Failed => self.end(index),
            Phase::Lingering => self.linger(index),
            _ => {}
        }
    }

    /// Ends the session, then closes the socket: immediately, or after giving the peer time to end
    /// its side.
    fn end(&mut self, index: u32) {
        let core = &mut self.turn.core;
        core.note_end(index);
        attempt::abandon(core, index);
        let is_unsent = core[index].outbound.is_some();
        let is_handshaking = core[index].layer().is_some_and(|layer| layer.handshaking);
        let mut cut = is_unsent || is_handshaking || inbound::is_fed(core, index);
        // Its stream may have to be ended, but the handler may still have it reset.
        let special = core[index].special.as_mut().filter(|_| !cut);
        let layer = special.and_then(|special| special.layer.take());
        let other = inbound::end_relays(core, index);
        rates::settle(core, index, 0);
        inbound::stop_saving(core, index);
        inbound::lower(core, index, LowWater::Off);
        let failure = core[index].special.as_mut().and_then(|special| special.failure.take());
        core.drop_buffers(index);
        if let Some(error) = failure {
            core.keep_failure(index, error);
        }
        let why = core[index].reason;
        self.handlers.close(&mut self.turn, index, why);
        let core = &mut self.turn.core;
        if let Some(other) = other {
            inbound::close_other_end(core, other, core.id(index));
        }
        if let Some(layer) = layer {
            let is_stopped = core[index].reason == Reason::Stopped;
            cut |= transport::end(core, index, layer, is_stopped);
        }
        let c = &core[index];
        match (c.phase, c.reason) {
            _ if c.socket == NO_FD => close_socket(core, index),
            (Phase::Ended, _) if c.flags.any(Flags::INPUT_ENDED) => close_socket(core, index),
            // A lingering connection would still take the room.
            (Phase::Ended, Reason::Shed) => close_socket(core, index),
            (Phase::Ended, _) => {
                start_lingering(core, index);
                self.linger(index);
            }
            (_, Reason::Reset) => close_socket(core, index),
            (_, Reason::Stopped) if !cut => close_socket(core, index),
            // The peer has not received everything, so the end must not look orderly.
            _ => leave(core, index, Kernel::reset),
        }
    }

    /// Discards input of a closed connection, once in a turn.
    fn linger(&mut self, index: u32) {
        let core = &mut self.turn.core;
        let c = &mut core.connections[index as usize];
        if c.flags.any(Flags::INPUT_ENDED) {
            c.ready = c.ready.without(Ready::READ);
        }
        if !c.ready.any(Ready::READ) {
            return;
        }
        let ledger = &mut core.groups[c.group as usize].ledger;
        ledger.recv_calls += 1;
        match core.kernel.recv(c.socket, &mut self.receive) {
            Ok(count) if count > 0 => {
                c.note_received(count, self.receive.len(), core.tick, ledger);
            }
            Err(error) if is_passing(&error, Direction::Receive, &mut c.ready, ledger) => {}
            Err(error) => match sys::held_up(&error) {
                Some(HeldUp::Record)
                    if core.kernel.recv_record(c.socket, &mut self.receive).is_ok() => {}
                // The kernel cannot get past the record. Closing the socket now would cause a
                // reset, which would overtake the alert. Another receive would fail in the same
                // way, and each failure causes an event (`tls_err_abort` of Linux).
                Some(HeldUp::Damage) => c.flags.set(Flags::INPUT_ENDED),
                _ => close_socket(core, index),
            },
            // The end of the input.
            Ok(_) => close_socket(core, index),
        }
    }
}

/// Shuts down the sending direction, once.
fn shut(core: &mut Core, index: u32) {
    let c = &mut core.connections[index as usize];
    if !c.flags.any(Flags::SHUT_WR_DONE) {
        c.flags.set(Flags::SHUT_WR_DONE);
        if let Err(error) = core.kernel.shutdown_write(c.socket) {
            core.fail_with(index, &error);
        }
    }
}

fn start_lingering(core: &mut Core, index: u32) {
    shut(core, index);
    let tick = core.tick;
    let (c, group) = core.pair(index);
    (c.phase, c.active) = (Phase::Lingering, tick);
    let time = group.limits.linger_time;
    deadlines::set_own(core, index, Some(time));
}

pub(super) fn close_socket(core: &mut Core, index: u32) {
    leave(core, index, Kernel::close);
}

/// Removes a connection from the reactor's records, and closes its socket with `close`. Its place is
/// freed at the end of the turn.
fn leave(core: &mut Core, index: u32, close: fn(&Kernel, Fd)) {
    core.drop_buffers(index);
    let (c, group) = core.pair(index);
    if c.phase == Phase::Gone {
        return;
    }
    c.phase = Phase::Gone;
    let socket = c.socket;
    group.ledger.closed += 1;
    group.leave(index);
    if group.is_adopted {
        // If another process has the socket open, closing it here does not remove it.
        core.selector.remove(socket);
    }
    core.wheel.cancel(&mut core.connections, index);
    core.gone.push(index);
    if socket != NO_FD {
        close(&core.kernel, socket);
    }
}
