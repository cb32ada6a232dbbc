//! The reactor as a handler sees it when called for a connection.

use std::io;
use std::ops::{Deref, DerefMut};

use super::{HandOver, Handler, Peer, Turn};
use crate::core::{ConnId, Core, Endpoints, HandlerId, Limits, Sent, Strategy};
use crate::fs::{NewFile, WhenWhole};
use crate::inbound;
use crate::outbound::{self, Outgoing};
use crate::sys::Address;

/// The reactor as a handler sees it when called for a connection. Derefs to the [`Peer`] of that
/// connection, and so to [`Turn`].
pub struct Context<'a> {
    peer: Peer<'a>,
    pub(crate) index: u32,
}

impl<'a> Context<'a> {
    pub(crate) fn new(turn: &'a mut Turn, index: u32) -> Context<'a> {
        Context { peer: Peer { turn, index: Some(index) }, index }
    }

    /// The current connection's id.
    pub fn id(&self) -> ConnId {
        self.core.id(self.index)
    }

    /// Sends bytes or a region of a file, after everything sent before. See [`Peer::send`].
    pub fn send<'b>(&mut self, what: impl Into<Outgoing<'b>>) -> Sent {
        outbound::send(&mut self.peer.turn.core, self.index, what.into())
    }

    /// Whether the connection wants input now: it is not paused, its queue is not full, and it is
    /// neither closing nor handed over. A loop over the messages of one input should stop when this
    /// becomes false; the rest is offered again later.
    pub fn wants_input(&self) -> bool {
        self.core[self.index].wants_input()
            && !self.hand_overs.iter().any(|hand_over| hand_over.index == self.index)
    }

    /// Whether the next input goes elsewhere than to [`on_data`](crate::Handler::on_data): to
    /// [`on_received`](crate::Handler::on_received), to a file or to another connection, or is
    /// discarded. An adapter that calls its handler for each message of one input must stop when
    /// the handler has requested this, since the rest is not its own.
    pub fn is_directed(&self) -> bool {
        self.core[self.index].has_strategy()
    }

    /// The current connection's limits.
    pub fn limits(&self) -> &Limits {
        self.core.limits(self.core[self.index].group)
    }

    /// Ends this connection's part of the turn. Input that the callback leaves unconsumed is
    /// offered again in the next turn, even if nothing more arrives, so that other connections are
    /// served in between. Call this when one input contains more work than should be done at once.
    /// [`Limits::max_unread`] does not apply to input left this way, and queued output is sent now.
    pub fn yield_now(&mut self) {
        self.with(Core::yield_now);
    }

    /// Requests the next `count` bytes in one piece: [`on_received`](crate::Handler::on_received)
    /// is called once all of them have arrived. They start with the input that this callback leaves
    /// unconsumed.
    ///
    /// Use it for messages of any size whose length is known in advance. A message of up to
    /// [`Limits::receive_direct`] bytes is borrowed from the shared receive buffer. A longer one
    /// gets its own buffer, which the handler may keep. That buffer grows as data arrives: a peer
    /// that announces a long message but sends little costs 1 MiB of address space, and memory only
    /// for what it sends. If a handler always requests the next piece, in `on_open` and in
    /// `on_received`, its `on_data` is never called.
    ///
    /// - A length sent by the peer may exceed [`Limits::max_exact`], 16 MiB by default. Send an
    ///   error and close the connection in that case. If the error is ignored, the next bytes go to
    ///   `on_data`.
    /// - A connection has one request at a time. A new request replaces the pending one and
    ///   includes the bytes that have arrived for it. A request for 0 bytes completes too.
    /// - While a request is pending, [`Limits::max_unread`] does not apply, and each byte that
    ///   arrives restarts [`Limits::idle`], although small amounts are noticed
    ///   [late](crate::Limits::receive_low_water). Pausing the connection and a full queue stop
    ///   reading as usual.
    /// - If the peer stops sending before all bytes have arrived,
    ///   [`on_eof`](crate::Handler::on_eof) is called instead. [`unread`](crate::Context::unread)
    ///   is the number of bytes that did arrive, and `on_eof` can request that many, after which it
    ///   is called again. If it requests more, which can never arrive, the connection is
    ///   [closed](crate::Peer::close).
    /// - When the connection is [handed over](crate::Context::hand_over), the bytes that have
    ///   arrived become input of the new handler, and the request is dropped.
    /// - If the buffer cannot be allocated, the connection is reset with
    ///   [`Reason::Failed`](crate::Reason::Failed).
    ///
    /// ```
    /// use sluicegate_reactor::{Context, Handler, Input, Payload};
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
    ///         unreachable!("a request is always pending");
    ///     }
    ///     fn on_received(&mut self, cx: &mut Context<'_>, next: &mut Next, bytes: Payload<'_>) {
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
    /// `ErrorKind::InvalidInput` if `count` exceeds [`Limits::max_exact`]. Nothing changes in
    /// that case: the next bytes go to [`on_data`](crate::Handler::on_data), or to the pending
    /// request.
    pub fn receive_exact(&mut self, count: usize) -> io::Result<()> {
        inbound::expect(&mut self.peer.turn.core, self.index, count)
    }

