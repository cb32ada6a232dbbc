//! One thread of a server, and the sockets it serves.

use std::io;
use std::ops::{Deref, DerefMut};

use super::sockets::Place;
use super::{Server, ServerListener};
use crate::core::HandlerId;
use crate::handler::Handler;
use crate::listen::ListenerId;
use crate::listen::listener::Source;
use crate::turn::reactor::Reactor;

/// One thread of a [`Server`](super::Server). It derefs to the thread's [`Reactor`].
pub struct Shard<'a> {
    pub(super) reactor: Reactor,
    pub(super) server: &'a Server,
    /// Where this thread gets the connections of each listener from, until it serves it.
    pub(super) places: Vec<Option<Place>>,
    pub(super) index: usize,
}

impl Shard<'_> {
    /// The index of the thread, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Uses a handler for this thread's share of a listener's connections. Returns the id of that
    /// share.
    ///
    /// If each thread has a socket, [closing](crate::Turn::close_listener) the share closes that
    /// socket. If the first thread passes the connections on, closing its share closes the socket
    /// of all threads; closing another share leaves further connections to the other threads.
    ///
    /// # Errors
    /// The error of registering the socket with the event queue.
    ///
    /// # Panics
    /// If this thread already serves the listener, if the listener belongs to another server, or if
    /// the id belongs to another reactor. The last two are not detected if this server also has a
    /// listener with that number, or this reactor has a handler of the same type with that number.
    pub fn serve<H: Handler>(
        &mut self,
        listener: &ServerListener,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let (address, listen) = &self.server.listeners[listener.index];
        let place = self.places[listener.index].take();
        let Place { sockets, passed } = place.expect("a thread serves a listener once");
        let mut share = listen.share(self.server.options.threads);
        if passed.is_some() {
            // One thread accepts for all of them.
            (share.accept_rate, share.accept_burst) = (listen.accept_rate, listen.accept_burst);
        }
        let own = sockets.into_iter().map(|(bound, distributor)| bound.source(distributor));
        let passed = passed.map(|passed| {
            passed.queue.attach(&self.reactor.inboxes.bell);
            Ok(Source::Distributed(passed, address.clone()))
        });
        let mut first = None;
        for source in own.chain(passed) {
            let id = self.reactor.add_listener(source?, &share, handler, first)?;
            first.get_or_insert(id);
        }
        Ok(first.expect("a thread has a socket or is passed connections"))
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
