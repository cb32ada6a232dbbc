//! A request that an origin was chosen for, as the figures of the origin count it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::upstreams::{UpstreamId, Upstreams};

/// A request at an origin, which counts among the connections of its upstream until it is dropped.
pub(super) struct Attempt {
    upstreams: Rc<RefCell<Upstreams>>,
    id: UpstreamId,
    state: State,
}

/// The reports about an attempt that the upstreams have received.
#[derive(PartialEq, Eq)]
enum State {
    /// Nothing yet.
    Pending,
    /// That the origin has answered.
    Answered,
    /// That it has failed, or is over.
    Over,
}

impl Attempt {
    pub(super) fn new(upstreams: Rc<RefCell<Upstreams>>, id: UpstreamId) -> Attempt {
        Attempt { upstreams, id, state: State::Pending }
    }

    pub(super) fn id(&self) -> UpstreamId {
        self.id
    }

    /// The head of the response has arrived.
    pub(super) fn note_answer(&mut self, now: Duration) {
        if self.state == State::Pending {
            self.state = State::Answered;
            self.upstreams.borrow_mut().connected(self.id, now);
        }
    }

    /// There will be no response, which counts against the origin.
    pub(super) fn note_failure(&mut self, now: Duration) {
        if self.state == State::Pending {
            self.state = State::Over;
            self.upstreams.borrow_mut().failed(self.id, now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut upstreams = self.upstreams.borrow_mut();
        match self.state {
            State::Pending => upstreams.given_up(self.id),
            State::Answered => upstreams.closed(self.id),
            State::Over => {}
        }
    }
}
