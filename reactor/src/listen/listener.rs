//! Accepting connections, within limits.

use std::io;
use std::time::Duration;

use crate::core::Core;
use crate::core::connection::Flags;
use crate::core::ledger::Ledger;
use crate::core::limits::Limits;
use crate::core::per_address::{ClientNet, PerAddress};
use crate::listen::Listen;
use crate::sys::{Address, Fd, Ready, SocketFile};
use crate::threads::passing::{Landing, Ring};
use crate::time::rates::{Bucket, GroupRates};

/// How long a listener rests when descriptors or memory have run out. No edge announces that they
/// are back, so it tries again by the clock.
const PAUSE: Duration = Duration::from_millis(100);

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Connections with common limits: those of one listener, or adopted ones.
pub(crate) struct Group {
    pub(crate) limits: Limits,
    pub(crate) open: u32,
    /// Whether others may have the sockets open as well.
    pub(crate) shared: bool,
    per_address: Option<Box<PerAddress>>,
    /// What its connections may move in a second, if that is limited.
    pub(crate) rates: Option<Box<GroupRates>>,
    /// What its connections have done.
    pub(crate) ledger: Ledger,
    /// Where they were accepted, if they were.
    pub(crate) address: Option<Address>,
}

impl Group {
    pub(crate) fn of_listener(listen: &Listen, address: Address) -> Group {
        let per_address = listen.max_per_address.map(|most| Box::new(PerAddress::new(most)));
        let rates = GroupRates::of_listener(listen);
        let address = Some(address);
        Group { per_address, rates, address, ..Group::new(listen.limits.clone()) }
    }

    pub(crate) fn of_adopted(limits: Limits) -> Group {
        Group { shared: true, ..Group::new(limits) }
    }

    /// One of a connector.
    pub(crate) fn new(limits: Limits) -> Group {
        let (rates, ledger) = (GroupRates::of_each(&limits), Ledger::default());
        Group { limits, open: 0, shared: false, per_address: None, rates, ledger, address: None }
    }

    /// A connection has closed.
    pub(crate) fn leave(&mut self, index: u32) {
        self.open -= 1;
        if let Some(per_address) = &mut self.per_address {
            per_address.leave(index);
        }
    }
}

/// Where connections come from.
pub(crate) enum Source {
    /// A listening socket.
    Socket(Fd, Origin),
    /// Another reactor, which accepts them.
    Landing(Landing),
}

pub(crate) struct Listener {
    source: Source,
    /// Passes what is accepted on to several reactors.
    ring: Option<Ring>,
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
    logged_at: u64,
}

/// Where a listening socket comes from.
pub(crate) enum Origin {
    /// Made here, with the file of a Unix socket that has one.
    Made(Option<SocketFile>),
    /// Adopted: others may have it open, and its events would go on for them.
    Adopted,
}

