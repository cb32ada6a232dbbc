//! Finds the handler and session of a connection, and makes the one virtual call of an event.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use slab::Slab;

use crate::core::{ConnId, Flags, HandlerId, Reason, Timeout};
use crate::fs::{NotSaved, Saved};
use crate::handler::{
    Context, Delivery, FOREIGN, HandOver, Handler, Input, Message, Registered, Turn,
};
use crate::inbound;

/// A handler with its sessions, with its type erased.
pub(crate) trait Dispatch {
    /// Calls `on_open` and gives the connection its session.
    fn open(&mut self, turn: &mut Turn, index: u32);
    fn ready(&mut self, turn: &mut Turn, index: u32, slot: u32);
    fn data(&mut self, turn: &mut Turn, index: u32, slot: u32, input: &mut Input<'_>);
    fn received(&mut self, turn: &mut Turn, index: u32, slot: u32, bytes: Cow<'_, [u8]>);
    fn saved(&mut self, turn: &mut Turn, index: u32, slot: u32, saved: Result<Saved, NotSaved>);
    fn drain(&mut self, turn: &mut Turn, index: u32, slot: u32);
    fn eof(&mut self, turn: &mut Turn, index: u32, slot: u32);
    fn timeout(&mut self, turn: &mut Turn, index: u32, slot: u32, which: Timeout);
    fn stop(&mut self, turn: &mut Turn, index: u32, slot: u32);
    /// Removes the session and calls `on_close`.
    fn close(&mut self, turn: &mut Turn, id: ConnId, slot: u32, why: Reason);
    /// Stores a session of the handler's type; `None` if it has another type.
    fn store(&mut self, session: Box<dyn Any>) -> Option<u32>;
    /// The [`Registered`] handler.
    fn any(&mut self) -> &mut dyn Any;
    /// The number of sessions.
    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize;
}

/// The handlers of a reactor. A reserved place is empty until its handler is installed.
#[derive(Default)]
pub(crate) struct Handlers {
    places: Vec<Option<Box<dyn Dispatch>>>,
    /// The number of empty places.
    empty: usize,
}

impl Handlers {
    /// Adds a place, with or without a handler.
    pub(super) fn add<H: Handler>(&mut self, handler: Option<H>) -> usize {
        self.empty += usize::from(handler.is_none());
        self.places.push(handler.map(boxed));
        self.places.len() - 1
    }

    pub(super) fn install<H: Handler>(&mut self, id: HandlerId<H>, handler: H) {
        let place = self.places.get_mut(usize::from(id.index)).expect(FOREIGN);
        assert!(place.is_none(), "{id:?} has its handler already");
        *place = Some(boxed(handler));
        self.empty -= 1;
    }

    /// Panics if a place is still empty, so that no event can meet one.
    pub(super) fn assert_installed(&self) {
        if self.empty > 0 {
            let empty = self.places.iter().position(Option::is_none).unwrap_or_default();
            panic!("HandlerId({empty}) was reserved and its handler never installed");
        }
    }

    pub(super) fn get<H: Handler>(&mut self, id: HandlerId<H>) -> &mut Registered<H> {
        let place = self.places.get_mut(usize::from(id.index)).expect(FOREIGN);
        let handler =
            place.as_mut().expect("HandlerId was reserved, and its handler not installed");
        handler.any().downcast_mut().expect(FOREIGN)
    }

    /// The number of sessions.
    #[cfg(feature = "testing")]
    pub(crate) fn sessions(&self) -> usize {
        self.places.iter().flatten().map(|handler| handler.sessions()).sum()
    }

    /// Calls a connection's handler. A panic closes the connection; the turn goes on.
    #[inline]
    pub(super) fn call<R>(
        &mut self,
        turn: &mut Turn,
        index: u32,
        callback: impl FnOnce(&mut dyn Dispatch, &mut Turn, u32) -> R,
    ) -> Option<R> {
        let c = turn.core.get(index)?;
        let (handler, slot) = (self.places[c.handler as usize].as_deref_mut()?, c.slot);
        let result = catch_unwind(AssertUnwindSafe(|| callback(handler, &mut *turn, slot)));
        if result.is_err() {
            panicked(turn, index);
        }
        if !turn.hand_overs.is_empty() {
            self.hand_over(turn);
        }
        result.ok()
    }

    /// Delivers a timer's message to its handler. A panic loses the message; the turn goes on.
    pub(super) fn deliver(&mut self, turn: &mut Turn, delivery: Delivery) {
        turn.core.ledger.messages += 1;
        let to = usize::from(delivery.to);
        let Some(handler) = self.places.get_mut(to).and_then(Option::as_mut) else { return };
        let handler = handler.any();
        let result = catch_unwind(AssertUnwindSafe(|| match delivery.message {
            Message::Once(open) => open(handler, turn),
            Message::Every(open) => open(handler, turn),
        }));
        if result.is_err() {
            turn.core.ledger.panics += 1;
            log::error!("HandlerId({to}) panicked over a timer's message; the message is lost");
        }
        self.hand_over(turn);
    }

    /// Gives a session to the handler of its connection.
    pub(super) fn store(&mut self, turn: &mut Turn, index: u32, session: Box<dyn Any>) {
        let Some(c) = turn.core.get_mut(index) else { return };
        let place = self.places[usize::from(c.handler)].as_mut();
        if let Some(slot) = place.and_then(|handler| handler.store(session)) {
            c.slot = slot;
        }
    }

    /// Carries out the hand-overs that the callback which just returned has asked for.
    #[cold]
    pub(super) fn hand_over(&mut self, turn: &mut Turn) {
        for hand_over in std::mem::take(&mut turn.hand_overs) {
            self.hand_over_one(turn, hand_over);
        }
    }

    /// Stores the new session, closes the old one, and marks the connection as owing `on_ready`.
    fn hand_over_one(&mut self, turn: &mut Turn, hand_over: HandOver) {
        let HandOver { index, to, session } = hand_over;
        let Some(c) = turn.core.get(index) else { return };
        let (id, old) = (ConnId { index, generation: c.generation }, c.slot);
        let has_session = c.has_session();
        let place = self.places.get_mut(usize::from(to)).and_then(Option::as_mut);
        let Some(new) = place.and_then(|handler| handler.store(session)) else {
            log::error!("hand {id:?} over to HandlerId({to}): {FOREIGN}");
            return panicked(turn, index);
        };
        if has_session {
            self.call(turn, index, |handler, turn, _| {
                handler.close(turn, id, old, Reason::HandedOver);
            });
        }
        change_hands(turn, index, to, new);
    }
}

fn boxed<H: Handler>(handler: H) -> Box<dyn Dispatch> {
    Box::new(Registered { handler, sessions: Slab::new() })
}

/// Moves a connection to another handler, which starts as with a new connection.
fn change_hands(turn: &mut Turn, index: u32, handler: u8, slot: u32) {
    let core = &mut turn.core;
    inbound::stop_for_hand_over(core, index);
    let draining = core.draining;
    let Some(c) = core.get_mut(index) else { return };
    (c.handler, c.slot, c.deadline) = (handler, slot, 0);
    c.flags.clear(Flags::PAUSED.and(Flags::OWES_DRAIN).and(Flags::DRAIN_REQUESTED));
    c.flags.set(Flags::OWES_READY.and(Flags::REVISIT_INPUT));
    if c.flags.has(Flags::INPUT_ENDED) {
        c.flags.set(Flags::OWES_EOF);
    }
    if draining {
        c.flags.set(Flags::OWES_STOP);
    }
    core.schedule(index);
}

/// Records that a connection's handler has panicked.
#[cold]
fn panicked(turn: &mut Turn, index: u32) {
    turn.core.ledger.panics += 1;
    log::error!("{}: the handler panicked; the connection is closed", turn.core.describe(index));
    turn.core.fail(index, Reason::Panicked);
}

impl<H: Handler> Dispatch for Registered<H> {
    fn open(&mut self, turn: &mut Turn, index: u32) {
        let session = self.handler.on_open(&mut Context::new(turn, index));
        if let Some(c) = turn.core.get_mut(index) {
            c.slot = self.sessions.insert(session) as u32;
        }
    }

    fn ready(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_ready(&mut Context::new(turn, index), session);
        }
    }

    fn data(&mut self, turn: &mut Turn, index: u32, slot: u32, input: &mut Input<'_>) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_data(&mut Context::new(turn, index), session, input);
        }
    }

    fn received(&mut self, turn: &mut Turn, index: u32, slot: u32, bytes: Cow<'_, [u8]>) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_received(&mut Context::new(turn, index), session, bytes);
        }
    }

    fn saved(&mut self, turn: &mut Turn, index: u32, slot: u32, saved: Result<Saved, NotSaved>) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_saved(&mut Context::new(turn, index), session, saved);
        }
    }

    fn drain(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_drain(&mut Context::new(turn, index), session);
        }
    }

    fn eof(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_eof(&mut Context::new(turn, index), session);
        }
    }

    fn timeout(&mut self, turn: &mut Turn, index: u32, slot: u32, which: Timeout) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_timeout(&mut Context::new(turn, index), session, which);
        }
    }

    fn stop(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            self.handler.on_stop(&mut Context::new(turn, index), session);
        }
    }

    fn close(&mut self, turn: &mut Turn, id: ConnId, slot: u32, why: Reason) {
        if let Some(session) = self.sessions.try_remove(slot as usize) {
            self.handler.on_close(turn, id, session, why);
        }
    }

    fn store(&mut self, session: Box<dyn Any>) -> Option<u32> {
        self.insert(session)
    }

    fn any(&mut self) -> &mut dyn Any {
        self
    }

    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
