//! Messages from other threads.
//!
//! A handler has no lock and need not be [`Send`]: whoever wants something of it from elsewhere
//! posts a message to its reactor, which calls [`Receive::on_message`] in its own thread. A handler
//! can receive messages of any number of types, each through mailboxes of its own.
//!
//! ```
//! use sluicegate_reactor::{Context, Handler, Input, PostError, Reactor, Receive, Turn};
//!
//! struct Jobs {
//!     done: u32,
//! }
//!
//! impl Handler for Jobs {
//!     type Session = ();
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//!         input.take();
//!     }
//! }
//!
//! impl Receive<u32> for Jobs {
//!     fn on_message(&mut self, cx: &mut Turn<'_>, job: u32) {
//!         self.done += job;
//!         if job == 3 {
//!             cx.stop();
//!         }
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let jobs = reactor.register(Jobs { done: 0 });
//! let handle = reactor.handle(jobs);
//! let other = handle.clone();
//! let thread = std::thread::spawn(move || (1..=3).try_for_each(|job| other.post(job)));
//! reactor.run()?;
//! assert!(thread.join().unwrap().is_ok());
//! assert_eq!(reactor.handler(jobs).done, 6);
//! assert!(matches!(handle.post(4), Err(PostError::Stopped(4))));
//! # Ok(())
//! # }
//! ```
//!
//! Messages of one thread through one mailbox arrive in the order in which they were posted;
//! between mailboxes there is no order. Posting takes one short lock, and wakes the reactor only if
//! it sleeps. The reactor takes all that was posted at once, once a turn, and handles at most
//! [`MailboxLimits::per_turn`] of it before it looks at its connections again. While nothing is
//! posted it takes no lock, and shares no cache line that anybody else writes to.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::core::Core;
use crate::handler::context::Turn;
use crate::handler::{Handler, HandlerId, Receive};
use crate::listen::listener::Listener;
use crate::sys::Waker;
use crate::threads::doorbell::Doorbell;
use crate::threads::jobs::Then;
use crate::threads::mailbox::Shared;
use crate::threads::sync::Arc;
use crate::turn::dispatch::Handlers;
use crate::turn::reactor::Reactor;

/// How much a mailbox holds, and how much of it is handled at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Most messages that wait to be taken, at least one: 16,384. As many again can be in the
    /// reactor's hands, so a mailbox uses the memory of up to twice this number of messages, and
    /// keeps it for the next.
    pub capacity: usize,
    /// Most messages handled in one turn of the reactor, at least one: 1,024. The rest is handled
    /// in the next turn, which does not wait.
    pub per_turn: usize,
}

impl Default for MailboxLimits {
    fn default() -> MailboxLimits {
        MailboxLimits { capacity: 16_384, per_turn: 1024 }
    }
}

/// Both ends of a mailbox with default limits, before there is a reactor for it.
///
/// Reactors that shall know each other are made so: first the mailboxes, then, in each thread, a
/// reactor with its own mailbox and the handles of the others. What is posted in the meantime
/// waits.
///
/// ```
/// # use sluicegate_reactor::{Context, Handler, Input, Receive, Turn};
/// # struct Counter(u32);
/// # impl Handler for Counter {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
/// #         input.take();
/// #     }
/// # }
/// # impl Receive<u32> for Counter {
/// #     fn on_message(&mut self, cx: &mut Turn<'_>, message: u32) {
/// #         self.0 += message;
/// #         cx.stop();
/// #     }
/// # }
/// use sluicegate_reactor::{Reactor, mailbox};
///
/// # fn main() -> std::io::Result<()> {
/// let (handle, mailbox) = mailbox();
/// handle.post(7).expect("room in a new mailbox");
///
/// let mut reactor = Reactor::new()?;
/// let counter = reactor.register(Counter(0));
/// reactor.attach(mailbox, counter);
/// reactor.run()?;
/// assert_eq!(reactor.handler(counter).0, 7);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn mailbox<M: Send + 'static>() -> (Handle<M>, Mailbox<M>) {
    mailbox_with(&MailboxLimits::default())
}

/// Both ends of a mailbox with these limits.
#[must_use]
pub fn mailbox_with<M: Send + 'static>(limits: &MailboxLimits) -> (Handle<M>, Mailbox<M>) {
    let shared = Arc::new(Shared::new(limits.capacity.max(1)));
    let taken = VecDeque::new();
    let per_turn = limits.per_turn.max(1);
    (Handle(shared.clone()), Mailbox { shared, taken, per_turn })
}

/// Posts messages into a mailbox, from any thread.
///
/// A handle does not keep a reactor alive or awake. When all handles of a mailbox are gone, what
/// was posted is still delivered.
pub struct Handle<M>(Arc<Shared<M>>);

impl<M> Handle<M> {
    /// Posts a message. Never waits, except for other threads that post to the same mailbox.
    ///
    /// A message that was taken is handled unless its reactor stops before: then it is dropped, in
    /// the reactor's thread. Whoever needs to know asks for an answer.
    ///
    /// # Errors
    /// [`PostError::Full`] if the mailbox is full, [`PostError::Stopped`] if its reactor has
    /// stopped or its [`Mailbox`] was dropped. Both give the message back.
    pub fn post(&self, message: M) -> Result<(), PostError<M>> {
        self.0.post(message)
    }

