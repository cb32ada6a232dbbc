//! The client of HTTP: every exchange ends once, with the right body or with a reason.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::http::client::{
    Client, ClientError, ClientOptions, Exchange, Request, RequestStream, Response, Take,
};
use sluicegate_protocols::http::{self, Answered, Http, Method, Reply, Service, Trailers};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{ConnId, Context, Handler, Input, Listen, Payload, Sent, Target, Turn};

use crate::{is_noise, noise, noise_from};

const ADDRESS: &str = "10.0.0.1:80";

/// Answers `/N` with N bytes, `/stream/N` with as many in chunks, and a POST with its body.
struct Origin;

impl Service for Origin {
    type State = ();

    fn call(&mut self, request: &http::Request<'_>, reply: Reply<'_, '_>) -> Answered {
        if request.method() == Method::Post {
            return reply.read(1 << 20, ());
        }
        let path = request.path();
        match path.strip_prefix("/stream/") {
            Some(length) => reply.stream(|mut stream, cx| {
                for piece in noise(length.parse().expect("a number")).chunks(3000) {
                    stream.send(cx, piece);
                }
                stream.finish(cx);
            }),
            None => reply.send(noise(path[1..].parse().expect("a number"))),
        }
    }

    fn on_body(
        &mut self,
        _: &http::Request<'_>,
        (): (),
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.send(body)
    }
}

/// How many exchanges have begun, and how each that is over went.
#[derive(Default)]
struct Outcomes {
    begun: usize,
    well: usize,
    failed: Vec<String>,
}

impl Outcomes {
    fn over(&self) -> usize {
        self.well + self.failed.len()
    }
}

type Shared = Rc<RefCell<Outcomes>>;

/// Expects a body of `noise`, and then starts further exchanges.
struct Fetch {
    client: Client<Fetch>,
    outcomes: Shared,
    /// The length that the body should have; unknown if the origin may do what it likes.
    length: Option<usize>,
    way: u64,
    count: usize,
    /// What is left of a body to send.
    upload: Option<(RequestStream, usize)>,
    /// How many exchanges may follow.
    more: usize,
}

const LENGTHS: [usize; 4] = [0, 13, 5000, 70_000];

/// Starts an exchange of a random kind.
fn fetch(cx: &mut Turn, client: &Client<Fetch>, outcomes: &Shared, more: usize) {
    let length = LENGTHS[cx.random() as usize % LENGTHS.len()];
    let post = Request::new(Method::Post, "/");
    let request = match cx.random() % 5 {
        0 => Request::get(&format!("/stream/{length}")),
        1 => post.body(noise(length)),
        2 => post.stream(Some(length as u64)),
        3 => post.stream(None),
        _ => Request::get(&format!("/{length}")),
    };
    start(cx, request, client, outcomes, (Some(length), more));
}

fn start(
    cx: &mut Turn,
    request: Request,
    client: &Client<Fetch>,
    outcomes: &Shared,
    (length, more): (Option<usize>, usize),
) {
    outcomes.borrow_mut().begun += 1;
    let way = cx.random() % 3;
    let (client, outcomes) = (client.clone(), outcomes.clone());
    let exchange = Fetch { client, outcomes, length, way, count: 0, upload: None, more };
    exchange.client.clone().send(cx, request, exchange);
}

impl Fetch {
    fn upload(&mut self, cx: &mut Turn) {
        let Some((mut stream, mut at)) = self.upload.take() else { return };
        let length = self.length.expect("its own origin");
        while at < length {
            let to = length.min(at + 7000);
            let part = noise_from(at, to - at);
            at = to;
            match stream.send(cx, part) {
                Sent::Accepted => {}
                Sent::Full => return self.upload = Some((stream, at)),
                Sent::Gone => return,
            }
        }
        stream.finish(cx);
    }

    fn check(&mut self, piece: &[u8]) {
        assert!(self.length.is_none() || is_noise(self.count, piece), "a wrong byte");
        self.count += piece.len();
    }

    fn end(mut self, cx: &mut Turn) {
        let (client, outcomes) = (self.client.clone(), self.outcomes.clone());
        outcomes.borrow_mut().well += 1;
        if let Some(length) = self.length.take()
            && self.more > 0
        {
            assert!(self.way == 2 || self.count == length, "{} of {length} bytes", self.count);
            fetch(cx, &client, &outcomes, self.more - 1);
        }
    }
}

