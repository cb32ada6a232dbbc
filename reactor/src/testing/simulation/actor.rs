//! The actions of a client, and their times.

use std::collections::VecDeque;
use std::time::Duration;

use crate::sys::Address;
use crate::sys::sim::{self, Dice, Faults, Shown, State, World};
use crate::testing::sealing::ClientEnd;
use crate::transport::Factory;

/// The pause of a slow reader between two reads.
const SLOWLY: Duration = Duration::from_millis(300);
/// The maximum number of bytes it then takes.
const LITTLE: usize = 500;
/// How long a client waits before it tries again after it has met a full backlog.
const AGAIN: Duration = Duration::from_millis(100);

/// Hears what arrives.
pub(super) type Listener = Box<dyn FnMut(&[u8])>;

/// The next action of a client.
pub(super) enum Act {
    Send(Vec<u8>),
    /// Until this many bytes were received.
    Await(usize),
    Wait(Duration),
    Finish,
    Reset,
}

/// The state of a [`Client`](super::Client)'s connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not connected yet.
    Waiting,
    /// Refused: there is no listener at its address.
    Refused,
    /// Open.
    Open,
    /// The server has shut down its sending side normally, and everything it had sent was received.
    Finished,
    /// Reset, by either side.
    Reset,
}

/// Something on its way to the server.
enum Piece {
    Bytes(Vec<u8>),
    Urgent,
    Finish,
    Reset,
}

/// A client that acts.
pub(super) struct Actor {
    pub(super) name: String,
    pub(super) to: Address,
    pub(super) acts: VecDeque<Act>,
    pub(super) far_end: Option<sim::Client>,
    pub(super) through: Option<Factory<Address>>,
    transport: Option<ClientEnd>,
    pub(super) end: End,
    pub(super) received: Vec<u8>,
    pub(super) expected: Option<Vec<u8>>,
    pub(super) listener: Option<Listener>,
    pub(super) may_be_cut: bool,
    pub(super) slow: bool,
    /// Reads no more after this many bytes.
    pub(super) reads_at_most: usize,
    /// The client has shut down its sending side.
    finished: bool,
    /// The client has reset the connection.
    has_reset: bool,
    /// When it does the next act (nanoseconds since the start, like all times here).
    acts_at: u64,
    /// When it reads next.
    looks_at: Option<u64>,
    /// Bytes that have not arrived at the server, and when they do.
    on_the_way: VecDeque<(u64, Piece)>,
    /// How many bytes the server had sent when the client last looked, and in which state it was.
    seen: (usize, State),
}

impl Actor {
    pub(super) fn new(number: usize, to: Address, starts_at: u64) -> Actor {
        Actor {
            name: format!("client {number}"),
            to,
            acts: VecDeque::new(),
            far_end: None,
            through: None,
            transport: None,
            end: End::Waiting,
            received: Vec::new(),
            expected: None,
            listener: None,
            may_be_cut: false,
            slow: false,
            reads_at_most: usize::MAX,
            finished: false,
            has_reset: false,
            acts_at: starts_at,
            looks_at: None,
            on_the_way: VecDeque::new(),
            seen: (0, State::Open),
        }
    }

    pub(super) fn due(&self, now: u64) -> Option<u64> {
        let arrival = self.on_the_way.front().map(|(at, _)| *at);
        [self.next_act(now), arrival, self.looks_at].into_iter().flatten().min()
    }

    fn next_act(&self, now: u64) -> Option<u64> {
        let ready = match (self.end, self.acts.front()) {
            (End::Refused | End::Reset, _) => false,
            (End::Waiting, _) => true,
            (End::Finished, None | Some(Act::Await(_))) => !self.finished,
            (_, None) => false,
            (_, Some(Act::Send(_) | Act::Finish)) if self.is_handshaking() => false,
            (_, Some(Act::Await(bytes))) => self.received.len() >= *bytes,
            (_, Some(_)) => true,
        };
        ready.then_some(self.acts_at.max(now))
    }

