//! The handshake of a transport, which the handler's callbacks wait for.

use super::{failed, offload, receive, send_out, send_owed};
use crate::core::transport::{Layer, State, Transport};
use crate::core::{Chunk, Connection, Core, Flags, Phase, Reason, is_passing, tick_after};
use crate::sys::{Direction, Ready};
use crate::time::deadlines;

/// Gives an accepted connection its transport.
pub(crate) fn accepted(core: &mut Core, index: u32, transport: Box<dyn Transport>) {
    core.special(index).layer = Some(Box::new(Layer::new(transport)));
    begin(core, index);
}

/// Gives an open connection a transport, which starts behind what is queued now.
pub(crate) fn start(core: &mut Core, index: u32, transport: Box<dyn Transport>) {
    let c = &core.connections[index as usize];
    if c.phase > Phase::Open {
        return;
    }
    if let Some(reason) = unfit(c) {
        return core.fail_transport(index, format!("no transport was started: {reason}").into());
    }
    let clear = Some(c.pending());
    let layer = Layer { was_open: true, clear, ..Layer::new(transport) };
    core.special(index).layer = Some(Box::new(layer));
    core[index].flags.set(Flags::OWES_START);
    begin(core, index);
    core.schedule(index);
}

/// Why an open connection cannot get a transport.
fn unfit(c: &Connection) -> Option<&'static str> {
    let special = c.special.as_ref();
    let has_ended = !c.accepts_output() || c.flags.any(Flags::INPUT_ENDED);
    let has_one = special.is_some_and(|special| special.layer.is_some());
    let is_relay = special.is_some_and(|special| special.feeder.is_some());
    match c.phase {
        Phase::Connecting | Phase::Handshake => Some("the connection is not open"),
        _ if has_ended => Some("one of its directions has ended"),
        _ if has_one => Some("the connection has one"),
        _ if is_relay || c.has_strategy() => Some("its bytes do not pass through its handler"),
        _ => None,
    }
}

/// Begins the handshake of a connection that has a transport. [`advance`] starts the transport.
pub(crate) fn begin(core: &mut Core, index: u32) {
    let c = &mut core.connections[index as usize];
    let group = &mut core.groups[c.group as usize];
    c.phase = Phase::Handshake;
    let Some(layer) = c.layer() else { return };
    layer.handshaking = true;
    group.handshaking += 1;
}

/// Starts the transport once what precedes it has been sent. Returns whether it has started.
fn start_transport(core: &mut Core, index: u32) -> bool {
    let c = &mut core.connections[index as usize];
    let time = core.groups[c.group as usize].limits.handshake;
    let Some(layer) = c.layer() else { return false };
    if layer.clear == Some(0) {
        layer.clear = None;
        layer.until = tick_after(core.tick, time);
        let result = layer.call(&mut core.pool, |transport, out| transport.start(out));
        deadlines::arm(core, index);
        result.unwrap_or_else(|error| failed(core, index, error));
        return true;
    }
    layer.clear.is_none()
}

/// Takes the handshake as far as it goes now.
pub(crate) fn advance(core: &mut Core, index: u32) {
    if core[index].unread() > 0 {
        // They may have been inserted: "NO STARTTLS: Why TLS Is Better Without STARTTLS", USENIX
        // Security 2021.
        let error = "bytes arrived behind the request to start the transport";
        return core.fail_transport(index, error.into());
    }
    if !start_transport(core, index) {
        return;
    }
    loop {
        send(core, index);
        let c = &mut core.connections[index as usize];
        if c.phase != Phase::Handshake {
            return;
        }
        let can_receive = c.ready.any(Ready::READ);
        let Some(layer) = c.layer() else { return };
        match layer.transport.state() {
            State::Open => return finish(core, index),
            // What the transport has put out is sent before anything else.
            State::Transparent if layer.outgoing.len() == 0 => return finish(core, index),
            State::Transparent => return,
            State::Handshake if layer.end.is_some() => return core.fail(index, Reason::Reset),
            State::Handshake if !can_receive => return,
            State::Handshake if core.receive_quantum.is_used_up() => {
                return c.flags.set(Flags::YIELDED);
            }
            State::Handshake => {
                core.receive_quantum.calls -= 1;
                receive(core, index, &mut []);
            }
        }
    }
}

/// Sends what the transport has put out.
fn send(core: &mut Core, index: u32) {
    if !core[index].ready.any(Ready::WRITE) {
        return;
    }
    if let Err(error) = send_out(core, index) {
        let (c, group) = core.pair(index);
        if !is_passing(&error, Direction::Send, &mut c.ready, &mut group.ledger) {
            core.fail_with(index, &error);
        }
    }
}

/// Ends the handshake.
fn finish(core: &mut Core, index: u32) {
    let (c, group) = core.pair(index);
    group.handshaking -= 1;
    group.ledger.handshakes += 1;
    let closes = c.flags.take(Flags::CLOSE_WHEN_CONNECTED);
    c.phase = if closes { Phase::Closing } else { Phase::Open };
    let Some(layer) = c.layer() else { return };
    layer.handshaking = false;
    let was_open = layer.was_open;
    retire(core, index);
    if !was_open {
        core.note_opened(index);
    }
    offload::offload(core, index);
    send_owed(core, index);
    deadlines::restart_idle_and_stall(core, index);
}

/// Removes a transparent transport from the path of the bytes. What it has not consumed is the
/// first input of the connection.
fn retire(core: &mut Core, index: u32) {
    let c = &mut core.connections[index as usize];
    let Some(special) = &mut c.special else { return };
    let transparent = |layer: &mut Box<Layer>| layer.transport.state() == State::Transparent;
    let Some(layer) = special.layer.take_if(transparent) else { return };
    if layer.end.is_some() {
        c.flags.set(Flags::INPUT_ENDED.union(Flags::OWES_EOF));
    }
    let Layer { transport, incoming, .. } = *layer;
    special.retired = Some(transport);
    if incoming.len() > 0 {
        special.unread = Chunk::keep(incoming.bytes(), &mut core.pool);
        c.flags.set(Flags::REVISIT_INPUT);
    }
    core.pool.give(incoming);
}

/// The time for the handshake is over.
pub(crate) fn timed_out(core: &mut Core, index: u32) {
    log::debug!("{}: the handshake timed out", core.describe(index));
    core.fail(index, Reason::TimedOut);
}
