//! The connections of a client, and the requests that wait for one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::{
    ConnId, Connector, Context, Handle, HandlerId, Reactor, Reason, Target, TimerId, Turn,
};

use super::error::{Cause, ClientError};
use super::exchange::Exchange;
use super::options::ClientOptions;
use super::request::host_of;
use super::session::{ExchangeId, Place, Running, Session, Slot};
use crate::unconnected::is_own_fault;

/// The maximum number of connections that are kept while they are idle. One that closes is searched
/// for among them.
const MOST_IDLE: usize = 1000;

/// The state that a client shares with the handler of its connections. No callback of an exchange
/// is called from here: it may use the pool itself.
pub(super) struct Shared<E: Exchange> {
    pub(super) options: ClientOptions,
    target: Target,
    /// The target as text, for errors.
    pub(super) origin: Rc<str>,
    /// The value of `Host`.
    pub(super) host: Box<str>,
    connector: Connector<Connections<E>>,
    /// For the requests that offer an upgrade.
    upgrading: Connector<Connections<E>>,
    handler: HandlerId<Connections<E>>,
    settling: Handle<Settling>,
    pool: RefCell<Pool<E>>,
}

struct Pool<E> {
    counts: ConnectionCounts,
    /// Those that no exchange uses, the last used one at the end.
    idle: Vec<(ConnId, Rc<Slot<E>>)>,
    waiting: VecDeque<Waiting<E>>,
    /// Set while requests are waiting, until the first of them is overdue.
    timer: Option<TimerId>,
}

/// The connections of a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionCounts {
    /// Not established yet.
    pub(crate) connecting: u32,
    /// Established, whether an exchange uses them or not.
    pub(crate) open: u32,
    /// Established so far.
    pub(crate) connected: u64,
    /// Connects that have failed so far, unless this process was to blame.
    pub(crate) failed: u64,
}

struct Waiting<E> {
    running: Box<Running<E>>,
    /// When it is overdue.
    until: Duration,
}

/// The handler of the connections to an origin. Nothing listens for it.
pub(super) struct Connections<E: Exchange> {
    pub(super) shared: Rc<Shared<E>>,
}

/// The first request that waits for a connection may have waited too long.
pub(super) struct Overdue;

/// The last response of this connection is complete, but what follows it may not have been read
/// yet.
pub(super) struct Settling {
    pub(super) connection: ConnId,
    /// How many turns have ended since then.
    pub(super) turns: u8,
}

/// An exchange that fails before it has begun.
pub(super) struct Refused<E> {
    pub(super) id: ExchangeId,
    pub(super) exchange: E,
    pub(super) cause: Cause,
}

impl<E: Exchange> Shared<E> {
    /// Registers the handler and its connector.
    pub(super) fn register(
        reactor: &mut Reactor,
        target: Target,
        options: &ClientOptions,
    ) -> io::Result<Rc<Shared<E>>> {
        let handler = reactor.reserve();
        let connector = reactor.connector(handler, &options.connect())?;
        let upgrading = reactor.connector(handler, &options.connect_to_upgrade())?;
        let counts = ConnectionCounts::default();
        let pool = Pool { counts, idle: Vec::new(), waiting: VecDeque::new(), timer: None };
        let shared = Rc::new(Shared {
            options: options.clone(),
            origin: target.to_string().into(),
            host: host_of(&target, options.usual_port()).into(),
            target,
            connector,
            upgrading,
            handler,
            settling: reactor.handle(handler),
            pool: RefCell::new(pool),
        });
        reactor.install(handler, Connections { shared: shared.clone() });
        Ok(shared)
    }

    #[cfg(all(test, feature = "testing"))]
    pub(super) fn handler(&self) -> HandlerId<Connections<E>> {
        self.handler
    }

    pub(super) fn error(&self, cause: Cause) -> ClientError {
        ClientError::new(&self.origin, cause)
    }

    /// Starts an exchange: on the connection that was used last, on a new one, or later. One that
    /// offers an upgrade has a connection to itself, with the limits for other protocols.
    pub(super) fn submit(&self, cx: &mut Turn, mut running: Box<Running<E>>) {
        let upgrades = running.request.traits.upgrades;
        if !upgrades && let Some((id, slot)) = self.take_idle(cx) {
            running.start(cx, id, true);
            cx.peer(id).set_deadline(Some(self.options.response_timeout));
            slot.set(Some(running));
        } else if self.has_room() {
            if let Err(running) = self.connect(cx, running) {
                self.refuse_running(cx, *running, Cause::Stopped);
            }
        } else if self.pool.borrow().waiting.len() < self.options.waiting {
            if upgrades {
                self.close_oldest_idle(cx);
            }
            self.wait(cx, running);
        } else {
            self.refuse_running(cx, *running, Cause::QueueFull);
        }
    }

    /// Whether another connection may be opened.
    fn has_room(&self) -> bool {
        let ConnectionCounts { connecting, open, .. } = self.pool.borrow().counts;
        ((connecting + open) as usize) < self.options.connections
    }

    fn take_idle(&self, cx: &mut Turn) -> Option<(ConnId, Rc<Slot<E>>)> {
        let idle = &mut self.pool.borrow_mut().idle;
        std::iter::from_fn(|| idle.pop()).find(|(id, _)| cx.peer(*id).is_open())
    }

    /// Closes the connection that has been idle for longest, if there is one, to make room.
    fn close_oldest_idle(&self, cx: &mut Turn) {
        let idle = &mut self.pool.borrow_mut().idle;
        if !idle.is_empty() {
            let (oldest, _) = idle.remove(0);
            cx.peer(oldest).close();
        }
    }

