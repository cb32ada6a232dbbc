//! WebSockets between a server and clients: messages arrive whole and in order, and each connection
//! ends once.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::http::client::{
    Client, ClientError, ClientOptions, Exchange, Response, Take,
};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service, Status, Trailers};
use sluicegate_protocols::websocket::{
    ClientHandshake, CloseCode, Closed, Handshake, Message, WebSocket, WebSocketHandler,
    WebSocketLimits, WebSockets,
};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{ConnId, Context, HandlerId, Listen, Sent, Target, Turn};

use crate::noise;

const ADDRESS: &str = "10.0.0.1:80";

/// Sends messages back.
struct Echo;

impl WebSocketHandler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        socket.send(cx, m);
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), closed: Closed) {
        assert!(!matches!(closed, Closed::Failed(_)), "{closed:?}");
    }
}

struct Site {
    echo: HandlerId<WebSockets<Echo>>,
    deflates: bool,
}

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match Handshake::new(request) {
            Ok(handshake) if self.deflates => handshake.deflate().accept(reply, self.echo, ()),
            Ok(handshake) => handshake.accept(reply, self.echo, ()),
            Err(error) => error.answer(reply),
        }
    }
}

/// How the connections of the clients have ended.
#[derive(Default)]
struct Outcomes {
    /// Requests that were sent.
    begun: usize,
    /// The rest: refused, failed or lost.
    failed: Vec<String>,
    /// All messages came back, and so did the Close frame.
    well: usize,
}

type Shared = Rc<RefCell<Outcomes>>;

/// Sends messages of these lengths, one after the other until the queue is full, and closes when
/// all have come back.
struct Sender {
    outcomes: Shared,
}

struct Progress {
    lengths: Vec<usize>,
    sent: usize,
    returned: usize,
}

fn message(lengths: &[usize], at: usize) -> Message<'static> {
    match at % 2 {
        0 => noise(lengths[at]).into(),
        _ => "\u{20ac}".repeat(lengths[at]).into(),
    }
}

impl Sender {
    fn send(cx: &mut Context<'_>, socket: &mut WebSocket<Progress>) {
        while socket.session.sent < socket.session.lengths.len() {
            let next = message(&socket.session.lengths, socket.session.sent);
            socket.session.sent += 1;
            if socket.send(cx, next) != Sent::Accepted {
                return;
            }
        }
    }
}

impl WebSocketHandler for Sender {
    type Session = Progress;

    fn on_open(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Progress>) {
        Sender::send(cx, socket);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Progress>) {
        Sender::send(cx, socket);
    }

    fn on_message(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut WebSocket<Progress>,
        received: Message<'_>,
    ) {
        let Progress { lengths, returned, .. } = &mut socket.session;
        assert!(received == message(lengths, *returned), "message {returned} has changed");
        *returned += 1;
        if *returned == lengths.len() {
            socket.close(cx, CloseCode::NORMAL, "all are back");
        }
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, session: Progress, closed: Closed) {
        let mut outcomes = self.outcomes.borrow_mut();
        match closed {
            Closed::Cleanly { code: CloseCode::NORMAL, .. }
                if session.returned == session.lengths.len() =>
            {
                outcomes.well += 1;
            }
            Closed::Failed(fault) => panic!("{fault}"),
            other => outcomes.failed.push(format!("{other:?}")),
        }
    }
}

struct Opening {
    handshake: ClientHandshake,
    sender: HandlerId<WebSockets<Sender>>,
    lengths: Vec<usize>,
    outcomes: Shared,
}

impl Exchange for Opening {
    fn on_upgrade(self, cx: &mut Context<'_>, response: &Response<'_>) {
        let progress = Progress { lengths: self.lengths, sent: 0, returned: 0 };
        self.handshake.accept(cx, response, self.sender, progress).expect("a valid response");
    }

    fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
        let why = "only to a request whose end had not arrived when the server stopped";
        assert_eq!(response.status(), Status::REQUEST_TIMEOUT, "{why}");
        Take::Nothing
    }

    fn on_end(self, _: &mut Turn, _: Trailers<'_>) {
        self.outcomes.borrow_mut().failed.push("refused".to_owned());
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        self.outcomes.borrow_mut().failed.push(error.to_string());
    }
}

/// A server, and a reactor with some clients.
fn world(sim: &mut Sim) -> Shared {
    let limits = WebSocketLimits { message: 1 << 20, ..WebSocketLimits::default() };
    let deflates = sim.below(2) == 0;
    sim.reactor(|reactor| {
        let echo = reactor.register(WebSockets::with(Echo, limits));
        let site = reactor.register(Http::new(Site { echo, deflates }));
        reactor.listen(ADDRESS, &Listen::default(), site).expect("the address is free");
    });
    let all: Vec<Vec<usize>> = (0..1 + sim.below(4))
        .map(|_| (0..1 + sim.below(8)).map(|_| lengths(sim)).collect())
        .collect();
    let outcomes = Shared::default();
    let (sender, client) = sim.reactor(|reactor| {
        let sender = reactor.register(WebSockets::new(Sender { outcomes: outcomes.clone() }));
        let origin: Target = ADDRESS.parse().expect("an address");
        let client = Client::new(reactor, origin, &ClientOptions::default());
        (sender, client.expect("room for a connector"))
    });
    let reactor = sim.reactors().last_mut().expect("it was added");
    for lengths in all {
        outcomes.borrow_mut().begun += 1;
        let handshake = ClientHandshake::new(reactor);
        let handshake =
            if lengths.len().is_multiple_of(2) { handshake.deflate() } else { handshake };
        let request = handshake.request("/");
        let opening = Opening { handshake, sender, lengths, outcomes: outcomes.clone() };
        client.send(reactor, request, opening);
    }
    outcomes
}

fn lengths(sim: &mut Sim) -> usize {
    let most = [2, 200, 200, 5000, 5000, 100_000][sim.below(6)];
    sim.below(most)
}

#[test]
pub(crate) fn every_message_comes_back_and_every_websocket_is_closed_cleanly() {
    // Those that end a connection, and stalls: a deadline may pass then.
    let faults = Faults { no_buffers: 0.0, aborted: 0.0, refused: 0.0, ..Faults::default() };
    let faults = Faults { exhausted: 0.0, stall: 0.0, ..faults };
    Simulation::new().faults(faults).run(|sim| {
        let outcomes = world(sim);
        sim.run();
        let outcomes = outcomes.borrow();
        assert_eq!(outcomes.well, outcomes.begun, "{:?}", outcomes.failed);
    });
}

#[test]
pub(crate) fn every_websocket_ends_once_and_no_message_is_changed_whatever_fails() {
    Simulation::new().run(|sim| {
        let outcomes = world(sim);
        if sim.below(3) == 0 {
            let when = Duration::from_micros(sim.below(500_000) as u64);
            sim.after(when, Sim::stop);
        }
        sim.run();
        let outcomes = outcomes.borrow();
        assert_eq!(outcomes.well + outcomes.failed.len(), outcomes.begun, "{:?}", outcomes.failed);
    });
}
