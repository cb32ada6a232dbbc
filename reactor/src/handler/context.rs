//! The reactor as a handler sees it when called for a connection.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::{HandOver, Handler, Peer, Turn};
use crate::core::{ConnId, HandlerId, Limits, Sent, WhenWhole};
use crate::fs::NewFile;
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

    /// The current connection's name.
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

    /// Reads again; input that was left is offered again. See [`Peer::resume`].
    pub fn resume(&mut self) {
        self.this().resume();
    }

    /// Whether input is wanted right now: not paused, the queue not full, not closing, not handed
    /// over. A loop over messages in one input should stop when this turns false; the rest is
    /// offered again later.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.turn.core.get(self.index).is_some_and(|c| c.wants_input())
            && !self.turn.hand_overs.iter().any(|hand_over| hand_over.index == self.index)
    }

    /// What bounds the current connection.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        let group = self.turn.core.get(self.index).map_or(0, |c| c.group);
        self.turn.core.limits(group)
    }

    /// Ends this connection's part of the turn: what the callback leaves unconsumed is offered
    /// again in the next turn, after others had theirs, whether more arrives or not. It is for
    /// handlers that find more work in one input than they should do at a time; what is left
    /// because of it is no overrun, and what was sent leaves now.
    pub fn yield_now(&mut self) {
        let index = self.index;
        self.turn.core.yield_now(index);
    }

    /// Asks for the next `count` bytes in one piece: [`on_received`](crate::Handler::on_received)
    /// gets them when all are there. What this callback leaves unconsumed comes first.
    ///
    /// It is for messages whose length is known before they come, of any size. Those of up to
    /// [`Limits::receive_direct`] bytes are lent from the buffer that everything is received into;
    /// longer ones have a buffer of their own, which grows with what arrives (a peer that announces
    /// much and sends little costs 1 MiB of address space, and memory for what it sends) and which
    /// the handler may keep. A handler that only ever asks for the next piece, in `on_open` and in
    /// `on_received`, needs no `on_data`.
    ///
    /// - One request at a time: another one before the first is answered takes its place, and what
    ///   has arrived counts for it. 0 bytes are answered, too.
    /// - While it waits [`Limits::keep`] does not apply, and each byte that arrives puts off
    ///   [`Limits::idle`], though of few that is noticed [late](crate::Limits::receive_low_water).
    ///   Pausing and a full queue hold it back like other input.
    /// - If the peer ends its direction before all is there, [`on_eof`](crate::Handler::on_eof) is
    ///   called instead, once for each such request. [`unread`](crate::Context::unread) is the
    ///   number of bytes that did arrive; `on_eof` can request that many. If it requests more, which
    ///   can never come, the connection is [closed](crate::Context::close).
    /// - A [handed over](crate::Context::hand_over) connection takes what has arrived along as
    ///   input, and not the request.
    /// - If there is no memory for the buffer the connection is reset, with
    ///   [`Reason::Failed`](crate::Reason::Failed).
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use sluicegate_reactor::{Context, Handler, Input};
    ///
    /// /// Sends back messages that have their length in front, in four bytes.
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
    /// [`TooLarge`] if `count` is over [`Limits::receive_exact`]. Nothing is changed by that: what
    /// comes next goes to [`on_data`](crate::Handler::on_data), or to the request before.
    pub fn receive_exact(&mut self, count: usize) -> Result<(), TooLarge> {
        inbound::expect(&mut self.turn.core, self.index, count)
    }

    /// Receives the next `length` bytes into a file, or all until the peer ends its direction, and
    /// [commits](NewFile::commit) it, for [`on_saved`](crate::Handler::on_saved). What the callback
    /// leaves unconsumed comes first.
    ///
    /// A peer that ends its direction before all of `length` is there, resets the connection or
    /// stalls until a deadline has passed has its file removed. A [handed
    /// over](crate::Context::hand_over) connection goes on receiving it, and the new handler is
    /// told.
    ///
    /// The reactor never waits for a disk. It writes files in memory itself; files on disks are
    /// written, synced and committed by [workers](crate::workers), for which a busy pool lets them
    /// wait. While [`Limits::file_batches`](crate::Limits::file_batches) of a file are with the
    /// workers, nothing more is received for it. Each write counts as activity, as input does. If
    /// no worker thread can be started, the file fails.
    pub fn receive_file(&mut self, file: NewFile, length: Option<u64>) {
        let index = self.index;
        inbound::receive_file(&mut self.turn.core, index, file, length, WhenWhole::Commit);
    }

    /// Receives the next `count` bytes into a file and gives it back, in
    /// [`on_saved`](crate::Handler::on_saved), to go on with: another part, bytes of one's own, or
    /// [`receive_file`](crate::Context::receive_file) with `Some(0)` to commit what is there.
    pub fn receive_part(&mut self, file: NewFile, count: u64) {
        let index = self.index;
        inbound::receive_file(&mut self.turn.core, index, file, Some(count), WhenWhole::GiveBack);
    }

    /// Receives the next `count` bytes, or all until the peer ends its direction, and drops them.
    /// What the callback leaves unconsumed comes first; what comes behind goes to
    /// [`on_data`](crate::Handler::on_data).
    pub fn discard(&mut self, count: u64) {
        let index = self.index;
        inbound::discard(&mut self.turn.core, index, count);
    }

    /// Passes on to another connection what this one receives. See [`Peer::relay_to`].
    pub fn relay_to(&mut self, peer: ConnId) {
        self.this().relay_to(peer);
    }

    /// Gives the connection to another handler, with a session for it: after a greeting, an upgrade
    /// or a login something else is spoken.
    ///
    /// When the callback has returned
    ///
    /// 1. the present session gets [`on_close`](crate::Handler::on_close) with
    ///    [`HandedOver`](crate::Reason::HandedOver), and nothing is called for it any more;
    /// 2. the new handler gets [`on_ready`](crate::Handler::on_ready);
    /// 3. what the callback left of its input is offered to the new handler's
    ///    [`on_data`](crate::Handler::on_data), whether more arrives or not;
    /// 4. if the peer has ended its direction the new handler gets
    ///    [`on_eof`](crate::Handler::on_eof), even if the old one has had it; and so it is with
    ///    [`on_stop`](crate::Handler::on_stop) if the reactor is stopping.
    ///
    /// The connection stays what it is: its name, its [limits](crate::Limits), what is queued to be
    /// sent, its counters, a direction that was [shut down](crate::Context::shutdown). What the old
    /// handler asked for ends with it: a [pause](crate::Context::pause), a [deadline of its
    /// own](crate::Context::set_deadline), a [drain](crate::Context::request_drain), [so many
    /// bytes](crate::Context::receive_exact), a [relay](crate::Context::relay_to) of what it
    /// receives. So the new one begins as it would with a connection just accepted.
    ///
    /// Nothing takes it back. If the connection is closed, aborted or lost in the same callback, or
    /// the callback panics, the new handler still gets the session, but hears only of its end, in
    /// [`on_close`](crate::Handler::on_close). So it does if the connection is handed on in the
    /// same callback. In [`on_open`](crate::Handler::on_open) the session that is returned is
    /// closed at once. After this call [`wants_input`](crate::Context::wants_input) is false for
    /// the rest of the callback.
    ///
    /// A [`HandlerId`] of another reactor is a panic in the callback.
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

    /// Sets or clears the current connection's rate of sending. See [`Peer::set_send_rate`].
    pub fn set_send_rate(&mut self, rate: Option<u64>) {
        self.this().set_send_rate(rate);
    }

    /// Sets or clears the current connection's rate of receiving. See [`Peer::set_receive_rate`].
    pub fn set_receive_rate(&mut self, rate: Option<u64>) {
        self.this().set_receive_rate(rate);
    }

    /// Asks for one [`on_drain`](crate::Handler::on_drain) when all was sent. See
    /// [`Peer::request_drain`].
    pub fn request_drain(&mut self) {
        self.this().request_drain();
    }

    /// Bytes sent that the kernel has not taken yet.
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

    /// The address of the other end; that of a Unix socket's client rarely has a name.
    ///
    /// # Errors
    /// What `getpeername(2)` says, such as `NotConnected` after a reset.
    pub fn peer_address(&self) -> io::Result<Address> {
        self.turn.core.kernel.peer_address(self.turn.core.socket(self.index)?)
    }

    /// The address of this end.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
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