impl Exchange for Fetch {
    fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
        match response.status().code() {
            200 => {}
            // Half of the request had arrived when the origin stopped.
            408 => self.length = None,
            other => panic!("the response is {other}"),
        }
        [Take::Whole(1 << 20), Take::Pieces, Take::Nothing]
            .into_iter()
            .nth(self.way as usize)
            .expect("one of three")
    }

    fn on_stream(&mut self, cx: &mut Turn, stream: RequestStream) {
        self.upload = Some((stream, 0));
        self.upload(cx);
    }

    fn on_room(&mut self, cx: &mut Turn) {
        self.upload(cx);
    }

    fn on_piece(&mut self, _: &mut Turn, _: ConnId, piece: &[u8]) {
        self.check(piece);
    }

    fn on_body(mut self, cx: &mut Turn, body: Payload<'_>) {
        self.check(&body);
        self.end(cx);
    }

    fn on_end(self, cx: &mut Turn, _: Trailers<'_>) {
        self.end(cx);
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        self.outcomes.borrow_mut().failed.push(error.to_string());
    }
}

/// Adds a reactor with a client that starts some exchanges.
fn add_client(
    sim: &mut Sim,
    count: usize,
    begin: impl Fn(&mut Turn, &Client<Fetch>, &Shared),
) -> Shared {
    let outcomes = Shared::default();
    let options = ClientOptions { connections: 1 + sim.below(3), ..ClientOptions::default() };
    let origin: Target = ADDRESS.parse().expect("an address");
    let client = sim
        .reactor(|reactor| Client::new(reactor, origin, &options).expect("room for a connector"));
    let reactor = sim.reactors().last_mut().expect("it was added");
    (0..count).for_each(|_| begin(reactor, &client, &outcomes));
    outcomes
}

fn serve(sim: &mut Sim) {
    sim.reactor(|reactor| {
        let origin = reactor.register(Http::new(Origin));
        reactor.listen(ADDRESS, &Listen::default(), origin).expect("the address is free");
    });
}

#[test]
pub(crate) fn every_body_arrives_whole_however_the_network_delivers_it() {
    // Those that end a connection, and stalls: an exchange may be too late then.
    let faults = Faults { no_buffers: 0.0, aborted: 0.0, refused: 0.0, ..Faults::default() };
    let faults = Faults { exhausted: 0.0, stall: 0.0, ..faults };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let count = 1 + sim.below(5);
        let outcomes = add_client(sim, count, |cx, client, all| fetch(cx, client, all, 2));
        sim.run();
        let outcomes = outcomes.borrow();
        assert_eq!(outcomes.well, 3 * count, "{:?}", outcomes.failed);
    });
}

#[test]
pub(crate) fn every_exchange_ends_once_whatever_fails() {
    Simulation::new().run(|sim| {
        serve(sim);
        let count = 1 + sim.below(5);
        let outcomes = add_client(sim, count, |cx, client, all| fetch(cx, client, all, 2));
        if sim.below(3) == 0 {
            let when = Duration::from_micros(sim.below(500_000) as u64);
            sim.after(when, Sim::stop);
        }
        sim.run();
        let outcomes = outcomes.borrow();
        assert_eq!(outcomes.over(), outcomes.begun, "{:?}", outcomes.failed);
    });
}

/// An origin that answers in its own way, and does not care for rules.
struct Wild;

impl Handler for Wild {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
        let length = LENGTHS[cx.random() as usize % LENGTHS.len()];
        let ok = "HTTP/1.1 200 OK\r\n";
        match cx.random() % 8 {
            0 => _ = cx.send(format!("{ok}Content-Length: {length}\r\n\r\n")),
            1 => _ = cx.send(format!("{ok}\r\n")),
            2 => _ = cx.send(format!("{ok}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n")),
            3 => _ = cx.send(format!("HTTP/1.1 100 Continue\r\n\r\n{ok}Content-Length: 0\r\n\r\n")),
            4 => _ = cx.send(format!("{ok}Content-Length: {length}\r\nA\r\n\r\n")),
            5 => _ = cx.send("HTTP/1.1 20"),
            _ => {}
        }
        if !cx.random().is_multiple_of(4) {
            cx.send(noise(length));
        }
        match cx.random() % 8 {
            0 => _ = cx.send("\r\n0\r\n\r\n"),
            1 => cx.close(),
            2 => cx.abort(),
            3 => _ = cx.send("\r\n"),
            _ => {}
        }
    }
}

#[test]
pub(crate) fn every_exchange_with_a_wild_origin_ends_once() {
    Simulation::new().run(|sim| {
        sim.reactor(|reactor| {
            let wild = reactor.register(Wild);
            reactor.listen(ADDRESS, &Listen::default(), wild).expect("the address is free");
        });
        let count = 1 + sim.below(8);
        let outcomes = add_client(sim, count, |cx, client, all| {
            start(cx, Request::get("/"), client, all, (None, 0));
        });
        sim.run();
        let outcomes = outcomes.borrow();
        assert_eq!(outcomes.over(), outcomes.begun, "{:?}", outcomes.failed);
    });
}
