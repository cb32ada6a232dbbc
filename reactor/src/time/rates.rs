//! Rates: how many bytes a connection, or all of a listener together, may move in a second.
//!
//! Before bytes move they are taken from a [bucket](Bucket). One that has not enough gives a
//! *reservation*: the bytes are taken in advance, and the connection is held until they are due.
//! So those that share a bucket go in the order in which they came to it, each for one piece, and
//! nobody wakes in vain. A connection gets one piece in a turn; what a piece leaves goes back.
//!
//! While a connection is held its socket's buffers hold the peer back, and neither its idle nor its
//! write-stall deadline passes: they count from the end of the hold. That is the connection's
//! [entry in the wheel](crate::deadlines).

use crate::core::Core;
use crate::core::connection::{Connection, Phase};
use crate::core::limits::{Limits, Quantum};
use crate::handler::context::{Context, Peer};
use crate::inbound::Extras;
use crate::listen::Listen;
use crate::listen::listener::Group;
use crate::time::deadlines::{TICK, is_due};

#[cfg(test)]
mod tests;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// What comes in while nobody takes it is kept for so long: a held connection goes on at the next
/// tick, and the turn may be late.
const BURST: u64 = 4 * TICK;

/// Bytes that are worth a turn, if they do not take more than a second to come. A piece of 1 KiB
/// takes as long as one of 4 KiB, so that the same bytes cost four times as much, and one of 16 KiB
/// 1.2 times as long (bench `outbound`; Linux 6.18, loopback).
const LEAST_PIECE: u64 = 4 << 10;

/// Most bytes of a piece, so that those who share a rate take turns. Files of 1 MiB in pieces of so
/// many cost as much as whole, within 0.03 (bench `outbound`, `send_quantum`).
const MOST_PIECE: u64 = 256 << 10;

/// Lets so many units through in a second, and after a rest so many at once. (The generic cell rate
/// algorithm of ITU-T I.371: a token bucket that is one number.)
pub(crate) struct Bucket {
    /// Units in a second.
    rate: u64,
    /// How far `next` may be ahead of the clock (nanoseconds).
    ahead: u64,
    /// When the next unit would be due if they came evenly.
    next: u64,
}

impl Bucket {
    /// Full; a rate of 0 counts as 1.
    pub(crate) fn new(rate: u64, burst: u64) -> Bucket {
        let mut bucket = Bucket { rate: rate.max(1), ahead: 0, next: 0 };
        bucket.ahead = bucket.time(burst.max(1));
        bucket
    }

    /// One for bytes.
    fn of_bytes(rate: u64) -> Bucket {
        let mut bucket = Bucket::new(rate, 1);
        bucket.ahead = bucket.time(bucket.piece()).max(BURST);
        bucket
    }

    /// How many bytes move at a time: what comes in a tick, within reason.
    fn piece(&self) -> u64 {
        let in_a_tick = u128::from(self.rate) * u128::from(TICK) / u128::from(SECOND);
        (in_a_tick as u64).clamp(LEAST_PIECE.min(self.rate), MOST_PIECE)
    }

    /// In which so many units come.
    fn time(&self, units: u64) -> u64 {
        let time = (u128::from(units) * u128::from(SECOND)).div_ceil(u128::from(self.rate));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// From when on so many units can be taken.
    pub(crate) fn ready_at(&self, units: u64) -> u64 {
        self.next.saturating_add(self.time(units)).saturating_sub(self.ahead)
    }

    pub(crate) fn take(&mut self, now: u64, units: u64) {
        self.next = self.next.max(now).saturating_add(self.time(units));
    }

    fn give_back(&mut self, units: u64) {
        self.next = self.next.saturating_sub(self.time(units));
    }
}

/// Which way bytes move.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Send,
    Receive,
}

/// The rates of a group, by direction.
pub(crate) struct GroupRates {
    each: [Option<u64>; 2],
    together: [Option<Bucket>; 2],
}

