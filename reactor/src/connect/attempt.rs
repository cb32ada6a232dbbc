//! Connections in the making: from the name or address that was asked for to an open connection.
//!
//! A connection has its place from the start, so that others can name it, and is
//! [`Phase::Connecting`] until it is made. What only such a one needs stands beside it, in an
//! [`Attempt`]. Nothing here happens inside [`Turn::connect`](crate::Turn::connect): the first call
//! on a socket is made when the connection is driven.

use std::any::TypeId;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::connect::resolver::Resolver;
use crate::core::connection::{Flags, Phase};
use crate::core::target::{Place, Target};
use crate::core::{Core, token};
use crate::handler::{ConnId, Handler, HandlerId, Reason};
use crate::sys::{self, Address, Fd, Keepalive, NO_FD, Ready, TcpOptions};
use crate::time::deadlines::{is_due, ticks};
use crate::turn::dispatch::Handlers;
use crate::turn::reactor::Reactor;

/// Least nanoseconds between two log lines about a shortage.
const LOG_EVERY: u64 = 1_000_000_000;

/// What a connector was made with.
pub(crate) struct Settings {
    pub(crate) group: u16,
    pub(crate) handler: u8,
    /// The type of the handler.
    pub(crate) kind: TypeId,
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

/// Gives a session to its handler, and says where it is.
pub(crate) type Store = Box<dyn FnOnce(&mut Handlers) -> u32>;

/// A connection that is not made yet.
struct Attempt {
    connector: u16,
    target: Target,
    stage: Stage,
    /// When all of it is given up.
    deadline: u32,
    /// The session, until it is with its handler.
    store: Option<Store>,
    /// Closed by its handler: it is over when it is made and what was queued is sent.
    closing: bool,
}

enum Stage {
    /// Nothing was done yet.
    Begun,
    /// Nothing will be: there were as many connections as there may be.
    TooMany,
    /// The addresses of the name are being looked up.
    Resolving,
    /// One address is being tried; these are left.
    Trying(std::vec::IntoIter<Address>),
}

/// The connections in the making of a reactor, and its connectors.
#[derive(Default)]
pub(crate) struct Connecting {
    connectors: Vec<Settings>,
    /// There once there is a connector.
    resolver: Option<Resolver>,
    /// By the index of the connection.
    attempts: HashMap<u32, Attempt>,
    /// The reactor has stopped.
    pub(crate) ended: bool,
    logged_at: Option<u64>,
}

impl Connecting {
    pub(crate) fn add(&mut self, settings: Settings) -> u16 {
        self.connectors.push(settings);
        // There are no more of them than groups.
        (self.connectors.len() - 1) as u16
    }

    /// Whether a connector is one of this reactor, for the handler that is so named.
    pub(crate) fn has<H: Handler>(&self, connector: u16, handler: HandlerId<H>) -> bool {
        self.connectors.get(usize::from(connector)).is_some_and(|settings| {
            settings.kind == TypeId::of::<H>() && settings.handler == handler.index
        })
    }

    /// Whether a connection is to be closed when it is made.
    pub(crate) fn is_closing(&self, index: u32) -> bool {
        self.attempts.get(&index).is_some_and(|attempt| attempt.closing)
    }

    pub(crate) fn use_resolver(&mut self, make: impl FnOnce() -> Resolver) {
        self.resolver.get_or_insert_with(make);
    }

    fn settings(&self, connector: u16) -> &Settings {
        &self.connectors[usize::from(connector)]
    }
}

/// What handlers ask for.
impl Core {
    /// Gives a connection its place. It is begun when it is driven.
    pub(crate) fn connect(&mut self, connector: u16, target: Target, store: Store) -> ConnId {
        let settings = self.connecting.settings(connector);
        if self.connecting.ended {
            return ConnId { index: u32::MAX, generation: 0 };
        }
        let deadline = self.tick.wrapping_add(ticks(settings.timeout) + 1);
        let (group, handler) = (settings.group, settings.handler);
        let connections = &mut self.groups[usize::from(group)];
        let room = connections.open < settings.max_connections;
        connections.ledger.connects += 1;
        let id = self.insert(NO_FD, group, handler);
        if let Some(c) = self.get_mut(id.index) {
            (c.phase, c.ready, c.active) = (Phase::Connecting, Ready::default(), deadline);
        }
        let stage = if room { Stage::Begun } else { Stage::TooMany };
        let (store, closing) = (Some(store), false);
        let attempt = Attempt { connector, target, stage, deadline, store, closing };
        self.connecting.attempts.insert(id.index, attempt);
        self.list(id.index);
        id
    }

