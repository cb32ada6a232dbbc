//! One connection: what is kept for it, and what follows from that.

use crate::core::ledger::Ledger;
use crate::core::limits::Limits;
use crate::handler::Reason;
use crate::inbound::{Extras, Kept, Strategy};
use crate::outbound::Queue;
use crate::sys::{Fd, Ready};
use crate::time::rates::Direction;
use crate::time::wheel::Link;

/// What a reactor keeps for a connection. An idle one owns nothing beyond this and its session, so
/// its size is the memory of an idle server.
pub(crate) struct Connection {
    /// The socket; none while an address for it is looked for.
    pub(crate) socket: Fd,
    /// Tells this connection from earlier ones in the same place.
    pub(crate) generation: u32,
    /// Where its session is, in its handler. While lingering, when there is no session any more:
    /// how many bytes may still be discarded.
    pub(crate) slot: u32,
    /// Which listener's limits and counts apply.
    pub(crate) group: u16,
    /// Conditions and debts, see [`Flags`].
    pub(crate) flags: Flags,
    /// Readiness not used up yet.
    pub(crate) ready: Ready,
    /// How far its life has gone.
    pub(crate) phase: Phase,
    /// Why it is closing, once it is.
    pub(crate) reason: Reason,
    /// Whose it is.
    pub(crate) handler: u8,
    /// Its place in the timing wheel: one entry, at the first of its deadlines or before.
    pub(crate) link: Link,
    /// The tick at which bytes last moved. Receiving only writes this; the wheel looks at it later.
    /// While connecting: the tick at which what is being tried is given up.
    pub(crate) active: u32,
    /// Its own deadline as a tick, or 0.
    pub(crate) deadline: u32,
    /// Bytes received.
    pub(crate) received: u64,
    /// Bytes that the kernel has taken.
    pub(crate) sent: u64,
    /// What waits to be sent, if anything does.
    pub(crate) outbound: Option<Box<Queue>>,
    /// What only few have: input that was not consumed, another way of receiving.
    pub(crate) extras: Option<Box<Extras>>,
}

const _: () = assert!(size_of::<Connection>() <= 72);
// The slab's own tag finds room in an unused value of `phase`.
const _: () = assert!(size_of::<Option<Connection>>() == size_of::<Connection>());

/// How far a connection's life has gone. It only moves down this list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Asked for by its handler and not made yet. Bytes are taken.
    Connecting,
    /// Bytes are delivered and taken.
    Open,
    /// Closed by its handler; the queue is being sent.
    Closing,
    /// Over, and about to be taken away: the session is still there.
    Dead,
    /// The session is gone; waiting for the peer to end its direction.
    Lingering,
    /// The descriptor is closed; the place is freed at the end of the turn.
    Gone,
}

/// A set of conditions, each one bit.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The handler does not want input.
    pub(crate) const PAUSED: Flags = Flags(1);
    /// The queue has reached its mark and not yet fallen to the lower one.
    pub(crate) const FULL: Flags = Flags(2);
    /// The peer's end of stream has been read.
    pub(crate) const END_READ: Flags = Flags(4);
    /// Nothing more may be sent: `SHUT_WR` follows the queue.
    pub(crate) const SHUTDOWN: Flags = Flags(8);
    /// `SHUT_WR` was called.
    pub(crate) const SHUT: Flags = Flags(16);
    /// There is a session: `on_open` has returned.
    pub(crate) const SESSION: Flags = Flags(32);
    /// On a worklist, or being driven: nobody need put it there.
    pub(crate) const LISTED: Flags = Flags(64);
    /// `on_drain` was asked for when the queue is empty.
    pub(crate) const WANTS_DRAIN: Flags = Flags(1024);
    /// Something was written through since the last callback began.
    pub(crate) const WROTE: Flags = Flags(2048);
    /// A Unix socket: see [`Connection::short_means_empty`].
    pub(crate) const UNIX: Flags = Flags(32768);
    /// Owed: `on_drain`.
    pub(crate) const OWES_DRAIN: Flags = Flags(128);
    /// Owed: `on_data` with what was kept.
    pub(crate) const OWES_KEPT: Flags = Flags(256);
    /// Owed: `on_eof`.
    pub(crate) const OWES_EOF: Flags = Flags(512);
    /// The callback that is running wants no more input in this turn.
    pub(crate) const YIELDED: Flags = Flags(4096);
    /// Owed: `on_ready`, before anything else.
    pub(crate) const OWES_READY: Flags = Flags(8192);
    /// Owed: `on_stop`.
    pub(crate) const OWES_STOP: Flags = Flags(16384);

    /// With any of these something may be due or ending.
    const RESTLESS: Flags = Flags::SHUTDOWN
        .and(Flags::WANTS_DRAIN)
        .and(Flags::OWES_DRAIN)
        .and(Flags::OWES_KEPT)
        .and(Flags::OWES_EOF)
        .and(Flags::OWES_READY)
        .and(Flags::OWES_STOP);

    /// With any of these something else than a receive is due, or none is.
    const NOT_RECEIVING: Flags = Flags::PAUSED
        .and(Flags::FULL)
        .and(Flags::END_READ)
        .and(Flags::WANTS_DRAIN)
        .and(Flags::OWES_DRAIN)
        .and(Flags::OWES_KEPT)
        .and(Flags::OWES_EOF)
        .and(Flags::YIELDED)
        .and(Flags::OWES_READY);

    /// All of them, each one bit of sixteen: if all bits are there, no two are the same.
    const ALL: [Flags; 16] = [
        Flags::PAUSED,
        Flags::FULL,
        Flags::END_READ,
        Flags::SHUTDOWN,
        Flags::SHUT,
        Flags::SESSION,
        Flags::LISTED,
        Flags::WANTS_DRAIN,
        Flags::WROTE,
        Flags::UNIX,
        Flags::OWES_DRAIN,
        Flags::OWES_KEPT,
        Flags::OWES_EOF,
        Flags::YIELDED,
        Flags::OWES_READY,
        Flags::OWES_STOP,
    ];

    /// Both together.
    pub(crate) const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether any of `other` is set.
    pub(crate) fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn set(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    pub(crate) fn clear(&mut self, other: Flags) {
        self.0 &= !other.0;
    }

    /// Clears a flag and says whether it was set.
    pub(crate) fn take(&mut self, other: Flags) -> bool {
        let had = self.has(other);
        self.clear(other);
        had
    }
}

