//! Messages to a handler, and access to its sessions when one arrives.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::registered::Store;
use super::{Context, Handler, Registered, Turn, guard};
use crate::core::{ConnId, HandlerId, type_name};
use crate::outbound;

/// A handler that receives messages of type `M` from other threads, from [workers](crate::workers)
/// and from its own timers. It may be implemented for any number of types.
///
/// `S` is the handler's [`Session`](Handler::Session): a message can access the sessions of all
/// connections, see [`Sessions`]. Handlers without a session omit it.
///
/// See [`handle`](crate::handle) for an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not receive messages of type `{M}`",
    label = "`Receive<{M}, {S}>` is missing",
    note = "implement `Receive<{M}, {S}>` for `{Self}`: the first type is that of the message, the \
            second is the `Session` of the handler"
)]
pub trait Receive<M, S = ()> {
    /// A message has arrived. No connection is current, but `cx` gives access to all of them.
    ///
    /// A panic here is logged and counted, and loses only this message.
    fn on_message(&mut self, cx: &mut Sessions<'_, S>, message: M);
}

/// The reactor as a handler sees it when a message arrives: a [`Turn`] together with the sessions
/// of all connections of this handler.
///
/// A message or a timer for one connection carries its [`ConnId`]. If the connection has closed in
/// the meantime, [`get`](Sessions::get) returns `None`, even if another connection has taken its
/// place.
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_reactor::{
///     ConnId, Context, Handler, HandlerId, Input, Reactor, Receive, Sessions,
/// };
///
/// /// Answers each line one second after it arrived.
/// struct Slow {
///     own: HandlerId<Slow>,
/// }
///
/// impl Handler for Slow {
///     type Session = Vec<u8>;
///
///     fn on_open(&mut self, _: &mut Context<'_>) -> Vec<u8> {
///         Vec::new()
///     }
///
///     fn on_data(&mut self, cx: &mut Context<'_>, line: &mut Vec<u8>, input: &mut Input<'_>) {
///         line.extend(input.take());
///         if line.ends_with(b"\n") {
///             let due = Due(cx.id());
///             cx.after(Duration::from_secs(1), self.own, due);
///         }
///     }
/// }
///
/// struct Due(ConnId);
///
/// impl Receive<Due, Vec<u8>> for Slow {
///     fn on_message(&mut self, cx: &mut Sessions<'_, Vec<u8>>, Due(id): Due) {
///         if let Some((mut cx, line)) = cx.get(id) {
///             cx.send(std::mem::take(line));
///         }
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let slow = reactor.reserve();
/// reactor.install(slow, Slow { own: slow });
/// # Ok(())
/// # }
/// ```
///
/// A callback of a connection has only its own session. To reach the others, a handler can post a
/// message to itself, which arrives later in the same turn: see the example of
/// [`Server::run_with`](crate::Server::run_with).
pub struct Sessions<'a, S = ()> {
    turn: &'a mut Turn,
    /// The index of their handler.
    handler: u8,
    store: &'a mut dyn Store<S>,
}

impl<S> Sessions<'_, S> {
    /// Returns a connection of this handler and its session, or `None` if it is
    /// [over](Handler::on_close) or belongs to another handler. Takes constant time.
    ///
    /// A connection that is [adopted](Turn::adopt), [connecting](Turn::connect) or [handed
    /// over](Context::hand_over) can be reached even before its [`on_ready`](Handler::on_ready).
    pub fn get(&mut self, id: ConnId) -> Option<(Context<'_>, &mut S)> {
        self.turn.core.find(id)?;
        self.at(id.index)
    }