    /// Closes a connection in the making: at once, unless something waits to be sent.
    pub(crate) fn close_connecting(&mut self, index: u32) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        if c.outbound.is_none() {
            return self.fail(index, Reason::Closed);
        }
        (c.reason, c.deadline) = (Reason::Closed, 0);
        c.flags.set(Flags::SHUTDOWN);
        if let Some(attempt) = self.connecting.attempts.get_mut(&index) {
            attempt.closing = true;
        }
    }

    /// Gives an attempt up. Its session stays here if it is not with its handler yet.
    pub(crate) fn stop_connecting(&mut self, index: u32) {
        self.drop_attempted_socket(index);
        if self.connecting.attempts.get(&index).is_some_and(|attempt| attempt.store.is_none()) {
            self.connecting.attempts.remove(&index);
        }
    }

    fn drop_attempted_socket(&mut self, index: u32) {
        if let Some(c) = self.get_mut(index) {
            c.ready = Ready::default();
            let socket = std::mem::replace(&mut c.socket, NO_FD);
            if socket != NO_FD {
                self.kernel.close(socket);
            }
        }
    }
}

/// What the loop does.
impl Reactor {
    /// Moves a connection in the making forward.
    pub(crate) fn drive_connecting(&mut self, index: u32) {
        self.store_session(index);
        self.core.connect_on(index);
    }

    /// Gives a session that came with a connection to its handler.
    pub(crate) fn store_session(&mut self, index: u32) {
        let Some(c) = self.core.connections.0.get_mut(index as usize) else { return };
        let Some(attempt) = self.core.connecting.attempts.get_mut(&index) else { return };
        if let Some(store) = attempt.store.take() {
            c.slot = store(&mut self.handlers);
            c.flags.set(Flags::SESSION);
        }
        if c.phase != Phase::Connecting {
            self.core.connecting.attempts.remove(&index);
        }
    }
}

/// The states, from one to the next.
impl Core {
    fn connect_on(&mut self, index: u32) {
        let Some(attempt) = self.connecting.attempts.get(&index) else { return };
        match attempt.stage {
            Stage::Begun => self.begin(index),
            Stage::TooMany => self.not_connected(index, ErrorKind::QuotaExceeded),
            Stage::Resolving => {}
            Stage::Trying(_) => match self.is_connected(index) {
                Ok(true) => self.connected(index),
                Ok(false) => {}
                Err(error) => self.attempt_failed(index, error),
            },
        }
    }

    fn begin(&mut self, index: u32) {
        let Some(attempt) = self.connecting.attempts.get_mut(&index) else { return };
        match &attempt.target.0 {
            Place::Address(address) => {
                let address = address.clone();
                self.try_these(index, vec![address]);
            }
            Place::Name(name, port) => {
                let Some(c) = self.connections.0.get(index as usize) else { return };
                let Some(resolver) = &self.connecting.resolver else { return };
                let id = ConnId { index, generation: c.generation };
                attempt.stage = Stage::Resolving;
                match resolver.look_up(&self.kernel, id, name, *port) {
                    Ok(()) => self.arm(index),
                    Err(error) => self.attempt_failed(index, error),
                }
            }
        }
    }

