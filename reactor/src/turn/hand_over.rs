//! Handing a connection over to another handler.
//!
//! [`Context::hand_over`] only notes what is to happen. When the callback has returned the session
//! moves in with its new handler, the old one loses its own, and `on_ready` is owed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::core::Core;
use crate::core::connection::Flags;
use crate::handler::context::Context;
use crate::handler::{ConnId, Handler, HandlerId, Reason};
use crate::turn::dispatch::{Handlers, panicked};

/// What the running callback has asked for.
pub(crate) struct HandOver {
    /// The new handler.
    to: u8,
    /// Puts the session where its handler keeps them, and says where that is.
    store: Box<dyn FnOnce(&mut Handlers) -> u32>,
}

impl Context<'_> {
    /// Gives the connection to another handler, with a session for it: after a greeting, an upgrade
    /// or a login something else is spoken.
    ///
    /// When the callback has returned
    ///
    /// 1. the present session gets [`on_close`](Handler::on_close) with [`Reason::HandedOver`], and
    ///    nothing is called for it any more;
    /// 2. the new handler gets [`on_ready`](Handler::on_ready);
    /// 3. what the callback left of its input is offered to the new handler's
    ///    [`on_data`](Handler::on_data), whether more arrives or not;
    /// 4. if the peer has ended its direction the new handler gets [`on_eof`](Handler::on_eof),
    ///    even if the old one has had it; and so it is with [`on_stop`](Handler::on_stop) if the
    ///    reactor is stopping.
    ///
    /// The connection stays what it is: its name, its [limits](crate::Limits), what is queued to be
    /// sent, its counters, a direction that was [shut down](Context::shutdown). What the old
    /// handler asked for ends with it: a [pause](Context::pause), a
    /// [deadline of its own](Context::set_deadline), a [drain](Context::request_drain),
    /// [so many bytes](Context::receive_exact), a [relay](Context::relay_to) of what it receives.
    /// So the new one begins as it would with a connection just accepted.
    ///
    /// Nothing takes it back. If the connection is closed, aborted or lost in the same callback, or
    /// the callback panics, the new handler still gets the session, but hears only of its end, in
    /// [`on_close`](Handler::on_close). So it does if the connection is handed on in the same
    /// callback. In [`on_open`](Handler::on_open) the session that is returned is closed at once.
    /// After this call [`wants_input`](Context::wants_input) is false for the rest of the callback.
    ///
    /// An id of another reactor is noticed after the callback and counts as a panic in it.
    ///
    /// Costs one allocation.
    ///
    /// ```
    /// use sluicegate_reactor::{Context, Handler, HandlerId, Input, Reactor};
    ///
    /// /// Waits for a name, then lets `Chat` go on.
    /// struct Greeter {
    ///     chat: HandlerId<Chat>,
    /// }
    ///
    /// impl Handler for Greeter {
    ///     type Session = ();
    ///     fn on_open(&mut self, cx: &mut Context<'_>) {
    ///         cx.send("Your name? ");
    ///     }
    ///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    ///         if let Some(end) = input.iter().position(|byte| *byte == b'\n') {
    ///             let name = String::from_utf8_lossy(&input[..end]).into_owned();
    ///             input.consume(end + 1);
    ///             cx.hand_over(self.chat, name);
    ///         }
    ///     }
    /// }
    ///
    /// struct Chat;
    ///
    /// impl Handler for Chat {
    ///     type Session = String;
    ///     fn on_open(&mut self, _: &mut Context<'_>) -> String {
    ///         "nobody".into()
    ///     }
    ///     fn on_ready(&mut self, cx: &mut Context<'_>, name: &mut String) {
    ///         cx.send(format!("Hello, {name}.\n"));
    ///     }
    ///     fn on_data(&mut self, cx: &mut Context<'_>, name: &mut String, input: &mut Input<'_>) {
    ///         cx.send(format!("{name}: "));
    ///         cx.send(input.take());
    ///     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let chat = reactor.register(Chat);
    /// let greeter = reactor.register(Greeter { chat });
    /// # Ok(())
    /// # }
    /// ```
    pub fn hand_over<H: Handler>(&mut self, to: HandlerId<H>, session: H::Session) {
        let store = Box::new(move |handlers: &mut Handlers| handlers.store(to, session));
        self.core.hand_overs.push(HandOver { to: to.index, store });
    }
}

impl Handlers {
    /// Does what the callback that has just returned has asked for.
    #[cold]
    pub(crate) fn hand_over(&mut self, core: &mut Core, index: u32) {
        for HandOver { to, store } in std::mem::take(&mut core.hand_overs) {
            let Some(c) = core.get(index) else { return };
            let (id, old) = (ConnId { index, generation: c.generation }, c.slot);
            let has_session = c.flags.has(Flags::SESSION);
            match catch_unwind(AssertUnwindSafe(|| store(self))) {
                Ok(new) => {
                    if has_session {
                        self.call(core, index, |handler, core, _| {
                            handler.close(core, id, old, Reason::HandedOver);
                        });
                    }
                    core.change_hands(index, to, new);
                }
                Err(_) => panicked(core, index),
            }
        }
    }
}

impl Core {
    /// Makes a connection one of another handler's, which has everything before it.
    fn change_hands(&mut self, index: u32, handler: u8, slot: u32) {
        let draining = self.draining;
        self.stop_relaying(index);
        self.stop_exact(index);
        let Some(c) = self.get_mut(index) else { return };
        (c.handler, c.slot, c.deadline) = (handler, slot, 0);
        c.flags.clear(Flags::PAUSED);
        c.flags.clear(Flags::OWES_DRAIN);
        c.flags.clear(Flags::WANTS_DRAIN);
        c.flags.set(Flags::SESSION);
        c.flags.set(Flags::OWES_READY);
        c.flags.set(Flags::OWES_KEPT);
        if c.flags.has(Flags::END_READ) {
            c.flags.set(Flags::OWES_EOF);
        }
        if draining {
            c.flags.set(Flags::OWES_STOP);
        }
        self.list(index);
    }
}
