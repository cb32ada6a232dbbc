//! Connecting: from the requested name or address to an open connection.
//!
//! A connection has its place from the start, so that it can be named, and is [`Phase::Connecting`]
//! until it is established. An [`Attempt`] beside it holds the state it needs until then. Nothing
//! here runs inside [`Turn::connect`](crate::Turn::connect): the first system call on a socket is
//! made when the connection runs.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::resolver::Resolver;
use crate::core::{
    ConnId, Core, Flags, Phase, Place, Reason, Target, Throttle, is_due, ticks, token,
};
use crate::sys::{self, Address, Fd, Keepalive, NO_FD, Ready, TcpOptions};
use crate::threads::workers::Workers;
use crate::time::deadlines;

/// The options of a connector.
pub(crate) struct Settings {
    pub(crate) group: u16,
    pub(crate) handler: u8,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_connections: u32,
    pub(crate) unsent: Option<u32>,
    pub(crate) congestion: Option<String>,
    pub(crate) keepalive: Option<Keepalive>,
}

impl Settings {
    fn options(&self) -> TcpOptions<'_> {
        let congestion = self.congestion.as_deref();
        TcpOptions { unsent: self.unsent, congestion, keepalive: self.keepalive }
    }
}

/// A connection that is not established yet.
struct Attempt {
    connector: u16,
    target: Target,
    stage: Stage,
    /// The tick at which the whole attempt is given up.
    deadline: u32,
}

enum Stage {
    /// Nothing has been done yet.
    Begun,
    /// It will not be tried: the connector already has as many connections as its limit allows.
    TooMany,
    /// Waiting for the addresses of the name.
    Resolving,
    /// Trying one address; these are left.
    Trying(std::vec::IntoIter<Address>),
}

/// The connections being made by a reactor, and its connectors.
#[derive(Default)]
pub(crate) struct Connecting {
    connectors: Vec<Settings>,
    /// Present once there is a connector.
    resolver: Option<Resolver>,
    /// By the index of the connection.
    attempts: HashMap<u32, Attempt>,
    /// For the log lines about shortages.
    log: Throttle,
}

impl Connecting {
    pub(crate) fn add(&mut self, settings: Settings) -> u16 {
        self.connectors.push(settings);
        // There are no more connectors than groups.
        (self.connectors.len() - 1) as u16
    }

    /// Whether this reactor has the connector.
    pub(crate) fn knows(&self, connector: u16) -> bool {
        usize::from(connector) < self.connectors.len()
    }

    pub(crate) fn use_resolver(&mut self, make: impl FnOnce() -> Resolver) {
        self.resolver.get_or_insert_with(make);
    }

    /// Looks names up in this pool from now on.
    pub(crate) fn set_workers(&mut self, workers: &Workers) {
        if let Some(resolver) = &mut self.resolver {
            resolver.workers = workers.clone();
        }
    }

    fn settings(&self, connector: u16) -> &Settings {
        &self.connectors[usize::from(connector)]
    }
}

/// Gives a connection its place. The attempt begins when the connection runs.
pub(crate) fn start(
    core: &mut Core,
    connecting: &mut Connecting,
    connector: u16,
    target: Target,
) -> ConnId {
    if core.ended {
        return ConnId { index: u32::MAX, generation: 0 };
    }
    let settings = connecting.settings(connector);
    let deadline = core.tick.wrapping_add(ticks(settings.timeout) + 1);
    let (group, handler) = (settings.group, settings.handler);
    let connections = &mut core.groups[usize::from(group)];
    let room = connections.open < settings.max_connections;
    connections.ledger.connects += 1;
    let id = core.insert(NO_FD, group, handler);
    if let Some(c) = core.get_mut(id.index) {
        (c.phase, c.ready) = (Phase::Connecting, Ready::default());
    }
    set_attempt_deadline(core, id.index, deadline);
    let stage = if room { Stage::Begun } else { Stage::TooMany };
    connecting.attempts.insert(id.index, Attempt { connector, target, stage, deadline });
    core.schedule(id.index);
    id
}

