//! Messages from other threads, and sockets that they have accepted.

use super::reactor::Reactor;
use crate::core::HandlerId;
use crate::handler::{Handler, Receive};
use crate::listen::listener::Listener;
use crate::threads::handle::{Handle, Mailbox, mailbox};

/// Messages from other threads: see [the module](crate::handle).
impl Reactor {
    /// Delivers the messages of a mailbox to a handler.
    ///
    /// If the reactor has already [stopped](crate::Reactor::has_stopped), the mailbox is dropped.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor. This is not detected if this reactor has a
    /// handler of the same type with that number.
    pub fn attach<H: Handler + Receive<M, H::Session>, M: Send + 'static>(
        &mut self,
        mailbox: Mailbox<M>,
        handler: HandlerId<H>,
    ) {
        self.turn.assert_known(handler);
        if self.has_stopped() {
            return;
        }
        self.inboxes.attach(mailbox, handler);
    }

    /// Creates a mailbox with default limits for a handler, and returns its handle. All clones of
    /// the handle post to this mailbox, which keeps their messages in order. Another call creates
    /// another mailbox, whose messages may [overtake](crate::handle#order) those of the first.
    ///
    /// # Panics
    /// In the same cases as [`attach`](crate::Reactor::attach).
    #[must_use]
    pub fn handle<H: Handler + Receive<M, H::Session>, M: Send + 'static>(
        &mut self,
        handler: HandlerId<H>,
    ) -> Handle<M> {
        let (handle, mailbox) = mailbox();
        self.attach(mailbox, handler);
        handle
    }

    /// Delivers messages, within the budget of each mailbox.
    pub(super) fn deliver_messages(&mut self) {
        let rung = self.inboxes.bell.answer();
        if rung {
            self.turn.listeners.iter_mut().flatten().for_each(Listener::rung);
        }
        self.inboxes.deliver(rung, &mut self.handlers, &mut self.turn);
        if rung {
            self.shared_ledger.iter_mut().for_each(|shared| shared.answer(|| self.turn.snapshot()));
        }
    }
}
