//! A connection reached by its id.

use std::fmt::{self, Display};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::Turn;
use crate::core::{ConnId, Connection, Core, Flags, Phase, Sent};
use crate::inbound;
use crate::outbound::{self, Outgoing};
use crate::time::{deadlines, rates};

/// A connection reached by its id. If the connection is gone, sending returns [`Sent::Gone`] and
/// the other methods do nothing.
///
/// Derefs to the [`Turn`] that it came from.
pub struct Peer<'a> {
    pub(super) turn: &'a mut Turn,
    pub(super) index: Option<u32>,
}

impl Peer<'_> {
    /// Whether the connection is open or [connecting](crate::Turn::connect), that is, neither
    /// closing nor gone.
    pub fn is_open(&self) -> bool {
        self.connection()
            .is_some_and(|c| c.phase <= Phase::Open && !c.flags.any(Flags::CLOSE_WHEN_CONNECTED))
    }

    /// Whether bytes can still be sent: the connection is open or connecting, its output was not
    /// [shut down](Peer::shutdown), and no send has failed.
    pub fn accepts_output(&self) -> bool {
        self.connection().is_some_and(Connection::accepts_output)
    }

    /// Sends bytes or a region of a file, after everything sent before. The current connection's
    /// queue is sent right after its callback, other queues at the end of the turn or once many
    /// wait. Always accepts all bytes or none.
    pub fn send<'b>(&mut self, what: impl Into<Outgoing<'b>>) -> Sent {
        match self.index {
            Some(index) => {
                let core = &mut self.turn.core;
                outbound::flush_later(core, index);
                outbound::send(core, index, what.into())
            }
            None => Sent::Gone,
        }
    }

    /// Stops reading. Received input that is not consumed is kept. Once the kernel's buffers are
    /// full, the peer has to wait. A reset by the peer is noticed only when reading or writing
    /// resumes.
    pub fn pause(&mut self) {
        self.with(|core, index| core[index].flags.set(Flags::PAUSED));
    }

    /// Resumes reading. Unconsumed input is offered again soon, but never from inside this call.
    /// The idle time of the connection starts again.
    pub fn resume(&mut self) {
        self.with(Core::resume);
    }

    /// Shuts down the sending side once the queue is empty (`SHUT_WR`); reading continues. Nothing
    /// more can be sent. The connection closes when the peer has shut down its sending side too.
    pub fn shutdown(&mut self) {
        self.with(|core, index| {
            core.set_and_schedule(index, Flags::OUTPUT_CLOSED);
            deadlines::note_half_closed(core, index);
        });
    }

    /// Closes once the queue is empty. No more input is delivered. The descriptor lingers, within
    /// limits, until the peer has shut down its sending side, so that late input cannot cause a
    /// reset that destroys the response.
    pub fn close(&mut self) {
        self.with(Core::close);
    }

    /// Resets the connection and drops its queue.
    pub fn abort(&mut self) {
        self.with(Core::abort);
    }

    /// Requests one [`on_drain`](crate::Handler::on_drain) call for when the kernel has accepted
    /// everything in the queue, including output queued in the meantime. Use it to produce the next
    /// part of the output, to record that a response has been sent, or to make another connection's
    /// session notice a change.
    pub fn request_drain(&mut self) {
        self.with(|core, index| core.set_and_schedule(index, Flags::DRAIN_REQUESTED));
    }

    /// Sets the connection's own deadline to `after` from [`Turn::now`](crate::Turn::now). `None`
    /// clears it, and so does [`close`](crate::Peer::close). The deadline is absolute: traffic does
    /// not move it. When it passes, [`on_timeout`](crate::Handler::on_timeout) is called with
    /// [`Timeout::Own`](crate::Timeout::Own), up to about 17 ms late and never early. Times longer
    /// than 208 days are reduced to 208 days.
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.with(|core, index| deadlines::set_own(core, index, after));
    }

    /// Whether the connection has a deadline of its own that has not passed. A protocol that sets
    /// one for itself can leave that of the application alone.
    pub fn has_deadline(&self) -> bool {
        self.connection().is_some_and(|c| c.deadline != 0)
    }

    /// Names the connection in a line of a log, as the reactor does: by its id, its peer, and the
    /// listener that accepted it. So a connection can be followed through its life.
    ///
    /// ```text
    /// ConnId(17.204) from 10.0.0.9:51712 at 10.0.0.1:80
    /// ```
    ///
    /// The addresses are missing if the socket has forgotten them, as after a reset. Printing it
    /// may take a system call.
    pub fn describe(&self) -> impl Display {
        fmt::from_fn(|f| match self.index {
            Some(index) => self.turn.core.describe(index).fmt(f),
            None => f.write_str("a connection that is gone"),
        })
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.connection().map_or(0, |c| c.received)
    }

    /// Bytes that the kernel has accepted so far. This also works for a closing connection: in
    /// [`on_close`](crate::Handler::on_close) it is the number of bytes actually sent.
    pub fn sent(&self) -> u64 {
        self.connection().map_or(0, |c| c.sent)
    }

    /// Queued bytes that the kernel has not accepted yet.
    pub fn pending(&self) -> u64 {
        self.connection().map_or(0, |c| c.pending())
    }

    /// Forwards the input of this connection to another one until the input ends, without calling
    /// the handler. The relay starts with any input that the callback leaves unconsumed, and works
    /// in one direction; in a proxy, each of two connections relays to the other.
    ///
    /// - The destination may still be [connecting](crate::Turn::connect). Other output
    ///   [sent](crate::Peer::send) to it, before or during the relay, is sent in the order of the
    ///   calls.
    /// - When the destination cannot take more, the source stops receiving; at most one buffer is
    ///   read ahead. The source's own send queue may be full: the two directions do not wait for
    ///   each other.
    /// - The end of the input is passed on: the destination is [shut down](crate::Peer::shutdown)
    ///   once everything has been sent, which ends the relay. `on_eof` is not called. When both
    ///   directions of a connection have ended, it closes with
    ///   [`Finished`](crate::Reason::Finished), as usual.
    /// - If the handler closes the source, the destination is [closed](crate::Peer::close) after
    ///   it. If the handler closes the destination, the source is closed. If either ends in any
    ///   other way, such as a reset or a deadline, the other is reset with
    ///   [`Reason::RelayLost`](crate::Reason::RelayLost), so that a truncated stream never looks
    ///   complete. In two cases the other connection is closed instead: if its handler has already
    ///   closed it or it has received everything including the end, and if it is a source whose
    ///   destination could not be [connected](crate::Turn::connect). Input that arrived before a
    ///   reset is still sent to the destination, at the destination's pace.
    /// - If a destination cannot be connected, its [`on_close`](crate::Handler::on_close) is called
    ///   before the source is closed, so that it can send the source's peer a reply. It can also
    ///   relay the source to another destination, but input that was already queued for the first
    ///   one is lost. If the handshake of its transport fails instead, the source is reset first.
    /// - If the input is [cut](crate::Context::is_cut), the destination is reset too. If the two
    ///   connections relay to each other, both are reset; otherwise the source gets `on_eof`.
    /// - [`pause`](crate::Peer::pause) on the source stops the relay; on the destination it has no
    ///   effect. If the handler closes or shuts down the destination, nothing more is forwarded,
    ///   and the source waits until the destination has ended.
    /// - Each connection has its own deadlines. Bytes sent to the destination count as activity on
    ///   the source. Once one direction has ended,
    ///   [`Limits::half_closed`](crate::Limits::half_closed) applies to the other.
    /// - Calling this again changes the destination. A destination has one source: a second relay
    ///   to it ends the first, and the input of the first source goes to its handler again.
    ///   [Handing the source over](crate::Context::hand_over) ends the relay in the same way.
    ///
    /// A connection that relays to itself echoes. If the destination is gone or closing, the source
    /// is closed, after `on_close` of one that could not be connected.
    pub fn relay_to(&mut self, peer: ConnId) {
        self.with(|core, index| inbound::relay(core, index, peer, None));
    }

    /// Forwards the next `count` bytes of this connection's input to another one, as
    /// [`relay_to`](crate::Peer::relay_to) does: a request body of known length, for example. Then
    /// [`on_relayed`](crate::Handler::on_relayed) is called, and later bytes go to the handler. The
    /// part starts with the input that the callback leaves unconsumed; bytes after the part are not
    /// touched. A part of 0 bytes is complete at the next step of the source, perhaps in the next
    /// turn.
    ///
    /// A part ends differently from a relay of everything:
    ///
    /// - It is complete when its last byte has been sent or is in the destination's queue. What the
    ///   handler sends to the destination in `on_relayed` follows it.
    /// - If the destination ends first, for whatever reason, or is already gone, the source stays
    ///   open. `on_relayed` is called with the number of bytes that are left; they are the next
    ///   input, which the handler can [discard](crate::Context::discard). If the handler closes or
    ///   shuts down the destination, the source waits until the destination has ended.
    /// - If the source ends first, for whatever reason, the destination is reset with
    ///   [`Reason::RelayLost`](crate::Reason::RelayLost), so that a truncated part never looks
    ///   complete. If the peer of the source has only shut down its sending side,
    ///   [`on_eof`](crate::Handler::on_eof) of the source is called instead of `on_relayed`, again
    ///   if it was called before. A part requested in `on_eof` consists of the unread bytes; if
    ///   `count` is more, which can never arrive, the connection is closed.
    /// - A second relay to the same destination ends the part as the end of the destination does.
    /// - If the source is directed elsewhere or handed over, the part ends, the destination stays
    ///   open, and `on_relayed` is not called.
    ///
    /// A part of at least [`Limits::splice_after`](crate::Limits::splice_after) bytes goes through
    /// a pipe from its beginning.
    ///
    /// ```
    /// use sluicegate_reactor::{ConnId, Context, Handler, Input};
    ///
    /// /// Stores what follows its length in four bytes, and answers when it was passed on.
    /// struct Front {
    ///     store: ConnId,
    /// }
    ///
    /// impl Handler for Front {
    ///     type Session = ();
    ///     fn on_open(&mut self, _: &mut Context<'_>) {}
    ///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    ///         if let Some(length) = input.first_chunk::<4>() {
    ///             let length = u32::from_be_bytes(*length);
    ///             input.consume(4);
    ///             cx.relay_part(self.store, length.into());
    ///         }
    ///     }
    ///     fn on_relayed(&mut self, cx: &mut Context<'_>, _: &mut (), left: u64) {
    ///         if left > 0 {
    ///             cx.send("the store is gone\n");
    ///             cx.discard(left);
    ///         } else {
    ///             cx.peer(self.store).send("\n");
    ///             cx.send("stored\n");
    ///         }
    ///     }
    /// }
    /// ```
    pub fn relay_part(&mut self, peer: ConnId, count: u64) {
        self.with(|core, index| inbound::relay(core, index, peer, Some(count)));
    }

    /// Sets how many bytes per second the connection sends from now on, in place of
    /// [`Limits::send_rate`](crate::Limits::send_rate); `None` removes the limit. The listener's
    /// rate ([`Listen::send_rate`](crate::Listen::send_rate)) applies as well.
    pub fn set_send_rate(&mut self, rate: Option<u64>) {
        self.with(|core, index| rates::set(core, index, rate));
    }

    fn connection(&self) -> Option<&Connection> {
        Some(&self.turn.core[self.index?])
    }

    pub(super) fn with(&mut self, act: impl FnOnce(&mut Core, u32)) {
        if let Some(index) = self.index {
            act(&mut self.turn.core, index);
        }
    }
}

impl Deref for Peer<'_> {
    type Target = Turn;
    fn deref(&self) -> &Turn {
        self.turn
    }
}

impl DerefMut for Peer<'_> {
    fn deref_mut(&mut self) -> &mut Turn {
        self.turn
    }
}
