//! The state of a connection: the input or event that it expects, and its deadline.

use std::sync::Arc;
use std::time::Duration;

use sluicegate_reactor::Context;

use super::body::RequestBody;
use super::in_flight::InFlight;
use super::limits::HttpLimits;
use super::response::{PendingResponse, StreamedResponse};
use super::scan::HeadScan;
use super::status::Status;

/// The state of an HTTP connection.
///
/// `V` is the [`State`](super::Service::State) of the service.
pub struct HttpSession<V = ()> {
    pub(super) state: State<V>,
    /// Requests so far.
    pub(super) requests: u32,
    deadline: Deadline,
    /// Whether the next response is the last: the reactor is stopping, or the client has shut down
    /// its sending side.
    pub(super) is_closing: bool,
    /// The responses to log; `None` unless the service wants a log.
    pub(super) in_flight: Option<Box<InFlight>>,
    /// The session of the service: services have none.
    pub(super) own: (),
}

const _: () = assert!(size_of::<HttpSession>() <= 32);

/// The deadline of a state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadline {
    None,
    Set,
    /// It has passed, and the input is delivered once more.
    Passed,
}

/// The input or event that a connection expects.
pub(super) enum State<V> {
    /// It receives a head.
    Head { scan: HeadScan, blank_lines: u8 },
    /// It skips the rest of a request body that the service does not read.
    SkippingBody { left: u64 },
    /// It receives a request body for the service.
    ReceivingBody(Box<RequestBody<V>>),
    /// It waits for a deferred response.
    AwaitingResponse(Box<AwaitedResponse<V>>),
}

/// A deferred response. Boxed, as few connections wait for one.
pub(super) struct AwaitedResponse<V> {
    pub(super) pending: Arc<PendingResponse>,
    /// When it was first deferred or postponed.
    since: Duration,
    rest: Rest<V>,
}

/// The rest of a request whose response is deferred.
pub(super) enum Rest<V> {
    /// It is skipped: this many bytes of the body.
    Skipped(u64),
    /// The request may be delivered again. If it is answered instead, `left` bytes of its body are
    /// skipped then.
    Postponed { head: Box<[u8]>, left: u64 },
    /// The service receives the body in the meantime.
    Received(RequestBody<V>),
}

impl<V> AwaitedResponse<V> {
    /// Whether the service receives the request body in the meantime.
    pub(super) fn receives_body(&self) -> bool {
        matches!(self.rest, Rest::Received(_))
    }

    /// How many bytes of the body are still to come, if that is known.
    fn left(&self) -> Option<u64> {
        match &self.rest {
            Rest::Skipped(left) | Rest::Postponed { left, .. } => Some(*left),
            Rest::Received(body) => body.left(),
        }
    }
}

impl<V> State<V> {
    pub(super) fn next_head() -> State<V> {
        State::Head { scan: HeadScan::default(), blank_lines: 0 }
    }

    /// The state after a request with `left` bytes of body to skip.
    #[inline]
    pub(super) fn after_request(left: u64) -> State<V> {
        if left == 0 { State::next_head() } else { State::SkippingBody { left } }
    }

    /// How many bytes of a body that the service does not read are skipped now, if there are any.
    pub(super) fn unread_body(&mut self) -> Option<&mut u64> {
        let left = match self {
            State::SkippingBody { left } => left,
            State::AwaitingResponse(awaited) => match &mut awaited.rest {
                Rest::Skipped(left) => left,
                Rest::Postponed { .. } | Rest::Received(_) => return None,
            },
            State::Head { .. } | State::ReceivingBody(_) => return None,
        };
        (*left > 0).then_some(left)
    }

    /// Whether the service receives what arrives now. Once a deferred response is complete, the
    /// rest of the body is skipped. The connection is already closing if the length of that is not
    /// known.
    #[inline]
    pub(super) fn receives_body(&mut self) -> bool {
        let State::AwaitingResponse(awaited) = self else {
            return matches!(self, State::ReceivingBody(_));
        };
        if awaited.pending.finished().is_some()
            && awaited.receives_body()
            && let Some(left) = awaited.left()
        {
            awaited.rest = Rest::Skipped(left);
        }
        awaited.receives_body()
    }