impl GroupRates {
    /// Those of a group in which each connection has its rates; `None` if none is set.
    pub(crate) fn of_each(limits: &Limits) -> Option<Box<GroupRates>> {
        GroupRates::new([limits.send_rate, limits.receive_rate], [None, None])
    }

    pub(crate) fn of_listener(listen: &Listen) -> Option<Box<GroupRates>> {
        let Listen { limits, send_rate, receive_rate, .. } = listen;
        GroupRates::new([limits.send_rate, limits.receive_rate], [*send_rate, *receive_rate])
    }

    fn new(each: [Option<u64>; 2], together: [Option<u64>; 2]) -> Option<Box<GroupRates>> {
        let any = each.iter().chain(&together).any(Option::is_some);
        let together = together.map(|rate| rate.map(Bucket::of_bytes));
        any.then(|| Box::new(GroupRates { each, together }))
    }
}

/// What a connection has of the rates it is subject to, by direction.
pub(crate) struct Meters([Meter; 2]);

struct Meter {
    /// Its own rate, if it has one.
    own: Option<Bucket>,
    /// Bytes that were taken from the buckets and have not moved.
    left: u64,
    /// They can move from this time on (nanoseconds); until then the connection is held.
    ready: Option<u64>,
    /// The turn in which it last got bytes.
    turn: u64,
    /// How many bytes had moved when that was last noted.
    noted: u64,
}

impl Meter {
    /// The tick at which the hold ends.
    fn due(&self) -> Option<u32> {
        self.ready.map(|ready| ready.div_ceil(TICK) as u32)
    }

    fn new(rate: Option<u64>, noted: u64) -> Meter {
        Meter { own: rate.map(Bucket::of_bytes), left: 0, ready: None, turn: 0, noted }
    }
}

/// A meter, and the bucket that its connection shares with others.
struct Metered<'a> {
    meter: &'a mut Meter,
    shared: Option<&'a mut Bucket>,
}

impl Metered<'_> {
    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        [self.meter.own.as_mut(), self.shared.as_deref_mut()].into_iter().flatten()
    }

    /// Takes account of what has moved. More than was there to move is taken now.
    fn settle(&mut self, moved: u64, now: u64) {
        let count = moved - std::mem::replace(&mut self.meter.noted, moved);
        let more = count.saturating_sub(self.meter.left);
        self.meter.left -= count - more;
        if more > 0 {
            self.buckets().for_each(|bucket| bucket.take(now, more));
        }
    }

    /// Gives back what was not needed.
    fn give_back(&mut self) {
        let left = std::mem::take(&mut self.meter.left);
        self.buckets().for_each(|bucket| bucket.give_back(left));
    }

    /// How many bytes may move now, of so many; none if it is held, or has had its piece in this
    /// turn.
    fn ask(&mut self, wanted: u64, now: u64, turn: u64) -> u64 {
        // With a rate in the other direction only, this one has no pieces.
        let Some(piece) = self.buckets().map(|bucket| bucket.piece()).min() else {
            return u64::MAX;
        };
        let spent = self.meter.left == 0 && self.meter.turn == turn;
        if self.meter.ready.is_some() || spent {
            return 0;
        }
        self.meter.turn = turn;
        if self.meter.left > 0 {
            return self.meter.left;
        }
        let wanted = wanted.clamp(1, piece);
        let mut ready = 0;
        for bucket in self.buckets() {
            ready = ready.max(bucket.ready_at(wanted));
            bucket.take(now, wanted);
        }
        self.meter.left = wanted;
        self.meter.ready = (ready > now).then_some(ready);
        if ready > now { 0 } else { wanted }
    }
}

impl Connection {
    /// Whether it is held in a direction until its rate allows more.
    pub(crate) fn waits_for_rate(&self, way: Direction) -> bool {
        let meters = self.extras.as_ref().and_then(|extras| extras.meters.as_ref());
        meters.is_some_and(|meters| meters.0[way as usize].ready.is_some())
    }