    /// Calls `act` for each connection of this handler, with its session. The order is unspecified,
    /// but is the same in every run of a simulation. Takes time proportional to the largest number
    /// of connections that the reactor has had.
    ///
    /// ```
    /// # use sluicegate_reactor::{Context, Handler, Input, Receive, Sessions};
    /// # struct Chat;
    /// # struct Member { room: String }
    /// struct Say {
    ///     room: String,
    ///     text: String,
    /// }
    ///
    /// impl Receive<Say, Member> for Chat {
    ///     fn on_message(&mut self, cx: &mut Sessions<'_, Member>, say: Say) {
    ///         cx.for_each(|cx, member| {
    ///             if member.room == say.room {
    ///                 cx.send(&*say.text);
    ///             }
    ///         });
    ///     }
    /// }
    /// ```
    pub fn for_each(&mut self, mut act: impl FnMut(&mut Context<'_>, &mut S)) {
        for index in 0..self.turn.core.connections.capacity() as u32 {
            if let Some((mut cx, session)) = self.at(index) {
                outbound::flush_later(&mut cx.core, index);
                act(&mut cx, session);
            }
        }
    }

    /// Calls `act` with a view of these sessions in which each is replaced by a part of it. A
    /// handler that wraps another one, and whose sessions contain the inner handler's, uses this to
    /// forward messages.
    ///
    /// ```
    /// # use sluicegate_reactor::{Receive, Sessions};
    /// /// Counts the bytes that the connections of another handler receive.
    /// struct Counted<H>(H);
    ///
    /// struct Session<S> {
    ///     count: u64,
    ///     inner: S,
    /// }
    ///
    /// impl<M, S, H: Receive<M, S>> Receive<M, Session<S>> for Counted<H> {
    ///     fn on_message(&mut self, cx: &mut Sessions<'_, Session<S>>, message: M) {
    ///         cx.map(|session| &mut session.inner, |cx| self.0.on_message(cx, message));
    ///     }
    /// }
    /// ```
    pub fn map<T, R>(
        &mut self,
        part: fn(&mut S) -> &mut T,
        act: impl FnOnce(&mut Sessions<'_, T>) -> R,
    ) -> R {
        let store = &mut Mapped { whole: &mut *self.store, part };
        act(&mut Sessions { turn: self.turn, handler: self.handler, store })
    }

    fn at(&mut self, index: u32) -> Option<(Context<'_>, &mut S)> {
        let c = self.turn.core.get(index).filter(|c| c.handler == self.handler)?;
        let session = self.store.session(self.turn, index, c.slot)?;
        Some((Context::new(self.turn, index), session))
    }
}

impl<S> Deref for Sessions<'_, S> {
    type Target = Turn;
    fn deref(&self) -> &Turn {
        self.turn
    }
}

impl<S> DerefMut for Sessions<'_, S> {
    fn deref_mut(&mut self) -> &mut Turn {
        self.turn
    }
}

struct Mapped<'a, S, T> {
    whole: &'a mut dyn Store<S>,
    part: fn(&mut S) -> &mut T,
}

impl<S, T> Store<T> for Mapped<'_, S, T> {
    fn session(&mut self, turn: &mut Turn, index: u32, slot: u32) -> Option<&mut T> {
        self.whole.session(turn, index, slot).map(self.part)
    }
}

impl<H: Handler> Registered<H> {
    /// Gives the handler what `message` returns, which may be a copy. A panic loses the message;
    /// the turn continues.
    pub(crate) fn receive<M>(
        &mut self,
        id: HandlerId<H>,
        turn: &mut Turn,
        message: impl FnOnce() -> Option<M>,
    ) where
        H: Receive<M, H::Session>,
    {
        turn.core.ledger.messages += 1;
        let Registered { handler, sessions: store } = self;
        let name = |_: &Turn| format!("{}::on_message({})", type_name::<H>(), type_name::<M>());
        guard(turn, name, "the message is lost", |turn| {
            if let Some(message) = message() {
                handler.on_message(&mut Sessions { turn, handler: id.index, store }, message);
            }
        });
    }
}

type Open = dyn Fn(&mut dyn Any, &mut Turn);

/// What a timer delivers to a handler: a message, with its type erased.
#[derive(Clone)]
pub(crate) struct Delivery {
    /// The index of the handler.
    pub(crate) to: u8,
    pub(crate) open: Rc<Open>,
}

impl Delivery {
    /// Delivers what `message` returns.
    pub(crate) fn new<H, M>(to: HandlerId<H>, message: impl Fn() -> Option<M> + 'static) -> Delivery
    where
        H: Handler + Receive<M, H::Session>,
    {
        let open = move |registered: &mut dyn Any, turn: &mut Turn| {
            let registered: &mut Registered<H> = registered.downcast_mut().expect(FOREIGN);
            registered.receive(to, turn, &message);
        };
        Delivery { to: to.index, open: Rc::new(open) }
    }
}

/// The panic text for a [`HandlerId`] that names no handler of its type.
pub(crate) const FOREIGN: &str = "HandlerId belongs to another reactor";