    /// Receives the next `length` bytes into a file, or with `None` everything until the peer shuts
    /// down its sending side. Then [commits](NewFile::commit) the file and calls
    /// [`on_saved`](crate::Handler::on_saved). The file starts with the input that the callback
    /// leaves unconsumed.
    ///
    /// The file is removed if the peer stops sending early, resets the connection, or stalls until
    /// a deadline passes. A file requested in [`on_eof`](crate::Handler::on_eof) consists of the
    /// unread bytes; if `length` is more, which can never arrive, the connection is closed. If the
    /// connection is [handed over](crate::Context::hand_over), receiving continues and the new
    /// handler gets the result.
    ///
    /// The reactor never blocks on a disk. It writes files on memory file systems itself;
    /// [workers](crate::workers) write, sync and commit files on disks. If the pool is busy, their
    /// jobs wait. While [`Limits::file_batches`](crate::Limits::file_batches) batches of a file are
    /// with the workers, the connection receives nothing more. Each write counts as activity, as
    /// input does. If no worker thread can be started, the file fails.
    pub fn receive_file(&mut self, file: NewFile, length: Option<u64>) {
        let index = self.index;
        inbound::receive_file(&mut self.core, index, file, length, WhenWhole::Commit);
    }

    /// Receives the next `count` bytes into a file and returns the file through
    /// [`on_saved`](crate::Handler::on_saved). The handler can then receive another part, write
    /// bytes itself, or commit the file by calling [`receive_file`](crate::Context::receive_file)
    /// with `Some(0)`.
    ///
    /// Up to 4 KiB at the end of the part may still be in memory then, so that many small parts need
    /// few writes. They are written with the next part, by [`append`](NewFile::append) or before the
    /// commit, and an error is reported there.
    ///
    /// So a file of unknown length can be received without blocking on the disk, if its end is
    /// marked in the data:
    ///
    /// ```
    /// use sluicegate_reactor::fs::{CreateOptions, Dir, NewFile, NotSaved, Saved};
    /// use sluicegate_reactor::{Context, Handler, Input};
    ///
    /// /// Stores what each client sends up to a NUL byte.
    /// struct Inbox(Dir);
    ///
    /// impl Handler for Inbox {
    ///     /// The file, except while it is written to.
    ///     type Session = Option<NewFile>;
    ///
    ///     fn on_open(&mut self, _: &mut Context<'_>) -> Option<NewFile> {
    ///         self.0.create("message", &CreateOptions::default()).ok()
    ///     }
    ///
    ///     fn on_data(
    ///         &mut self,
    ///         cx: &mut Context<'_>,
    ///         file: &mut Option<NewFile>,
    ///         input: &mut Input<'_>,
    ///     ) {
    ///         let Some(file) = file.take() else { return cx.close() };
    ///         match input.iter().position(|byte| *byte == 0) {
    ///             Some(0) => {
    ///                 input.consume(1);
    ///                 cx.receive_file(file, Some(0));
    ///             }
    ///             Some(end) => cx.receive_part(file, end as u64),
    ///             None => cx.receive_part(file, input.len() as u64),
    ///         }
    ///     }
    ///
    ///     fn on_saved(
    ///         &mut self,
    ///         cx: &mut Context<'_>,
    ///         file: &mut Option<NewFile>,
    ///         saved: Result<Saved, NotSaved>,
    ///     ) {
    ///         match saved {
    ///             Ok(Saved::Part(part)) => *file = Some(part),
    ///             Ok(Saved::Committed(_)) => _ = cx.send("stored\n"),
    ///             Err(_) => cx.close(),
    ///         }
    ///     }
    /// }
    /// # #[cfg(feature = "testing")]
    /// # {
    /// # let mut h = sluicegate_reactor::testing::Harness::build(
    /// #     &Default::default(),
    /// #     |files| files.make_dir("/inbox"),
    /// #     |reactor| {
    /// #         let dir = reactor.open_dir("/inbox").unwrap();
    /// #         reactor.register(Inbox(dir))
    /// #     },
    /// # );
    /// # let client = h.open();
    /// # h.feed(client, "hel");
    /// # h.feed(client, "lo\0");
    /// # assert_eq!(h.sent(client), "stored\n");
    /// # assert_eq!(h.files().content("/inbox/message"), Some(&b"hello"[..]));
    /// # }
    /// ```
    pub fn receive_part(&mut self, file: NewFile, count: u64) {
        let index = self.index;
        inbound::receive_file(&mut self.core, index, file, Some(count), WhenWhole::GiveBack);
    }