    /// Until which tick sending and receiving are held.
    pub(crate) fn held_by_rate(&self) -> [Option<u32>; 2] {
        let meters = self.extras.as_ref().and_then(|extras| extras.meters.as_ref());
        meters.map_or([None, None], |meters| [meters.0[0].due(), meters.0[1].due()])
    }

    /// How many bytes one receive may bring, if it could bring so many.
    pub(crate) fn receivable(&self, room: usize) -> usize {
        self.extras.as_ref().map_or(room, |extras| extras.receivable(room))
    }

    fn moved(&self, way: Direction) -> u64 {
        match way {
            Direction::Send => self.sent,
            Direction::Receive => self.received,
        }
    }
}

impl Extras {
    /// See [`Connection::receivable`].
    pub(crate) fn receivable(&self, room: usize) -> usize {
        match self.meters.as_ref().map(|meters| &meters.0[Direction::Receive as usize]) {
            Some(meter) if meter.left > 0 => room.min(usize::try_from(meter.left).unwrap_or(room)),
            _ => room,
        }
    }
}

impl Group {
    /// Whether a connection of the group is subject to a rate.
    #[inline]
    pub(crate) fn is_rated(&self, c: &Connection) -> bool {
        self.rates.is_some() || c.extras.as_ref().is_some_and(|extras| extras.meters.is_some())
    }
}

impl Core {
    /// Whether a connection is subject to a rate.
    pub(crate) fn is_rated(&self, index: u32) -> bool {
        self.get(index).is_some_and(|c| self.rates(c))
    }

    /// The same of a connection at hand.
    #[inline]
    pub(crate) fn rates(&self, c: &Connection) -> bool {
        self.groups[c.group as usize].is_rated(c)
    }

