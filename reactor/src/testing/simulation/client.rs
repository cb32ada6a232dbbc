//! Clients that act by themselves.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::sys::Address;
use crate::sys::sim::{self, Dice, Faults, Shown, State, World};
use crate::testing::Received;

/// The pause of a slow reader between two reads.
const SLOWLY: Duration = Duration::from_millis(300);
/// The most bytes it then takes.
const LITTLE: usize = 500;
/// How long a client waits before it tries again after it has met a full backlog.
const AGAIN: Duration = Duration::from_millis(100);

/// A client of a [`Sim`](super::Sim). The scenario scripts its actions in advance; the seed decides
/// when they happen.
///
/// It connects, performs its actions in the order of the calls below, and reads whatever arrives in
/// the meantime. Its data is sent in pieces of random size. When the server has shut down its side
/// and no actions are left, the client shuts down its own.
///
/// Clones refer to the same client, so a scenario can keep one to check its result or to add
/// actions later.
#[derive(Clone)]
pub struct Client(Rc<RefCell<Inner>>);

/// The state of a [`Client`]'s connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not made yet.
    Waiting,
    /// No listener at its address.
    Refused,
    /// Open.
    Open,
    /// The server has shut down its sending side normally, and everything it had sent was received.
    Finished,
    /// Reset, by either side.
    Reset,
}

type Listener = Box<dyn FnMut(&[u8])>;

enum Act {
    Send(Vec<u8>),
    /// Until this many bytes were received.
    Await(usize),
    Wait(Duration),
    Finish,
    Reset,
}

/// Something on its way to the server.
enum Piece {
    Bytes(Vec<u8>),
    Urgent,
    Finish,
    Reset,
}

struct Inner {
    name: String,
    to: Address,
    acts: VecDeque<Act>,
    far_end: Option<sim::Client>,
    end: End,
    received: Vec<u8>,
    expected: Option<Vec<u8>>,
    listener: Option<Listener>,
    may_be_cut: bool,
    slow: bool,
    /// Reads no more after this many bytes.
    reads_at_most: usize,
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

/// The acts of a client.
impl Client {
    pub(super) fn new(number: usize, to: Address, starts_at: u64) -> Client {
        Client(Rc::new(RefCell::new(Inner {
            name: format!("client {number}"),
            to,
            acts: VecDeque::new(),
            far_end: None,
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
        })))
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Client {
        change(&mut self.0.borrow_mut());
        self
    }

    fn act(self, act: Act) -> Client {
        self.with(|client| client.acts.push_back(act))
    }

    /// Sends these bytes.
    pub fn sends(self, bytes: impl AsRef<[u8]>) -> Client {
        self.act(Act::Send(bytes.as_ref().to_vec()))
    }

    /// Waits for this long. As the first action, it delays the connect.
    pub fn waits(self, time: Duration) -> Client {
        self.act(Act::Wait(time))
    }

    /// Waits until it has received this many bytes in all, or the server has shut down its sending
    /// side.
    pub fn awaits(self, bytes: usize) -> Client {
        self.act(Act::Await(bytes))
    }

    /// Shuts down its sending side (FIN), and continues reading.
    pub fn finishes(self) -> Client {
        self.act(Act::Finish)
    }

    /// Resets the connection (RST).
    pub fn resets(self) -> Client {
        self.act(Act::Reset)
    }

    /// Reads slowly: a few hundred bytes at a time, at most three times a second.
    pub fn reads_slowly(self) -> Client {
        self.with(|client| client.slow = true)
    }

    /// Reads no more after this many bytes.
    pub fn reads_at_most(self, bytes: usize) -> Client {
        self.with(|client| client.reads_at_most = bytes)
    }

    /// Sets what it must receive: exactly these bytes, in this order. They are checked as they
    /// arrive. All of them must arrive by the end, unless the connection was ended by a fault that
    /// no connection survives, or the client has [reset](Client::resets) it.
    pub fn expects(self, bytes: impl AsRef<[u8]>) -> Client {
        self.with(|client| client.expected = Some(bytes.as_ref().to_vec()))
    }

    /// Calls `listener` with each piece that arrives, for assertions beyond
    /// [`expects`](Client::expects), or to make a run fail as soon as something wrong arrives, so
    /// that the trace ends there.
    pub fn hears(self, listener: impl FnMut(&[u8]) + 'static) -> Client {
        self.with(|client| client.listener = Some(Box::new(listener)))
    }

    /// Accepts that the server ends the connection before everything expected has arrived, or
    /// cannot be reached.
    pub fn may_be_cut(self) -> Client {
        self.with(|client| client.may_be_cut = true)
    }
}

/// The results of a client.
impl Client {
    /// What has arrived so far.
    #[must_use]
    pub fn received(&self) -> Received {
        Received(self.0.borrow().received.clone())
    }

