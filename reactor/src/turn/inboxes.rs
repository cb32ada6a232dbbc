//! The mailboxes attached to a reactor, and the delivery of their messages.

use std::time::Duration;

use super::dispatch::Handlers;
use crate::core::{HandlerId, Then};
use crate::handler::{Handler, Receive, Turn};
use crate::sys::Waker;
use crate::threads::doorbell::Doorbell;
use crate::threads::handle::{Handle, Mailbox, mailbox};
use crate::threads::sync::Arc;

/// A mailbox and its receiver, with their types erased.
trait Inbox {
    /// Delivers messages, within the mailbox's budget. Returns whether more may be left.
    fn deliver(&mut self, handlers: &mut Handlers, turn: &mut Turn) -> bool;
    /// Whether there is neither a message nor a handle that could post one.
    fn is_over(&self) -> bool;
}

/// A mailbox whose messages go to a handler.
struct HandlerInbox<H, M> {
    mailbox: Mailbox<M>,
    handler: HandlerId<H>,
}

impl<H: Handler + Receive<M, H::Session>, M> Inbox for HandlerInbox<H, M> {
    fn deliver(&mut self, handlers: &mut Handlers, turn: &mut Turn) -> bool {
        let Mailbox { queue, taken, per_turn } = &mut self.mailbox;
        let look = taken.is_empty();
        if look {
            queue.take(taken);
        }
        let mut budget = *per_turn;
        while !taken.is_empty() && budget > 0 {
            let registered = handlers.get(self.handler);
            while budget > 0
                && turn.hand_overs.is_empty()
                && let Some(message) = taken.pop_front()
            {
                budget -= 1;
                registered.receive(self.handler, turn, || Some(message));
            }
            handlers.hand_over(turn);
        }
        // The queue was not checked, and the doorbell was already answered for messages in it.
        !look || !taken.is_empty()
    }

    fn is_over(&self) -> bool {
        let Mailbox { queue, taken, .. } = &self.mailbox;
        Arc::strong_count(queue) == 1 && taken.is_empty() && queue.is_empty()
    }
}

/// All mailboxes of a reactor.
pub(crate) struct Inboxes {
    /// For everything that other threads leave for the reactor.
    pub(crate) bell: Arc<Doorbell>,
    inboxes: Vec<Box<dyn Inbox>>,
    /// The results of disk jobs and lookups, once there has been one.
    results: Option<(Handle<Then>, Mailbox<Then>)>,
    /// Whether the last turn left messages undelivered.
    owed: bool,
}

impl Inboxes {
    /// Creates the inboxes of a reactor with this waker. A reactor in a simulation has no waker,
    /// since no thread posts while it waits.
    pub(crate) fn new(waker: Option<Waker>) -> Inboxes {
        let bell = Doorbell::new(move || {
            if let Some(waker) = &waker
                && let Err(error) = waker.wake()
            {
                log::error!("cannot wake the reactor for a message: {error}");
            }
        });
        Inboxes { bell: Arc::new(bell), inboxes: Vec::new(), results: None, owed: false }
    }

    /// Where workers post the results of the reactor's own jobs.
    pub(super) fn results(&mut self) -> &Handle<Then> {
        let (handle, _) = self.results.get_or_insert_with(|| {
            let (handle, mailbox) = mailbox();
            mailbox.queue.attach(&self.bell);
            (handle, mailbox)
        });
        handle
    }

    /// Whether another thread may ring. Only then does the reactor announce its waits to the
    /// doorbell. Shares of the bell are given away on this thread only, so none appears between this
    /// check and the end of the wait. If the last one is dropped meanwhile, the bell stays asleep,
    /// and the next ring wakes the reactor in vain.
    fn can_be_rung(&self) -> bool {
        Arc::strong_count(&self.bell) > 1
    }

    /// Attaches a mailbox whose messages go to a handler.
    pub(super) fn attach<H: Handler + Receive<M, H::Session>, M: Send + 'static>(
        &mut self,
        mailbox: Mailbox<M>,
        handler: HandlerId<H>,
    ) {
        self.inboxes.retain(|inbox| !inbox.is_over());
        mailbox.queue.attach(&self.bell);
        self.inboxes.push(Box::new(HandlerInbox { mailbox, handler }));
    }

    /// Delivers messages, within the budget of each mailbox.
    pub(super) fn deliver(&mut self, rung: bool, handlers: &mut Handlers, turn: &mut Turn) {
        if rung || self.owed {
            self.owed = false;
            if let Some((_, results)) = &mut self.results {
                results.take().for_each(|then| then(&mut turn.core));
            }
            for inbox in &mut self.inboxes {
                self.owed |= inbox.deliver(handlers, turn);
            }
        }
    }

    /// Whether there are messages to deliver.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed || self.bell.is_rung()
    }

    /// Announces a wait, and returns how long it may last. A message posted from now on ends it.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> Option<Duration> {
        let waits = timeout != Some(Duration::ZERO) && self.can_be_rung();
        if waits && !self.bell.sleep() { Some(Duration::ZERO) } else { timeout }
    }

    /// Ends a wait.
    pub(crate) fn awake(&self) {
        if self.can_be_rung() {
            self.bell.awake();
        }
    }

    /// Drops all mailboxes.
    pub(crate) fn close(&mut self) {
        self.owed = false;
        self.inboxes.clear();
        self.results = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Kernel, Selector};
    use crate::turn::reactor::Reactor;

    #[test]
    fn the_result_of_a_job_ends_a_wait() {
        let mut selector = Selector::new(&Kernel::Os, 1).unwrap();
        let mut inboxes = Inboxes::new(selector.add_waker(1).unwrap());
        let results = inboxes.results().clone();
        assert_eq!(inboxes.sleep(None), None);
        assert!(results.post(Box::new(|_| {})).is_ok());
        assert_eq!(selector.wait(Some(Duration::ZERO)).unwrap(), 1);
    }

    #[test]
    fn a_reactor_that_no_thread_can_ring_announces_no_wait() {
        let mut reactor = Reactor::new().unwrap();
        reactor.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(reactor.inboxes.sleep(None), None);
        reactor.inboxes.bell.ring();
        // The ring wakes only a reactor that is asleep.
        assert_eq!(reactor.turn.core.selector.wait(Some(Duration::ZERO)).unwrap(), 0);
    }
}
