//! Rates: how many bytes a connection, or all connections of a listener together, may move per
//! second.
//!
//! Before bytes are moved, they are taken from a [bucket](Bucket). If the bucket does not have
//! enough, it gives a *reservation*: the bytes are taken in advance, and the connection waits until
//! they are due. So connections that share a bucket proceed in the order in which they asked, one
//! piece each, and none wakes in vain. A connection gets one piece per turn and returns the unused
//! rest of it to the bucket.
//!
//! While a connection waits, its full socket buffers hold the peer back, and its idle and
//! write-stall deadlines are suspended: they start again when the wait ends. The end of the wait is
//! scheduled as the connection's [entry in the wheel](super::deadlines).

use super::deadlines;
use crate::core::{Bucket, Core, Direction, Meter, Phase, TICK, is_due};

#[cfg(test)]
mod tests;

/// A meter, and the bucket that its connection shares with others, if there is one.
struct Metered<'a> {
    meter: &'a mut Meter,
    shared: Option<&'a mut Bucket>,
    /// The total of bytes that have moved.
    moved: u64,
}

impl Metered<'_> {
    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        [self.meter.own.as_mut(), self.shared.as_deref_mut()].into_iter().flatten()
    }

    /// Takes the bytes that have moved beyond those that were taken in advance.
    fn account(&mut self, now: u64) {
        let more = self.moved.saturating_sub(self.meter.paid_to);
        if more > 0 {
            self.meter.paid_to = self.moved;
            self.buckets().for_each(|bucket| bucket.take(now, more));
        }
    }

    /// Gives back bytes that were not needed.
    fn give_back(&mut self) {
        let left = std::mem::replace(&mut self.meter.paid_to, self.moved) - self.moved;
        self.buckets().for_each(|bucket| bucket.give_back(left));
    }

    /// How many of `wanted` bytes may move now. It is 0 if the connection waits, or has had its
    /// piece in this turn.
    fn ask(&mut self, wanted: u64, now: u64, turn: u64) -> u64 {
        // No bucket: only the other direction has a rate.
        let Some(piece) = self.buckets().map(|bucket| bucket.piece()).min() else {
            return u64::MAX;
        };
        let left = self.meter.paid_to - self.moved;
        let spent = left == 0 && self.meter.turn == turn;
        if self.meter.ready.is_some() || spent {
            return 0;
        }
        self.meter.turn = turn;
        if left > 0 {
            return left;
        }
        let wanted = wanted.clamp(1, piece);
        let mut ready = 0;
        for bucket in self.buckets() {
            ready = ready.max(bucket.ready_at(wanted));
            bucket.take(now, wanted);
        }
        self.meter.paid_to += wanted;
        self.meter.ready = (ready > now).then_some(ready);
        if ready > now { 0 } else { wanted }
    }
}

/// The meter of a connection in one direction, if it has one. What has moved is accounted for.
fn metered(core: &mut Core, index: u32, way: Direction) -> Option<Metered<'_>> {
    let c = &mut core.connections[index as usize];
    let moved = [c.sent, c.received][way as usize];
    let meter = &mut c.special.as_mut()?.meters.as_mut()?[way as usize];
    let buckets = core.groups[c.group as usize].buckets.as_mut();
    let shared = buckets.and_then(|buckets| buckets[way as usize].as_mut());
    let mut metered = Metered { meter, shared, moved };
    metered.account(core.now);
    Some(metered)
}

/// Gives a connection its meters if it has none.
fn ensure_meters(core: &mut Core, index: u32) {
    let (c, group) = core.pair(index);
    let limits = &group.limits;
    let meters =
        [Meter::new(limits.send_rate, c.sent), Meter::new(limits.receive_rate, c.received)];
    core.special(index).meters.get_or_insert_with(|| Box::new(meters));
}

/// How many of `wanted` bytes a connection may move now. If it is 0, the connection waits, or goes
/// on in the next turn.
pub(crate) fn allow(core: &mut Core, index: u32, way: Direction, wanted: u64) -> usize {
    ensure_meters(core, index);
    let (now, turn) = (core.now, core.ledger.turns);
    let Some(mut metered) = metered(core, index, way) else { return usize::MAX };
    let was_waiting = metered.meter.is_waiting();
    let allowed = metered.ask(wanted, now, turn);
    if metered.meter.is_waiting() && !was_waiting {
        let ledger = core.ledger_of(index);
        match way {
            Direction::Send => ledger.send_rate_holds += 1,
            Direction::Receive => ledger.recv_rate_holds += 1,
        }
        deadlines::arm(core, index);
    }
    usize::try_from(allowed).unwrap_or(usize::MAX)
}

/// Called before a receive. Makes the connection wait, or limits what the receive
/// [may bring](crate::core::Connection::receivable).
pub(crate) fn meter_input(core: &mut Core, index: u32) {
    if core[index].can_receive()
        && allow(core, index, Direction::Receive, u64::MAX) == 0
        && core[index].can_receive()
    {
        core.receive_quantum.bytes = 0;
    }
}

/// Ends a connection's part of a turn: gives back the rest of the piece.
pub(crate) fn give_back(core: &mut Core, index: u32, way: Direction) {
    if let Some(mut metered) = metered(core, index, way)
        && !metered.meter.is_waiting()
    {
        metered.give_back();
    }
}

/// Gives back what a connection that is over had reserved.
pub(crate) fn release(core: &mut Core, index: u32) {
    for way in [Direction::Send, Direction::Receive] {
        if let Some(mut metered) = metered(core, index, way) {
            metered.give_back();
        }
    }
}

/// Ends the waits that are over, in the order of their times. Bytes that are left go to the first
/// of these connections, which is a different one each time.
pub(crate) fn end_due_waits(core: &mut Core) {
    let mut due = std::mem::take(&mut core.due_rates);
    due.sort_by_key(|index| {
        let meters = core[*index].meters();
        meters.and_then(|meters| meters.iter().filter_map(|meter| meter.ready).min())
    });
    due.drain(..).for_each(|index| end_waits(core, index));
    core.due_rates = due;
}

/// Ends those waits of a connection that are over.
fn end_waits(core: &mut Core, index: u32) {
    let tick = core.tick;
    let special = core[index].special.as_mut();
    let Some(meters) = special.and_then(|special| special.meters.as_mut()) else { return };
    let mut ended = false;
    for meter in meters.iter_mut() {
        if meter.due().is_some_and(|due| is_due(due, tick)) {
            (meter.ready, ended) = (None, true);
        }
    }
    if ended {
        core.schedule(index);
        deadlines::restart_idle_and_stall(core, index);
    }
}

/// Changes the rate of one connection.
pub(crate) fn set(core: &mut Core, index: u32, way: Direction, rate: Option<u64>) {
    if core[index].phase > Phase::Closing {
        return;
    }
    ensure_meters(core, index);
    let now = core.now;
    let Some(mut metered) = metered(core, index, way) else { return };
    metered.give_back();
    let meter = metered.meter;
    let used = std::mem::replace(&mut meter.own, rate.map(Bucket::of_bytes));
    if let Some(own) = &mut meter.own {
        own.inherit(used.as_ref(), now);
    }
    // A wait under the old rate ends now.
    meter.ready = meter.ready.map(|_| now - now % TICK);
    end_waits(core, index);
}