const _: () = {
    let (mut bits, mut index) = (0, 0);
    while index < Flags::ALL.len() {
        bits |= Flags::ALL[index].0;
        index += 1;
    }
    assert!(bits == u16::MAX);
};

impl Connection {
    pub(crate) fn new(socket: Fd, generation: u32, group: u16, handler: u8, tick: u32) -> Self {
        Connection {
            socket,
            generation,
            slot: 0,
            group,
            flags: Flags::default(),
            // A new socket has room; what there is to read its first event says.
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
            extras: None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether what is queued is to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing)
    }

    /// Whether one direction or both are to end, or have.
    pub(crate) fn is_ending(&self) -> bool {
        self.phase > Phase::Open || self.flags.has(Flags::SHUTDOWN)
    }

    /// Whether input is to be delivered: open, not paused or held, and room for what it may cause.
    pub(crate) fn wants_input(&self) -> bool {
        self.is_open()
            && match &self.extras {
                None => !self.flags.has(Flags::PAUSED.and(Flags::FULL)),
                Some(extras) => !self.flags.has(extras.stops()) && extras.held.is_empty(),
            }
    }

    /// Whether all that is due is one receive, into the shared buffer or for another connection, as
    /// it is for most with an event. If it is not, a closer look may show the same.
    #[inline]
    pub(crate) fn just_receives(&self, limits: &Limits) -> bool {
        self.phase == Phase::Open
            && self.ready.any(Ready::READ)
            && !self.flags.has(Flags::NOT_RECEIVING)
            && self.outbound.is_none()
            && self.extras.as_ref().is_none_or(|extras| extras.just_receive(limits))
    }

    /// Takes account of what a receive of up to `asked` bytes has brought.
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
            && !self.flags.has(Flags::END_READ)
            && !self.waits_for_rate(Direction::Receive)
    }

    /// Whether a send makes sense now.
    pub(crate) fn can_send(&self) -> bool {
        self.ready.any(Ready::WRITE)
            && self.outbound.as_ref().is_some_and(|queue| !queue.waits_for_disk)
            && !self.waits_for_rate(Direction::Send)
    }

    /// Whether `on_drain` is due: a full queue has fallen, or an empty one was waited for.
    pub(crate) fn owes_drain(&self) -> bool {
        let emptied = self.outbound.is_none() && self.flags.has(Flags::WANTS_DRAIN);
        self.is_open() && (emptied || self.flags.has(Flags::OWES_DRAIN))
    }

    /// Notes that `on_drain` is being called.
    pub(crate) fn drained(&mut self) {
        self.flags.clear(Flags::OWES_DRAIN);
        if self.outbound.is_none() {
            self.flags.clear(Flags::WANTS_DRAIN);
        }
    }

    /// Whether nothing is due or ending, as it is for most after one receive and one answer. If it
    /// is not, a closer look may show the same.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Open
            && self.outbound.is_none()
            && !self.ready.any(Ready::READ)
            && !self.flags.has(Flags::RESTLESS)
            && self.extras.as_ref().is_none_or(|extras| extras.are_at_rest())
    }

    /// Whether driving it again would get something done although no event comes.
    pub(crate) fn is_owed(&self) -> bool {
        match self.phase {
            Phase::Connecting => false,
            Phase::Open => {
                self.flags.has(Flags::OWES_READY)
                    || self.can_send()
                    || self.can_receive()
                    || self.owes_drain()
                    || self.wants_input() && self.flags.has(Flags::OWES_KEPT.and(Flags::OWES_EOF))
            }
            Phase::Closing => self.can_send() || self.outbound.is_none(),
            Phase::Dead => true,
            Phase::Lingering => self.ready.any(Ready::READ),
            Phase::Gone => false,
        }
    }

    /// Whether a receive of fewer bytes than asked for means that the socket is empty. With an end
    /// of stream or an error behind the bytes, or urgent data between them, it does not, and no
    /// further edge would come (`tcp(7)`; on Linux 6.1 a receive stops at the urgent mark). A
    /// receive from a Unix socket stops wherever a descriptor was passed (`unix(7)`), of which no
    /// event tells: only `EAGAIN` means that it is empty.
    pub(crate) fn short_means_empty(&self) -> bool {
        !self.flags.has(Flags::UNIX)
            && !self.ready.any(Ready::READ_END.and(Ready::HANGUP).and(Ready::URGENT))
    }

    pub(crate) fn pending(&self) -> u64 {
        self.outbound.as_ref().map_or(0, |queue| queue.pending())
    }

    pub(crate) fn unread(&self) -> usize {
        self.extras.as_ref().map_or(0, |extras| extras.unread())
    }

    /// What was received and not consumed, if anything was.
    pub(crate) fn kept(&self) -> Option<&Kept> {
        self.extras.as_ref().map(|extras| &extras.kept).filter(|kept| kept.len() > 0)
    }

    /// Whether the handler has said what it expects, so that input does not go to it as it comes.
    pub(crate) fn has_strategy(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| !matches!(extras.strategy, Strategy::Stream))
    }
}
