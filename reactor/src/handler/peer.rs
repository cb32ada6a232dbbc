//! A connection reached by its name.

use std::time::Duration;

use crate::core::{ConnId, Connection, Core, Direction, Flags, Phase, Sent};
use crate::inbound;
use crate::outbound::{self, Outgoing};
use crate::time::{deadlines, rates};

/// A connection reached by its name. If it is gone, what is sent answers [`Sent::Gone`] and the
/// rest does nothing.
pub struct Peer<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) index: Option<u32>,
}

impl Peer<'_> {
    /// Whether the connection is open, or [in the making](crate::Turn::connect): not closing, not
    /// gone.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection()
            .is_some_and(|c| c.phase <= Phase::Open && !c.flags.has(Flags::CLOSE_WHEN_CONNECTED))
    }

    /// Sends bytes or a region of a file, after everything sent before. The current connection's
    /// queue leaves right after its callback, other connections' at the end of the turn. Always
    /// takes all or nothing.
    pub fn send<'b>(&mut self, what: impl Into<Outgoing<'b>>) -> Sent {
        match self.index {
            Some(index) => outbound::send(self.core, index, what.into()),
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

    /// Sets the connection's own deadline, so long from [`Turn::now`](crate::Turn::now); `None`
    /// clears it, and so does [`close`](crate::Peer::close). It is absolute: no traffic moves it.
    /// When it has passed [`on_timeout`](crate::Handler::on_timeout) is called with
    /// [`Timeout::Own`](crate::Timeout::Own). The resolution is about 17 ms, and it never comes
    /// early, except that 208 days are the longest.
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        if let Some(index) = self.index {
            deadlines::set_own(self.core, index, after);
        }
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.connection().map_or(0, |c| c.received)
    }

    /// Bytes that the kernel has taken so far. Of a connection that is being closed, too: in
    /// [`on_close`](crate::Handler::on_close) it says what was really sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.connection().map_or(0, |c| c.sent)
    }

    /// Bytes sent that the kernel has not taken yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.connection().map_or(0, |c| c.pending())
    }

    /// Passes on to another connection what this one receives, from now on until its end, without
    /// calling its handler: what a callback leaves unconsumed comes first. It is one direction; in
    /// a proxy each of two connections relays to the other.
    ///
    /// - The destination may still be [in the making](crate::Turn::connect). What is
    ///   [sent](crate::Peer::send) to it otherwise, before or meanwhile, leaves in the order of the
    ///   calls.
    /// - A destination that takes no more stops the receiving, and nothing is read ahead beyond one
    ///   buffer. That the source's own queue is full does not: the two directions do not wait for
    ///   each other.
    /// - The end of the input is passed on: the destination is [shut down](crate::Peer::shutdown)
    ///   once all was sent, and the relay is over. `on_eof` is not called. When both directions of
    ///   a connection have ended it closes with [`Finished`](crate::Reason::Finished), as ever.
    /// - If the source is closed by its handler the destination is [closed](crate::Peer::close)
    ///   after it, and if the destination is closed the source is. If one of them is over in any
    ///   other way, such as a reset or a deadline, the other is reset, with
    ///   [`Reason::RelayLost`](crate::Reason::RelayLost): an end is passed on, never made up. But a
    ///   connection that its handler has closed already, or that has received everything and the
    ///   end, is closed, and so is a source whose destination could not be
    ///   [connected](crate::Turn::connect). What had arrived before a reset goes to the
    ///   destination's socket before it, at the pace of the destination.
    /// - [`pause`](crate::Peer::pause) on the source holds the relay; on the destination it does
    ///   not matter. A destination that its handler has closed or shut down takes no more, so the
    ///   source waits for its end.
    /// - Deadlines are those of each connection. What leaves the destination counts as activity of
    ///   the source.
    /// - Another call changes the destination. A destination has one source: the earlier one's
    ///   input goes to its handler again. So it does if the source is
    ///   [handed over](crate::Context::hand_over).
    ///
    /// To relay to itself is to echo. If the destination is gone, or is closing, the source is
    /// closed.
    pub fn relay_to(&mut self, peer: ConnId) {
        if let Some(index) = self.index {
            inbound::relay_to(self.core, index, peer);
        }
    }

    /// Sets how many bytes the connection sends in a second from now on, instead of
    /// [`Limits::send_rate`](crate::Limits::send_rate); `None` is no limit. That of its listener
    /// ([`Listen::send_rate`](crate::Listen::send_rate)) holds as well.
    pub fn set_send_rate(&mut self, rate: Option<u64>) {
        if let Some(index) = self.index {
            rates::set(self.core, index, Direction::Send, rate);
        }
    }

    /// Sets how many bytes the connection receives in a second from now on, instead of
    /// [`Limits::receive_rate`](crate::Limits::receive_rate); `None` is no limit. That of its
    /// listener ([`Listen::receive_rate`](crate::Listen::receive_rate)) holds as well.
    pub fn set_receive_rate(&mut self, rate: Option<u64>) {
        if let Some(index) = self.index {
            rates::set(self.core, index, Direction::Receive, rate);
        }
    }

    fn connection(&self) -> Option<&Connection> {
        self.core.get(self.index?)
    }

    fn each(&mut self, act: fn(&mut Core, u32)) {
        if let Some(index) = self.index {
            act(self.core, index);
        }
    }
}