    /// A meter of a connection, if it has one, with account taken of what has moved.
    fn metered(&mut self, index: u32, way: Direction) -> Option<Metered<'_>> {
        let c = self.connections.0.get_mut(index as usize)?;
        let moved = c.moved(way);
        let meter = &mut c.extras.as_mut()?.meters.as_mut()?.0[way as usize];
        let rates = self.groups[c.group as usize].rates.as_mut();
        let shared = rates.and_then(|rates| rates.together[way as usize].as_mut());
        let mut metered = Metered { meter, shared };
        metered.settle(moved, self.now);
        Some(metered)
    }

    /// Gives a connection its meters if it has none.
    pub(crate) fn ensure_meters(&mut self, index: u32) {
        let Some(c) = self.get(index) else { return };
        let rates = self.groups[c.group as usize].rates.as_ref();
        let [send, receive] = rates.map_or([None, None], |rates| rates.each);
        let meters = [Meter::new(send, c.sent), Meter::new(receive, c.received)];
        if let Some(extras) = self.extras(index) {
            extras.meters.get_or_insert_with(|| Box::new(Meters(meters)));
        }
    }

    /// How many bytes a connection may move now, of so many. If none it is held, or goes on in the
    /// next turn.
    pub(crate) fn allow(&mut self, index: u32, way: Direction, wanted: u64) -> usize {
        self.ensure_meters(index);
        let (now, turn) = (self.now, self.ledger.turns);
        let Some(mut metered) = self.metered(index, way) else { return usize::MAX };
        let was_held = metered.meter.ready.is_some();
        let allowed = metered.ask(wanted, now, turn);
        if metered.meter.ready.is_some() && !was_held {
            if let Some(ledger) = self.ledger_of(index) {
                match way {
                    Direction::Send => ledger.send_rate_holds += 1,
                    Direction::Receive => ledger.recv_rate_holds += 1,
                }
            }
            self.arm(index);
        }
        usize::try_from(allowed).unwrap_or(usize::MAX)
    }

    /// Before a receive: holds the connection, or says with [`Connection::receivable`] how much.
    pub(crate) fn meter_input(&mut self, index: u32, input: &mut Quantum) {
        if self.get(index).is_some_and(Connection::can_receive)
            && self.allow(index, Direction::Receive, u64::MAX) == 0
            && self.get(index).is_some_and(Connection::can_receive)
        {
            input.bytes = 0;
        }
    }

    /// Notes what has moved, and that no more will for now.
    pub(crate) fn settle_rate(&mut self, index: u32, way: Direction) {
        if let Some(mut metered) = self.metered(index, way)
            && metered.meter.ready.is_none()
        {
            metered.give_back();
        }
    }

    /// A connection is over: what it had reserved is for others.
    pub(crate) fn drop_meters(&mut self, index: u32) {
        for way in [Direction::Send, Direction::Receive] {
            if let Some(mut metered) = self.metered(index, way) {
                metered.give_back();
            }
        }
    }

    /// Ends the holds of those whose time has come, in its order: what there is beyond their pieces
    /// is for the first of them, which is another one each time.
    pub(crate) fn end_due_holds(&mut self) {
        let mut due = std::mem::take(&mut self.due_rates);
        due.sort_by_key(|index| {
            let extras = self.get(*index).and_then(|c| c.extras.as_ref());
            let meters = extras.and_then(|extras| extras.meters.as_ref());
            meters.and_then(|meters| meters.0.iter().filter_map(|meter| meter.ready).min())
        });
        due.drain(..).for_each(|index| self.end_holds(index));
        self.due_rates = due;
    }

    /// Ends the holds of a connection whose time has come.
    fn end_holds(&mut self, index: u32) {
        let tick = self.tick;
        let Some(c) = self.get_mut(index) else { return };
        let Some(meters) = c.extras.as_mut().and_then(|extras| extras.meters.as_mut()) else {
            return;
        };
        let mut ended = false;
        for meter in &mut meters.0 {
            if meter.due().is_some_and(|due| is_due(due, tick)) {
                (meter.ready, ended) = (None, true);
            }
        }
        if ended {
            c.active = tick;
            if let Some(queue) = &mut c.outbound {
                queue.progress = tick;
            }
            self.list(index);
            self.arm(index);
        }
    }

    fn set_rate(&mut self, index: u32, way: Direction, rate: Option<u64>) {
        if self.get(index).is_none_or(|c| c.phase > Phase::Closing) {
            return;
        }
        self.ensure_meters(index);
        let now = self.now;
        let Some(mut metered) = self.metered(index, way) else { return };
        metered.give_back();
        let meter = metered.meter;
        let used = meter.own.as_ref().map_or(0, |own| own.next);
        meter.own = rate.map(Bucket::of_bytes);
        if let Some(own) = &mut meter.own {
            // What was used up of the burst stays so; a debt that came with another rate does not.
            own.next = used.min(now + own.ahead);
        }
        // A hold ends now.
        meter.ready = meter.ready.map(|_| now - now % TICK);
        self.end_holds(index);
    }
}

impl Context<'_> {
    /// Sets or clears the current connection's rate of sending. See [`Peer::set_send_rate`].
    pub fn set_send_rate(&mut self, rate: Option<u64>) {
        self.this().set_send_rate(rate);
    }

    /// Sets or clears the current connection's rate of receiving. See [`Peer::set_receive_rate`].
    pub fn set_receive_rate(&mut self, rate: Option<u64>) {
        self.this().set_receive_rate(rate);
    }
}

impl Peer<'_> {
    /// Sets how many bytes the connection sends in a second from now on, instead of
    /// [`Limits::send_rate`]; `None` is no limit. That of its listener
    /// ([`Listen::send_rate`](crate::Listen::send_rate)) holds as well.
    pub fn set_send_rate(&mut self, rate: Option<u64>) {
        if let Some(index) = self.index {
            self.core.set_rate(index, Direction::Send, rate);
        }
    }

    /// Sets how many bytes the connection receives in a second from now on, instead of
    /// [`Limits::receive_rate`]; `None` is no limit. That of its listener
    /// ([`Listen::receive_rate`](crate::Listen::receive_rate)) holds as well.
    pub fn set_receive_rate(&mut self, rate: Option<u64>) {
        if let Some(index) = self.index {
            self.core.set_rate(index, Direction::Receive, rate);
        }
    }
}
