//! What a handler can call.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::core::Core;
use crate::core::connection::Phase;
use crate::core::ledger::{GroupId, Ledger};
use crate::core::limits::Limits;
use crate::fs::{Fs, NewFile};
use crate::handler::{ConnId, Sent};
use crate::inbound::Then;
use crate::outbound::Outgoing;
use crate::sys::Address;

/// The reactor as a handler sees it when no connection is current.
///
/// Time and randomness come from here, so that a simulated run can be replayed exactly.
pub struct Turn<'a> {
    pub(crate) core: &'a mut Core,
}

impl Turn<'_> {
    /// Time since an arbitrary start, as of the beginning of this turn.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.core.now)
    }

    /// Seconds since 1970, for what is shown to people. May jump when the clock is set.
    #[must_use]
    pub fn unix_time(&self) -> u64 {
        self.core.kernel.realtime()
    }

    /// 64 random bits.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.core.kernel.random()
    }

    /// The file system.
    #[must_use]
    pub fn fs(&self) -> Fs {
        Fs::new(self.core.kernel.clone())
    }

    /// What the reactor has done so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.core.total()
    }

    /// What the connections of one listener or connector have done of it.
    #[must_use]
    pub fn ledger_of(&self, group: impl Into<GroupId>) -> Ledger {
        self.core.total_of(group.into())
    }

    /// Any connection of this reactor, whichever handler it belongs to.
    pub fn peer(&mut self, id: ConnId) -> Peer<'_> {
        self.core.peer(id)
    }

    /// Asks the reactor to stop, and with it the other threads of its server. It begins in the next
    /// turn; see [`Reactor::set_drain`](crate::Reactor::set_drain).
    pub fn stop(&mut self) {
        self.core.stopping = true;
    }

    /// Whether the reactor was asked to stop, so that nothing long should begin.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.core.stopping
    }
}

impl Core {
    pub(crate) fn peer(&mut self, id: ConnId) -> Peer<'_> {
        let index = self.find(id).map(|_| id.index);
        Peer { core: self, index }
    }
}

/// The reactor as a handler sees it when called for a connection. Derefs to [`Turn`].
pub struct Context<'a> {
    turn: Turn<'a>,
    pub(crate) index: u32,
}

impl<'a> Context<'a> {
    pub(crate) fn new(core: &'a mut Core, index: u32) -> Context<'a> {
        Context { turn: Turn { core }, index }
    }

    /// The current connection's name.
    #[must_use]
    pub fn id(&self) -> ConnId {
        let generation = self.turn.core.get(self.index).map_or(0, |c| c.generation);
        ConnId { index: self.index, generation }
    }

    /// The current connection, as a [`Peer`].
    pub fn this(&mut self) -> Peer<'_> {
        Peer { core: self.turn.core, index: Some(self.index) }
    }

    /// Sends bytes or a region of a file, after everything sent before. See [`Peer::send`].
    pub fn send<'b>(&mut self, what: impl Into<Outgoing<'b>>) -> Sent {
        self.turn.core.send(self.index, what.into())
    }

    /// Stops reading until [`resume`](Context::resume). See [`Peer::pause`].
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
        let core = &self.turn.core;
        core.hand_overs.is_empty() && core.get(self.index).is_some_and(|c| c.wants_input())
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

    /// Receives the next `length` bytes into a file, or all until the peer ends its direction, and
    /// [commits](NewFile::commit) it, for [`on_saved`](crate::Handler::on_saved). What the callback
    /// leaves unconsumed comes first.
    ///
    /// A peer that ends its direction before all of `length` is there, resets the connection or
    /// stalls until a deadline has passed has its file removed. A
    /// [handed over](Context::hand_over) connection goes on receiving it, and the new handler is
    /// told.
    ///
    /// The reactor never waits for a disk: a file system in memory is written at once, and for
    /// others [workers](crate::Reactor::set_workers) write, sync and commit. While they have
    /// [`Limits::file_batches`](crate::Limits::file_batches) nothing more is received. What they
    /// write counts as activity, as what arrives does.
    pub fn receive_file(&mut self, file: NewFile, length: Option<u64>) {
        let index = self.index;
        self.turn.core.receive_file(index, file, length, Then::Commit);
    }

    /// Receives the next `count` bytes into a file and gives it back, in
    /// [`on_saved`](crate::Handler::on_saved), to go on with: another part, bytes of one's own, or
    /// [`receive_file`](Context::receive_file) with `Some(0)` to commit what is there.
    pub fn receive_part(&mut self, file: NewFile, count: u64) {
        let index = self.index;
        self.turn.core.receive_file(index, file, Some(count), Then::GiveBack);
    }

    /// Receives the next `count` bytes, or all until the peer ends its direction, and drops them.
    /// What the callback leaves unconsumed comes first; what comes behind goes to
    /// [`on_data`](crate::Handler::on_data).
    pub fn discard(&mut self, count: u64) {
        let index = self.index;
        self.turn.core.discard(index, count);
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

    /// Asks for one [`on_drain`](crate::Handler::on_drain) when all was sent. See
    /// [`Peer::request_drain`].
    pub fn request_drain(&mut self) {
        self.this().request_drain();
    }

    /// Bytes sent that the kernel has not taken yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.turn.core.pending(self.index)
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

impl<'a> Deref for Context<'a> {
    type Target = Turn<'a>;
    fn deref(&self) -> &Turn<'a> {
        &self.turn
    }
}