    /// The request body that is being received.
    pub(super) fn body(&mut self) -> Option<&mut RequestBody<V>> {
        match self {
            State::ReceivingBody(body) => Some(body),
            State::AwaitingResponse(awaited) => match &mut awaited.rest {
                Rest::Received(body) => Some(body),
                Rest::Skipped(_) | Rest::Postponed { .. } => None,
            },
            State::Head { .. } | State::SkippingBody { .. } => None,
        }
    }
}

impl<V> Default for HttpSession<V> {
    fn default() -> HttpSession<V> {
        HttpSession::new()
    }
}

impl<V> HttpSession<V> {
    /// Creates the session for a connection that another handler [hands over](Context::hand_over):
    /// after a preface, or once it has recognised HTTP in the first bytes.
    #[must_use]
    pub fn new() -> HttpSession<V> {
        HttpSession {
            state: State::next_head(),
            requests: 0,
            deadline: Deadline::None,
            is_closing: false,
            in_flight: None,
            own: (),
        }
    }

    /// Continues after a request with `left` bytes of body to skip.
    #[inline]
    pub(super) fn finish_request(&mut self, left: u64) {
        match &mut self.state {
            // In place: nothing has to be dropped.
            State::Head { scan, blank_lines } if left == 0 => {
                (*scan, *blank_lines) = (HeadScan::default(), 0);
            }
            state => *state = State::after_request(left),
        }
    }

    /// The streamed response that is in progress.
    pub(super) fn stream(&self) -> Option<&StreamedResponse> {
        match &self.state {
            State::AwaitingResponse(awaited) => awaited.pending.stream(),
            _ => None,
        }
    }

    /// Whether a deferred response has begun.
    pub(super) fn is_answered(&self) -> bool {
        matches!(&self.state, State::AwaitingResponse(awaited) if awaited.pending.has_begun())
    }

    /// Notes that the request that waits for a deferred response is refused.
    pub(super) fn note_refused(&self) {
        if let State::AwaitingResponse(awaited) = &self.state {
            awaited.pending.note_refused();
        }
    }

    /// Whether a deferred response to HEAD is awaited.
    pub(super) fn awaits_head(&self) -> bool {
        matches!(&self.state, State::AwaitingResponse(awaited) if awaited.pending.mode.head_only)
    }

    /// Whether the client has not sent a complete request yet.
    pub(super) fn has_sent_nothing(&self) -> bool {
        self.requests == 0 && matches!(self.state, State::Head { .. })
    }

