//! A handler that is registered with a reactor, and its sessions.

use slab::Slab;

use super::{Context, Handler, Turn};

/// A handler with its sessions.
pub(crate) struct Registered<H: Handler> {
    pub(crate) handler: H,
    pub(crate) sessions: Slab<H::Session>,
}

impl<H: Handler> Registered<H> {
    pub(crate) fn new(handler: H) -> Self {
        Registered { handler, sessions: Slab::new() }
    }

    /// Makes a callback that takes the session of a connection.
    #[inline]
    pub(crate) fn with(
        &mut self,
        turn: &mut Turn,
        index: u32,
        slot: u32,
        callback: impl FnOnce(&mut H, &mut Context<'_>, &mut H::Session),
    ) {
        let session = match self.sessions.get_mut(slot as usize) {
            None => store(&mut self.sessions, turn, index),
            session => session,
        };
        if let Some(session) = session {
            callback(&mut self.handler, &mut Context::new(turn, index), session);
        }
    }
}

/// Stores the session that came with a connection, when it is first needed.
#[cold]
pub(super) fn store<'a, S: 'static>(
    sessions: &'a mut Slab<S>,
    turn: &mut Turn,
    index: u32,
) -> Option<&'a mut S> {
    let session = turn.take_session(index)?;
    let entry = sessions.vacant_entry();
    turn.core[index].slot = entry.key() as u32;
    Some(entry.insert(session))
}