    /// Whether the handshake of its transport is in progress.
    fn is_handshaking(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| !transport.is_open())
    }

    pub(super) fn step(&mut self, world: &World, faults: &Faults, dice: &mut Dice) {
        let now = world.elapsed();
        let arrival = self.on_the_way.front().map(|(at, _)| *at).filter(|at| *at <= now);
        let look = self.looks_at.filter(|at| *at <= now);
        // The thing that was due first, so that a long stall does not postpone one of them.
        if let Some(at) = look
            && arrival.is_none_or(|arrival| at <= arrival)
        {
            self.look(world, faults, dice);
        } else if arrival.is_some() {
            self.arrive(world);
        } else if self.next_act(now).is_some_and(|at| at <= now) {
            self.act(world, faults, dice);
        }
        self.notice(now, faults, dice);
    }

    fn act(&mut self, world: &World, faults: &Faults, dice: &mut Dice) {
        let now = world.elapsed();
        if self.end == End::Waiting && !matches!(self.acts.front(), Some(Act::Wait(_))) {
            return self.connect(world, faults, dice);
        }
        match self.acts.pop_front() {
            Some(Act::Wait(time)) => self.acts_at = now + time.as_nanos() as u64,
            Some(Act::Send(bytes)) => self.send(bytes, now, faults, dice),
            Some(Act::Await(_)) => {}
            Some(Act::Finish) => self.finish(now, faults, dice),
            None => self.finish(now, faults, dice),
            Some(Act::Reset) => {
                self.send_off(Piece::Reset, now, faults, dice);
                (self.end, self.has_reset) = (End::Reset, true);
            }
        }
    }

    fn connect(&mut self, world: &World, faults: &Faults, dice: &mut Dice) {
        match world.connect(self.to.clone()) {
            Ok(far_end) => {
                world.note(format_args!("connects to {} from {}", self.to, far_end.address()));
                far_end.set_send_capacity([1 << 18, 1 << 14, 1000][dice.below(3)]);
                self.far_end = Some(far_end);
                self.end = End::Open;
                if let Some(factory) = &self.through {
                    let transport = factory.make(&self.to).expect("a transport");
                    let (end, hello) = ClientEnd::begin(transport.expect("one for each client"));
                    self.transport = Some(end);
                    self.send_off(Piece::Bytes(hello), world.elapsed(), faults, dice);
                }
            }
            Err(_) if world.listens_at(&self.to) => {
                self.acts_at = world.elapsed() + AGAIN.as_nanos() as u64;
            }
            Err(_) => {
                world.note(format_args!("connects to {}, where nothing listens", self.to));
                self.end = End::Refused;
            }
        }
    }

    /// Sends a part of the bytes, and keeps the rest for the next time.
    fn send(&mut self, mut bytes: Vec<u8>, now: u64, faults: &Faults, dice: &mut Dice) {
        if self.finished || bytes.is_empty() {
            return;
        }
        let tcp = !self.to.is_unix();
        if tcp && dice.chance(faults.urgent) {
            self.send_off(Piece::Urgent, now, faults, dice);
        }
        let rest = bytes.split_off(dice.part_of(bytes.len()));
        let mut behind = Vec::new();
        if let Some(transport) = &mut self.transport {
            bytes = transport.seal(&bytes);
            // A transport may put out nothing yet.
            if !bytes.is_empty() {
                behind = bytes.split_off(dice.part_of(bytes.len()));
            }
        }
        for bytes in [bytes, behind].into_iter().filter(|bytes| !bytes.is_empty()) {
            self.send_off(Piece::Bytes(bytes), now, faults, dice);
        }
        if !rest.is_empty() {
            self.acts.push_front(Act::Send(rest));
        }
    }

    fn finish(&mut self, now: u64, faults: &Faults, dice: &mut Dice) {
        if !std::mem::replace(&mut self.finished, true) {
            if let Some(transport) = &mut self.transport {
                let end = transport.close();
                self.send_off(Piece::Bytes(end), now, faults, dice);
            }
            self.send_off(Piece::Finish, now, faults, dice);
        }
    }

    /// Sends something that does not overtake what was sent before.
    fn send_off(&mut self, piece: Piece, now: u64, faults: &Faults, dice: &mut Dice) {
        let at = now + dice.time(faults.delay);
        let at = self.on_the_way.back().map_or(at, |(last, _)| at.max(*last));
        self.on_the_way.push_back((at, piece));
    }

    fn arrive(&mut self, world: &World) {
        let Some((_, piece)) = self.on_the_way.pop_front() else { return };
        let Some(far_end) = &self.far_end else { return };
        if far_end.state() == State::Reset {
            return;
        }
        if far_end.state() == State::Closed && matches!(piece, Piece::Bytes(_) | Piece::Urgent) {
            world.note("> too late: the socket is closed, and a reset is the answer");
            return far_end.is_answered_by_reset();
        }
        match piece {
            Piece::Bytes(bytes) => {
                world.note(format_args!("> {} bytes {}", bytes.len(), Shown(&bytes)));
                far_end.send(&bytes);
            }
            Piece::Urgent => {
                world.note("> urgent byte");
                far_end.send_urgent();
            }
            Piece::Finish => {
                world.note("> end");
                far_end.finish();
            }
            Piece::Reset => {
                world.note("> reset");
                far_end.reset();
            }
        }
    }

    /// Makes it read when something has arrived.
    pub(super) fn notice(&mut self, now: u64, faults: &Faults, dice: &mut Dice) {
        let Some(far_end) = &self.far_end else { return };
        let there = (far_end.untaken(), far_end.state());
        if self.end != End::Open || self.looks_at.is_some() || there == self.seen {
            return;
        }
        let slowly = if self.slow { dice.time(2 * SLOWLY) } else { 0 };
        self.looks_at = Some(now + slowly + dice.time(faults.delay));
    }

    fn look(&mut self, world: &World, faults: &Faults, dice: &mut Dice) {
        self.looks_at = None;
        let Some(far_end) = self.far_end.clone().filter(|_| self.end == End::Open) else { return };
        let reset = far_end.state() == State::Reset;
        // A reset may overtake what is on its way.
        let lost = reset && dice.below(2) == 0;
        let wanted = self.reads_at_most.saturating_sub(self.received.len());
        let most = if self.slow { 1 + dice.below(LITTLE) } else { usize::MAX };
        let mut bytes = if lost { Vec::new() } else { far_end.take_some(most.min(wanted)) };
        if let Some(transport) = &mut self.transport {
            let answer = transport.open(&bytes);
            bytes = transport.take(wanted);
            if !answer.is_empty() && !self.finished {
                self.send_off(Piece::Bytes(answer), world.elapsed(), faults, dice);
            }
        }
        if !bytes.is_empty() {
            world.note(format_args!("< {} bytes {}", bytes.len(), Shown(&bytes)));
            if let Some(listener) = &mut self.listener {
                listener(&bytes);
            }
            let before = self.received.len();
            self.received.extend(bytes);
            self.compare(before);
        }
        let left = far_end.untaken();
        if reset && (lost || left == 0 || wanted == 0) {
            world.note("< reset");
            self.end = End::Reset;
        } else if left == 0 && matches!(far_end.state(), State::Shut | State::Closed) {
            world.note("< end");
            let is_whole = self.transport.as_ref().is_none_or(|transport| transport.has_ended);
            assert!(is_whole, "{}: only the socket's stream has ended", self.name);
            self.end = End::Finished;
        }
        // The rest of what it wants counts as new.
        let stops = wanted == 0;
        self.seen = if stops { (left, far_end.state()) } else { (0, far_end.state()) };
    }

    /// Asserts that the bytes from `from` on are the expected ones.
    fn compare(&self, from: usize) {
        let Some(expected) = &self.expected else { return };
        let (new, wanted) = (&self.received[from..], &expected[from..]);
        if wanted.starts_with(new) {
            return;
        }
        let same = new.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        panic!(
            "{} expects {} at byte {}, but receives {}",
            self.name,
            Shown(&wanted[same..]),
            from + same,
            Shown(&new[same..])
        );
    }

    pub(super) fn check(&self) {
        let Some(expected) = &self.expected else { return };
        let far_end = self.far_end.as_ref();
        let spoilt = far_end.is_some_and(sim::Client::is_spoilt);
        let (got, all) = (self.received.len(), expected.len());
        let whole = got == all || self.may_be_cut || got >= self.reads_at_most;
        assert!(
            whole || self.end == End::Reset && (spoilt || self.has_reset),
            "{} has received {got} of {all} bytes, and its connection is {:?}",
            self.name,
            self.end
        );
    }
}
