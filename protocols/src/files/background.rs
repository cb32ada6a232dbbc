//! Work in the background of a reactor: in small steps, a few in each turn, so that other
//! connections do not wait for the end of it.

use std::cell::Cell;
use std::rc::Rc;

use sluicegate_reactor::{Context, Handle, Handler, Input, Reactor, Receive, Sessions, Turn};

/// Work that is done in steps.
pub(super) trait Work: 'static {
    /// The maximum number of steps in a turn: less than 100 microseconds' work, as all connections
    /// of the reactor wait for it.
    const STEPS_PER_TURN: usize;

    fn step(&mut self, cx: &mut Turn) -> Step;
}

/// What a step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: there is nothing to do.
    Idle,
    Small,
    /// As much as all steps of a turn may do together.
    Large,
}

/// Makes the work continue. Clones wake the same work.
#[derive(Clone)]
pub(super) struct Waker {
    handle: Handle<Continue>,
    /// Whether a [`Continue`] is on its way.
    is_awake: Rc<Cell<bool>>,
}

/// Tells a [`Worker`] to continue in this turn.
struct Continue;

impl Waker {
    pub(super) fn wake(&self) {
        if !self.is_awake.replace(true) {
            // It fails only if the reactor has stopped: then nobody waits any more.
            let _ = self.handle.post(Continue);
        }
    }
}

/// Registers a handler for `work`, which starts when it is first woken.
pub(super) fn register(reactor: &mut Reactor, work: impl Work) -> Waker {
    let worker = reactor.reserve();
    let waker = Waker { handle: reactor.handle(worker), is_awake: Rc::default() };
    reactor.install(worker, Worker { work, waker: waker.clone() });
    waker
}

/// Does the work. It has no connections.
struct Worker<W> {
    work: W,
    waker: Waker,
}

impl<W: Work> Handler for Worker<W> {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {
        cx.close();
    }
}

impl<W: Work> Receive<Continue> for Worker<W> {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Continue) {
        // Before anything can panic: the next request then wakes the work again.
        self.waker.is_awake.set(false);
        let mut steps = (0..W::STEPS_PER_TURN).map(|_| self.work.step(cx));
        if steps.find(|step| *step != Step::Small) != Some(Step::Idle) {
            self.waker.wake();
        }
    }
}