    /// A name was looked up.
    pub(crate) fn resolved(&mut self, index: u32, found: io::Result<Vec<Address>>) {
        let attempt = self.connecting.attempts.get(&index);
        if attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Resolving)) {
            match found {
                Ok(addresses) => self.try_these(index, addresses),
                Err(error) => self.attempt_failed(index, error),
            }
        }
    }

    fn try_these(&mut self, index: u32, addresses: Vec<Address>) {
        if let Some(attempt) = self.connecting.attempts.get_mut(&index) {
            attempt.stage = Stage::Trying(addresses.into_iter());
        }
        self.try_next(index, ErrorKind::NotFound);
    }

    /// Whether the socket is connected. Without news it may or may not be.
    fn is_connected(&mut self, index: u32) -> io::Result<bool> {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return Ok(false) };
        if !c.ready.any(Ready::WRITE.and(Ready::HANGUP)) {
            return Ok(false);
        }
        self.kernel.take_error(c.socket)?;
        match self.kernel.peer_address(c.socket) {
            // An event that means nothing.
            Err(error)
                if error.kind() == ErrorKind::NotConnected && !c.ready.any(Ready::HANGUP) =>
            {
                c.ready = Ready::default();
                Ok(false)
            }
            // To connect to a port of this machine where nobody listens, the kernel may choose just
            // that port, and by the rules of TCP the socket is then connected to itself (RFC 9293,
            // simultaneous open).
            Ok(peer) if !peer.is_unix() && self.kernel.local_address(c.socket)? == peer => {
                Err(ErrorKind::ConnectionRefused.into())
            }
            other => other.map(|_| true),
        }
    }

    fn connected(&mut self, index: u32) {
        let closing = self.connecting.is_closing(index);
        self.connecting.attempts.remove(&index);
        let tick = self.tick;
        let Some(c) = self.get_mut(index) else { return };
        c.active = tick;
        c.ready = c.ready.and(Ready::WRITE);
        if let Some(queue) = &mut c.outbound {
            queue.progress = tick;
        }
        if closing {
            c.phase = Phase::Closing;
        } else {
            c.phase = Phase::Open;
            c.flags.set(Flags::OWES_READY);
        }
        self.arm(index);
    }

    /// Goes on after an attempt that failed: to the next address, unless this machine is at its
    /// end.
    fn attempt_failed(&mut self, index: u32, error: io::Error) {
        self.drop_attempted_socket(index);
        if let Some(attempt) = self.connecting.attempts.get(&index) {
            log::debug!("connect to {}: {error}", attempt.target);
        }
        if sys::is_shortage(&error) {
            self.log_shortage(&error);
            return self.not_connected(index, ErrorKind::QuotaExceeded);
        }
        self.try_next(index, error.kind());
    }

    /// Tries the next address, or ends with why the last one failed.
    fn try_next(&mut self, index: u32, why: ErrorKind) {
        let next = match self.connecting.attempts.get_mut(&index).map(|attempt| &mut attempt.stage)
        {
            Some(Stage::Trying(left)) => left.next(),
            _ => None,
        };
        match next.map(|address| self.try_address(index, &address)) {
            None => self.not_connected(index, why),
            Some(Ok(())) => {}
            // As many times at most as there are addresses.
            Some(Err(error)) => self.attempt_failed(index, error),
        }
    }

    fn try_address(&mut self, index: u32, address: &Address) -> io::Result<()> {
        let Some(attempt) = self.connecting.attempts.get(&index) else { return Ok(()) };
        let settings = self.connecting.settings(attempt.connector);
        let socket = self.kernel.start_connect(address, &settings.options())?;
        let registered = self.register_connecting(index, socket, address);
        if registered.is_err() {
            self.kernel.close(socket);
        }
        registered
    }

    fn register_connecting(&mut self, index: u32, socket: Fd, address: &Address) -> io::Result<()> {
        let Some(attempt) = self.connecting.attempts.get(&index) else { return Ok(()) };
        let Some(c) = self.connections.0.get_mut(index as usize) else { return Ok(()) };
        let settings = self.connecting.settings(attempt.connector);
        // After the call: a socket that is not being connected is writable and hung up, epoll(7).
        // The token is that of the socket before, of which no event can come any more.
        self.selector.add_stream(socket, token(index, c.generation))?;
        c.socket = socket;
        if address.is_unix() {
            c.flags.set(Flags::UNIX);
        }
        let last = matches!(&attempt.stage, Stage::Trying(left) if left.as_slice().is_empty());
        let soon = self.tick.wrapping_add(ticks(settings.attempt_timeout) + 1);
        c.active = if last || is_due(attempt.deadline, soon) { attempt.deadline } else { soon };
        self.arm(index);
        Ok(())
    }

    /// The time of an address, or of all of it, is over.
    pub(crate) fn connecting_timed_out(&mut self, index: u32) {
        let Some(attempt) = self.connecting.attempts.get(&index) else { return };
        if is_due(attempt.deadline, self.tick) {
            self.not_connected(index, ErrorKind::TimedOut);
        } else {
            self.attempt_failed(index, ErrorKind::TimedOut.into());
        }
    }

    fn not_connected(&mut self, index: u32, kind: ErrorKind) {
        if let Some(ledger) = self.ledger_of(index) {
            ledger.connect_failures += 1;
        }
        self.fail(index, Reason::Unconnected(kind));
    }

    fn log_shortage(&mut self, error: &io::Error) {
        let logged_at = &mut self.connecting.logged_at;
        if logged_at.is_none_or(|at| self.now.saturating_sub(at) >= LOG_EVERY) {
            *logged_at = Some(self.now);
            log::error!("connect: {error}");
        }
    }
}
