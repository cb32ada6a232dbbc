//! The mailboxes of a reactor, and the delivery of what was posted.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::dispatch::Handlers;
use super::reactor::Reactor;
use crate::core::HandlerId;
use crate::handler::{Handler, Receive, Turn};
use crate::listen::listener::{Listener, Source};
use crate::listen::{self, Listen, ListenerId};
use crate::sys::{Address, Waker};
use crate::threads::doorbell::Doorbell;
use crate::threads::handle::{Handle, Mailbox, mailbox};
use crate::threads::passing::{Lane, Ring};
use crate::threads::sync::Arc;

/// A mailbox and the handler that its messages are for, the types forgotten.
trait Inbox {
    /// Handles what was posted, within the mailbox's budget. Says whether there may be more.
    fn deliver(&mut self, handlers: &mut Handlers, turn: &mut Turn) -> bool;
    /// Whether there is no message, and nobody who could post one.
    fn is_over(&self) -> bool;
}

struct Attached<H, M> {
    mailbox: Mailbox<M>,
    handler: HandlerId<H>,
}

impl<H: Handler + Receive<M>, M> Inbox for Attached<H, M> {
    fn deliver(&mut self, handlers: &mut Handlers, turn: &mut Turn) -> bool {
        let Mailbox { shared, taken, per_turn } = &mut self.mailbox;
        let look = taken.is_empty();
        if look {
            shared.take(taken);
        }
        let handler = handlers.get(self.handler);
        let mut budget = *per_turn;
        while !taken.is_empty() && budget > 0 {
            let all = catch_unwind(AssertUnwindSafe(|| {
                while budget > 0
                    && let Some(message) = taken.pop_front()
                {
                    budget -= 1;
                    turn.core.ledger.messages += 1;
                    handler.on_message(turn, message);
                }
            }));
            if all.is_err() {
                turn.core.ledger.panics += 1;
                log::error!("a handler panicked over a message; the next ones are delivered");
            }
        }
        // Without a look nobody knows, and nobody rings for what is there.
        !look || !taken.is_empty()
    }

    fn is_over(&self) -> bool {
        let Mailbox { shared, taken, .. } = &self.mailbox;
        Arc::strong_count(shared) == 1 && taken.is_empty() && shared.is_empty()
    }
}

/// A mailbox of the reactor itself.
struct Own<M> {
    mailbox: Mailbox<M>,
    act: fn(&mut Turn, M),
}

impl<M> Inbox for Own<M> {
    fn deliver(&mut self, _: &mut Handlers, turn: &mut Turn) -> bool {
        let Mailbox { shared, taken, .. } = &mut self.mailbox;
        shared.take(taken);
        for message in taken.drain(..) {
            (self.act)(turn, message);
        }
        false
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// All mailboxes of a reactor.
pub(crate) struct Mail {
    bell: Arc<Doorbell>,
    inboxes: Vec<Box<dyn Inbox>>,
    /// Whether anybody may ring.
    expected: bool,
    /// Whether the last turn has left messages.
    owed: bool,
    closed: bool,
}

impl Mail {
    /// For a reactor with this waker; without one nobody posts while it waits.
    pub(crate) fn new(waker: Option<Waker>) -> Mail {
        let bell = Doorbell::new(move || {
            if let Some(waker) = &waker
                && let Err(error) = waker.wake()
            {
                log::error!("waking a reactor for a message: {error}");
            }
        });
        Mail {
            bell: Arc::new(bell),
            inboxes: Vec::new(),
            expected: false,
            owed: false,
            closed: false,
        }
    }

    /// The bell, for others who leave something for the reactor.
    pub(crate) fn bell(&mut self) -> &Arc<Doorbell> {
        self.expected = true;
        &self.bell
    }

    /// A handle to a new mailbox of the reactor itself, which does this with what is posted.
    pub(crate) fn own<M: Send + 'static>(&mut self, act: fn(&mut Turn, M)) -> Handle<M> {
        let (handle, mailbox) = mailbox();
        self.attach_own(mailbox, act);
        handle
    }

    /// The same with a mailbox that was there before.
    pub(crate) fn attach_own<M: Send + 'static>(
        &mut self,
        mailbox: Mailbox<M>,
        act: fn(&mut Turn, M),
    ) {
        if !self.closed {
            mailbox.shared.attach(self.bell());
            self.inboxes.push(Box::new(Own { mailbox, act }));
        }
    }

