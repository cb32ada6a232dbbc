//! The record of one connection, and the conditions that follow from it.

use std::io::{self, ErrorKind};

use super::flags::Flags;
use super::id::Reason;
use super::ledger::Ledger;
use super::meter::Meter;
use super::queue::Queue;
use super::special::{Special, Strategy};
use super::transport::{End, Layer};
use super::wheel::Link;
use crate::sys::{Direction, Fd, NO_FD, Ready};

/// The record of a connection. An idle connection owns nothing but this and its session, so this
/// size determines the memory of an idle server.
pub(crate) struct Connection {
    /// The socket; `NO_FD` while the name of its target is being looked up.
    pub(crate) socket: Fd,
    /// Distinguishes this connection from earlier ones in the same slot of the slab.
    pub(crate) generation: u32,
    /// Index of its session in its handler, or [`NO_SESSION`].
    pub(crate) slot: u32,
    /// Index of its group, whose limits and counters apply.
    pub(crate) group: u16,
    pub(crate) flags: Flags,
    /// Readiness that was reported and has not been used up.
    pub(crate) ready: Ready,
    pub(crate) phase: Phase,
    /// Why it is ending, once it is. [`Reason::Reset`] marks a connection that is
    /// [lost](Connection::is_lost) before that.
    pub(crate) reason: Reason,
    /// Index of its handler.
    pub(crate) handler: u8,
    /// Its entry in the timing wheel, at its first deadline or before.
    pub(crate) link: Link,
    /// The tick at which bytes last moved. Receiving only writes this; it is read when the wheel's
    /// entry expires.
    pub(crate) active: u32,
    /// The handler's own deadline as a tick, or 0.
    pub(crate) deadline: u32,
    /// Bytes received.
    pub(crate) received: u64,
    /// Bytes that the kernel has taken.
    pub(crate) sent: u64,
    /// The queue of bytes to send, if it is not empty.
    pub(crate) outbound: Option<Box<Queue>>,
    /// State that few connections have: unconsumed input, another receive strategy, a rate.
    pub(crate) special: Option<Box<Special>>,
}

/// The value of `slot` without a session.
pub(crate) const NO_SESSION: u32 = u32::MAX;

const _: () = assert!(size_of::<Connection>() <= 72);
// The slab's tag uses a value that `phase` leaves unused.
const _: () = assert!(size_of::<Option<Connection>>() == size_of::<Connection>());

/// The phase of a connection's life. It only moves down this list.
///
/// | phase | `send` accepts bytes | queued bytes are sent | input is |
/// |---|---|---|---|
/// | `Connecting` | yes | no | left in the socket |
/// | `Handshake` | yes | [some](Connection::sends_clear) | for the transport |
/// | `Open` | until its output is closed | yes | delivered |
/// | `Open`, but [lost](Connection::is_lost) | no | they were dropped | delivered until its end |
/// | `Closing` | no | yes | left in the socket |
/// | `Ended`, `Failed` | no | no | left in the socket |
/// | `Lingering` | no | no | discarded |
/// | `Gone` | no | no | |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Being established. Bytes to send are accepted.
    Connecting,
    /// Connected; the handshake of its transport is in progress. Bytes to send are accepted.
    Handshake,
    /// Bytes are delivered and accepted.
    Open,
    /// Closed by its handler; the queue is being sent.
    Closing,
    /// Everything was sent; `on_close` is about to be called.
    Ended,
    /// Aborted or failed: what is queued is dropped, and the peer sees a reset.
    Failed,
    /// The session is gone; waiting for the peer to shut down its sending side.
    Lingering,
    /// The descriptor is closed; the slot is freed at the end of the turn.
    Gone,
}