/// What became of an attempt to accept.
enum Accepted {
    Socket(Fd),
    /// That one was lost, there may be others.
    Lost(io::Error),
    /// No more for now; an edge follows.
    Empty,
    /// No descriptor or memory for it.
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
            ring: None,
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
            logged_at: 0,
        }
    }

    /// Passes on what it accepts.
    pub(crate) fn pass_to(&mut self, ring: Ring) {
        self.ring = Some(ring);
    }

    /// Whether accepting may get something now, and if not, when: the nanoseconds until then, or
    /// `None` if an event or a close announces it.
    pub(crate) fn wait(&self, core: &Core) -> Option<u64> {
        let at = self.retry_at.max(self.rate.as_ref().map_or(0, |rate| rate.ready_at(1)));
        (self.ready && !self.is_full(core)).then(|| at.saturating_sub(core.now))
    }

    fn is_full(&self, core: &Core) -> bool {
        core.groups[self.group as usize].open >= self.max_connections
    }

    /// Accepts within the budget. New connections are handed to `opened`.
    pub(crate) fn accept(&mut self, core: &mut Core, opened: &mut Vec<u32>) {
        let mut lost = 0;
        for _ in 0..self.accept_budget {
            if self.wait(core) != Some(0) {
                return;
            }
            match self.accept_one(core) {
                Accepted::Socket(socket) if self.ring.is_some() => self.pass(socket, core),
                Accepted::Socket(socket) => self.take_up(socket, core, opened),
                Accepted::Lost(error) => {
                    lost += 1;
                    // Nothing else in a whole turn: more likely a sandbox that forbids the call
                    // (EPERM, seccomp(2)) than so many connections.
                    if lost == self.accept_budget {
                        self.pause(core, "accept", &error);
                    }
                }
                Accepted::Empty => self.ready = false,
                Accepted::Exhausted(error) => self.pause(core, "accept", &error),
            }
        }
    }

    /// Accepts what the queue holds, because closing the listener resets it. What comes after
    /// as many connections as the queue could hold has come too late.
    pub(crate) fn accept_rest(&mut self, core: &mut Core, opened: &mut Vec<u32>) {
        self.ready = true;
        let most = match &mut self.source {
            Source::Socket(..) => self.backlog as usize,
            Source::Landing(landing) => landing.refuse(),
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

    /// Gives a new connection to another reactor.
    fn pass(&mut self, socket: Fd, core: &Core) {
        self.count(core);
        if self.ring.as_mut().is_some_and(|ring| !ring.pass(socket)) {
            // Nobody has room: they have as many as they may, or do not keep up.
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
            // A close in order would leave the server with the state of it (TIME_WAIT).
            return core.kernel.reset(socket);
        }
        let flags = if self.address.is_unix() { Flags::UNIX } else { Flags::default() };
        match core.adopt(socket, self.group, self.handler, flags) {
            Ok(id) => {
                opened.push(id.index);
                let per_address = &mut core.groups[self.group as usize].per_address;
                if let (Some(client), Some(per_address)) = (client, per_address) {
                    per_address.enter(id.index, client);
                }
                let full = self.is_full(core);
                core.groups[self.group as usize].ledger.full_pauses += u64::from(full);
            }
            // No memory for it, or max_user_watches reached, epoll(7).
            Err(error) => {
                core.kernel.close(socket);
                core.groups[self.group as usize].ledger.closed += 1;
                self.pause(core, "registering a connection", &error);
            }
        }
    }

    /// Who counts as its client, if that matters. A connection that was reset already has no
    /// address any more, and is not counted.
    fn client_of(&self, socket: Fd, core: &Core) -> Option<ClientNet> {
        core.groups[self.group as usize].per_address.as_ref()?;
        let address = core.kernel.peer_address(socket).ok()?;
        address.ip().map(ClientNet::of)
    }

    /// Rests for a while, and says why once a second.
    fn pause(&mut self, core: &mut Core, what: &str, error: &io::Error) {
        core.groups[self.group as usize].ledger.accept_pauses += 1;
        self.retry_at = core.now + PAUSE.as_nanos() as u64;
        if core.now.saturating_sub(self.logged_at) >= SECOND || self.logged_at == 0 {
            self.logged_at = core.now;
            log::error!("{}: {what}: {error}; waiting", self.address);
        }
    }

    fn accept_one(&mut self, core: &Core) -> Accepted {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        if let Some(held) = self.ring.as_mut().and_then(Ring::take_held) {
            return Accepted::Socket(held);
        }
        let socket = match &mut self.source {
            Source::Socket(socket, _) => *socket,
            Source::Landing(landing) => {
                return landing.next().map_or(Accepted::Empty, Accepted::Socket);
            }
        };
        match core.kernel.accept(socket) {
            Ok(socket) => Accepted::Socket(socket),
            Err(error) => match error.kind() {
                WouldBlock => Accepted::Empty,
                ConnectionAborted | Interrupted => Accepted::Lost(error),
                // Shortages of descriptors and memory. What is unknown is treated like one: a pause
                // is harmless, a spin is not.
                _ => Accepted::Exhausted(error),
            },
        }
    }

    /// Ends listening. What waits in the backlog is reset by the kernel.
    pub(crate) fn close(self, core: &mut Core) {
        let Source::Socket(socket, origin) = self.source else { return };
        match origin {
            Origin::Adopted => core.selector.remove(socket),
            Origin::Made(Some(file)) => file.remove(),
            Origin::Made(None) => {}
        }
        core.kernel.close(socket);
    }

    /// Notes that another reactor may have left something.
    pub(crate) fn rung(&mut self) {
        self.ready |= matches!(self.source, Source::Landing(_));
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, ready: Ready) {
        self.ready |= ready.any(Ready::READ);
    }
}
