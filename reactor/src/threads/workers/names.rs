//! Lookups of names. Concurrent requests for the same name share one lookup.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{JobKind, Workers, full};
use crate::sys;
use crate::threads::handle::Handle;

type Found = io::Result<Vec<SocketAddr>>;

/// A name that a thread looks up or is about to, and the others that wait for its addresses.
pub(super) type Lookup = (Box<str>, Vec<Box<dyn FnOnce(&Found) + Send>>);

impl Workers {
    /// Looks up the addresses of a name, and posts what `answer` makes of them to `reply`. If the
    /// name is being looked up already, that lookup answers: so a name server that is silent holds
    /// one thread for each of its names, and not all of them.
    ///
    /// # Errors
    /// `QuotaExceeded` if [`WorkersLimits::queue`](super::WorkersLimits::queue) lookups are
    /// waiting, or as many others for this name; the error of starting a thread if the pool has
    /// none.
    pub(crate) fn look_up<M: Send + 'static>(
        &self,
        name: Box<str>,
        port: u16,
        answer: impl FnOnce(Found) -> M + Send + 'static,
        reply: &Handle<M>,
    ) -> io::Result<()> {
        self.share(name, |name| sys::look_up(name, 0), with_port(port, answer), reply)
    }

    /// The same, with a function that looks names up.
    pub(super) fn share<M: Send + 'static>(
        &self,
        name: Box<str>,
        look_up: impl FnOnce(&str) -> Found + Send + 'static,
        answer: impl FnOnce(&Found) -> M + Send + 'static,
        reply: &Handle<M>,
    ) -> io::Result<()> {
        let pool = self.0.0.clone();
        let mut lookups = pool.lookups();
        if let Some((_, others)) = lookups.iter_mut().find(|(other, _)| *other == name) {
            if others.len() >= pool.limits.queue {
                return Err(full());
            }
            let reply = reply.clone();
            others.push(Box::new(move |found| {
                // If the reactor has stopped, nobody waits any more.
                let _ = reply.0.post_when_there_is_room(answer(found));
            }));
            return Ok(());
        }
        lookups.push((name.clone(), Vec::new()));
        let its_pool = pool.clone();
        let run = move |name: Box<str>| {
            // Those who wait would wait for ever.
            let found = catch_unwind(AssertUnwindSafe(|| look_up(&name)));
            let found = found.unwrap_or_else(|_| Err(io::Error::other("the lookup panicked")));
            let mut lookups = its_pool.lookups();
            let at = lookups.iter().position(|(other, _)| *other == name);
            let others = at.map(|at| lookups.swap_remove(at).1);
            drop(lookups);
            others.into_iter().flatten().for_each(|other| other(&found));
            answer(&found)
        };
        // While the lookups are locked, nobody can join one that is refused.
        let submitted = self.submit(JobKind::Lookup, name, run, reply);
        if submitted.is_err() {
            lookups.pop();
        }
        submitted.map_err(|(error, _)| error)
    }
}

/// The address with this port. The zone of an IPv6 address stays.
fn at_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// Passes a copy of the addresses on, with a port.
fn with_port<M>(port: u16, answer: impl FnOnce(Found) -> M) -> impl FnOnce(&Found) -> M {
    move |found| {
        answer(match found {
            Ok(addresses) => Ok(addresses.iter().map(|at| at_port(*at, port)).collect()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        })
    }
}
