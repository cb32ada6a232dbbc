//! One thread of a server, and the sockets it serves.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use super::ServerListener;
use crate::core::HandlerId;
use crate::handler::Handler;
use crate::listen::listener::Origin;
use crate::listen::{Listen, ListenerId};
use crate::sys::{Address, Fd, Kernel};
use crate::threads::distribute::{Distributor, SocketReceiver};
use crate::turn::reactor::Reactor;

/// A listener of the server.
pub(super) struct Entry {
    pub(super) address: Address,
    pub(super) listen: Listen,
    /// Where each thread gets its connections from, until the thread takes it.
    pub(super) places: Vec<Mutex<Option<Place>>>,
}

impl Entry {
    /// Takes what a thread gets its connections from. Each thread has one.
    pub(super) fn take(&self, thread: usize) -> Option<Place> {
        self.places[thread].lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where the connections for one thread come from.
pub(super) enum Place {
    /// Its own socket.
    Own(Bound),
    /// The first thread. That thread itself also has the socket.
    Passed(SocketReceiver, Option<(Bound, Distributor)>),
}

/// A listening socket that is not served yet. Closed when it is dropped.
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

/// One thread of a [`Server`](super::Server). It derefs to the thread's [`Reactor`].
pub struct Shard<'a> {
    pub(super) reactor: Reactor,
    pub(super) entries: &'a [Entry],
    pub(super) index: usize,
}

impl Shard<'_> {
    /// The index of the thread, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Serves this thread's share of a listener's connections with a handler.
    ///
    /// # Errors
    /// The errors of registering the socket with the event queue.
    ///
    /// # Panics
    /// If this thread serves the listener already, if the listener belongs to another server, or if
    /// the id belongs to another reactor. The latter two are not noticed if this server has as many
    /// listeners, or this reactor has a handler of the same type at the same index.
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
            Place::Passed(receiver, first) => {
                if let Some((bound, distributor)) = first {
                    let listen = Listen {
                        max_connections: u32::MAX,
                        max_per_address: None,
                        ..entry.listen.clone()
                    };
                    let id = self.take_up(bound, &listen, handler)?;
                    self.reactor.distribute_by(id, distributor);
                }
                let listen = Listen { accept_rate: None, ..share };
                let address = entry.address.clone();
                self.reactor.add_receiver(receiver, address, &listen, handler)
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
        let (socket, origin) = parts.expect("a socket is taken up once");
        self.reactor.add_listener(socket, origin, listen, handler)
    }
}

/// A thread's share of a listener's limits.
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
