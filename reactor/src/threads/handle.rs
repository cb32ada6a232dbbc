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
//!     fn on_message(&mut self, cx: &mut Turn, job: u32) {
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

use super::mailbox::Shared;
use super::sync::Arc;

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
/// #     fn on_message(&mut self, cx: &mut Turn, message: u32) {
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
    pub(crate) shared: Arc<Shared<M>>,
    /// Taken from the queue, but not handled yet.
    pub(crate) taken: VecDeque<M>,
    pub(crate) per_turn: usize,
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
