//! Rates: how many bytes a connection, or all connections of a listener together, may send per
//! second.
//!
//! Before bytes are sent, they are taken from a [bucket](Bucket). If the bucket does not have
//! enough, it gives a *reservation*: the bytes are taken in advance, and the connection waits until
//! they are due. So connections that share a bucket proceed in the order in which they asked, one
//! piece each, and none wakes in vain. A connection gets one piece per turn and returns the unused
//! rest of it to the bucket.
//!
//! While a connection waits, its idle and write-stall deadlines are suspended: they start again
//! when the wait ends. The end of the wait is scheduled as the connection's [entry in the
//! wheel](super::deadlines).

use super::deadlines;
use crate::core::{Bucket, Core, Meter, Phase, TICK, is_due};

#[cfg(test)]
mod tests;

/// A meter, and the bucket that its connection shares with others, if there is one.
struct Metered<'a> {
    meter: &'a mut Meter,
    shared: Option<&'a mut Bucket>,
}

impl Metered<'_> {
    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        [self.meter.own.as_mut(), self.shared.as_deref_mut()].into_iter().flatten()
    }

    /// How many of `wanted` bytes may be sent now. It is 0 if the connection waits, or has had its
    /// piece in this turn.
    fn ask(&mut self, wanted: u64, now: u64, turn: u64) -> u64 {
        // No bucket: its rate was lifted.
        let Some(piece) = self.buckets().map(|bucket| bucket.piece()).min() else {
            return u64::MAX;
        };
        let spent = self.meter.reserved == 0 && self.meter.turn == turn;
        if self.meter.is_waiting() || spent {
            return 0;
        }
        self.meter.turn = turn;
        if self.meter.reserved == 0 {
            let (wanted, mut ready) = (wanted.clamp(1, piece), 0);
            for bucket in self.buckets() {
                ready = ready.max(bucket.ready_at(wanted));
                bucket.take(now, wanted);
            }
            self.meter.reserved = wanted;
            self.meter.ready = (ready > now).then_some(ready);
        }
        if self.meter.is_waiting() { 0 } else { self.meter.reserved }
    }

    /// Ends a piece of which `sent` bytes were sent: gives back the rest. More are sent than were
    /// reserved if a transport has sealed them before.
    fn settle(&mut self, sent: u64, now: u64) {
        let reserved = std::mem::take(&mut self.meter.reserved);
        for bucket in self.buckets() {
            bucket.take(now, sent.saturating_sub(reserved));
            bucket.give_back(reserved.saturating_sub(sent));
        }
    }
}

/// The meter of a connection, if it has one.
fn metered(core: &mut Core, index: u32) -> Option<Metered<'_>> {
    let c = &mut core.connections[index as usize];
    let meter = c.special.as_mut()?.meter.as_mut()?;
    Some(Metered { meter, shared: core.groups[c.group as usize].bucket.as_mut() })
}

/// Gives a connection its meter if it has none.
fn ensure_meter(core: &mut Core, index: u32) {
    let meter = Meter::new(core.pair(index).1.limits.send_rate);
    core.special(index).meter.get_or_insert_with(|| Box::new(meter));
}

/// How many of `wanted` bytes a connection may send now. If it is 0, the connection waits, or goes
/// on in the next turn. Otherwise [`settle`] follows.
pub(crate) fn allow(core: &mut Core, index: u32, wanted: u64) -> usize {
    ensure_meter(core, index);
    let (now, turn) = (core.now, core.ledger.turns);
    let Some(mut metered) = metered(core, index) else { return usize::MAX };
    let was_waiting = metered.meter.is_waiting();
    let allowed = metered.ask(wanted, now, turn);
    if metered.meter.is_waiting() && !was_waiting {
        core.ledger_of(index).send_rate_holds += 1;
        deadlines::arm(core, index);
    }
    usize::try_from(allowed).unwrap_or(usize::MAX)
}

/// Ends the piece of a connection, of which it has sent `sent` bytes. With 0, gives back what a
/// connection that is over had reserved.
pub(crate) fn settle(core: &mut Core, index: u32, sent: u64) {
    let now = core.now;
    if let Some(mut metered) = metered(core, index) {
        metered.settle(sent, now);
    }
}

/// Ends the waits that are over, in the order of their times. Bytes that are left go to the first
/// of these connections, which is a different one each time.
pub(crate) fn end_due_waits(core: &mut Core) {
    let mut due = std::mem::take(&mut core.due_rates);
    due.sort_by_key(|index| core[*index].meter().and_then(|meter| meter.ready));
    due.drain(..).for_each(|index| end_wait(core, index));
    core.due_rates = due;
}

/// Ends the wait of a connection if it is over.
fn end_wait(core: &mut Core, index: u32) {
    let tick = core.tick;
    let special = core[index].special.as_mut();
    let Some(meter) = special.and_then(|special| special.meter.as_mut()) else { return };
    if meter.due().is_some_and(|due| is_due(due, tick)) {
        meter.ready = None;
        core.schedule(index);
        deadlines::restart_idle_and_stall(core, index);
    }
}

/// Changes the rate of one connection.
pub(crate) fn set(core: &mut Core, index: u32, rate: Option<u64>) {
    if core[index].phase > Phase::Closing {
        return;
    }
    ensure_meter(core, index);
    let now = core.now;
    let Some(mut metered) = metered(core, index) else { return };
    metered.settle(0, now);
    let meter = metered.meter;
    let used = std::mem::replace(&mut meter.own, rate.map(Bucket::of_bytes));
    if let Some(own) = &mut meter.own {
        own.inherit(used.as_ref(), now);
    }
    // A wait under the old rate ends now.
    meter.ready = meter.ready.map(|_| now - now % TICK);
    end_wait(core, index);
}
