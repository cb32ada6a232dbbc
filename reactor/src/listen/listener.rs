//! Accepting connections, within limits.

use std::io;
use std::net::IpAddr;
use std::os::fd::{IntoRawFd, OwnedFd};

use super::shed::IdleSearch;
use super::{Listen, Origin, WhenFull};
use crate::core::transport::Transport;
use crate::core::{Bucket, Core, Flags, Group, PerAddress, TICK};
use crate::sys::{Address, Fd, Kernel, Ready};
use crate::threads::distribute::Distributor;
use crate::threads::handle::Mailbox;
use crate::time::deadlines;
use crate::transport;

/// Marks the tokens of listeners. In the token of a connection this bit belongs to the index, which
/// counts open descriptors and never gets so high.
pub(crate) const LISTENER_BIT: u64 = 1 << 31;

/// How long a listener pauses when descriptors or memory run out, in nanoseconds. No event
/// announces that they are available again, so it retries after this time.
const PAUSE: u64 = 100_000_000;

/// Where connections come from.
pub(crate) enum Source {
    /// A listening socket. Of a server, the distributor may pass its connections to all threads.
    Socket(Fd, Origin, Option<Distributor>),
    /// Another reactor, which accepts the connections at this address.
    Distributed(Mailbox<OwnedFd>, Address),
}

impl Source {
    /// The kernel resets the connections in the backlog of a socket.
    pub(super) fn close(self, core: &mut Core) {
        let Source::Socket(socket, origin, _) = self else { return };
        match &origin {
            Origin::Made(None) => core.kernel.stop_listening(socket),
            Origin::Made(Some(_)) => {}
            Origin::Adopted => core.selector.remove(socket),
            Origin::InCustody(hold) => {
                core.selector.remove(socket);
                hold.if_ours(|| core.kernel.stop_listening(socket));
            }
        }
        // Its file is removed before the socket is closed.
        drop(origin);
        core.kernel.close(socket);
    }
}

pub(crate) struct Listener {
    source: Source,
    pub(crate) address: Address,
    pub(crate) handler: u8,
    pub(crate) group: u16,
    /// Its maximum number of connections, which can change, is in the group.
    pub(crate) options: Listen,
    /// Whether there may be connections to accept.
    pub(crate) ready: bool,
    /// Not before this time (nanoseconds).
    retry_at: u64,
    /// How it finds connections to shed.
    search: IdleSearch,
    /// An accepted connection that waits until an idle one, or another reactor, has made room.
    held: Option<Fd>,
}

/// Registers a listening socket, and returns the address of the source.
fn watch(core: &mut Core, index: usize, source: &Source) -> io::Result<Address> {
    if core.is_draining() {
        return Err(io::Error::other("the reactor is stopping and has closed its listeners"));
    }
    match source {
        Source::Socket(socket, ..) => {
            let address = core.kernel.local_address(*socket)?;
            core.selector.add(*socket, LISTENER_BIT | index as u64)?;
            Ok(address)
        }
        Source::Distributed(_, address) => Ok(address.clone()),
    }
}

impl Listener {
    /// Creates the listener with this index. Its connections are in the group of another one, or in
    /// one of their own. Closes the source on error.
    pub(crate) fn new(
        core: &mut Core,
        index: usize,
        source: Source,
        listen: &Listen,
        handler: u8,
        group: Option<u16>,
    ) -> io::Result<Listener> {
        let burst = listen.accept_burst.into();
        let new_group = |address: &Address| Group {
            limit: Some(listen.max_connections),
            per_address: listen.max_per_address.map(|most| Box::new(PerAddress::new(most))),
            accepts: listen.accept_rate.map(|rate| Bucket::new(rate.into(), burst)),
            address: Some(address.clone()),
            ..Group::new(listen.limits.clone(), listen.send_rate)
        };
        let made = watch(core, index, &source).and_then(|address| {
            Ok((group.map_or_else(|| core.add_group(new_group(&address)), Ok)?, address))
        });
        let (group, address) = match made {
            Ok(made) => made,
            Err(error) => {
                source.close(core);
                return Err(error);
            }
        };
        Ok(Listener {
            source,
            address,
            handler,
            group,
            options: Listen { accept_budget: listen.accept_budget.max(1), ..listen.clone() },
            ready: false,
            retry_at: 0,
            search: IdleSearch::default(),
            held: None,
        })
    }

