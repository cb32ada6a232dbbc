//! From a connection to its handler and session: the one virtual call of an event.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use slab::Slab;

use crate::core::Core;
use crate::core::connection::Flags;
use crate::handler::context::{Context, Turn};
use crate::handler::{ConnId, Handler, HandlerId, Input, Reason, Timeout};
use crate::inbound::{NotSaved, Saved};

/// A handler with its sessions, its type forgotten.
pub(crate) trait Dispatch {
    /// Calls `on_open` and gives the connection its session.
    fn open(&mut self, core: &mut Core, index: u32);
    fn ready(&mut self, core: &mut Core, index: u32, slot: u32);
    fn data(&mut self, core: &mut Core, index: u32, slot: u32, input: &mut Input<'_>);
    fn received(&mut self, core: &mut Core, index: u32, slot: u32, bytes: Cow<'_, [u8]>);
    fn saved(&mut self, core: &mut Core, index: u32, slot: u32, saved: Result<Saved, NotSaved>);
    fn drain(&mut self, core: &mut Core, index: u32, slot: u32);
    fn eof(&mut self, core: &mut Core, index: u32, slot: u32);
    fn timeout(&mut self, core: &mut Core, index: u32, slot: u32, which: Timeout);
    fn stop(&mut self, core: &mut Core, index: u32, slot: u32);
    /// Takes the session out and calls `on_close`.
    fn close(&mut self, core: &mut Core, id: ConnId, slot: u32, why: Reason);
    /// The [`Registered`] that it is.
    fn any(&mut self) -> &mut dyn Any;
    /// How many sessions there are.
    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize;
}

/// The handlers of a reactor. A place is empty from its reservation until its handler is installed.
#[derive(Default)]
pub(crate) struct Handlers {
    places: Vec<Option<Box<dyn Dispatch>>>,
    /// How many places are empty.
    empty: usize,
}

impl Handlers {
    pub(crate) fn add<H: Handler>(&mut self, make: impl FnOnce(HandlerId<H>) -> H) -> HandlerId<H> {
        let id = self.next_id();
        self.places.push(Some(Registered::boxed(make(id))));
        id
    }

    pub(crate) fn reserve<H: Handler>(&mut self) -> HandlerId<H> {
        let id = self.next_id();
        self.places.push(None);
        self.empty += 1;
        id
    }

    pub(crate) fn install<H: Handler>(&mut self, id: HandlerId<H>, handler: H) {
        let place = self.places.get_mut(id.index as usize).expect("an id of another reactor");
        assert!(place.is_none(), "{id:?} has its handler already");
        *place = Some(Registered::boxed(handler));
        self.empty -= 1;
    }

    fn next_id<H: Handler>(&self) -> HandlerId<H> {
        HandlerId::new(u8::try_from(self.places.len()).expect("a reactor has at most 256 handlers"))
    }

    /// Whether an id may be one of these: there is a handler of its type in its place, or none yet.
    pub(crate) fn has<H: Handler>(&mut self, id: HandlerId<H>) -> bool {
        self.places.get_mut(usize::from(id.index)).is_some_and(|place| {
            place.as_mut().is_none_or(|handler| handler.any().is::<Registered<H>>())
        })
    }

    /// Asserts that nothing can meet an empty place.
    pub(crate) fn assert_installed(&self) {
        if self.empty > 0 {
            let empty = self.places.iter().position(Option::is_none).unwrap_or_default();
            panic!("HandlerId({empty}) was reserved and its handler never installed");
        }
    }

    pub(crate) fn get<H: Handler>(&mut self, id: HandlerId<H>) -> &mut H {
        &mut self.registered(id).handler
    }

    /// Gives a handler a session, and says where it is.
    pub(crate) fn store<H: Handler>(&mut self, id: HandlerId<H>, session: H::Session) -> u32 {
        self.registered(id).sessions.insert(session) as u32
    }

    fn registered<H: Handler>(&mut self, id: HandlerId<H>) -> &mut Registered<H> {
        let place = self.places.get_mut(id.index as usize).expect("an id of another reactor");
        let handler = place.as_mut().expect("reserved, and not installed yet");
        handler.any().downcast_mut().expect("an id of another reactor")
    }

    /// How many sessions there are.
    #[cfg(feature = "testing")]
    pub(crate) fn sessions(&self) -> usize {
        self.places.iter().flatten().map(|handler| handler.sessions()).sum()
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
        let (handler, slot) = (self.places[c.handler as usize].as_deref_mut()?, c.slot);
        let result = catch_unwind(AssertUnwindSafe(|| callback(handler, &mut *core, slot)));
        if result.is_err() {
            panicked(core, index);
        }
        if !core.hand_overs.is_empty() {
            self.hand_over(core, index);
        }
        result.ok()
    }
}

/// Notes that the connection's handler has panicked.
#[cold]
pub(crate) fn panicked(core: &mut Core, index: u32) {
    core.ledger.panics += 1;
    log::error!("a handler panicked; its connection is closed");
    core.fail(index, Reason::Panicked);
}

struct Registered<H: Handler> {
    handler: H,
    sessions: Slab<H::Session>,
}

impl<H: Handler> Registered<H> {
    fn boxed(handler: H) -> Box<dyn Dispatch> {
        Box::new(Registered { handler, sessions: Slab::new() })
    }
}

impl<H: Handler> Dispatch for Registered<H> {
    fn open(&mut self, core: &mut Core, index: u32) {
        let session = self.handler.on_open(&mut Context::new(core, index));
        if let Some(c) = core.get_mut(index) {
            c.slot = self.sessions.insert(session) as u32;
            c.flags.set(Flags::SESSION);
        }
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

    fn received(&mut self, core: &mut Core, index: u32, slot: u32, bytes: Cow<'_, [u8]>) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_received(&mut Context::new(core, index), session, bytes);
        }
    }

    fn saved(&mut self, core: &mut Core, index: u32, slot: u32, saved: Result<Saved, NotSaved>) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_saved(&mut Context::new(core, index), session, saved);
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

    fn stop(&mut self, core: &mut Core, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_stop(&mut Context::new(core, index), session);
        }
    }

    fn close(&mut self, core: &mut Core, id: ConnId, slot: u32, why: Reason) {
        if let Some(session) = self.sessions.try_remove(slot as usize) {
            self.handler.on_close(&mut Turn { core }, id, session, why);
        }
    }

    fn any(&mut self) -> &mut dyn Any {
        self
    }

    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