    /// The state of the connection.
    #[must_use]
    pub fn end(&self) -> End {
        self.0.borrow().end
    }

    /// Whether the connection was ended by a fault that no connection survives: it was aborted
    /// before it was accepted, or a send failed with `ENOBUFS`.
    #[must_use]
    pub fn is_spoilt(&self) -> bool {
        self.0.borrow().far_end.as_ref().is_some_and(sim::Client::is_spoilt)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.0.borrow();
        let received = client.received.len();
        write!(f, "{} of {}: {:?}, {received} bytes received", client.name, client.to, client.end)
    }
}

/// What the simulation asks of a client.
impl Client {
    /// When it has something to do, if ever.
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        self.0.borrow().due(now)
    }

    /// Does one thing that is due.
    pub(super) fn step(&self, world: &World, faults: &Faults, dice: &mut Dice) {
        let client = &mut *self.0.borrow_mut();
        world.set_actor(&client.name);
        client.step(world, faults, dice);
    }

    /// Makes it read when something has arrived.
    pub(super) fn notice(&self, now: u64, faults: &Faults, dice: &mut Dice) {
        self.0.borrow_mut().notice(now, faults, dice);
    }

    /// Asserts at the end that it has received what it must.
    pub(super) fn check(&self) {
        self.0.borrow().check();
    }
}

impl Inner {
    fn due(&self, now: u64) -> Option<u64> {
        let arrival = self.on_the_way.front().map(|(at, _)| *at);
        [self.next_act(now), arrival, self.looks_at].into_iter().flatten().min()
    }

    fn next_act(&self, now: u64) -> Option<u64> {
        let ready = match (self.end, self.acts.front()) {
            (End::Refused | End::Reset, _) => false,
            (End::Waiting, _) => true,
            (End::Finished, None | Some(Act::Await(_))) => !self.finished,
            (_, None) => false,
            (_, Some(Act::Await(bytes))) => self.received.len() >= *bytes,
            (_, Some(_)) => true,
        };
        ready.then_some(self.acts_at.max(now))
    }

    fn step(&mut self, world: &World, faults: &Faults, dice: &mut Dice) {
        let now = world.elapsed();
        let arrival = self.on_the_way.front().map(|(at, _)| *at).filter(|at| *at <= now);
        let look = self.looks_at.filter(|at| *at <= now);
        // The thing that was due first, so that a long stall does not postpone one of them.
        if let Some(at) = look
            && arrival.is_none_or(|arrival| at <= arrival)
        {
            self.look(world, dice);
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
            return self.connect(world, dice);
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

    fn connect(&mut self, world: &World, dice: &mut Dice) {
        match world.connect(self.to.clone()) {
            Ok(far_end) => {
                world.note(format_args!("connects to {} from {}", self.to, far_end.address()));
                far_end.set_send_capacity([1 << 18, 1 << 14, 1000][dice.below(3)]);
                self.far_end = Some(far_end);
                self.end = End::Open;
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
        self.send_off(Piece::Bytes(bytes), now, faults, dice);
        if !rest.is_empty() {
            self.acts.push_front(Act::Send(rest));
        }
    }

    fn finish(&mut self, now: u64, faults: &Faults, dice: &mut Dice) {
        if !std::mem::replace(&mut self.finished, true) {
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
    fn notice(&mut self, now: u64, faults: &Faults, dice: &mut Dice) {
        let Some(far_end) = &self.far_end else { return };
        let there = (far_end.untaken(), far_end.state());
        if self.end != End::Open || self.looks_at.is_some() || there == self.seen {
            return;
        }
        let slowly = if self.slow { dice.time(2 * SLOWLY) } else { 0 };
        self.looks_at = Some(now + slowly + dice.time(faults.delay));
    }

    fn look(&mut self, world: &World, dice: &mut Dice) {
        self.looks_at = None;
        let Some(far_end) = self.far_end.clone().filter(|_| self.end == End::Open) else { return };
        let reset = far_end.state() == State::Reset;
        // A reset may overtake what is on its way.
        let lost = reset && dice.below(2) == 0;
        let wanted = self.reads_at_most.saturating_sub(self.received.len());
        let most = if self.slow { 1 + dice.below(LITTLE) } else { usize::MAX };
        let bytes = if lost { Vec::new() } else { far_end.take_some(most.min(wanted)) };
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

    fn check(&self) {
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
