//! Lookups of names. Concurrent requests for the same name share one lookup.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use super::{JobKind, Workers, full};
use crate::threads::handle::Handle;

/// The addresses of a name, with any port.
pub(crate) type Found = io::Result<Vec<SocketAddr>>;

/// A name that a thread looks up or is about to, and the others that wait for its addresses.
pub(super) type Lookup = (Box<str>, Vec<Box<dyn FnOnce(&Found) + Send>>);

impl Workers {
    /// Has a thread call `look_up` for the addresses of a name, and posts what `answer` makes of
    /// them to `reply`. If the name is being looked up already, that lookup answers, so a silent
    /// name server holds only one thread for each of its names.
    ///
    /// # Errors
    /// `QuotaExceeded` if [`WorkersLimits::queue`](super::WorkersLimits::queue) lookups are
    /// waiting, or as many others for this name; the error of starting a thread if there is none.
    pub(crate) fn look_up<M: Send + 'static>(
        &self,
        name: Box<str>,
        look_up: impl FnOnce(&str) -> Found + Send + 'static,
        answer: impl FnOnce(&Found) -> M + Send + 'static,
        reply: &Handle<M>,
    ) -> io::Result<()> {
        let names = self.0.names.clone();
        let mut lookups = names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, others)) = lookups.iter_mut().find(|(other, _)| *other == name) {
            if others.len() >= self.0.lookups.limits.queue {
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
        let pending = names.clone();
        let run = move |name: Box<str>| {
            // Those who wait would wait for ever.
            let found = catch_unwind(AssertUnwindSafe(|| look_up(&name)));
            let found = found.unwrap_or_else(|_| Err(io::Error::other("the lookup panicked")));
            let mut lookups = pending.lock().unwrap_or_else(PoisonError::into_inner);
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