    /// Posts a message, and waits as long as the mailbox is full. Not for a reactor's own thread,
    /// which would wait for itself.
    pub(crate) fn post_when_there_is_room(&self, message: M) -> Result<(), PostError<M>> {
        self.0.post_when_there_is_room(message)
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Handle(self.0.clone())
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// Why a message was not taken. It comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PostError<M> {
    /// The mailbox is full: the reactor does not keep up. Trying again later may help, and so may
    /// doing without.
    Full(M),
    /// The reactor has stopped, and will take no message any more.
    Stopped(M),
}

impl<M> PostError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            PostError::Full(message) | PostError::Stopped(message) => message,
        }
    }
}

impl<M> fmt::Debug for PostError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PostError::Full(_) => "Full(..)",
            PostError::Stopped(_) => "Stopped(..)",
        })
    }
}

impl<M> fmt::Display for PostError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PostError::Full(_) => "posting to a mailbox that is full",
            PostError::Stopped(_) => "posting to a reactor that has stopped",
        })
    }
}

impl<M> Error for PostError<M> {}

/// The end of a mailbox that messages come out of, for [`Reactor::attach`]. Dropped, it refuses
/// further messages and drops those it has.
pub struct Mailbox<M> {
    shared: Arc<Shared<M>>,
    /// Taken from the queue, but not handled yet.
    taken: VecDeque<M>,
    per_turn: usize,
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        let left = self.shared.close();
        let count = left.len() + self.taken.len();
        if count > 0 {
            log::info!("{count} messages are dropped that nobody will receive");
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

/// A mailbox and the handler that its messages are for, the types forgotten.
trait Inbox {
    /// Handles what was posted, within the mailbox's budget. Says whether there may be more.
    fn deliver(&mut self, handlers: &mut Handlers, core: &mut Core) -> bool;
    /// Whether there is no message, and nobody who could post one.
    fn is_over(&self) -> bool;
}

struct Attached<H, M> {
    mailbox: Mailbox<M>,
    handler: HandlerId<H>,
}

impl<H: Handler + Receive<M>, M> Inbox for Attached<H, M> {
    fn deliver(&mut self, handlers: &mut Handlers, core: &mut Core) -> bool {
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
                    core.ledger.messages += 1;
                    handler.on_message(&mut Turn { core }, message);
                }
            }));
            if all.is_err() {
                core.ledger.panics += 1;
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
    act: fn(&mut Core, M),
}

impl<M> Inbox for Own<M> {
    fn deliver(&mut self, _: &mut Handlers, core: &mut Core) -> bool {
        let Mailbox { shared, taken, .. } = &mut self.mailbox;
        shared.take(taken);
        for message in taken.drain(..) {
            (self.act)(core, message);
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
    pub(crate) expected: bool,
    /// Whether the last turn has left messages.
    owed: bool,
    closed: bool,
}

impl Mail {
    /// For a reactor with this waker; without one nobody posts while it waits. It has the mailbox
    /// of its jobs' results from the start.
    pub(crate) fn new(waker: Option<Waker>, results: Mailbox<Then>) -> Mail {
        let bell = Doorbell::new(move || {
            if let Some(waker) = &waker
                && let Err(error) = waker.wake()
            {
                log::error!("waking a reactor for a message: {error}");
            }
        });
        let bell = Arc::new(bell);
        let (inboxes, expected, owed, closed) = (Vec::new(), false, false, false);
        let mut mail = Mail { bell, inboxes, expected, owed, closed };
        mail.attach_own(results, |core, then| then(core));
        // Nothing comes before the first job.
        mail.expected = false;
        mail
    }

    /// The bell, for others who leave something for the reactor.
    pub(crate) fn bell(&mut self) -> &Arc<Doorbell> {
        self.expected = true;
        &self.bell
    }

    /// Lets the reactor itself do this with what comes into a mailbox.
    pub(crate) fn attach_own<M: Send + 'static>(
        &mut self,
        mailbox: Mailbox<M>,
        act: fn(&mut Core, M),
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
    /// With an id of another reactor, unless a handler of the same type has that number here.
    pub fn attach<H: Handler + Receive<M>, M: Send + 'static>(
        &mut self,
        mailbox: Mailbox<M>,
        handler: HandlerId<H>,
    ) {
        assert!(self.handlers.has(handler), "an id of another reactor");
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

    /// Handles what was posted, within the budget of each mailbox.
    pub(crate) fn deliver_messages(&mut self) {
        let mail = &mut self.mail;
        let rung = mail.bell.answer();
        if rung {
            self.listeners.iter_mut().for_each(Listener::rung);
        }
        if rung || mail.owed {
            mail.owed = false;
            for inbox in &mut mail.inboxes {
                mail.owed |= inbox.deliver(&mut self.handlers, &mut self.core);
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
        let (_, results) = mailbox();
        let mut mail = Mail::new(selector.add_waker(1).unwrap(), results);
        let (handle, mailbox) = mailbox();
        mail.attach_own(mailbox, |_, ()| {});
        assert_eq!(mail.sleep(None), None);
        handle.post(()).unwrap();
        assert_eq!(selector.wait(Some(Duration::ZERO)).unwrap(), 1);
    }
}
