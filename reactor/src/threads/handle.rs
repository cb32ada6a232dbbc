//! Messages from other threads.
//!
//! A handler has no lock and need not be [`Send`]. To communicate with it, another thread posts a
//! message to its reactor, which calls [`on_message`](crate::Receive::on_message) on its own
//! thread. A handler can receive messages of several types, each through its own mailboxes. A
//! message for one connection carries its [`ConnId`](crate::ConnId), which callbacks get from
//! [`Context::id`](crate::Context::id). With the id, the handler can look up the connection and
//! [its session](crate::Sessions::get), or just [send](crate::Turn::peer) something.
//!
//! ```
//! use sluicegate_reactor::{Context, Handler, Input, PostError, Reactor, Receive, Sessions, Turn};
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
//!     fn on_message(&mut self, cx: &mut Sessions<'_>, job: u32) {
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
//! assert!(matches!(handle.post(4), Err(PostError::Disconnected(4))));
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! Messages that one thread posts to one mailbox arrive in order. There is no order between
//! mailboxes, not even those of one handler: a message can arrive before one that the same thread
//! has posted earlier to another mailbox. A job and its cancellation, for example, should be
//! variants of one enum, so that both go through one mailbox.
//!
//! # Cost
//!
//! Posting takes one short lock, and wakes the reactor only if it is sleeping. Once per turn, the
//! reactor takes all posted messages, and handles at most [`MailboxLimits::per_turn`] of each
//! mailbox before it returns to its connections. If no messages arrive, the reactor takes no lock
//! and reads no cache line that other threads write.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;
use std::fmt;

use crate::core::type_name;
use crate::threads::bounded_queue::BoundedQueue;
use crate::threads::sync::Arc;

/// Why a message was refused. `Full`: the reactor cannot keep up; post again later, or drop the
/// message. `Disconnected`: the reactor has stopped, or the mailbox was dropped. Both contain the
/// message.
#[doc(inline)]
pub use std::sync::mpsc::TrySendError as PostError;

/// The limits of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxLimits {
    /// The maximum number of messages that wait to be taken, at least one. The default is 16,384.
    /// The reactor can hold the same number of messages that it has already taken. A mailbox
    /// therefore uses memory for up to twice this number of messages, and keeps that memory for
    /// later messages.
    pub capacity: usize,
    /// The maximum number of messages that are handled in one turn of the reactor, at least one.
    /// The rest is handled in the next turn, which does not wait for events. The default is 1,024.
    pub per_turn: usize,
}

impl Default for MailboxLimits {
    fn default() -> MailboxLimits {
        MailboxLimits { capacity: 16_384, per_turn: 1024 }
    }
}

/// Creates both ends of a mailbox with default limits, before its reactor exists.
///
/// Use this for reactors that post to each other: create the mailboxes first, then, on each thread,
/// a reactor that gets its own mailbox and the handles of the others. Messages posted in the
/// meantime wait.
///
/// ```
/// # use sluicegate_reactor::{Context, Handler, Input, Receive, Sessions, Turn};
/// # struct Counter(u32);
/// # impl Handler for Counter {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
/// #         input.take();
/// #     }
/// # }
/// # impl Receive<u32> for Counter {
/// #     fn on_message(&mut self, cx: &mut Sessions<'_>, message: u32) {
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

/// Creates both ends of a mailbox with these limits.
#[must_use]
pub fn mailbox_with<M: Send + 'static>(limits: &MailboxLimits) -> (Handle<M>, Mailbox<M>) {
    let queue = Arc::new(BoundedQueue::new(limits.capacity.max(1)));
    let per_turn = limits.per_turn.max(1);
    (Handle(queue.clone()), Mailbox { queue, taken: VecDeque::new(), per_turn })
}

/// Posts messages to a mailbox, from any thread.
///
/// A handle does not keep a reactor alive or awake. Messages are delivered even if all handles of
/// their mailbox are dropped.
pub struct Handle<M>(pub(super) Arc<BoundedQueue<M>>);

impl<M> Handle<M> {
    /// Posts a message. Never blocks, except for the short lock of the mailbox.
    ///
    /// The message is handled unless the reactor stops first. In that case it is dropped on the
    /// reactor's thread. A caller that has to know whether it was handled can request a reply from
    /// the handler.
    ///
    /// # Errors
    /// [`PostError::Full`] if the mailbox is full, [`PostError::Disconnected`] if its reactor has
    /// stopped or its [`Mailbox`] was dropped. Both return the message.
    pub fn post(&self, message: M) -> Result<(), PostError<M>> {
        self.0.post(message)
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

/// The receiving end of a mailbox, for [`Reactor::attach`](crate::Reactor::attach). When it is
/// dropped, its messages are dropped and further ones are refused.
pub struct Mailbox<M> {
    pub(crate) queue: Arc<BoundedQueue<M>>,
    /// Taken from the queue, and not handled yet.
    pub(crate) taken: VecDeque<M>,
    pub(crate) per_turn: usize,
}

impl<M> Mailbox<M> {
    /// Takes the messages that were posted so far.
    pub(crate) fn take(&mut self) -> Drain<'_, M> {
        self.queue.take(&mut self.taken);
        self.taken.drain(..)
    }

    /// The next message. If there is none, the doorbell rings for it.
    pub(crate) fn next(&mut self) -> Option<M> {
        if self.taken.is_empty() {
            self.queue.take(&mut self.taken);
        }
        self.taken.pop_front()
    }

    /// Refuses further messages. Returns how many are left to take.
    pub(crate) fn close(&mut self) -> usize {
        self.taken.extend(self.queue.close());
        self.taken.len()
    }
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        let count = self.close();
        if count > 0 {
            let message = type_name::<M>();
            log::info!("mailbox of {message} dropped with {count} messages waiting");
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}
