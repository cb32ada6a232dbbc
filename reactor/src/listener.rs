//! Accepting connections, within limits.

use std::io;
use std::time::Duration;

use crate::address::Address;
use crate::connection::Flags;
use crate::limits::Limits;
use crate::state::Core;
use crate::sys::{Fd, Ready};

/// How long a listener rests when descriptors or memory have run out. No edge announces that they
/// are back, so it tries again by the clock.
const PAUSE: Duration = Duration::from_millis(100);

/// Least nanoseconds between two log lines about that.
const LOG_EVERY: u64 = 1_000_000_000;

/// How a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Connections that the kernel holds ready to be accepted (`listen(2)`); it may cap this.
    pub backlog: u32,
    /// Most connections accepted in one turn; the next turn goes on.
    pub accept_budget: u32,
    /// Most connections open at a time, lingering ones included. Further ones wait in the backlog
    /// until one has closed.
    pub max_connections: u32,
    /// Bytes that the kernel may hold for a connection beyond what is on its way to the peer
    /// (`TCP_NOTSENT_LOWAT`, Linux only). `None` leaves it to the kernel, which grows a socket
    /// to 4 MiB: the cheapest, but a client that stops reading pins as much. With 256 KiB a bulk
    /// download costs 1.4 times as much, one at 1 MB/s 1.4 times.
    pub unsent: Option<u32>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            backlog: 4096,
            accept_budget: 64,
            max_connections: 100_000,
            unsent: None,
            limits: Limits::default(),
        }
    }
}

/// Names a listener of a reactor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId(pub(crate) u16);

/// Connections with common limits: those of one listener.
pub(crate) struct Group {
    pub(crate) limits: Limits,
    pub(crate) open: u32,
}

pub(crate) struct Listener {
    pub(crate) socket: Fd,
    pub(crate) address: Address,
    pub(crate) handler: u8,
    pub(crate) group: u16,
    backlog: u32,
    accept_budget: u32,
    max_connections: u32,
    /// Whether there may be connections to accept.
    pub(crate) ready: bool,
    /// Not before this time (nanoseconds).
    retry_at: u64,
    logged_at: u64,
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
        socket: Fd,
        address: Address,
        handler: u8,
        group: u16,
        listen: &Listen,
    ) -> Self {
        Listener {
            socket,
            address,
            handler,
            group,
            backlog: listen.backlog,
            accept_budget: listen.accept_budget.max(1),
            max_connections: listen.max_connections,
            ready: false,
            retry_at: 0,
            logged_at: 0,
        }
    }

    /// Whether accepting may get something now, and if not, when: the nanoseconds until then, or
    /// `None` if an event or a close announces it.
    pub(crate) fn wait(&self, core: &Core) -> Option<u64> {
        let below_cap = core.groups[self.group as usize].open < self.max_connections;
        (self.ready && below_cap).then(|| self.retry_at.saturating_sub(core.now))
    }

    /// Accepts within the budget. New connections are handed to `opened`.
    pub(crate) fn accept(&mut self, core: &mut Core, opened: &mut Vec<u32>) {
        let flags = if self.address.is_unix() { Flags::UNIX } else { Flags::default() };
        let mut lost = 0;
        for _ in 0..self.accept_budget {
            if self.wait(core) != Some(0) {
                return;
            }
            match self.accept_one(core) {
                Accepted::Socket(socket) => {
                    core.ledger.accepted += 1;
                    match core.adopt(socket, self.group, self.handler, flags) {
                        Ok(id) => opened.push(id.index),
                        // No memory for it, or max_user_watches reached, epoll(7).
                        Err(error) => {
                            core.kernel.close(socket);
                            core.ledger.closed += 1;
                            self.pause(core, "registering a connection", &error);
                        }
                    }
                }
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
        for _ in 0..self.backlog.div_ceil(self.accept_budget).max(1) {
            if self.wait(core) == Some(0) {
                self.accept(core, opened);
            }
        }
    }

    /// Rests for a while, and says why now and then.
    fn pause(&mut self, core: &mut Core, what: &str, error: &io::Error) {
        core.ledger.accept_pauses += 1;
        self.retry_at = core.now + PAUSE.as_nanos() as u64;
        if core.now.saturating_sub(self.logged_at) >= LOG_EVERY || self.logged_at == 0 {
            self.logged_at = core.now;
            log::error!("{}: {what}: {error}; waiting", self.address);
        }
    }

    fn accept_one(&self, core: &Core) -> Accepted {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        match core.kernel.accept(self.socket) {
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

    /// Notes an event.
    pub(crate) fn note(&mut self, ready: Ready) {
        self.ready |= ready.any(Ready::READ);
    }
}
