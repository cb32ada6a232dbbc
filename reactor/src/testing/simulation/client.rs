//! The script of a client, and its result.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::actor::{Act, Actor, End};
use crate::sys::Address;
use crate::sys::sim::{self, Dice, Faults, World};
use crate::testing::Received;
use crate::transport::Factory;

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
pub struct Client(Rc<RefCell<Actor>>);

/// The acts of a client.
impl Client {
    pub(super) fn new(number: usize, to: Address, starts_at: u64) -> Client {
        Client(Rc::new(RefCell::new(Actor::new(number, to, starts_at))))
    }

    fn with(self, change: impl FnOnce(&mut Actor)) -> Client {
        change(&mut self.0.borrow_mut());
        self
    }

    fn act(self, act: Act) -> Client {
        self.with(|client| client.acts.push_back(act))
    }

    /// Uses the transport that `factory` makes. The bytes in its script and its results are plain.
    /// After connecting, it sends nothing else until the handshake is complete.
    pub fn through(self, factory: Factory<Address>) -> Client {
        self.with(|client| client.through = Some(factory))
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

    /// Stops reading after this many bytes.
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
    /// The bytes that have arrived so far.
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
    ///
    /// Such faults also end the connections that a reactor opens, which are not seen here. If a
    /// proxy then resets its client, this returns `false`: check the client's [end](Client::end), or
    /// set [`Faults::no_buffers`](crate::testing::Faults::no_buffers) and
    /// [`Faults::aborted`](crate::testing::Faults::aborted) to 0.
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

/// The interface of a client for the simulation.
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
