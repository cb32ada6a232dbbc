//! A handler that is registered with a reactor, and its sessions.

use slab::Slab;

use super::{Context, Handler, Turn};
use crate::core::NO_SESSION;

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
        if let Some(session) = self.sessions.session(turn, index, slot) {
            callback(&mut self.handler, &mut Context::new(turn, index), session);
        }
    }
}

/// The sessions of a handler, or a part of each.
pub(super) trait Store<S> {
    /// The session of a connection, which has this slot.
    fn session(&mut self, turn: &mut Turn, index: u32, slot: u32) -> Option<&mut S>;
}

impl<S: 'static> Store<S> for Slab<S> {
    #[inline]
    fn session(&mut self, turn: &mut Turn, index: u32, slot: u32) -> Option<&mut S> {
        match slot {
            NO_SESSION => store(self, turn, index),
            slot => self.get_mut(slot as usize),
        }
    }
}

/// Stores the session that came with a connection, when it is first needed.
#[cold]
fn store<'a, S: 'static>(
    sessions: &'a mut Slab<S>,
    turn: &mut Turn,
    index: u32,
) -> Option<&'a mut S> {
    let session = turn.take_session(index)?;
    let entry = sessions.vacant_entry();
    turn.core[index].slot = entry.key() as u32;
    Some(entry.insert(session))
}