/// Whether a call on a socket has failed only for now: a signal has interrupted it, or the socket
/// has no input or no room, of which an event tells when that changes.
pub(crate) fn is_passing(
    error: &io::Error,
    way: Direction,
    ready: &mut Ready,
    ledger: &mut Ledger,
) -> bool {
    if error.kind() == ErrorKind::WouldBlock {
        let (used_up, refusals) = match way {
            Direction::Send => (Ready::WRITE, &mut ledger.send_would_block),
            Direction::Receive => (Ready::READ.union(Ready::URGENT), &mut ledger.recv_would_block),
        };
        *ready = ready.without(used_up);
        *refusals += 1;
    }
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Connection {
    pub(crate) fn new(socket: Fd, generation: u32, group: u16, handler: u8, tick: u32) -> Self {
        Connection {
            socket,
            generation,
            slot: NO_SESSION,
            group,
            flags: Flags::OWES_START,
            // A new socket has room. Its first event tells whether there is something to read.
            ready: Ready::WRITE,
            phase: Phase::Open,
            reason: Reason::Closed,
            handler,
            link: Link::default(),
            active: tick,
            deadline: 0,
            received: 0,
            sent: 0,
            outbound: None,
            special: None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether a send has failed, so that the connection ends once its input has been delivered.
    pub(crate) fn is_lost(&self) -> bool {
        self.phase == Phase::Open && self.reason == Reason::Reset
    }

    /// Makes an open connection a lost one. Its queue has been dropped.
    pub(super) fn mark_lost(&mut self) {
        self.reason = Reason::Reset;
        if self.flags.take(Flags::FULL) {
            self.flags.set(Flags::REVISIT_INPUT);
        }
        self.flags.set(Flags::OUTPUT_CLOSED.union(Flags::SHUT_WR_DONE).union(Flags::STOPS_SHORT));
        // The last event may have been before the loss.
        self.ready = self.ready.union(Ready::READ);
    }

    /// Whether there may be input, or its end, that was not delivered.
    pub(crate) fn has_input(&self) -> bool {
        self.flags.any(Flags::REVISIT_INPUT.union(Flags::OWES_EOF))
            || self.ready.any(Ready::READ) && !self.flags.any(Flags::INPUT_ENDED)
    }

    /// Whether it has been open. Not to be asked once its [`Special`] state was dropped.
    pub(crate) fn was_opened(&self) -> bool {
        let is_connecting = self.special.as_ref().is_some_and(|special| special.attempt.is_some());
        let is_handshaking =
            self.layer_ref().is_some_and(|layer| layer.handshaking && !layer.was_open);
        self.socket != NO_FD && !is_connecting && !is_handshaking
    }

    /// Whether `send` accepts bytes. Otherwise the output or the whole connection is ending.
    pub(crate) fn accepts_output(&self) -> bool {
        self.phase <= Phase::Open && !self.flags.any(Flags::OUTPUT_CLOSED)
    }

    /// Whether it is part of a relay whose other direction has ended. One that is lost ends by
    /// itself.
    pub(crate) fn is_half_closed_relay(&self) -> bool {
        let Some(special) = self.special.as_ref().filter(|_| !self.is_lost()) else { return false };
        match (matches!(special.strategy, Strategy::Relay(_)), special.feeder.is_some()) {
            (true, false) => self.flags.any(Flags::OUTPUT_CLOSED),
            (false, true) => self.flags.any(Flags::INPUT_ENDED),
            _ => false,
        }
    }

    /// Whether input may be delivered: the connection is open, neither paused nor blocked, and has
    /// room for the output that the input may cause.
    pub(crate) fn wants_input(&self) -> bool {
        self.is_open()
            && match &self.special {
                None => !self.flags.any(Flags::PAUSED.union(Flags::FULL)),
                Some(special) => !self.flags.any(special.strategy.stopped_by()) && !special.blocked,
            }
    }

    /// Whether nothing is due or ending, as for most connections after one receive and one
    /// response. This is a quick check: `false` may also mean that it could not tell.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Open
            && self.outbound.is_none()
            && !self.ready.any(Ready::READ)
            && !self.flags.any(Flags::RESTLESS)
            && self.special.as_ref().is_none_or(|special| special.is_at_rest())
    }

    /// Whether the connection could be closed without cutting anything off, as far as the reactor
    /// can tell: nothing is being sent or received, no callback is due, and the handler waits for
    /// nothing but input.
    pub(crate) fn is_idle(&self) -> bool {
        let busy =
            Flags::PAUSED.union(Flags::FULL).union(Flags::INPUT_ENDED).union(Flags::SCHEDULED);
        self.is_at_rest()
            && !self.flags.any(busy)
            && self.special.as_ref().is_none_or(|special| special.is_idle())
    }

    /// Accounts for a receive of up to `asked` bytes that brought `count`.
    #[inline]
    pub(crate) fn note_received(
        &mut self,
        count: usize,
        asked: usize,
        tick: u32,
        ledger: &mut Ledger,
    ) {
        if count < asked && self.short_means_empty() {
            self.ready = self.ready.without(Ready::READ);
        }
        self.received += count as u64;
        self.active = tick;
        ledger.received += count as u64;
    }

    /// Whether a receive makes sense now.
    pub(crate) fn can_receive(&self) -> bool {
        self.wants_input() && self.ready.any(Ready::READ) && !self.flags.any(Flags::INPUT_ENDED)
    }

    /// Whether a send makes sense now. After an abort or a failure it does not.
    pub(crate) fn can_send(&self) -> bool {
        self.ready.any(Ready::WRITE)
            && (matches!(self.phase, Phase::Open | Phase::Closing) || self.sends_clear())
            && self.outbound.as_ref().is_some_and(|queue| !queue.waits_for_disk)
            && !self.waits_for_rate()
    }

    /// Whether `on_drain` is due: a full queue has fallen to its low mark, or the handler asked to
    /// be told when the queue is empty.
    pub(crate) fn owes_drain(&self) -> bool {
        let emptied = self.outbound.is_none() && self.flags.any(Flags::DRAIN_REQUESTED);
        self.is_open() && !self.is_lost() && (emptied || self.flags.any(Flags::OWES_DRAIN))
    }

    /// Records that `on_drain` is being called.
    pub(crate) fn note_drain(&mut self) {
        self.flags.clear(Flags::OWES_DRAIN);
        if self.outbound.is_none() {
            self.flags.clear(Flags::DRAIN_REQUESTED);
        }
    }

    /// Whether there is something to do although no event comes.
    pub(crate) fn is_owed(&self) -> bool {
        match self.phase {
            Phase::Open => {
                self.flags.any(Flags::OWES_START)
                    || self.can_send()
                    || self.owes_drain()
                    || self.wants_input() && self.has_input()
            }
            Phase::Closing => self.can_send() || self.outbound.is_none(),
            Phase::Ended | Phase::Failed => true,
            Phase::Lingering => self.ready.any(Ready::READ),
            // After an event it looks whether its handshake is over.
            Phase::Handshake => {
                self.flags.any(Flags::YIELDED) || self.clear() == Some(0) || self.can_send()
            }
            Phase::Connecting | Phase::Gone => false,
        }
    }

    /// Whether a receive of fewer bytes than asked for means that the socket is empty.
    ///
    /// It does not if an end of stream or an error follows the bytes, or urgent data is among them:
    /// no further edge would come (`tcp(7)`; on Linux 6.1 a receive stops at the urgent mark). Nor
    /// does it on a Unix socket, where a receive stops wherever a descriptor was passed
    /// (`unix(7)`), or if the kernel opens records of TLS, where it stops at the next one that is
    /// not data: no event announces the rest. There only `EAGAIN` means that the socket is empty.
    pub(crate) fn short_means_empty(&self) -> bool {
        !self.flags.any(Flags::STOPS_SHORT)
            && !self.ready.any(Ready::READ_END.union(Ready::HANGUP).union(Ready::URGENT))
    }

    /// Bytes accepted by `send` that the kernel has not taken.
    pub(crate) fn pending(&self) -> u64 {
        self.outbound.as_ref().map_or(0, |queue| queue.pending())
    }

    /// Bytes received that no callback has consumed.
    pub(crate) fn unread(&self) -> usize {
        let Some(special) = &self.special else { return 0 };
        match &special.strategy {
            Strategy::Exact(exact) => special.unread.len() + exact.unread(),
            _ => special.unread.len(),
        }
    }

    /// Where its input goes. `None` means to `on_data`, with nothing kept.
    pub(crate) fn strategy(&mut self) -> Option<&mut Strategy> {
        self.special.as_mut().map(|special| &mut special.strategy)
    }

    /// Whether its bytes pass through a transport. If the kernel does the work of the transport,
    /// only those do that had arrived before.
    pub(crate) fn is_layered(&self) -> bool {
        self.layer_ref().is_some_and(|layer| !layer.in_kernel || layer.plain.len() > 0)
    }

    /// Whether the input has ended without the end that its transport defines.
    pub(crate) fn is_cut(&self) -> bool {
        self.flags.any(Flags::INPUT_ENDED)
            && self.layer_ref().is_some_and(|layer| matches!(layer.end, Some(End::Cut)))
    }

    /// The transport that its bytes pass through, also if the kernel does its work.
    pub(crate) fn layer(&mut self) -> Option<&mut Layer> {
        self.special.as_mut()?.layer.as_deref_mut()
    }

    /// How many queued bytes are sent before its transport starts, if it has not started.
    fn clear(&self) -> Option<u64> {
        self.layer_ref()?.clear
    }

    /// Whether it sends what was queued before it got its transport.
    pub(crate) fn sends_clear(&self) -> bool {
        self.phase == Phase::Handshake && self.clear().is_some_and(|clear| clear > 0)
    }

    fn layer_ref(&self) -> Option<&Layer> {
        self.special.as_ref()?.layer.as_deref()
    }

    /// Whether its input goes elsewhere than to `on_data`.
    pub(crate) fn has_strategy(&self) -> bool {
        self.special.as_ref().is_some_and(|special| !matches!(special.strategy, Strategy::Stream))
    }

    /// The meter of its rate, if it has one.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.special.as_ref()?.meter.as_deref()
    }

    /// Whether its queue waits for its rate.
    pub(crate) fn waits_for_rate(&self) -> bool {
        self.meter().is_some_and(Meter::is_waiting)
    }
}
