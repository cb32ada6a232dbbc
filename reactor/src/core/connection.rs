//! One connection: what is kept for it, and what follows from that.

use super::flags::Flags;
use super::id::Reason;
use super::ledger::Ledger;
use super::limits::Limits;
use super::meter::Direction;
use super::queue::Queue;
use super::special::{Special, Strategy};
use super::wheel::Link;
use crate::sys::{Fd, Ready};

/// What a reactor keeps for a connection. An idle connection owns nothing beyond this and its
/// session, so its size is the memory of an idle server.
pub(crate) struct Connection {
    /// The socket; `NO_FD` while a name is being looked up for it.
    pub(crate) socket: Fd,
    /// Tells this connection from earlier ones in the same place.
    pub(crate) generation: u32,
    /// Where its session is in its handler, or [`NO_SESSION`].
    pub(crate) slot: u32,
    /// Which listener's or connector's limits and counters apply.
    pub(crate) group: u16,
    pub(crate) flags: Flags,
    /// Readiness that was reported and not used up yet.
    pub(crate) ready: Ready,
    pub(crate) phase: Phase,
    /// Why it is ending, once it is.
    pub(crate) reason: Reason,
    /// Index of its handler.
    pub(crate) handler: u8,
    /// Its place in the timing wheel: one entry, at its first deadline or before.
    pub(crate) link: Link,
    /// The tick at which bytes last moved. Receiving only writes this; the wheel looks at it later.
    pub(crate) active: u32,
    /// The handler's own deadline as a tick, or 0.
    pub(crate) deadline: u32,
    /// Bytes received.
    pub(crate) received: u64,
    /// Bytes that the kernel has taken.
    pub(crate) sent: u64,
    /// What waits to be sent, if anything does.
    pub(crate) outbound: Option<Box<Queue>>,
    /// What few connections have: unconsumed input, another way of receiving, a rate.
    pub(crate) special: Option<Box<Special>>,
}

/// In `slot`: there is no session.
pub(crate) const NO_SESSION: u32 = u32::MAX;

const _: () = assert!(size_of::<Connection>() <= 72);
// The slab's own tag finds room in an unused value of `phase`.
const _: () = assert!(size_of::<Option<Connection>>() == size_of::<Connection>());

/// How far a connection's life has gone. It only moves down this list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Being established. Bytes to send are accepted.
    Connecting,
    /// Bytes are delivered and accepted.
    Open,
    /// Closed by its handler; the queue is being sent.
    Closing,
    /// Everything was sent; the session is about to be told.
    Ended,
    /// Over without order: what is queued is dropped, and the peer sees a reset.
    Failed,
    /// The session is gone; waiting for the peer to end its direction.
    Lingering,
    /// The descriptor is closed; the place is freed at the end of the turn.
    Gone,
}

