//! Connecting: from the requested name or address to an open connection.
//!
//! A connection has its slot and id from the start, and is in [`Phase::Connecting`] until it is
//! established. Its [`Attempt`] holds the state it needs until then. Of this module, only [`start`]
//! runs inside [`Turn::connect`](crate::Turn::connect): the first system call on a socket is made
//! when the connection runs.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::core::transport::{Layer, Transport};
use crate::core::{
    Attempt, ConnId, Core, Flags, Phase, Reason, Target, in_order, is_due, tick_after, token,
};
use crate::sys::{self, Address, NO_FD, Ready};
use crate::time::deadlines;
use crate::transport;

/// Gives a connection its place. The attempt begins when the connection runs.
///
/// Its transport is `transport`, or else the one that the options of its connector make.
pub(crate) fn start(
    core: &mut Core,
    group: u16,
    handler: u8,
    target: Target,
    transport: Option<Box<dyn Transport>>,
) -> ConnId {
    let has_stopped = core.has_stopped();
    let connections = &mut core.groups[usize::from(group)];
    let Some(connector) = connections.connector.as_ref().filter(|_| !has_stopped) else {
        return ConnId { index: u32::MAX, generation: 0 };
    };
    let until = tick_after(core.tick, connector.timeout);
    let room = connections.open < connector.max_connections;
    connections.ledger.connects += 1;
    let made = match (transport, &connector.transport) {
        (None, Some(factory)) => factory.make(&target),
        (transport, _) => Ok(transport),
    };
    let id = core.insert(NO_FD, group, handler);
    if !room {
        not_connected(core, id.index, ErrorKind::QuotaExceeded);
        return id;
    }
    let layer = match made {
        Ok(transport) => transport.map(|transport| Box::new(Layer::new(transport))),
        Err(error) => {
            log::debug!("{id:?} to {target}: no transport: {error}");
            core.keep_failure(id.index, error);
            not_connected(core, id.index, ErrorKind::InvalidInput);
            return id;
        }
    };
    let left = match &target {
        Target::Address(address) => Some(vec![address.clone()].into_iter()),
        Target::Name(name, _) => {
            core.lookups.push((id, name.clone()));
            None
        }
    };
    let c = &mut core[id.index];
    (c.phase, c.ready) = (Phase::Connecting, Ready::default());
    let special = core.special(id.index);
    special.attempt = Some(Box::new(Attempt { target, left, deadline: until, until }));
    special.layer = layer;
    deadlines::arm(core, id.index);
    core.schedule(id.index);
    id
}

fn attempt(core: &mut Core, index: u32) -> Option<&mut Attempt> {
    core[index].special.as_mut()?.attempt.as_deref_mut()
}

/// Drops the attempt of a connection that is over.
pub(crate) fn abandon(core: &mut Core, index: u32) {
    let special = core[index].special.as_mut();
    if special.and_then(|special| special.attempt.take()).is_some() {
        drop_socket(core, index);
    }
}

fn drop_socket(core: &mut Core, index: u32) {
    let c = &mut core[index];
    c.ready = Ready::default();
    let socket = std::mem::replace(&mut c.socket, NO_FD);
    if socket != NO_FD {
        core.kernel.close(socket);
    }
}

/// Takes the next step of connecting.
pub(crate) fn advance(core: &mut Core, index: u32) {
    if attempt(core, index).is_none_or(|attempt| attempt.left.is_none()) {
        return;
    }
    if core[index].socket == NO_FD {
        return try_next(core, index, ErrorKind::NotFound);
    }
    match is_connected(core, index) {
        Ok(true) => connected(core, index),
        Ok(false) => {}
        Err(error) => attempt_failed(core, index, error),
    }
}

/// A lookup has been answered. The connection may no longer be waiting for it.
pub(super) fn resolved(core: &mut Core, id: ConnId, found: io::Result<Vec<SocketAddr>>) {
    if core.find(id).is_none_or(|c| c.phase != Phase::Connecting) {
        return;
    }
    let Some(attempt) = attempt(core, id.index) else { return };
    match found {
        Ok(mut addresses) => {
            if let Target::Name(_, port) = attempt.target {
                addresses.iter_mut().for_each(|address| address.set_port(port));
            }
            attempt.left = Some(in_order(addresses).into_iter());
            try_next(core, id.index, ErrorKind::NotFound);
        }
        Err(error) => attempt_failed(core, id.index, error),
    }
}

