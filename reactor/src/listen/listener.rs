//! Accepting connections, within limits.

use std::io;
use std::time::Duration;

use super::Listen;
use crate::core::{Bucket, ClientNet, Core, Flags};
use crate::sys::{Address, Fd, Ready, SocketFile};
use crate::threads::distribute::{Distributor, SocketReceiver};
use crate::time::deadlines;

/// Marks the tokens of listeners. In the token of a connection this bit belongs to the index, which
/// counts open descriptors and never gets so high.
pub(crate) const LISTENER_BIT: u64 = 1 << 31;

/// How long a listener pauses when descriptors or memory run out. No event announces that they are
/// available again, so it retries after this time.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(crate) enum Source {
    /// A listening socket.
    Socket(Fd, Origin),
    /// Another reactor, which accepts the connections.
    Distributed(SocketReceiver),
}

pub(crate) struct Listener {
    source: Source,
    /// Distributes the accepted sockets to all reactors of a server.
    distributor: Option<Distributor>,
    pub(crate) address: Address,
    pub(crate) handler: u8,
    pub(crate) group: u16,
    backlog: u32,
    accept_budget: u32,
    max_connections: u32,
    rate: Option<Bucket>,
    /// Whether there may be connections to accept.
    pub(crate) ready: bool,
    /// Not before this time (nanoseconds).
    retry_at: u64,
}

/// Where a listening socket comes from.
pub(crate) enum Origin {
    /// Opened here; a Unix socket has a file.
    Made(Option<SocketFile>),
    /// Adopted. Other processes may have it open, so its events go on after it is closed.
    Adopted,
}

/// The result of an attempt to accept.
enum Accepted {
    Socket(Fd),
    /// This connection was lost; there may be others.
    Lost(io::Error),
    /// None for now. An edge follows.
    Empty,
    /// No descriptor or no memory is left for it.
    Exhausted(io::Error),
}

impl Listener {
    pub(crate) fn new(
        source: Source,
        address: Address,
        (handler, group): (u8, u16),
        listen: &Listen,
    ) -> Self {
        Listener {
            source,
            distributor: None,
            address,
            handler,
            group,
            backlog: listen.backlog,
            accept_budget: listen.accept_budget.max(1),
            max_connections: listen.max_connections,
            rate: listen
                .accept_rate
                .map(|rate| Bucket::new(rate.into(), listen.accept_burst.into())),
            ready: false,
            retry_at: 0,
        }
    }

    /// Distributes the sockets that this listener accepts.
    pub(crate) fn distribute_by(&mut self, distributor: Distributor) {
        self.distributor = Some(distributor);
    }

    /// How long to wait before accepting may succeed, in nanoseconds. `None` if an event or a close
    /// announces it.
    pub(crate) fn wait(&self, core: &Core) -> Option<u64> {
        let at = self.retry_at.max(self.rate.as_ref().map_or(0, |rate| rate.ready_at(1)));
        (self.ready && !self.is_full(core)).then(|| at.saturating_sub(core.now))
    }

    fn is_full(&self, core: &Core) -> bool {
        core.groups[self.group as usize].open >= self.max_connections
    }

    /// Accepts within the budget, and adds new connections to `opened`.
    pub(crate) fn accept(&mut self, core: &mut Core, opened: &mut Vec<u32>) {
        let mut lost = 0;
        for _ in 0..self.accept_budget {
            if self.wait(core) != Some(0) {
                return;
            }
            match self.accept_one(core) {
                Accepted::Socket(socket) if self.distributor.is_some() => self.pass(socket, core),
                Accepted::Socket(socket) => self.take_up(socket, core, opened),
                Accepted::Lost(error) => {
                    lost += 1;
                    // When every call in a whole turn fails like this, the likely cause is a
                    // sandbox that forbids it (EPERM, `seccomp(2)`), not so many lost connections.
                    if lost == self.accept_budget {
                        self.pause(core, "accept", &error);
                    }
                }
                Accepted::Empty => self.ready = false,
                Accepted::Exhausted(error) => self.pause(core, "accept", &error),
            }
        }
    }

    /// Accepts the backlog, because closing the listener resets it. Accepts at most as many
    /// connections as the backlog can hold; later ones came too late.
    pub(crate) fn accept_rest(&mut self, core: &mut Core, opened: &mut Vec<u32>) {
        self.ready = true;
        let most = match &mut self.source {
            Source::Socket(..) => self.backlog as usize,
            Source::Distributed(receiver) => receiver.close(),
        };
        for _ in 0..most.div_ceil(self.accept_budget as usize).max(1) {
            if self.wait(core) == Some(0) {
                self.accept(core, opened);
            }
        }
    }