    /// How long to wait before accepting may succeed, in nanoseconds. `None` if an event or a close
    /// announces it.
    pub(crate) fn wait(&self, core: &Core) -> Option<u64> {
        if !self.ready {
            return None;
        }
        let room_at = match self.options.when_full {
            WhenFull::Wait if self.is_full(core) => return None,
            WhenFull::Shed if self.is_full(core) => self.search.not_before,
            _ => 0,
        };
        // What another reactor has passed has been accepted.
        let rate = match self.source {
            Source::Socket(..) => core.groups[self.group as usize].accepts.as_ref(),
            Source::Distributed(..) => None,
        };
        let rate_at = rate.map_or(0, |rate| rate.ready_at(1));
        Some(self.retry_at.max(rate_at).max(room_at).saturating_sub(core.now))
    }

    /// Whether it has no place for another connection. It needs none for those it passes on.
    fn is_full(&self, core: &Core) -> bool {
        let passes_on = matches!(self.source, Source::Socket(_, _, Some(_)));
        !passes_on && core.groups[self.group as usize].is_full()
    }

    /// Accepts within the budget. New connections get their first callback when they run.
    pub(crate) fn accept(&mut self, core: &mut Core) {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        let mut lost = 0;
        for _ in 0..self.options.accept_budget {
            if self.wait(core) != Some(0) {
                return;
            }
            match self.next_socket(&core.kernel) {
                Ok(socket) if self.options.when_full == WhenFull::Shed && self.is_full(core) => {
                    self.held = Some(socket);
                    return self.make_room(core);
                }
                Ok(socket) => self.take_up(socket, core),
                Err(error) => match error.kind() {
                    WouldBlock => self.ready = false,
                    ConnectionAborted | Interrupted => {
                        lost += 1;
                        // When every call in a whole turn fails like this, the likely cause is a
                        // sandbox that forbids it (EPERM, `seccomp(2)`), not lost connections.
                        if lost == self.options.accept_budget {
                            self.pause(core, "accept", &error);
                        }
                    }
                    // A shortage of descriptors or memory. An unknown error is treated as one: a
                    // pause is harmless, a busy loop is not.
                    _ => self.pause(core, "accept", &error),
                },
            }
        }
    }

    /// Chooses an idle connection, which the turn lets its handler close.
    fn make_room(&mut self, core: &mut Core) {
        match self.search.longest_idle(core, self.group) {
            Some(index) => core.shed.push(index),
            None => core.groups[self.group as usize].ledger.full_pauses += 1,
        }
        // Its handler may keep it, or have something to send first.
        self.search.not_before = core.now + TICK;
    }

    /// Whether an accepted connection waits for room.
    #[cfg(feature = "testing")]
    pub(crate) fn holds_one(&self) -> bool {
        self.held.is_some()
    }

    /// Accepts the backlog, because closing the listener resets it, unless another process has the
    /// socket open to accept it. Accepts at most as many connections as the backlog can hold; later
    /// ones came too late.
    pub(crate) fn accept_rest(&mut self, core: &mut Core) {
        self.ready = true;
        if let Some(socket) = self.held.take() {
            self.take_up(socket, core);
        }
        let most = match &mut self.source {
            Source::Socket(_, Origin::InCustody(hold), _) if hold.custody.is_elsewhere() => return,
            Source::Socket(..) => self.options.backlog as usize,
            Source::Distributed(mailbox, _) => mailbox.close(),
        };
        for _ in 0..most.div_ceil(self.options.accept_budget as usize).max(1) {
            self.accept(core);
        }
    }