fn set_attempt_deadline(core: &mut Core, index: u32, tick: u32) {
    if let Some(special) = core.special(index) {
        special.attempt_until = tick;
    }
}

/// Drops the attempt of a connection that is over.
pub(crate) fn abandon(core: &mut Core, connecting: &mut Connecting, index: u32) {
    if connecting.attempts.remove(&index).is_some() {
        drop_socket(core, index);
    }
}

fn drop_socket(core: &mut Core, index: u32) {
    if let Some(c) = core.get_mut(index) {
        c.ready = Ready::default();
        let socket = std::mem::replace(&mut c.socket, NO_FD);
        if socket != NO_FD {
            core.kernel.close(socket);
        }
    }
}

/// Takes the next step of connecting.
pub(crate) fn advance(core: &mut Core, connecting: &mut Connecting, index: u32) {
    let Some(attempt) = connecting.attempts.get(&index) else { return };
    match attempt.stage {
        Stage::Begun => begin(core, connecting, index),
        Stage::TooMany => not_connected(core, index, ErrorKind::QuotaExceeded),
        Stage::Resolving => {}
        Stage::Trying(_) => match is_connected(core, index) {
            Ok(true) => connected(core, connecting, index),
            Ok(false) => {}
            Err(error) => attempt_failed(core, connecting, index, error),
        },
    }
}

fn begin(core: &mut Core, connecting: &mut Connecting, index: u32) {
    let Some(id) = core.id(index) else { return };
    let Some(attempt) = connecting.attempts.get_mut(&index) else { return };
    match &attempt.target.0 {
        Place::Address(address) => {
            let address = address.clone();
            try_these(core, connecting, index, vec![address]);
        }
        Place::Name(name, port) => {
            let Some(resolver) = &connecting.resolver else { return };
            attempt.stage = Stage::Resolving;
            match resolver.look_up(&core.kernel, id, name, *port) {
                Ok(()) => deadlines::arm(core, index),
                Err(error) => attempt_failed(core, connecting, index, error),
            }
        }
    }
}

/// A lookup has been answered. The connection may no longer be waiting for it.
pub(crate) fn resolved(
    core: &mut Core,
    connecting: &mut Connecting,
    id: ConnId,
    found: io::Result<Vec<Address>>,
) {
    let waits = core.find(id).is_some_and(|c| c.phase == Phase::Connecting);
    let attempt = connecting.attempts.get(&id.index).filter(|_| waits);
    if attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Resolving)) {
        match found {
            Ok(addresses) => try_these(core, connecting, id.index, addresses),
            Err(error) => attempt_failed(core, connecting, id.index, error),
        }
    }
}

fn try_these(core: &mut Core, connecting: &mut Connecting, index: u32, addresses: Vec<Address>) {
    if let Some(attempt) = connecting.attempts.get_mut(&index) {
        attempt.stage = Stage::Trying(addresses.into_iter());
    }
    try_next(core, connecting, index, ErrorKind::NotFound);
}

