//! Finds the handler and session of a connection, and makes the one virtual call of an event.

use std::any::Any;

use crate::core::{ConnId, Connection, Core, Flags, HandlerId, NO_SESSION, Reason, Timeout};
use crate::fs::{NotSaved, Saved};
use crate::handler::{
    Context, Delivery, FOREIGN, HandOver, Handler, Input, Payload, Registered, Turn, guard,
};
use crate::inbound;

/// A handler with its sessions, with its type erased.
pub(crate) trait Dispatch: Any {
    /// Calls `on_open` and gives the connection its session.
    fn open(&mut self, turn: &mut Turn, index: u32);
    fn ready(&mut self, turn: &mut Turn, index: u32, slot: u32);
    fn data(&mut self, turn: &mut Turn, index: u32, slot: u32, input: &mut Input<'_>);
    fn received(&mut self, turn: &mut Turn, index: u32, slot: u32, bytes: Payload<'_>);
    fn saved(&mut self, turn: &mut Turn, index: u32, slot: u32, saved: Result<Saved, NotSaved>);
    fn relayed(&mut self, turn: &mut Turn, index: u32, slot: u32, left: u64);
    fn drain(&mut self, turn: &mut Turn, index: u32, slot: u32);
    fn eof(&mut self, turn: &mut Turn, index: u32, slot: u32);
    fn timeout(&mut self, turn: &mut Turn, index: u32, slot: u32, which: Timeout);
    fn stop(&mut self, turn: &mut Turn, index: u32, slot: u32);
    /// Removes the session and calls `on_close`.
    fn close(&mut self, turn: &mut Turn, id: ConnId, slot: u32, why: Reason);
    /// The number of sessions.
    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize;
}

/// The handlers of a reactor. A reserved place is empty until its handler is installed.
#[derive(Default)]
pub(crate) struct Handlers(Vec<Option<Box<dyn Dispatch>>>);

impl Handlers {
    /// Adds a place without a handler.
    pub(super) fn reserve(&mut self) -> usize {
        self.0.push(None);
        self.0.len() - 1
    }

    pub(super) fn install<H: Handler>(&mut self, id: HandlerId<H>, handler: H) {
        let place = self.0.get_mut(usize::from(id.index)).expect(FOREIGN);
        assert!(place.is_none(), "{id:?} already has a handler");
        *place = Some(Box::new(Registered::new(handler)));
    }

    /// Panics if a place is still empty, so that no event can meet one.
    pub(super) fn assert_installed(&self) {
        if let Some(empty) = self.0.iter().position(Option::is_none) {
            panic!("HandlerId({empty}) was reserved, but no handler was installed");
        }
    }

    pub(super) fn get<H: Handler>(&mut self, id: HandlerId<H>) -> &mut Registered<H> {
        let place = self.0.get_mut(usize::from(id.index)).expect(FOREIGN);
        let handler = place.as_deref_mut();
        let handler = handler.expect("HandlerId was reserved, but no handler was installed");
        (handler as &mut dyn Any).downcast_mut().expect(FOREIGN)
    }

    /// The number of sessions.
    #[cfg(feature = "testing")]
    pub(crate) fn sessions(&self) -> usize {
        self.0.iter().flatten().map(|handler| handler.sessions()).sum()
    }

    /// Makes the callback of this name to a connection's handler. A panic closes the connection;
    /// the turn continues.
    #[inline]
    pub(super) fn call(
        &mut self,
        turn: &mut Turn,
        index: u32,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Dispatch, &mut Turn, u32),
    ) {
        let Connection { handler: at, slot, .. } = turn.core[index];
        let Some(handler) = self.0[at as usize].as_deref_mut() else { return };
        let name = |turn: &Turn| {
            let (_, handler) = turn.handlers[at as usize];
            format!("{}: {}::{name}", turn.core.describe(index), handler())
        };
        if !guard(turn, name, "it is closed", |turn| callback(handler, turn, slot)) {
            turn.core.fail(index, Reason::Panicked);
        }
        if !turn.hand_overs.is_empty() {
            self.hand_over(turn);
        }
    }

    /// Ends the session of a connection, if it has one.
    pub(super) fn close(&mut self, turn: &mut Turn, index: u32, why: Reason) {
        let id = turn.core.id(index);
        self.call(turn, index, "on_close", |h, turn, slot| h.close(turn, id, slot, why));
        turn.core[index].slot = NO_SESSION;
    }

    /// Delivers a timer's message.
    pub(super) fn deliver(&mut self, turn: &mut Turn, Delivery { to, open }: Delivery) {
        if let Some(Some(handler)) = self.0.get_mut(usize::from(to)) {
            open(&mut **handler, turn);
        }
        self.hand_over(turn);
    }

    /// Carries out the hand-overs requested by the callback that has just returned.
    #[cold]
    pub(super) fn hand_over(&mut self, turn: &mut Turn) {
        for HandOver { index, to, session } in std::mem::take(&mut turn.hand_overs) {
            self.close(turn, index, Reason::HandedOver);
            turn.sessions.insert(index, session);
            change_hands(&mut turn.core, index, to);
        }
    }
}

/// Moves a connection to another handler, which starts as with a new connection.
fn change_hands(core: &mut Core, index: u32, handler: u8) {
    inbound::stop_relay_or_exact(core, index);
    let draining = core.is_draining();
    let c = &mut core[index];
    (c.handler, c.deadline) = (handler, 0);
    c.flags.clear(Flags::PAUSED.union(Flags::OWES_DRAIN).union(Flags::DRAIN_REQUESTED));
    c.flags.set(Flags::OWES_START.union(Flags::REVISIT_INPUT));
    if c.flags.any(Flags::INPUT_ENDED) {
        c.flags.set(Flags::OWES_EOF);
    }
    if draining {
        c.flags.set(Flags::OWES_STOP);
    }
    core.schedule(index);
}

impl<H: Handler> Dispatch for Registered<H> {
    fn open(&mut self, turn: &mut Turn, index: u32) {
        let session = self.handler.on_open(&mut Context::new(turn, index));
        turn.core[index].slot = self.sessions.insert(session) as u32;
    }