    /// Passes a new connection to another reactor, or gives it a place unless its client has too
    /// many.
    fn take_up(&mut self, socket: Fd, core: &mut Core) {
        let group = &mut core.groups[self.group as usize];
        if let Source::Socket(_, _, distributor) = &mut self.source {
            if let Some(rate) = &mut group.accepts {
                rate.take(core.now, 1);
                group.ledger.rate_pauses += u64::from(rate.ready_at(1) > core.now);
            }
            if let Some(distributor) = distributor {
                if let Err(socket) = distributor.send(socket) {
                    // No reactor has room: each has reached its limit, or does not keep up.
                    self.held = Some(socket);
                    self.retry_at = core.now + PAUSE;
                }
                return;
            }
        }
        let asks = group.per_address.is_some() || self.options.transport.is_some();
        if core.is_memory_short() {
            self.retry_at = core.now + TICK;
        }
        // A connection that is already reset has no address any more. It is not counted.
        let peer = asks.then(|| core.kernel.peer_address(socket).ok()).flatten();
        let client = peer.as_ref().and_then(Address::client_network);
        let group = &mut core.groups[self.group as usize];
        group.ledger.accepted += 1;
        if let Some(refused) = self.refusal(group, client) {
            *refused += 1;
            return self.refuse(socket, core);
        }
        let Some(transport) = self.transport_of(peer) else {
            return self.refuse(socket, core);
        };
        let flags = if self.address.is_unix() { Flags::STOPS_SHORT } else { Flags::default() };
        match core.register(socket, self.group, self.handler, flags) {
            Ok(id) => {
                match transport {
                    Some(transport) => transport::accepted(core, id.index, transport),
                    None => core.note_opened(id.index),
                }
                deadlines::arm(core, id.index);
                core.schedule(id.index);
                let per_address = &mut core.groups[self.group as usize].per_address;
                if let (Some(client), Some(per_address)) = (client, per_address) {
                    per_address.enter(id.index, client);
                }
                let waits = self.options.when_full == WhenFull::Wait && self.is_full(core);
                core.groups[self.group as usize].ledger.full_pauses += u64::from(waits);
                self.search.not_before = 0;
            }
            // Out of memory, or `max_user_watches` is reached (`epoll(7)`).
            Err(error) => {
                core.kernel.close(socket);
                core.groups[self.group as usize].ledger.closed += 1;
                self.pause(core, "registering a connection", &error);
            }
        }
    }

    /// The counter of the limit that refuses a new connection, if one does.
    fn refusal<'a>(&self, group: &'a mut Group, client: Option<IpAddr>) -> Option<&'a mut u64> {
        let Listen { when_full, max_handshakes, transport, .. } = &self.options;
        let has_too_many = |clients: &PerAddress| client.is_some_and(|it| !clients.has_room(it));
        if *when_full == WhenFull::Refuse && group.is_full() {
            Some(&mut group.ledger.refused_full)
        } else if group.per_address.as_deref().is_some_and(has_too_many) {
            Some(&mut group.ledger.refused_per_address)
        } else if transport.is_some() && group.handshaking >= *max_handshakes {
            Some(&mut group.ledger.refused_handshakes)
        } else {
            None
        }
    }

    /// Resets an accepted connection. An orderly close would leave the state of the connection with
    /// the server (TIME_WAIT).
    fn refuse(&self, socket: Fd, core: &mut Core) {
        core.groups[self.group as usize].ledger.closed += 1;
        core.kernel.reset(socket);
    }

    /// Makes the transport of a new connection, if it is to have one. `None` if the connection is
    /// to be refused.
    #[expect(clippy::option_option, reason = "a connection may be refused, or need no transport")]
    fn transport_of(&self, peer: Option<Address>) -> Option<Option<Box<dyn Transport>>> {
        let Some(factory) = &self.options.transport else { return Some(None) };
        let peer = peer?;
        let refused = |error: &_| {
            log::debug!("refused a connection from {peer} at {}: {error}", self.address);
        };
        factory.make(&peer).inspect_err(refused).ok()
    }

    /// Pauses accepting, and logs the cause at most once a second.
    fn pause(&mut self, core: &mut Core, what: &str, error: &io::Error) {
        let group = &mut core.groups[self.group as usize];
        group.ledger.accept_pauses += 1;
        self.retry_at = core.now + PAUSE;
        if group.log.allows(core.now) {
            log::error!("{}: {what}: {error}; accepting is paused", self.address);
        }
    }

    /// The next connection. `WouldBlock` if there is none; an edge or the doorbell announces it.
    fn next_socket(&mut self, kernel: &Kernel) -> io::Result<Fd> {
        if let Some(socket) = self.held.take() {
            return Ok(socket);
        }
        match &mut self.source {
            Source::Socket(socket, ..) => kernel.accept(*socket),
            Source::Distributed(mailbox, _) => {
                mailbox.next().map(IntoRawFd::into_raw_fd).ok_or(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    /// Stops listening.
    pub(crate) fn close(self, core: &mut Core) {
        if let Some(socket) = self.held {
            core.kernel.reset(socket);
        }
        self.source.close(core);
    }

    /// Notes that another reactor may have passed connections.
    pub(crate) fn rung(&mut self) {
        self.ready |= matches!(self.source, Source::Distributed(..));
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, ready: Ready) {
        self.ready |= ready.any(Ready::READ);
    }
}