    /// Opens a connection for an exchange.
    ///
    /// # Errors
    /// Returns the exchange if the reactor has stopped.
    pub(super) fn connect(
        &self,
        cx: &mut Turn,
        mut running: Box<Running<E>>,
    ) -> Result<(), Box<Running<E>>> {
        let slot = Rc::new(Slot::new(None));
        let upgrades = running.request.traits.upgrades;
        let connector = if upgrades { self.upgrading } else { self.connector };
        let id = cx.connect(connector, &self.target, Session::new(slot.clone()));
        // A reactor that has stopped drops the session.
        if Rc::strong_count(&slot) == 1 {
            return Err(running);
        }
        self.pool.borrow_mut().counts.connecting += 1;
        running.start(cx, id, false);
        slot.set(Some(running));
        Ok(())
    }

    fn wait(&self, cx: &mut Turn, running: Box<Running<E>>) {
        let pool = &mut *self.pool.borrow_mut();
        let until = cx.now().saturating_add(self.options.waiting_timeout);
        pool.waiting.push_back(Waiting { running, until });
        if pool.timer.is_none() {
            pool.timer = Some(cx.after(self.options.waiting_timeout, self.handler, Overdue));
        }
    }

    /// Lets an exchange fail, but not from inside the call that has started it.
    pub(super) fn refuse(&self, cx: &mut Turn, id: ExchangeId, exchange: E, cause: Cause) {
        cx.after(Duration::ZERO, self.handler, Refused { id, exchange, cause });
    }

    fn refuse_running(&self, cx: &mut Turn, running: Running<E>, cause: Cause) {
        self.refuse(cx, running.id, running.exchange, cause);
    }

    /// Removes the exchanges that were cancelled while they waited for a connection.
    pub(super) fn remove_cancelled(&self) {
        self.pool.borrow_mut().waiting.retain(|waiting| waiting.running.id.place() != Place::Over);
    }

    /// Takes the first exchange that is overdue. Sets the timer again if there is none.
    pub(super) fn take_overdue(&self, cx: &mut Turn) -> Option<Box<Running<E>>> {
        let pool = &mut *self.pool.borrow_mut();
        if let Some(timer) = pool.timer.take() {
            cx.cancel_timer(timer);
        }
        let until = pool.waiting.front()?.until;
        match until.checked_sub(cx.now()).filter(|left| !left.is_zero()) {
            Some(left) => {
                pool.timer = Some(cx.after(left, self.handler, Overdue));
                None
            }
            None => pool.waiting.pop_front().map(|waiting| waiting.running),
        }
    }

    /// Takes the exchange that has waited longest.
    pub(super) fn take_waiting(&self) -> Option<Box<Running<E>>> {
        self.pool.borrow_mut().waiting.pop_front().map(|waiting| waiting.running)
    }

    /// Gives a connection back after an exchange: to a request that is waiting, or for later.
    pub(super) fn release(&self, cx: &mut Context<'_>, session: &mut Session<E>) {
        let id = cx.id();
        let upgrades = |waiting: &Waiting<E>| waiting.running.request.traits.upgrades;
        if self.pool.borrow().waiting.front().is_some_and(upgrades) {
            // Its place is for a new connection.
            cx.close();
        } else if let Some(mut running) = self.take_waiting() {
            running.start(cx, id, true);
            session.begin(running);
            cx.set_deadline(Some(self.options.response_timeout));
        } else if cx.is_stopping() || self.pool.borrow().idle.len() >= MOST_IDLE {
            cx.close();
        } else {
            self.pool.borrow_mut().idle.push((id, session.slot()));
            cx.set_deadline(Some(self.options.idle_timeout));
        }
    }

    /// Gives a connection back in the next turn. Until then the reactor reads from it once more,
    /// and bytes that arrive without a request close it.
    pub(super) fn release_later(&self, cx: &mut Context<'_>, turns: u8) {
        let settling = Settling { connection: cx.id(), turns };
        if self.settling.post(settling).is_err() {
            cx.close();
        }
    }

    /// Withdraws an idle connection that is about to close.
    pub(super) fn withdraw(&self, id: ConnId) {
        self.pool.borrow_mut().idle.retain(|(idle, _)| *idle != id);
    }

    /// Notes that a connection was established.
    pub(super) fn note_connected(&self) {
        let counts = &mut self.pool.borrow_mut().counts;
        counts.connecting -= 1;
        counts.open += 1;
        counts.connected += 1;
    }

    /// Notes that a connection is over, whether or not it was established before.
    pub(super) fn note_closed(&self, id: ConnId, was_established: bool, why: Reason) {
        self.withdraw(id);
        let counts = &mut self.pool.borrow_mut().counts;
        if was_established {
            counts.open -= 1;
            return;
        }
        counts.connecting -= 1;
        counts.failed += u64::from(!is_own_fault(why));
    }

    /// The connections, and the number of requests that wait for one.
    pub(super) fn counts(&self) -> (ConnectionCounts, usize) {
        let pool = self.pool.borrow();
        (pool.counts, pool.waiting.len())
    }

    /// Connects for waiting requests, up to the limit on connections.
    pub(super) fn connect_waiting(&self, cx: &mut Turn) {
        while self.has_room()
            && let Some(running) = self.take_waiting()
        {
            if let Err(running) = self.connect(cx, running) {
                self.refuse_running(cx, *running, Cause::Stopped);
                return;
            }
        }
    }
}
