//! Receiving through a transport.

use std::io::Write;

use super::{failed, send_owed};
use crate::core::transport::{End, Layer, Opened, State};
use crate::core::{Chunk, Core, Pool, WIRE, is_passing};
use crate::sys::{Direction, Ready};
use crate::time::deadlines;

/// The least that one receive asks for: a whole record of TLS. With less, a handler that wants a
/// few bytes could not get them.
const LEAST: usize = 18 << 10;

/// The maximum number of bytes of an incomplete unit: a handshake message of TLS takes up to 64
/// KiB.
const INCOMPLETE: usize = 128 << 10;

/// The maximum number of bytes that wait for the socket while more is opened. A peer that causes
/// answers of the transport and does not read them is cut off.
const UNSENT: usize = 128 << 10;

/// Copies as many opened bytes as there is room for, and returns the rest. What is left of the room
/// is behind them.
fn fill<'a>(room: &mut &mut [u8], plain: &'a [u8]) -> &'a [u8] {
    // Writing to a slice does not fail.
    let count = room.write(plain).unwrap_or(0);
    &plain[count..]
}

/// Receives through the transport of a connection, once at most, to the front of `room`. Returns
/// how many opened bytes that brought, if any. The connection stays readable while there are more,
/// whatever the socket holds: no event announces them.
pub(crate) fn receive(core: &mut Core, index: u32, mut room: &mut [u8]) -> Option<usize> {
    let whole = room.len();
    let layer = core.connections[index as usize].layer()?;
    if layer.plain.len() > 0 {
        let later = fill(&mut room, layer.plain.bytes()).len();
        layer.plain.consume(layer.plain.len() - later, &mut core.pool);
    } else if layer.end.is_none() {
        receive_wire(core, index, &mut room)?;
    }
    let taken = whole - room.len();
    let (c, group) = core.pair(index);
    c.received += taken as u64;
    group.ledger.received += taken as u64;
    let layer = c.special.as_mut()?.layer.as_deref_mut()?;
    let holds_more = layer.plain.len() > 0 || layer.holds_units;
    if holds_more || layer.end.is_some() {
        c.ready = c.ready.union(Ready::READ);
    }
    if taken == 0 && !holds_more {
        end(core, index);
    } else {
        send_owed(core, index);
    }
    core.observe_received(index, taken as u64);
    (taken > 0).then_some(taken)
}

/// Ends the input of a connection if that of its transport has ended.
fn end(core: &mut Core, index: u32) {
    let c = &mut core[index];
    let Some(layer) = c.layer() else { return };
    if let Some(error) = layer.take_failure() {
        return failed(core, index, error);
    }
    if layer.end.is_some() && !layer.handshaking {
        core.end_input(index);
        deadlines::note_half_closed(core, index);
    }
    send_owed(core, index);
}

/// Receives once from the socket, unless there are complete units already, and opens what is here.
/// Returns `None` if the connection has failed.
fn receive_wire(core: &mut Core, index: u32, room: &mut &mut [u8]) -> Option<()> {
    let c = &mut core.connections[index as usize];
    let ledger = &mut core.groups[c.group as usize].ledger;
    let short_means_empty = c.short_means_empty();
    let layer = c.special.as_mut()?.layer.as_deref_mut()?;
    let kept = std::mem::take(&mut layer.incoming);
    let front = kept.len();
    core.wire[..front].copy_from_slice(kept.bytes());
    core.pool.give(kept);
    let mut len = front;
    if !layer.holds_units {
        let asked = (room.len() + room.len() / 64).clamp(LEAST, WIRE - front);
        ledger.recv_calls += 1;
        match core.kernel.recv(c.socket, &mut core.wire[front..front + asked]) {
            Ok(0) => layer.end = Some(End::Cut),
            Ok(count) => {
                if count < asked && short_means_empty {
                    c.ready = c.ready.without(Ready::READ);
                }
                len += count;
                c.active = core.tick;
                ledger.wire_received += count as u64;
                core.receive_quantum.use_bytes(count);
            }
            Err(error) if is_passing(&error, Direction::Receive, &mut c.ready, ledger) => {}
            Err(error) => {
                core.fail_with(index, &error);
                return None;
            }
        }
    }
    open(layer, &mut core.wire[..len], room, &mut core.pool);
    Some(())
}

/// Opens the records that arrived together with the end of the handshake, and keeps their bytes.
pub(super) fn open_rest(core: &mut Core, index: u32) {
    if core[index].layer().is_none_or(|layer| !layer.holds_units) {
        return;
    }
    // They take no more room than their records.
    let mut opened = vec![0; WIRE];
    let mut room = &mut opened[..];
    receive_wire(core, index, &mut room);
    let count = WIRE - room.len();
    let c = &mut core.connections[index as usize];
    // No event announces them, or the error behind them.
    c.ready = c.ready.union(Ready::READ);
    // The buffer of no bytes would never be given back.
    if let Some(layer) = c.layer().filter(|_| count > 0) {
        layer.plain = Chunk::keep(&opened[..count], &mut core.pool);
    }
}

/// Opens what has arrived, as long as there is room for the result, and keeps the rest.
fn open(layer: &mut Layer, wire: &mut [u8], room: &mut &mut [u8], pool: &mut Pool) {
    layer.holds_units = false;
    let mut at = 0;
    while at < wire.len() && !layer.holds_units {
        match layer.call(pool, |transport, out| transport.open(&mut wire[at..], out)) {
            Ok(Opened::Bytes { consumed, plain }) if consumed > 0 => {
                let Some(plain) = wire[at..].get(plain) else {
                    return layer.fail("the transport opened bytes that are not there");
                };
                let state = layer.handshaking.then(|| layer.transport.state());
                if !plain.is_empty() && state.is_some_and(|state| state != State::Open) {
                    return layer.fail("the transport opened bytes in its handshake");
                }
                let later = fill(room, plain);
                if !later.is_empty() {
                    layer.plain = Chunk::keep(later, pool);
                }
                layer.holds_units = match state {
                    Some(state) => state != State::Handshake,
                    None => room.is_empty(),
                };
                at += consumed;
            }
            Ok(Opened::Bytes { .. } | Opened::Incomplete) if wire.len() - at <= INCOMPLETE => break,
            Ok(Opened::Bytes { .. } | Opened::Incomplete) => {
                return layer.fail("a unit is longer than 128 KiB");
            }
            Ok(Opened::End) => {
                layer.end = Some(End::Clean);
                return;
            }
            Err(error) => return layer.fail(error),
        }
        if layer.outgoing.len() > UNSENT {
            return layer.fail("the peer does not read the responses it causes");
        }
    }
    layer.holds_units &= at < wire.len();
    if at < wire.len() {
        layer.incoming = Chunk::keep(&wire[at..], pool);
    }
}