/// Whether the socket is connected: `false` until an event tells how the attempt ended.
fn is_connected(core: &mut Core, index: u32) -> io::Result<bool> {
    let c = &mut core.connections[index as usize];
    if !c.ready.any(Ready::WRITE.union(Ready::READ_END).union(Ready::HANGUP)) {
        return Ok(false);
    }
    core.kernel.take_error(c.socket)?;
    match core.kernel.peer_address(c.socket) {
        Err(error) if c.ready.any(Ready::HANGUP) => Err(error),
        // Only Linux still knows the address of a Unix socket's peer that has already closed.
        Err(_) if c.ready.any(Ready::READ_END) => Ok(true),
        // A spurious event.
        Err(error) if error.kind() == ErrorKind::NotConnected => {
            c.ready = Ready::default();
            Ok(false)
        }
        // When nobody listens at a local port, the kernel may choose that very port for this end.
        // By the rules of TCP the socket is then connected to itself (RFC 9293, simultaneous open).
        Ok(peer) if !peer.is_unix() && core.kernel.local_address(c.socket)? == peer => {
            Err(ErrorKind::ConnectionRefused.into())
        }
        other => other.map(|_| true),
    }
}

fn connected(core: &mut Core, index: u32) {
    let c = &mut core[index];
    c.ready = c.ready.union(Ready::WRITE);
    if let Some(special) = &mut c.special {
        special.attempt = None;
    }
    if c.is_layered() {
        transport::begin(core, index);
    } else {
        let closes = c.flags.take(Flags::CLOSE_WHEN_CONNECTED);
        c.phase = if closes { Phase::Closing } else { Phase::Open };
        core.note_opened(index);
    }
    core.recycle_special(index);
    deadlines::restart_idle_and_stall(core, index);
}

/// Goes on after a failed attempt: to the next address, unless this machine is out of resources.
fn attempt_failed(core: &mut Core, index: u32, error: io::Error) {
    drop_socket(core, index);
    let now = core.now;
    log::debug!("{}: cannot connect: {error}", core.describe(index));
    if sys::is_shortage(&error) {
        if core.pair(index).1.log.allows(now) {
            log::error!("{}: cannot connect: {error}", core.describe(index));
        }
        return not_connected(core, index, ErrorKind::QuotaExceeded);
    }
    try_next(core, index, error.kind());
}

/// Tries the next address, or fails with the error of the last one.
fn try_next(core: &mut Core, index: u32, why: ErrorKind) {
    let next = attempt(core, index).and_then(|attempt| attempt.left.as_mut()?.next());
    match next.map(|address| try_address(core, index, &address)) {
        None => not_connected(core, index, why),
        Some(Ok(())) => {}
        // Each call takes one address off the list, so the recursion ends.
        Some(Err(error)) => attempt_failed(core, index, error),
    }
}

fn try_address(core: &mut Core, index: u32, address: &Address) -> io::Result<()> {
    let c = &mut core.connections[index as usize];
    let Some(connector) = &core.groups[usize::from(c.group)].connector else { return Ok(()) };
    c.socket = core.kernel.start_connect(address, &connector.tcp)?;
    if address.is_unix() {
        c.flags.set(Flags::STOPS_SHORT);
    }
    // Registered after the call, since a socket that is not connecting is reported as writable and
    // hung up (`epoll(7)`). The token is that of the previous socket, from which no event can come
    // any more.
    core.selector.add(c.socket, token(index, c.generation))?;
    let soon = tick_after(core.tick, connector.attempt_timeout);
    if let Some(attempt) = c.special.as_mut().and_then(|special| special.attempt.as_mut()) {
        let last = attempt.left.as_ref().is_some_and(|left| left.as_slice().is_empty());
        let whole = last || is_due(attempt.deadline, soon);
        attempt.until = if whole { attempt.deadline } else { soon };
    }
    deadlines::arm(core, index);
    Ok(())
}

/// The time for one address, or for the whole attempt, is over.
pub(crate) fn timed_out(core: &mut Core, index: u32) {
    let tick = core.tick;
    match attempt(core, index) {
        Some(attempt) if is_due(attempt.deadline, tick) => {
            not_connected(core, index, ErrorKind::TimedOut);
        }
        _ => attempt_failed(core, index, ErrorKind::TimedOut.into()),
    }
}

fn not_connected(core: &mut Core, index: u32, kind: ErrorKind) {
    core.ledger_of(index).connect_failures += 1;
    core.fail(index, Reason::Unconnected(kind));
}