    /// Counts a new connection for the rate.
    fn count(&mut self, core: &Core) {
        if let Some(rate) = &mut self.rate {
            rate.take(core.now, 1);
        }
    }

    /// Passes a new connection to another reactor.
    fn pass(&mut self, socket: Fd, core: &Core) {
        self.count(core);
        if self.distributor.as_mut().is_some_and(|distributor| !distributor.send(socket)) {
            // No reactor has room: each has reached its limit, or does not keep up.
            self.retry_at = core.now + PAUSE.as_nanos() as u64;
        }
    }

    /// Gives a new connection a place, unless its client has too many.
    fn take_up(&mut self, socket: Fd, core: &mut Core, opened: &mut Vec<u32>) {
        self.count(core);
        let client = self.client_of(socket, core);
        let group = &mut core.groups[self.group as usize];
        group.ledger.accepted += 1;
        let paused = self.rate.as_ref().is_some_and(|rate| rate.ready_at(1) > core.now);
        group.ledger.rate_pauses += u64::from(paused);
        if let (Some(client), Some(per_address)) = (client, &group.per_address)
            && !per_address.has_room(client)
        {
            group.ledger.refused_per_address += 1;
            group.ledger.closed += 1;
            // An orderly close would leave the state of the connection with the server (TIME_WAIT).
            return core.kernel.reset(socket);
        }
        let flags = if self.address.is_unix() { Flags::UNIX } else { Flags::default() };
        match core.adopt(socket, self.group, self.handler, flags) {
            Ok(id) => {
                deadlines::arm(core, id.index);
                opened.push(id.index);
                let per_address = &mut core.groups[self.group as usize].per_address;
                if let (Some(client), Some(per_address)) = (client, per_address) {
                    per_address.enter(id.index, client);
                }
                let full = self.is_full(core);
                core.groups[self.group as usize].ledger.full_pauses += u64::from(full);
            }
            // Out of memory, or `max_user_watches` is reached (`epoll(7)`).
            Err(error) => {
                core.kernel.close(socket);
                core.groups[self.group as usize].ledger.closed += 1;
                self.pause(core, "registering a connection", &error);
            }
        }
    }

    /// The client to count it for, if clients are limited. A connection that is already reset has
    /// no address any more and is not counted.
    fn client_of(&self, socket: Fd, core: &Core) -> Option<ClientNet> {
        core.groups[self.group as usize].per_address.as_ref()?;
        let address = core.kernel.peer_address(socket).ok()?;
        address.ip().map(ClientNet::of)
    }

    /// Pauses accepting, and logs the cause at most once a second.
    fn pause(&mut self, core: &mut Core, what: &str, error: &io::Error) {
        let group = &mut core.groups[self.group as usize];
        group.ledger.accept_pauses += 1;
        self.retry_at = core.now + PAUSE.as_nanos() as u64;
        if group.log.allows(core.now) {
            log::error!("{}: {what}: {error}; waiting", self.address);
        }
    }

    fn accept_one(&mut self, core: &Core) -> Accepted {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        if let Some(held) = self.distributor.as_mut().and_then(Distributor::take_held) {
            return Accepted::Socket(held);
        }
        let socket = match &mut self.source {
            Source::Socket(socket, _) => *socket,
            Source::Distributed(receiver) => {
                return receiver.next().map_or(Accepted::Empty, Accepted::Socket);
            }
        };
        match core.kernel.accept(socket) {
            Ok(socket) => Accepted::Socket(socket),
            Err(error) => match error.kind() {
                WouldBlock => Accepted::Empty,
                ConnectionAborted | Interrupted => Accepted::Lost(error),
                // A shortage of descriptors or memory. An unknown error is treated as one: a pause
                // is harmless, a busy loop is not.
                _ => Accepted::Exhausted(error),
            },
        }
    }

    /// Stops listening. The kernel resets the connections in the backlog.
    pub(crate) fn close(self, core: &mut Core) {
        let Source::Socket(socket, origin) = self.source else { return };
        match origin {
            Origin::Adopted => core.selector.remove(socket),
            Origin::Made(Some(file)) => file.remove(),
            Origin::Made(None) => {}
        }
        core.kernel.close(socket);
    }

    /// Notes that another reactor may have passed connections.
    pub(crate) fn rung(&mut self) {
        self.ready |= matches!(self.source, Source::Distributed(_));
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, ready: Ready) {
        self.ready |= ready.any(Ready::READ);
    }
}