    /// Receives and drops the next `count` bytes, or fewer if the peer shuts down its sending side
    /// first. The bytes start with the input that the callback leaves unconsumed. Later bytes go to
    /// [`on_data`](crate::Handler::on_data).
    pub fn discard(&mut self, count: u64) {
        self.with(|core, index| inbound::set_strategy(core, index, Strategy::Discard(count)));
    }

    /// Hands the connection over to another handler, with a session for it. Use it to switch
    /// protocols after a greeting, an upgrade or a login.
    ///
    /// When the callback has returned:
    ///
    /// 1. [`on_close`](crate::Handler::on_close) is called for the old session with
    ///    [`HandedOver`](crate::Reason::HandedOver), as its last callback.
    /// 2. [`on_ready`](crate::Handler::on_ready) of the new handler is called.
    /// 3. The input that the callback left unconsumed is offered to the new handler's
    ///    [`on_data`](crate::Handler::on_data), even if nothing more arrives.
    /// 4. If the peer has shut down its sending side, [`on_eof`](crate::Handler::on_eof) of the new
    ///    handler is called, even if the old handler's already was. If the reactor is stopping,
    ///    [`on_stop`](crate::Handler::on_stop) is called too.
    ///
    /// The connection keeps its id, its [limits](crate::Limits), its queue, its counters, and
    /// whether it is [shut down](crate::Peer::shutdown). Everything that the old handler
    /// requested is cancelled: a [pause](crate::Peer::pause), its [own
    /// deadline](crate::Peer::set_deadline), a [drain](crate::Peer::request_drain), a pending
    /// [`receive_exact`](crate::Context::receive_exact), and a [relay](crate::Peer::relay_to) of
    /// the input or of a [part](crate::Peer::relay_part) of it. The new handler therefore starts
    /// as if the connection were newly accepted.
    ///
    /// A hand-over cannot be undone. If the same callback also closes, aborts or hands over the
    /// connection, or panics, or if the connection is lost during it, the new handler still gets
    /// the session, but its only callback is [`on_close`](crate::Handler::on_close). If
    /// [`on_open`](crate::Handler::on_open) hands the connection over, the session that it returns
    /// is closed immediately. After this call [`wants_input`](crate::Context::wants_input) is false
    /// for the rest of the callback.
    ///
    /// Costs one allocation.
    ///
    /// ```
    /// use sluicegate_reactor::{Context, Handler, HandlerId, Input, Reactor};
    ///
    /// /// Waits for a name, then hands over to `Chat`.
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
    /// If the [`HandlerId`] belongs to another reactor. This is not detected if this reactor has a
    /// handler of the same type with that number.
    pub fn hand_over<H: Handler>(&mut self, to: HandlerId<H>, session: H::Session) {
        self.assert_known(to);
        let session = Box::new(session);
        let index = self.index;
        self.hand_overs.push(HandOver { index, to: to.index, session });
    }

    /// Bytes received that no callback has consumed. Those in the [`Input`](crate::Input) of the
    /// current callback do not count, nor do those behind a line or a frame that an adapter takes
    /// from it.
    pub fn unread(&self) -> usize {
        self.core[self.index].unread()
    }

    /// The address of the peer. See [`Endpoints::peer`].
    ///
    /// # Errors
    /// The same as those of [`Endpoints::peer`].
    pub fn peer_address(&self) -> io::Result<Address> {
        self.endpoints().peer()
    }

    /// The local address of the connection. See [`Endpoints::local`].
    ///
    /// # Errors
    /// The same as those of [`Endpoints::local`].
    pub fn local_address(&self) -> io::Result<Address> {
        self.endpoints().local()
    }

    /// Access to the addresses of the connection, valid until the callback returns. Meant for
    /// protocols that pass it to an application together with the context.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints<'a> {
        Endpoints::of(&self.core, self.index)
    }
}

impl<'a> Deref for Context<'a> {
    type Target = Peer<'a>;
    fn deref(&self) -> &Peer<'a> {
        &self.peer
    }
}

impl<'a> DerefMut for Context<'a> {
    fn deref_mut(&mut self) -> &mut Peer<'a> {
        &mut self.peer
    }
}
