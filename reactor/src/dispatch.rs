//! From a connection to its handler and session: the one virtual call of an event.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use slab::Slab;

use crate::context::{Context, Turn};
use crate::handler::{ConnId, Handler, HandlerId, Input, Reason, Timeout};
use crate::state::Core;

/// A handler with its sessions, its type forgotten.
pub(crate) trait Dispatch {
    /// Calls `on_open` and stores the session; says where.
    fn open(&mut self, core: &mut Core, index: u32) -> u32;
    fn ready(&mut self, core: &mut Core, index: u32, slot: u32);
    fn data(&mut self, core: &mut Core, index: u32, slot: u32, input: &mut Input<'_>);
    fn drain(&mut self, core: &mut Core, index: u32, slot: u32);
    fn eof(&mut self, core: &mut Core, index: u32, slot: u32);
    fn timeout(&mut self, core: &mut Core, index: u32, slot: u32, which: Timeout);
    /// Takes the session out and calls `on_close`.
    fn close(&mut self, core: &mut Core, id: ConnId, slot: u32, why: Reason);
    fn handler(&mut self) -> &mut dyn Any;
    /// How many sessions there are.
    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize;
}

/// The registered handlers of a reactor.
#[derive(Default)]
pub(crate) struct Handlers(Vec<Box<dyn Dispatch>>);

impl Handlers {
    pub(crate) fn add<H: Handler>(&mut self, make: impl FnOnce(HandlerId<H>) -> H) -> HandlerId<H> {
        let index = u8::try_from(self.0.len()).expect("a reactor has at most 256 handlers");
        let id = HandlerId::new(index);
        self.0.push(Box::new(Registered { handler: make(id), sessions: Slab::new() }));
        id
    }

    pub(crate) fn has(&self, index: u8) -> bool {
        usize::from(index) < self.0.len()
    }

    pub(crate) fn get<H: Handler>(&mut self, id: HandlerId<H>) -> &mut H {
        let handler = self.0[id.index as usize].handler();
        handler.downcast_mut().expect("an id of another reactor")
    }

    /// How many sessions there are.
    #[cfg(feature = "testing")]
    pub(crate) fn sessions(&self) -> usize {
        self.0.iter().map(|handler| handler.sessions()).sum()
    }

    /// Calls a connection's handler. A panic costs the connection, not the turn.
    #[inline]
    pub(crate) fn call<R>(
        &mut self,
        core: &mut Core,
        index: u32,
        callback: impl FnOnce(&mut dyn Dispatch, &mut Core, u32) -> R,
    ) -> Option<R> {
        let c = core.get(index)?;
        let (handler, slot) = (&mut *self.0[c.handler as usize], c.slot);
        let result = catch_unwind(AssertUnwindSafe(|| callback(handler, &mut *core, slot)));
        if result.is_err() {
            panicked(core, index);
        }
        result.ok()
    }
}

#[cold]
fn panicked(core: &mut Core, index: u32) {
    core.ledger.panics += 1;
    log::error!("a handler panicked; its connection is closed");
    core.fail(index, Reason::Panicked);
}

struct Registered<H: Handler> {
    handler: H,
    sessions: Slab<H::Session>,
}

impl<H: Handler> Dispatch for Registered<H> {
    fn open(&mut self, core: &mut Core, index: u32) -> u32 {
        let session = self.handler.on_open(&mut Context::new(core, index));
        self.sessions.insert(session) as u32
    }

    fn ready(&mut self, core: &mut Core, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_ready(&mut Context::new(core, index), session);
        }
    }

    fn data(&mut self, core: &mut Core, index: u32, slot: u32, input: &mut Input<'_>) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_data(&mut Context::new(core, index), session, input);
        }
    }

    fn drain(&mut self, core: &mut Core, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_drain(&mut Context::new(core, index), session);
        }
    }

    fn eof(&mut self, core: &mut Core, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_eof(&mut Context::new(core, index), session);
        }
    }

    fn timeout(&mut self, core: &mut Core, index: u32, slot: u32, which: Timeout) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_timeout(&mut Context::new(core, index), session, which);
        }
    }

    fn close(&mut self, core: &mut Core, id: ConnId, slot: u32, why: Reason) {
        if let Some(session) = self.sessions.try_remove(slot as usize) {
            self.handler.on_close(&mut Turn { core }, id, session, why);
        }
    }

    fn handler(&mut self) -> &mut dyn Any {
        &mut self.handler
    }

    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
