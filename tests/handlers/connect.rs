//! A relay that passes bytes on itself, from queue to queue.

use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Sent, Turn};

/// Both ends of a relay are connections of this handler; a session is the other end, which the
/// accepted one knows at once and the connected one is given.
pub(crate) struct Relay {
    /// Connects for the current connection.
    pub(crate) connect: Box<dyn Fn(&mut Context<'_>) -> ConnId>,
}

impl Handler for Relay {
    type Session = ConnId;

    fn on_open(&mut self, cx: &mut Context<'_>) -> ConnId {
        (self.connect)(cx)
    }

    fn on_data(&mut self, cx: &mut Context<'_>, other: &mut ConnId, input: &mut Input<'_>) {
        if cx.peer(*other).send(input.take()) == Sent::Full {
            cx.pause();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, other: &mut ConnId) {
        cx.peer(*other).resume();
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, other: &mut ConnId) {
        cx.peer(*other).shutdown();
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, other: ConnId, why: Reason) {
        match why {
            Reason::Finished | Reason::Closed => cx.peer(other).close(),
            _ => cx.peer(other).abort(),
        }
    }
}
