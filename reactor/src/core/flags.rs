//! The conditions of a connection that take one bit each.

/// A set of conditions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The handler does not want input.
    pub(crate) const PAUSED: Flags = Flags(1);
    /// The queue reached its high mark and has not fallen to the low one yet.
    pub(crate) const FULL: Flags = Flags(1 << 1);
    /// The peer's end of stream was read.
    pub(crate) const INPUT_ENDED: Flags = Flags(1 << 2);
    /// Nothing more can be sent: `SHUT_WR` follows the queue.
    pub(crate) const OUTPUT_CLOSED: Flags = Flags(1 << 3);
    /// `SHUT_WR` was called.
    pub(crate) const SHUT_WR_DONE: Flags = Flags(1 << 4);
    /// On a worklist, or running.
    pub(crate) const SCHEDULED: Flags = Flags(1 << 5);
    /// The handler requested `on_drain` for when the queue is empty.
    pub(crate) const DRAIN_REQUESTED: Flags = Flags(1 << 6);
    /// Bytes were written through since the last callback began.
    pub(crate) const WROTE_THROUGH: Flags = Flags(1 << 7);
    /// A receive may stop before the socket is empty: see
    /// [`Connection::short_means_empty`](super::Connection::short_means_empty).
    pub(crate) const STOPS_SHORT: Flags = Flags(1 << 8);
    /// The running callback wants no more input in this turn, or the handshake has used up its
    /// quantum.
    pub(crate) const YIELDED: Flags = Flags(1 << 9);
    /// Input that is already here must be looked at again, although no event announces it.
    pub(crate) const REVISIT_INPUT: Flags = Flags(1 << 10);
    /// Owed, once the connection is open: `on_open` or `on_ready`, before anything else.
    pub(crate) const OWES_START: Flags = Flags(1 << 11);
    /// Owed: `on_drain`.
    pub(crate) const OWES_DRAIN: Flags = Flags(1 << 12);
    /// Owed: `on_eof`.
    pub(crate) const OWES_EOF: Flags = Flags(1 << 13);
    /// Owed: `on_stop`.
    pub(crate) const OWES_STOP: Flags = Flags(1 << 14);

    /// Closed by its handler while connecting: once connected, it sends what was queued and closes.
    pub(crate) const CLOSE_WHEN_CONNECTED: Flags = Flags(1 << 15);

    /// Flags with which a callback may be owed, or a direction is ending.
    pub(crate) const RESTLESS: Flags = Flags::OUTPUT_CLOSED
        .union(Flags::DRAIN_REQUESTED)
        .union(Flags::REVISIT_INPUT)
        .union(Flags::OWES_START)
        .union(Flags::OWES_DRAIN)
        .union(Flags::OWES_EOF)
        .union(Flags::OWES_STOP);

    /// The union of both.
    pub(crate) const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether any of `other` is set.
    pub(crate) fn any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn set(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    pub(crate) fn clear(&mut self, other: Flags) {
        self.0 &= !other.0;
    }

    /// Clears a flag and returns whether it was set.
    pub(crate) fn take(&mut self, other: Flags) -> bool {
        let had = self.any(other);
        self.clear(other);
        had
    }
}
