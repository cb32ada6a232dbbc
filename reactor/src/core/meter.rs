//! Token buckets, and the reservations that connections hold on them: the data behind
//! [rates](crate::time::rates).

use super::tick::{SECOND, TICK};

/// How long unused bytes stay available, in nanoseconds. A waiting connection goes on at the next
/// tick, and the turn may be late.
const BURST: u64 = 4 * TICK;

/// Fewest bytes that are worth a turn, unless they take more than a second to become available. A
/// smaller piece costs as much (benches/README.md).
const LEAST_PIECE: u64 = 4 << 10;

/// The maximum number of bytes of a piece, so that connections that share a rate take turns.
const MOST_PIECE: u64 = 256 << 10;

/// A token bucket that is one number: the generic cell rate algorithm of ITU-T I.371. It lets a
/// number of units through per second, and a burst after a rest.
pub(crate) struct Bucket {
    /// Units per second.
    rate: u64,
    /// How far `next` may be ahead of the clock, in nanoseconds.
    ahead: u64,
    /// When the next unit would be due if units came evenly.
    next: u64,
}

impl Bucket {
    /// A full bucket; a rate of 0 counts as 1.
    pub(crate) fn new(rate: u64, burst: u64) -> Bucket {
        let mut bucket = Bucket { rate: rate.max(1), ahead: 0, next: 0 };
        bucket.ahead = bucket.time(burst.max(1));
        bucket
    }

    /// A bucket for bytes.
    pub(crate) fn of_bytes(rate: u64) -> Bucket {
        let mut bucket = Bucket::new(rate, 1);
        bucket.ahead = bucket.time(bucket.piece()).max(BURST);
        bucket
    }

    /// How many bytes move at a time: what becomes available in a tick, within bounds.
    pub(crate) fn piece(&self) -> u64 {
        let in_a_tick = u128::from(self.rate) * u128::from(TICK) / u128::from(SECOND);
        (in_a_tick as u64).clamp(LEAST_PIECE.min(self.rate), MOST_PIECE)
    }

    /// How long `units` take to become available, in nanoseconds.
    fn time(&self, units: u64) -> u64 {
        let time = (u128::from(units) * u128::from(SECOND)).div_ceil(u128::from(self.rate));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// The time from which `units` can be taken.
    pub(crate) fn ready_at(&self, units: u64) -> u64 {
        self.next.saturating_add(self.time(units)).saturating_sub(self.ahead)
    }

    pub(crate) fn take(&mut self, now: u64, units: u64) {
        self.next = self.next.max(now).saturating_add(self.time(units));
    }

    pub(crate) fn give_back(&mut self, units: u64) {
        self.next = self.next.saturating_sub(self.time(units));
    }

    /// Starts with at most what `other` has left. A debt made at another rate is forgiven.
    pub(crate) fn inherit(&mut self, other: Option<&Bucket>, now: u64) {
        self.next = other.map_or(0, |other| other.next).min(now + self.ahead);
    }
}

/// The meter of a connection.
pub(crate) struct Meter {
    /// The connection's own bucket, if it has a rate of its own.
    pub(crate) own: Option<Bucket>,
    /// How many bytes are taken from the buckets and not sent yet.
    pub(crate) reserved: u64,
    /// When the last of them may be sent, in nanoseconds; the connection waits until then.
    pub(crate) ready: Option<u64>,
    /// The turn in which the connection was last given a piece.
    pub(crate) turn: u64,
}

impl Meter {
    pub(crate) fn new(rate: Option<u64>) -> Meter {
        Meter { own: rate.map(Bucket::of_bytes), reserved: 0, ready: None, turn: 0 }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.ready.is_some()
    }

    /// The tick at which the wait ends.
    pub(crate) fn due(&self) -> Option<u32> {
        self.ready.map(|ready| ready.div_ceil(TICK) as u32)
    }
}