/// Whether the socket is connected: `false` until an event tells how the attempt ended.
fn is_connected(core: &mut Core, index: u32) -> io::Result<bool> {
    let Some(c) = core.connections.0.get_mut(index as usize) else { return Ok(false) };
    if !c.ready.any(Ready::WRITE.and(Ready::HANGUP)) {
        return Ok(false);
    }
    core.kernel.take_error(c.socket)?;
    match core.kernel.peer_address(c.socket) {
        // A spurious event.
        Err(error) if error.kind() == ErrorKind::NotConnected && !c.ready.any(Ready::HANGUP) => {
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

fn connected(core: &mut Core, connecting: &mut Connecting, index: u32) {
    connecting.attempts.remove(&index);
    let tick = core.tick;
    let Some(c) = core.get_mut(index) else { return };
    c.active = tick;
    c.ready = c.ready.and(Ready::WRITE);
    if let Some(queue) = &mut c.outbound {
        queue.progress = tick;
    }
    if c.flags.take(Flags::CLOSE_WHEN_CONNECTED) {
        c.phase = Phase::Closing;
    } else {
        c.phase = Phase::Open;
        c.flags.set(Flags::OWES_READY);
    }
    core.recycle_special(index);
    deadlines::arm(core, index);
}

/// Goes on after a failed attempt: to the next address, unless this machine is out of resources.
fn attempt_failed(core: &mut Core, connecting: &mut Connecting, index: u32, error: io::Error) {
    drop_socket(core, index);
    if let Some(attempt) = connecting.attempts.get(&index) {
        log::debug!("connect to {}: {error}", attempt.target);
        if sys::is_shortage(&error) {
            if connecting.log.allows(core.now) {
                log::error!("connect to {}: {error}", attempt.target);
            }
            return not_connected(core, index, ErrorKind::QuotaExceeded);
        }
    }
    try_next(core, connecting, index, error.kind());
}

/// Tries the next address, or fails with the error of the last one.
fn try_next(core: &mut Core, connecting: &mut Connecting, index: u32, why: ErrorKind) {
    let next = match connecting.attempts.get_mut(&index).map(|attempt| &mut attempt.stage) {
        Some(Stage::Trying(left)) => left.next(),
        _ => None,
    };
    match next.map(|address| try_address(core, connecting, index, &address)) {
        None => not_connected(core, index, why),
        Some(Ok(())) => {}
        // Each call takes one address off the list, so the recursion ends.
        Some(Err(error)) => attempt_failed(core, connecting, index, error),
    }
}

fn try_address(
    core: &mut Core,
    connecting: &Connecting,
    index: u32,
    address: &Address,
) -> io::Result<()> {
    let Some(attempt) = connecting.attempts.get(&index) else { return Ok(()) };
    let options = connecting.settings(attempt.connector).options();
    let socket = core.kernel.start_connect(address, &options)?;
    let registered = register(core, connecting, index, socket, address);
    if registered.is_err() {
        core.kernel.close(socket);
    }
    registered
}

fn register(
    core: &mut Core,
    connecting: &Connecting,
    index: u32,
    socket: Fd,
    address: &Address,
) -> io::Result<()> {
    let Some(attempt) = connecting.attempts.get(&index) else { return Ok(()) };
    let Some(c) = core.connections.0.get_mut(index as usize) else { return Ok(()) };
    let settings = connecting.settings(attempt.connector);
    // Registered after the call, since a socket that is not connecting is reported as writable and
    // hung up (`epoll(7)`). The token is that of the previous socket, from which no event can come
    // any more.
    core.selector.add_stream(socket, token(index, c.generation))?;
    c.socket = socket;
    if address.is_unix() {
        c.flags.set(Flags::UNIX);
    }
    let last = matches!(&attempt.stage, Stage::Trying(left) if left.as_slice().is_empty());
    let soon = core.tick.wrapping_add(ticks(settings.attempt_timeout) + 1);
    let until = if last || is_due(attempt.deadline, soon) { attempt.deadline } else { soon };
    set_attempt_deadline(core, index, until);
    deadlines::arm(core, index);
    Ok(())
}

/// The time for one address, or for the whole attempt, is over.
pub(crate) fn timed_out(core: &mut Core, connecting: &mut Connecting, index: u32) {
    let Some(attempt) = connecting.attempts.get(&index) else { return };
    if is_due(attempt.deadline, core.tick) {
        not_connected(core, index, ErrorKind::TimedOut);
    } else {
        attempt_failed(core, connecting, index, ErrorKind::TimedOut.into());
    }
}

fn not_connected(core: &mut Core, index: u32, kind: ErrorKind) {
    if let Some(ledger) = core.ledger_of(index) {
        ledger.connect_failures += 1;
    }
    core.fail(index, Reason::Unconnected(kind));
}
