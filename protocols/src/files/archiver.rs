//! Sends archives of directories, a few entries in each turn of the reactor.
//!
//! Nothing is archived in advance: the walk stops while the queue of its client is full. The
//! contents of files are sent as regions, without passing through this process where the kernel
//! can do that.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use sluicegate_reactor::{
    ConnId, Context, Handle, Handler, Input, Reactor, Receive, Sent, Sessions, Turn,
};

use super::archive::{Archive, Step};
use crate::http::ResponseStream;

/// The most entries that one turn deals with, of all archives together: about a millisecond's work
/// if each needs a few system calls.
const ENTRIES_PER_TURN: usize = 128;

/// The most archives that are sent at the same time. Each has a descriptor open for each level of
/// directories it is in. A request for one more gets 503.
const MOST_ARCHIVES: usize = 16;

/// The archives of a reactor, as the service of its requests sees them.
pub(super) struct Archives {
    queue: Rc<Queue>,
    wake: Handle<Continue>,
}

/// What the service and the [`Archiver`] share.
#[derive(Default)]
struct Queue {
    /// The archives that have something to do; the next one to go on with is the first.
    active: RefCell<VecDeque<Active>>,
    /// The archives that wait for room in the queues of their clients.
    waiting: RefCell<HashMap<ConnId, Active>>,
    /// Whether a [`Continue`] is on its way.
    is_awake: Cell<bool>,
}

struct Active {
    archive: Archive,
    stream: ResponseStream,
}

/// Tells the [`Archiver`] to continue in this turn.
struct Continue;

impl Archives {
    /// Registers the handler that makes the archives.
    pub(super) fn new(reactor: &mut Reactor) -> Archives {
        let archiver = reactor.reserve();
        let wake = reactor.handle(archiver);
        let queue = Rc::<Queue>::default();
        reactor.install(archiver, Archiver { queue: queue.clone(), wake: wake.clone() });
        Archives { queue, wake }
    }

    /// Whether the limit is reached.
    pub(super) fn is_full(&self) -> bool {
        self.queue.active.borrow().len() + self.queue.waiting.borrow().len() >= MOST_ARCHIVES
    }

    /// Sends an archive.
    pub(super) fn send(&self, archive: Archive, stream: ResponseStream) {
        self.continue_with(Active { archive, stream });
    }

    fn continue_with(&self, active: Active) {
        self.queue.active.borrow_mut().push_back(active);
        self.queue.wake(&self.wake);
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

impl Queue {
    fn wake(&self, wake: &Handle<Continue>) {
        if !self.is_awake.replace(true) {
            // It fails only if the reactor has stopped: then nobody waits any more.
            let _ = wake.post(Continue);
        }
    }
}

/// Makes the archives. It has no connections.
struct Archiver {
    queue: Rc<Queue>,
    wake: Handle<Continue>,
}

impl Handler for Archiver {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {
        cx.close();
    }
}

impl Receive<Continue> for Archiver {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Continue) {
        // Before anything can panic: the next request then wakes the archiver again.
        self.queue.is_awake.set(false);
        for _ in 0..ENTRIES_PER_TURN {
            let next = self.queue.active.borrow_mut().pop_front();
            let Some(active) = next else { return };
            self.advance(cx, active);
        }
        self.queue.wake(&self.wake);
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
                log::warn!("an archive was not completed: {error}");
                // What was sent must not look complete.
                cx.peer(active.stream.connection()).abort();
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