impl DerefMut for Context<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.turn
    }
}

/// A connection reached by its name. If it is gone, what is sent answers [`Sent::Gone`] and the
/// rest does nothing.
pub struct Peer<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) index: Option<u32>,
}

impl Peer<'_> {
    /// Whether the connection is open, or [in the making](Turn::connect): not closing, not gone.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let Some((index, c)) = self.index.and_then(|i| Some((i, self.core.get(i)?))) else {
            return false;
        };
        c.is_open() || c.phase == Phase::Connecting && !self.core.connecting.is_closing(index)
    }

    /// Sends bytes or a region of a file, after everything sent before. The current connection's
    /// queue leaves right after its callback, other connections' at the end of the turn. Always
    /// takes all or nothing.
    pub fn send<'b>(&mut self, what: impl Into<Outgoing<'b>>) -> Sent {
        match self.index {
            Some(index) => self.core.send(index, what.into()),
            None => Sent::Gone,
        }
    }

    /// Stops reading. What has been received and not consumed is kept; the peer is held back by its
    /// own full buffers. A reset by the peer shows when reading or writing goes on.
    pub fn pause(&mut self) {
        self.each(Core::pause);
    }

    /// Reads again; input that was left is offered again, soon, but never from inside this call.
    pub fn resume(&mut self) {
        self.each(Core::resume);
    }

    /// Ends the sending direction once the queue is empty (`SHUT_WR`); reading goes on. Nothing can
    /// be sent any more. When the peer has ended its direction too, the connection closes.
    pub fn shutdown(&mut self) {
        self.each(Core::shutdown);
    }

    /// Closes once the queue is empty. No more input is delivered. The descriptor lingers, within
    /// limits, until the peer has ended its direction, so that late input cannot destroy the
    /// answer.
    pub fn close(&mut self) {
        self.each(Core::close);
    }

    /// Resets the connection; what is queued is dropped.
    pub fn abort(&mut self) {
        self.each(Core::abort);
    }

    /// Asks for one [`on_drain`](crate::Handler::on_drain) once everything sent so far and until
    /// then is with the kernel: to produce the next part, or to note that an answer has left. For
    /// another connection it is also how its session comes to know of what was done to it.
    pub fn request_drain(&mut self) {
        self.each(Core::request_drain);
    }

    /// Sets the connection's own deadline, so long from [`Turn::now`]; `None` clears it, and so
    /// does [`close`](Peer::close). It is absolute: no traffic moves it. When it has passed
    /// [`on_timeout`](crate::Handler::on_timeout) is called with
    /// [`Timeout::Own`](crate::Timeout::Own). The resolution is about 17 ms, and it never comes
    /// early, except that 208 days are the longest.
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        if let Some(index) = self.index {
            self.core.set_deadline(index, after);
        }
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.index.and_then(|index| self.core.get(index)).map_or(0, |c| c.received)
    }

    /// Bytes that the kernel has taken so far. Of a connection that is being closed, too: in
    /// [`on_close`](crate::Handler::on_close) it says what was really sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.index.and_then(|index| self.core.get(index)).map_or(0, |c| c.sent)
    }

    /// Bytes sent that the kernel has not taken yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.index.map_or(0, |index| self.core.pending(index))
    }

    fn each(&mut self, act: fn(&mut Core, u32)) {
        if let Some(index) = self.index {
            act(self.core, index);
        }
    }
}
