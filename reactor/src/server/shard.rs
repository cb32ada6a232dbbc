//! What one thread of a server has, and what it takes from the others' hands.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use super::ServerListener;
use crate::handler::{Handler, HandlerId};
use crate::listen::listener::Origin;
use crate::listen::{Listen, ListenerId};
use crate::sys::{Address, Fd, Kernel};
use crate::threads::passing::{Lane, Ring};
use crate::turn::reactor::Reactor;

/// A listener as the server keeps it.
pub(super) struct Entry {
    pub(super) address: Address,
    pub(super) listen: Listen,
    /// What each thread gets, until it takes that.
    pub(super) places: Vec<Mutex<Option<Place>>>,
}

impl Entry {
    /// Takes what is for a thread, once.
    pub(super) fn take(&self, thread: usize) -> Option<Place> {
        self.places[thread].lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where the connections for one thread come from.
pub(super) enum Place {
    /// A socket of its own.
    Own(Bound),
    /// The first thread, which is the one that has the socket.
    Passed(Lane, Option<(Bound, Ring)>),
}

/// A listening socket that nobody serves yet; closed if nobody will.
pub(super) struct Bound {
    socket: Option<Fd>,
    origin: Option<Origin>,
}

impl Bound {
    pub(super) fn new(socket: Fd, origin: Origin) -> Bound {
        Bound { socket: Some(socket), origin: Some(origin) }
    }

    pub(super) fn address(&self) -> io::Result<Address> {
        let socket = self.socket.ok_or(io::ErrorKind::NotConnected)?;
        Kernel::Os.local_address(socket)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(Origin::Made(Some(file))) = self.origin.take() {
            file.remove();
        }
        self.socket.take().into_iter().for_each(|socket| Kernel::Os.close(socket));
    }
}

/// One thread of a [`Server`](super::Server): its reactor, to which this derefs, and what it
/// serves.
pub struct Shard<'a> {
    pub(super) reactor: Reactor,
    pub(super) entries: &'a [Entry],
    pub(super) index: usize,
}

impl Shard<'_> {
    /// Which thread this is, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Serves this thread's share of a listener's connections with a handler.
    ///
    /// # Errors
    /// What registering the socket says.
    ///
    /// # Panics
    /// If this thread serves the listener already, with a listener of another server that has more
    /// of them, and with an id of another reactor, unless a handler of the same type has that
    /// number here.
    pub fn serve<H: Handler>(
        &mut self,
        listener: &ServerListener,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let entry = &self.entries[listener.index];
        let place = entry.take(self.index).expect("a thread serves a listener once");
        let share = share(&entry.listen, entry.places.len());
        match place {
            Place::Own(bound) => self.take_up(bound, &share, handler),
            Place::Passed(lane, first) => {
                if let Some((bound, ring)) = first {
                    let listen = Listen {
                        max_connections: u32::MAX,
                        max_per_address: None,
                        ..entry.listen.clone()
                    };
                    let id = self.take_up(bound, &listen, handler)?;
                    self.reactor.listeners[id.index as usize].pass_to(ring);
                }
                let listen = Listen { accept_rate: None, ..share };
                Ok(self.reactor.add_landing(lane, entry.address.clone(), &listen, handler))
            }
        }
    }

    fn take_up<H: Handler>(
        &mut self,
        mut bound: Bound,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let parts = bound.socket.take().zip(bound.origin.take());
        let (socket, origin) = parts.expect("a socket, taken once");
        self.reactor.add_listener(socket, origin, listen, handler)
    }
}

/// A thread's share of the limits.
fn share(listen: &Listen, threads: usize) -> Listen {
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    Listen {
        max_connections: listen.max_connections.div_ceil(threads),
        accept_rate: listen.accept_rate.map(|rate| rate.div_ceil(threads)),
        send_rate: listen.send_rate.map(|rate| rate.div_ceil(threads.into())),
        receive_rate: listen.receive_rate.map(|rate| rate.div_ceil(threads.into())),
        accept_burst: listen.accept_burst.div_ceil(threads),
        ..listen.clone()
    }
}

impl Deref for Shard<'_> {
    type Target = Reactor;
    fn deref(&self) -> &Reactor {
        &self.reactor
    }
}

impl DerefMut for Shard<'_> {
    fn deref_mut(&mut self) -> &mut Reactor {
        &mut self.reactor
    }
}