    fn ready(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        self.with(turn, index, slot, H::on_ready);
    }

    fn data(&mut self, turn: &mut Turn, index: u32, slot: u32, input: &mut Input<'_>) {
        self.with(turn, index, slot, |handler, cx, session| handler.on_data(cx, session, input));
    }

    fn received(&mut self, turn: &mut Turn, index: u32, slot: u32, bytes: Payload<'_>) {
        self.with(turn, index, slot, |handler, cx, s| handler.on_received(cx, s, bytes));
    }

    fn saved(&mut self, turn: &mut Turn, index: u32, slot: u32, saved: Result<Saved, NotSaved>) {
        self.with(turn, index, slot, |handler, cx, session| handler.on_saved(cx, session, saved));
    }

    fn relayed(&mut self, turn: &mut Turn, index: u32, slot: u32, left: u64) {
        self.with(turn, index, slot, |handler, cx, session| handler.on_relayed(cx, session, left));
    }

    fn drain(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        self.with(turn, index, slot, H::on_drain);
    }

    fn eof(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        self.with(turn, index, slot, H::on_eof);
    }

    fn timeout(&mut self, turn: &mut Turn, index: u32, slot: u32, which: Timeout) {
        self.with(turn, index, slot, |handler, cx, s| handler.on_timeout(cx, s, which));
    }

    fn stop(&mut self, turn: &mut Turn, index: u32, slot: u32) {
        self.with(turn, index, slot, H::on_stop);
    }

    fn close(&mut self, turn: &mut Turn, id: ConnId, slot: u32, why: Reason) {
        let session = match slot {
            NO_SESSION => turn.take_session(id.index),
            slot => self.sessions.try_remove(slot as usize),
        };
        if let Some(session) = session {
            self.handler.on_close(turn, id, session, why);
        }
    }

    #[cfg(feature = "testing")]
    fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
