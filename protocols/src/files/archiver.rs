//! Sends archives of directories, a few entries in each turn of the reactor.
//!
//! Nothing is archived in advance: the walk stops while the queue of its client is full. The
//! contents of files are sent as regions, without passing through this process where the kernel
//! can do that.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use sluicegate_reactor::{ConnId, Reactor, Sent, Turn};

use super::archive::{Archive, Step};
use super::background::{self, Waker, Work};
use crate::http::ResponseStream;

/// The maximum number of archives that are sent at the same time. Each has a descriptor open for
/// each level of directories it is in. A request for one more gets 503, and so does one of a client
/// that already has as many as are left for others.
const MOST_ARCHIVES: usize = 16;

/// The archives of a reactor, as the service of its requests sees them.
pub(super) struct Archives {
    queue: Rc<Queue>,
    waker: Waker,
}

/// The state that the service and the [`Archiver`] share.
#[derive(Default)]
struct Queue {
    /// The archives that can continue, the next one first.
    active: RefCell<VecDeque<Active>>,
    /// The archives that wait for room in the queues of their clients.
    waiting: RefCell<HashMap<ConnId, Active>>,
}

struct Active {
    archive: Archive,
    stream: ResponseStream,
    client: Option<IpAddr>,
}

impl Archives {
    /// Registers the handler that makes the archives.
    pub(super) fn new(reactor: &mut Reactor) -> Archives {
        let queue = Rc::<Queue>::default();
        let waker = background::register(reactor, Archiver { queue: queue.clone() });
        Archives { queue, waker }
    }

    /// Whether this client gets no archive now. A client gets at most as many as are left for
    /// others, so that one that reads slowly does not block them. That is more than a fixed number
    /// for the clients behind a proxy, which share its address.
    pub(super) fn is_full(&self, client: Option<IpAddr>) -> bool {
        let (active, waiting) = (self.queue.active.borrow(), self.queue.waiting.borrow());
        let all = active.iter().chain(waiting.values());
        let of_client = all.clone().filter(|archive| archive.client == client).count();
        of_client >= MOST_ARCHIVES.saturating_sub(all.count())
    }

    /// Sends an archive.
    pub(super) fn send(&self, archive: Archive, stream: ResponseStream, client: Option<IpAddr>) {
        self.continue_with(Active { archive, stream, client });
    }

    fn continue_with(&self, active: Active) {
        self.queue.active.borrow_mut().push_back(active);
        self.waker.wake();
    }

    /// There is room in the queue of a client.
    pub(super) fn on_room(&self, connection: ConnId) {
        let waiting = self.queue.waiting.borrow_mut().remove(&connection);
        if let Some(active) = waiting {
            self.continue_with(active);
        }
    }

    /// A client has left.
    pub(super) fn on_gone(&self, connection: ConnId) {
        self.queue.waiting.borrow_mut().remove(&connection);
        self.queue.active.borrow_mut().retain(|it| it.stream.connection() != connection);
    }
}

/// Makes the archives.
struct Archiver {
    queue: Rc<Queue>,
}

impl Work for Archiver {
    /// Entries of all archives together. Each takes a few system calls.
    const STEPS_PER_TURN: usize = 16;

    fn step(&mut self, cx: &mut Turn) -> background::Step {
        let next = self.queue.active.borrow_mut().pop_front();
        let Some(active) = next else { return background::Step::Idle };
        self.advance(cx, active);
        background::Step::Small
    }
}

impl Archiver {
    /// Sends the next entry of an archive.
    fn advance(&mut self, cx: &mut Turn, mut active: Active) {
        let sent = match active.archive.step() {
            Ok(Step::Nothing) => Sent::Accepted,
            Ok(Step::Entry(header, content)) => {
                let sent = active.stream.send(cx, header);
                content.map_or(sent, |content| active.stream.send(cx, content))
            }
            Ok(Step::End(end)) => {
                active.stream.send(cx, end);
                active.stream.finish(cx);
                return;
            }
            Err(error) => {
                let mut client = cx.peer(active.stream.connection());
                let path = active.archive.path().escape_ascii();
                log::warn!("{}: archive not completed: {path}: {error}", client.describe());
                // What was sent must not look complete.
                client.abort();
                return;
            }
        };
        match sent {
            Sent::Full => {
                let connection = active.stream.connection();
                self.queue.waiting.borrow_mut().insert(connection, active);
            }
            Sent::Gone => {}
            _ => self.queue.active.borrow_mut().push_back(active),
        }
    }
}