    /// Whether there are messages to be handled.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed || self.bell.is_rung()
    }

    /// Before a wait: how long it may be. Whoever posts from now on ends it.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> Option<Duration> {
        let waits = timeout != Some(Duration::ZERO) && self.expected;
        if waits && !self.bell.sleep() { Some(Duration::ZERO) } else { timeout }
    }

    /// After a wait.
    pub(crate) fn awake(&self) {
        if self.expected {
            self.bell.awake();
        }
    }

    /// Drops all mailboxes, and refuses messages from now on.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.owed = false;
        self.inboxes.clear();
    }
}

/// Messages from other threads: see [the module](crate::handle).
impl Reactor {
    /// Delivers what comes into a mailbox to a handler.
    ///
    /// If the reactor has [run](Reactor::run) and stopped, the mailbox is dropped.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor, unless a handler of the same type has that
    /// number here.
    pub fn attach<H: Handler + Receive<M>, M: Send + 'static>(
        &mut self,
        mailbox: Mailbox<M>,
        handler: HandlerId<H>,
    ) {
        self.turn.assert_known(handler);
        if self.mail.closed {
            return;
        }
        self.mail.inboxes.retain(|inbox| !inbox.is_over());
        mailbox.shared.attach(self.mail.bell());
        self.mail.inboxes.push(Box::new(Attached { mailbox, handler }));
    }

    /// A handle to a new mailbox of a handler, with default limits. Clones of it post to the same
    /// mailbox, and the messages of one mailbox keep their order.
    ///
    /// # Panics
    /// As [`attach`](Reactor::attach).
    #[must_use]
    pub fn handle<H: Handler + Receive<M>, M: Send + 'static>(
        &mut self,
        handler: HandlerId<H>,
    ) -> Handle<M> {
        let (handle, mailbox) = mailbox();
        self.attach(mailbox, handler);
        handle
    }

    /// Takes what another reactor accepts at an address.
    pub(crate) fn add_landing<H: Handler>(
        &mut self,
        lane: Lane,
        address: Address,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        self.turn.assert_known(handler);
        let source = Source::Landing(lane.land(self.mail.bell()));
        let Turn { core, listeners, .. } = &mut self.turn;
        listen::push(core, listeners, source, address, listen, handler.index)
    }

    /// Passes on what a listener accepts.
    pub(crate) fn pass_accepted_to(&mut self, listener: ListenerId, ring: Ring) {
        if let Some(Some(listener)) = self.turn.listeners.get_mut(usize::from(listener.index)) {
            listener.pass_to(ring);
        }
    }

    /// Handles what was posted, within the budget of each mailbox.
    pub(crate) fn deliver_messages(&mut self) {
        let mail = &mut self.mail;
        let rung = mail.bell.answer();
        if rung {
            self.turn.listeners.iter_mut().flatten().for_each(Listener::rung);
        }
        if rung || mail.owed {
            mail.owed = false;
            for inbox in &mut mail.inboxes {
                mail.owed |= inbox.deliver(&mut self.handlers, &mut self.turn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Kernel, Selector};

    #[test]
    fn what_is_posted_to_the_reactor_itself_ends_its_wait() {
        let mut selector = Selector::new(&Kernel::Os, 1).unwrap();
        let mut mail = Mail::new(selector.add_waker(1).unwrap());
        let handle = mail.own(|_, ()| {});
        assert_eq!(mail.sleep(None), None);
        handle.post(()).unwrap();
        assert_eq!(selector.wait(Some(Duration::ZERO)).unwrap(), 1);
    }
}
