//! The state of a connection to the origin, and the exchange that it serves.

use std::cell::Cell;
use std::rc::Rc;

use sluicegate_reactor::{ConnId, Turn};

use super::error::Cause;
use super::exchange::Exchange;
use super::request::Prepared;
use super::response::Length;
use super::stream::StreamState;
use crate::http::scan::HeadScan;
use crate::http::sink::Sink;

/// Identifies an exchange, so that it can be [cancelled](super::Client::cancel).
#[derive(Clone, Debug)]
pub struct ExchangeId(Rc<Cell<Place>>);

/// Where an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In no connection: it waits for one, or its failure is about to be reported.
    Waiting,
    On(ConnId),
    /// Its last callback has been called, or it was cancelled.
    Over,
}

impl ExchangeId {
    pub(super) fn new() -> ExchangeId {
        ExchangeId(Rc::new(Cell::new(Place::Waiting)))
    }

    pub(super) fn place(&self) -> Place {
        self.0.get()
    }

    /// The connection that the exchange uses.
    pub(crate) fn connection(&self) -> Option<ConnId> {
        match self.0.get() {
            Place::On(connection) => Some(connection),
            Place::Waiting | Place::Over => None,
        }
    }

    /// Whether its last callback has been called, or it was cancelled.
    pub(crate) fn is_over(&self) -> bool {
        self.0.get() == Place::Over
    }

    pub(super) fn set(&self, place: Place) {
        self.0.set(place);
    }
}

/// An exchange that has begun or waits to begin.
pub(super) struct Running<E> {
    pub(super) id: ExchangeId,
    pub(super) exchange: E,
    pub(super) request: Prepared,
    stream: Option<Rc<StreamState>>,
    /// Whether an earlier exchange has used the connection.
    is_reused: bool,
    /// How many bytes the connection had received before.
    received: u64,
}

impl<E: Exchange> Running<E> {
    pub(super) fn new(id: ExchangeId, request: Prepared, exchange: E) -> Running<E> {
        let has_trailers = request.traits.has_trailers;
        let stream = request.stream().map(|length| StreamState::new(length, has_trailers));
        Running { id, exchange, request, stream, is_reused: false, received: 0 }
    }

    /// Sends the request.
    pub(super) fn start(&mut self, cx: &mut Turn, connection: ConnId, is_reused: bool) {
        self.id.set(Place::On(connection));
        self.is_reused = is_reused;
        self.received = cx.peer(connection).received();
        self.request.transmit(cx, connection);
    }

    /// The state of the stream that the body is sent through, if it is streamed.
    pub(super) fn stream(&self) -> Option<&Rc<StreamState>> {
        self.stream.as_ref()
    }

    /// Whether the body of the request is streamed, and not complete.
    pub(super) fn is_streaming(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| !stream.is_finished())
    }

    /// Whether the stream was dropped before the body was complete.
    pub(super) fn is_abandoned(&self) -> bool {
        self.stream.as_ref().is_some_and(StreamState::is_abandoned)
    }

    /// Whether nothing of a response has come.
    pub(super) fn is_unanswered(&self, received: u64) -> bool {
        self.received == received
    }

    /// Whether it may be sent again after its connection was closed without a response. The origin
    /// has most likely closed an idle connection while the request was on its way.
    pub(super) fn may_repeat(&self) -> bool {
        self.is_reused && self.request.is_repeatable() && self.id.place() != Place::Over
    }
}

/// The exchange that a connection gets next. A client reaches it without the session.
pub(super) type Slot<E> = Cell<Option<Box<Running<E>>>>;

/// The state of a connection.
pub(super) struct Session<E> {
    next: Rc<Slot<E>>,
    pub(super) is_established: bool,
    /// The exchange whose response is being received; `None` if the response is skipped.
    pub(super) running: Option<Box<Running<E>>>,
    pub(super) state: State,
    /// How the end of the response's body is found.
    pub(super) length: Length,
    /// Whether another request may follow the response.
    pub(super) keeps_alive: bool,
    /// Why the exchange fails, once that is known.
    pub(super) failure: Option<Cause>,
}

/// The input that a connection expects.
pub(super) enum State {
    /// Nothing: no request has been sent.
    Idle,
    /// The head of a response, after some interim responses.
    Head { scan: HeadScan, interims: u8 },
    /// A body of this many bytes, which stays in the input until it is complete.
    Short(usize),
    /// A body.
    Body(Sink),
    /// An unwanted body, of which this many bytes may be skipped.
    Skipped(Sink, u64),
}

impl State {
    pub(super) fn head() -> State {
        State::Head { scan: HeadScan::default(), interims: 0 }
    }
}

impl<E: Exchange> Session<E> {
    pub(super) fn new(next: Rc<Slot<E>>) -> Session<E> {
        Session {
            next,
            is_established: false,
            running: None,
            state: State::Idle,
            length: Length::Exact(0),
            keeps_alive: false,
            failure: None,
        }
    }

    /// The slot for the next exchange.
    pub(super) fn slot(&self) -> Rc<Slot<E>> {
        self.next.clone()
    }

    /// Takes the exchange that a client has given to the connection since the last callback.
    pub(super) fn adopt(&mut self) {
        if let State::Idle = self.state
            && let Some(running) = self.next.take()
        {
            self.begin(running);
        }
    }

    /// Waits for the response to a request that was sent.
    pub(super) fn begin(&mut self, running: Box<Running<E>>) {
        self.running = Some(running);
        self.state = State::head();
    }
}