    /// Whether a request waits for its body or its response. Both have a deadline of their own.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::AwaitingResponse(_) | State::ReceivingBody(_))
    }

    /// Receives a request body. Its deadline is when its rate is checked.
    #[cold]
    pub(super) fn receive_body(
        &mut self,
        cx: &mut Context<'_>,
        body: RequestBody<V>,
        limits: &HttpLimits,
    ) {
        self.state = State::ReceivingBody(Box::new(body));
        self.deadline = Deadline::Set;
        cx.set_deadline(Some(limits.head_timeout));
    }

    /// Takes out the request body that is being received.
    pub(super) fn finish_body(&mut self, cx: &mut Context<'_>) -> Option<RequestBody<V>> {
        match std::mem::replace(&mut self.state, State::next_head()) {
            State::ReceivingBody(body) => {
                self.clear_deadline(cx);
                Some(*body)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Waits for a deferred response, unless it is finished already. `since` is when the request
    /// began to wait. While the service receives its body, the deadline is when the rate of that is
    /// checked.
    #[cold]
    pub(super) fn await_response(
        &mut self,
        cx: &mut Context<'_>,
        (pending, since): (Arc<PendingResponse>, Duration),
        rest: Rest<V>,
        limits: &HttpLimits,
    ) {
        self.deadline = Deadline::Set;
        if let Rest::Received(_) = rest {
            cx.set_deadline(Some(limits.head_timeout));
        } else if pending.finished().is_none() && !pending.is_delivered_again() {
            cx.set_deadline(Some(limits.response_timeout));
        }
        let awaited = AwaitedResponse { pending, since, rest };
        self.state = State::AwaitingResponse(Box::new(awaited));
    }

    /// Takes out the head of a request that must be delivered again. The bytes after it are
    /// received again.
    pub(super) fn take_postponed(&mut self, cx: &mut Context<'_>) -> Option<Box<[u8]>> {
        let State::AwaitingResponse(awaited) = &mut self.state else { return None };
        let Rest::Postponed { head, .. } = &mut awaited.rest else { return None };
        if !awaited.pending.is_delivered_again() {
            return None;
        }
        self.deadline = Deadline::None;
        cx.resume();
        Some(std::mem::take(head))
    }

    /// Takes out the request body that was received while its response is deferred. From now on the
    /// deadline is that of the response.
    pub(super) fn finish_body_meanwhile(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HttpLimits,
    ) -> Option<RequestBody<V>> {
        let State::AwaitingResponse(awaited) = &mut self.state else { return None };
        let body = match std::mem::replace(&mut awaited.rest, Rest::Skipped(0)) {
            Rest::Received(body) => body,
            rest => {
                awaited.rest = rest;
                return None;
            }
        };
        awaited.pending.note_body_read();
        let is_finished = awaited.pending.finished().is_some();
        cx.set_deadline((!is_finished).then_some(limits.response_timeout));
        Some(body)
    }

    /// When the response that the connection waits for was first deferred or postponed.
    pub(super) fn waiting_since(&self) -> Option<Duration> {
        match &self.state {
            State::AwaitingResponse(awaited) => Some(awaited.since),
            _ => None,
        }
    }

    /// The status of a deferred response that is finished, and when it was deferred.
    pub(super) fn finished(&self) -> Option<(Status, Duration)> {
        let State::AwaitingResponse(awaited) = &self.state else { return None };
        Some((awaited.pending.finished()?.status, awaited.since))
    }

    /// Continues after a deferred response, if it is finished. Finishing it has cleared its
    /// deadline.
    pub(super) fn finish_response(&mut self, cx: &mut Context<'_>) {
        let State::AwaitingResponse(awaited) = &self.state else { return };
        let Some(finished) = awaited.pending.finished() else { return };
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.complete(*finished);
        }
        self.deadline = Deadline::None;
        // The rest of a body that was being received is skipped. The connection is already closing
        // if its length is not known.
        let left = awaited.left();
        self.state = State::after_request(left.unwrap_or(0));
        if left.is_none() || self.is_closing && cx.unread() == 0 {
            cx.close();
        } else {
            cx.resume();
        }
    }

    /// Sets the deadline of the current state, once: bytes that trickle in do not move it.
    #[inline]
    pub(super) fn start_deadline(&mut self, cx: &mut Context<'_>, time: Duration) {
        if self.deadline == Deadline::None {
            self.deadline = Deadline::Set;
            cx.set_deadline(Some(time));
        }
    }

    /// Looks at an incomplete head for the last time: its deadline has passed.
    #[cold]
    pub(super) fn look_again(&mut self, cx: &mut Context<'_>) {
        self.deadline = Deadline::Passed;
        cx.yield_now();
    }

    /// Whether the deadline of the head has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline == Deadline::Passed
    }

    /// Clears the deadline of a head or a skipped body that is complete.
    #[inline]
    pub(super) fn clear_deadline(&mut self, cx: &mut Context<'_>) {
        if self.deadline != Deadline::None && !self.is_waiting() {
            self.deadline = Deadline::None;
            cx.set_deadline(None);
        }
    }
}