impl Connection {
    pub(crate) fn new(socket: Fd, generation: u32, group: u16, handler: u8, tick: u32) -> Self {
        Connection {
            socket,
            generation,
            slot: NO_SESSION,
            group,
            flags: Flags::default(),
            // A new socket has room. Its first event says whether there is something to read.
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

    pub(crate) fn has_session(&self) -> bool {
        self.slot != NO_SESSION
    }

    /// Whether `send` accepts bytes.
    pub(crate) fn accepts_output(&self) -> bool {
        self.phase <= Phase::Open && !self.flags.has(Flags::OUTPUT_CLOSED)
    }

    /// Whether one direction or both are ending, or have ended.
    pub(crate) fn is_ending(&self) -> bool {
        self.phase > Phase::Open || self.flags.has(Flags::OUTPUT_CLOSED)
    }

    /// Whether input is to be delivered: open, not paused or blocked, and room for what it may
    /// cause.
    pub(crate) fn wants_input(&self) -> bool {
        self.is_open()
            && match &self.special {
                None => !self.flags.has(Flags::PAUSED.and(Flags::FULL)),
                Some(special) => {
                    !self.flags.has(special.strategy.stopped_by()) && special.blocked.is_empty()
                }
            }
    }

    /// Whether the next step is a receive and nothing else, as it is for most connections with an
    /// event. If the answer is no, a closer look may show the same.
    #[inline]
    pub(crate) fn just_receives(&self, limits: &Limits) -> bool {
        self.phase == Phase::Open
            && self.ready.any(Ready::READ)
            && !self.flags.has(Flags::NOT_RECEIVING)
            && self.outbound.is_none()
            && self.special.as_ref().is_none_or(|special| special.just_receives(limits))
    }

    /// Whether nothing is due or ending, as for most connections after one receive and one answer.
    /// If the answer is no, a closer look may show the same.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Open
            && self.outbound.is_none()
            && !self.ready.any(Ready::READ)
            && !self.flags.has(Flags::RESTLESS)
            && self.special.as_ref().is_none_or(|special| special.is_at_rest())
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
        self.wants_input()
            && self.ready.any(Ready::READ)
            && !self.flags.has(Flags::INPUT_ENDED)
            && !self.waits_for_rate(Direction::Receive)
    }

    /// Whether a send makes sense now. After an abort or a failure it does not.
    pub(crate) fn can_send(&self) -> bool {
        self.ready.any(Ready::WRITE)
            && matches!(self.phase, Phase::Open | Phase::Closing)
            && self.outbound.as_ref().is_some_and(|queue| !queue.waits_for_disk)
            && !self.waits_for_rate(Direction::Send)
    }

    /// Whether `on_drain` is due: a full queue has fallen, or an empty one was waited for.
    pub(crate) fn owes_drain(&self) -> bool {
        let emptied = self.outbound.is_none() && self.flags.has(Flags::DRAIN_REQUESTED);
        self.is_open() && (emptied || self.flags.has(Flags::OWES_DRAIN))
    }

    /// Notes that `on_drain` is being called.
    pub(crate) fn drained(&mut self) {
        self.flags.clear(Flags::OWES_DRAIN);
        if self.outbound.is_none() {
            self.flags.clear(Flags::DRAIN_REQUESTED);
        }
    }

    /// Whether driving it again would achieve something although no event comes.
    pub(crate) fn is_owed(&self) -> bool {
        let input = Flags::REVISIT_INPUT.and(Flags::OWES_EOF);
        match self.phase {
            Phase::Open => {
                self.flags.has(Flags::OWES_READY)
                    || self.can_send()
                    || self.can_receive()
                    || self.owes_drain()
                    || self.wants_input() && self.flags.has(input)
            }
            Phase::Closing => self.can_send() || self.outbound.is_none(),
            Phase::Ended | Phase::Failed => true,
            Phase::Lingering => self.ready.any(Ready::READ),
            Phase::Connecting | Phase::Gone => false,
        }
    }

    /// Whether a receive of fewer bytes than asked for means that the socket is empty. With an end
    /// of stream or an error behind the bytes, or urgent data between them, it does not, and no
    /// further edge would come (`tcp(7)`; on Linux 6.1 a receive stops at the urgent mark). A
    /// receive from a Unix socket stops wherever a descriptor was passed (`unix(7)`), which no
    /// event announces: only `EAGAIN` means that it is empty.
    pub(crate) fn short_means_empty(&self) -> bool {
        !self.flags.has(Flags::UNIX)
            && !self.ready.any(Ready::READ_END.and(Ready::HANGUP).and(Ready::URGENT))
    }

    /// Bytes accepted by `send` that the kernel has not taken.
    pub(crate) fn pending(&self) -> u64 {
        self.outbound.as_ref().map_or(0, |queue| queue.pending())
    }

    /// Bytes received that no callback has consumed.
    pub(crate) fn unread(&self) -> usize {
        self.special.as_ref().map_or(0, |special| special.unread())
    }

    /// Whether its input does not go to `on_data` as it comes.
    pub(crate) fn has_strategy(&self) -> bool {
        self.special.as_ref().is_some_and(|special| !matches!(special.strategy, Strategy::Stream))
    }

    /// Whether a rate stops a direction until more is allowed.
    pub(crate) fn waits_for_rate(&self, way: Direction) -> bool {
        let meters = self.special.as_ref().and_then(|special| special.meters.as_ref());
        meters.is_some_and(|meters| meters.of(way).is_waiting())
    }

    /// How many of `room` bytes one receive may bring.
    pub(crate) fn receivable(&self, room: usize) -> usize {
        self.special.as_ref().map_or(room, |special| special.receivable(room))
    }

    /// Bytes moved in a direction.
    pub(crate) fn moved(&self, way: Direction) -> u64 {
        match way {
            Direction::Send => self.sent,
            Direction::Receive => self.received,
        }
    }
}
