//! The reactor as a handler sees it when called for a connection.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::{HandOver, Handler, Peer, Turn};
use crate::core::{ConnId, HandlerId, Limits, Sent};
use crate::fs::{NewFile, WhenWhole};
use crate::inbound::{self, TooLarge};
use crate::outbound::{self, Outgoing};
use crate::sys::Address;

/// The reactor as a handler sees it when called for a connection. Derefs to [`Turn`].
pub struct Context<'a> {
    turn: &'a mut Turn,
    pub(crate) index: u32,
}

impl<'a> Context<'a> {
    pub(crate) fn new(turn: &'a mut Turn, index: u32) -> Context<'a> {
        Context { turn, index }
    }

    /// The current connection's id.
    #[must_use]
    pub fn id(&self) -> ConnId {
        let generation = self.turn.core.get(self.index).map_or(0, |c| c.generation);
        ConnId { index: self.index, generation }
    }

    /// The current connection, as a [`Peer`].
    pub fn this(&mut self) -> Peer<'_> {
        Peer { core: &mut self.turn.core, index: Some(self.index) }
    }

    /// Sends bytes or a region of a file, after everything sent before. See [`Peer::send`].
    pub fn send<'b>(&mut self, what: impl Into<Outgoing<'b>>) -> Sent {
        outbound::send(&mut self.turn.core, self.index, what.into())
    }

    /// Stops reading until [`resume`](crate::Context::resume). See [`Peer::pause`].
    pub fn pause(&mut self) {
        self.this().pause();
    }

    /// Reads again and offers unconsumed input again. See [`Peer::resume`].
    pub fn resume(&mut self) {
        self.this().resume();
    }

    /// Whether the connection wants input now: it is not paused, its queue is not full, and it is
    /// neither closing nor handed over. A loop over the messages of one input should stop when this
    /// turns false; the rest is offered again later.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.turn.core.get(self.index).is_some_and(|c| c.wants_input())
            && !self.turn.hand_overs.iter().any(|hand_over| hand_over.index == self.index)
    }

    /// The current connection's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        let group = self.turn.core.get(self.index).map_or(0, |c| c.group);
        self.turn.core.limits(group)
    }

    /// Ends this connection's part of the turn. The input that the callback leaves unconsumed is
    /// offered again in the next turn, after the other connections had theirs, even if nothing more
    /// arrives. Call it when one input holds more work than should be done at a time. The input
    /// left this way is not judged by [`Limits::max_unread`], and queued output leaves now.
    pub fn yield_now(&mut self) {
        self.turn.core.yield_now(self.index);
    }

    /// Asks for the next `count` bytes in one piece: [`on_received`](crate::Handler::on_received)
    /// gets them once all have arrived. They begin with the input that this callback leaves
    /// unconsumed.
    ///
    /// Use it for messages of any size whose length is known in advance. Up to
    /// [`Limits::receive_direct`] bytes are lent from the shared receive buffer. A longer message
    /// gets its own buffer, which the handler may keep. That buffer grows with what arrives: a peer
    /// that announces a long message and sends little costs 1 MiB of address space, and memory only
    /// for what it sends. A handler that always asks for the next piece, in `on_open` and in
    /// `on_received`, is never called with `on_data`.
    ///
    /// - A length that the peer sent can be over [`Limits::receive_exact`], which is 16 MiB by
    ///   default: answer and close then. If the error is ignored, the next bytes go to `on_data`.
    /// - A connection has one request at a time. A new request replaces the pending one and
    ///   includes the bytes that have arrived for it. A request for 0 bytes is answered, too.
    /// - While a request is pending, [`Limits::max_unread`] does not apply, and each byte that
    ///   arrives restarts [`Limits::idle`], though small amounts are noticed
    ///   [late](crate::Limits::receive_low_water). A pause and a full queue stop reading as usual.
    /// - If the peer ends its direction early, [`on_eof`](crate::Handler::on_eof) is called
    ///   instead, once for each such request. [`unread`](crate::Context::unread) is the number of
    ///   bytes that did arrive; `on_eof` can request that many. If it requests more, which can
    ///   never come, the connection is [closed](crate::Context::close).
    /// - When the connection is [handed over](crate::Context::hand_over), the bytes that have
    ///   arrived become input of the new handler, and the request is dropped.
    /// - If the buffer cannot be allocated, the connection is reset with
    ///   [`Reason::Failed`](crate::Reason::Failed).
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use sluicegate_reactor::{Context, Handler, Input};
    ///
    /// /// Echoes messages that follow their length in four bytes.
    /// struct Echo;
    ///
    /// enum Next {
    ///     Length,
    ///     Message,
    /// }
    ///
    /// impl Echo {
    ///     fn expect(cx: &mut Context<'_>, count: usize) {
    ///         if let Err(error) = cx.receive_exact(count) {
    ///             cx.send(error.to_string());
    ///             cx.close();
    ///         }
    ///     }
    /// }
    ///
    /// impl Handler for Echo {
    ///     type Session = Next;
    ///     fn on_open(&mut self, cx: &mut Context<'_>) -> Next {
    ///         Echo::expect(cx, 4);
    ///         Next::Length
    ///     }
    ///     fn on_data(&mut self, _: &mut Context<'_>, _: &mut Next, _: &mut Input<'_>) {
    ///         unreachable!("something is always asked for");
    ///     }
    ///     fn on_received(&mut self, cx: &mut Context<'_>, next: &mut Next, bytes: Cow<'_, [u8]>) {
    ///         match next {
    ///             Next::Length => {
    ///                 let length = u32::from_be_bytes(bytes[..].try_into().expect("four bytes"));
    ///                 *next = Next::Message;
    ///                 Echo::expect(cx, length as usize);
    ///             }
    ///             Next::Message => {
    ///                 cx.send(&(bytes.len() as u32).to_be_bytes());
    ///                 cx.send(bytes);
    ///                 *next = Next::Length;
    ///                 Echo::expect(cx, 4);
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TooLarge`] if `count` is over [`Limits::receive_exact`]. Nothing changes then: the next
    /// bytes go to [`on_data`](crate::Handler::on_data), or to the pending request.
    pub fn receive_exact(&mut self, count: usize) -> Result<(), TooLarge> {
        inbound::expect(&mut self.turn.core, self.index, count)
    }

    /// Receives the next `length` bytes into a file, or with `None` everything until the peer ends
    /// its direction. Then [commits](NewFile::commit) the file and calls
    /// [`on_saved`](crate::Handler::on_saved). The file begins with the input that the callback
    /// leaves unconsumed.
    ///
    /// The file is removed if the peer ends its direction early, resets the connection, or stalls
    /// until a deadline passes. A file requested in [`on_eof`](crate::Handler::on_eof) consists of
    /// unread bytes; if it needs more, which can never arrive, the connection is closed. If the
    /// connection is [handed over](crate::Context::hand_over), receiving goes on and the new
    /// handler gets the result.
    ///
    /// The reactor never waits for a disk. It writes to files in memory itself.
    /// [Workers](crate::workers) write, sync and commit files on disks; when the pool is busy,
    /// their jobs wait. While [`Limits::file_batches`](crate::Limits::file_batches) batches of a
    /// file are with the workers, the connection receives nothing more for it. Each write counts as
    /// activity, as input does. If no worker thread can be started, the file fails.
    pub fn receive_file(&mut self, file: NewFile, length: Option<u64>) {
        inbound::receive_file(&mut self.turn.core, self.index, file, length, WhenWhole::Commit);
    }

    /// Receives the next `count` bytes into a file and returns the file through
    /// [`on_saved`](crate::Handler::on_saved). The handler can then receive another part, write
    /// bytes itself, or commit the file by [`receive_file`](crate::Context::receive_file) with
    /// `Some(0)`.
    pub fn receive_part(&mut self, file: NewFile, count: u64) {
        let core = &mut self.turn.core;
        inbound::receive_file(core, self.index, file, Some(count), WhenWhole::GiveBack);
    }

    /// Receives and drops the next `count` bytes, or everything until the peer ends its direction,
    /// beginning with the input that the callback leaves unconsumed. Later bytes go to
    /// [`on_data`](crate::Handler::on_data).
    pub fn discard(&mut self, count: u64) {
        inbound::discard(&mut self.turn.core, self.index, count);
    }

    /// Passes the input of this connection on to another one. See [`Peer::relay_to`].
    pub fn relay_to(&mut self, peer: ConnId) {
        self.this().relay_to(peer);
    }

    /// Hands the connection over to another handler, with a session for it. Protocols use it to
    /// switch after a greeting, an upgrade or a login.
    ///
    /// When the callback has returned:
    ///
    /// 1. The old session gets [`on_close`](crate::Handler::on_close) with
    ///    [`HandedOver`](crate::Reason::HandedOver), its last callback.
    /// 2. The new handler gets [`on_ready`](crate::Handler::on_ready).
    /// 3. The input that the callback left unconsumed is offered to the new handler's
    ///    [`on_data`](crate::Handler::on_data), even if nothing more arrives.
    /// 4. If the peer has ended its direction, the new handler gets
    ///    [`on_eof`](crate::Handler::on_eof), even if the old one already had it. If the reactor is
    ///    stopping, it gets [`on_stop`](crate::Handler::on_stop), too.
    ///
    /// The connection keeps its id, its [limits](crate::Limits), its queue, its counters, and the
    /// [shutdown](crate::Context::shutdown) of a direction. The requests of the old handler end: a
    /// [pause](crate::Context::pause), its [own deadline](crate::Context::set_deadline), a
    /// [drain](crate::Context::request_drain), a pending
    /// [`receive_exact`](crate::Context::receive_exact), and a [relay](crate::Context::relay_to) of
    /// the input. The new handler therefore starts as it would with a connection just accepted.
    ///
    /// A hand-over cannot be undone. If the connection is closed, aborted or lost in the same
    /// callback, if the callback panics, or if it hands the connection over again, the new handler
    /// still gets the session, but only to end it in [`on_close`](crate::Handler::on_close). A
    /// session returned by an [`on_open`](crate::Handler::on_open) that hands over is closed at
    /// once. After this call [`wants_input`](crate::Context::wants_input) is false for the rest of
    /// the callback.
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
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor, unless a handler of the same type has that
    /// number here.
    pub fn hand_over<H: Handler>(&mut self, to: HandlerId<H>, session: H::Session) {
        self.turn.assert_known(to);
        let session = Box::new(session);
        self.turn.hand_overs.push(HandOver { index: self.index, to: to.index, session });
    }

    /// Ends the sending direction once the queue is empty. See [`Peer::shutdown`].
    pub fn shutdown(&mut self) {
        self.this().shutdown();
    }

    /// Closes once the queue is empty. See [`Peer::close`].
    pub fn close(&mut self) {
        self.this().close();
    }

    /// Resets the connection. See [`Peer::abort`].
    pub fn abort(&mut self) {
        self.this().abort();
    }

    /// Sets or clears the connection's own deadline. See [`Peer::set_deadline`].
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.this().set_deadline(after);
    }

    /// Asks for one [`on_drain`](crate::Handler::on_drain) when everything is sent. See
    /// [`Peer::request_drain`].
    pub fn request_drain(&mut self) {
        self.this().request_drain();
    }

    /// Bytes queued that the kernel has not taken yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.turn.core.get(self.index).map_or(0, |c| c.pending())
    }

    /// Bytes received that no callback has consumed.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.turn.core.get(self.index).map_or(0, |c| c.unread())
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.turn.core.get(self.index).map_or(0, |c| c.received)
    }

    /// Bytes that the kernel has taken so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.turn.core.get(self.index).map_or(0, |c| c.sent)
    }

    /// The address of the other end. The client of a Unix socket rarely has a name.
    ///
    /// # Errors
    /// The error of `getpeername(2)`, such as `NotConnected` after a reset.
    pub fn peer_address(&self) -> io::Result<Address> {
        self.turn.core.kernel.peer_address(self.turn.core.socket(self.index)?)
    }

    /// The address of this end.
    ///
    /// # Errors
    /// The error of `getsockname(2)`.
    pub fn local_address(&self) -> io::Result<Address> {
        self.turn.core.kernel.local_address(self.turn.core.socket(self.index)?)
    }
}

impl Deref for Context<'_> {
    type Target = Turn;
    fn deref(&self) -> &Turn {
        self.turn
    }
}

impl DerefMut for Context<'_> {
    fn deref_mut(&mut self) -> &mut Turn {
        self.turn
    }
}
