//! The client against origins whose every byte is scripted.

mod bodies;
mod framing;
mod requests;
mod reuse;
mod transports;
mod turns;
mod upgrades;

use std::cell::RefCell;
use std::rc::Rc;

use sluicegate_reactor::fs::{Committed, CreateOptions};
use sluicegate_reactor::testing::{Client as FarEnd, Harness, Remote, State};
use sluicegate_reactor::{Address, ConnId, Listen, Payload, Turn};

use super::pool::Connections;
use super::{
    Client, ClientError, ClientOptions, Exchange, ExchangeId, Request, RequestStream, Response,
    Take,
};
use crate::http::Trailers;

/// What the exchanges of a test have been told, in order.
type Log = Rc<RefCell<Vec<String>>>;

/// How a probe receives the body.
#[derive(Clone, Copy, Debug)]
enum Way {
    Nothing,
    /// Pauses the connection and wants no body.
    Paused,
    Whole(usize),
    Pieces,
    File,
    /// Drops the stream for the body of its request.
    Deaf,
}

const WHOLE: Way = Way::Whole(1 << 20);

/// Logs what it is told.
struct Probe {
    log: Log,
    way: Way,
    /// The pieces so far.
    pieces: Vec<u8>,
    streams: Rc<RefCell<Vec<RequestStream>>>,
}

impl Probe {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }
}

fn probe(log: &Log, way: Way, streams: &Rc<RefCell<Vec<RequestStream>>>) -> Probe {
    Probe { log: log.clone(), way, pieces: Vec::new(), streams: streams.clone() }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Exchange for Probe {
    fn on_response(&mut self, cx: &mut Turn, response: &Response<'_>) -> Take {
        self.note(response.status().code().to_string());
        match self.way {
            Way::Nothing | Way::Deaf => Take::Nothing,
            Way::Paused => {
                cx.peer(response.connection()).pause();
                Take::Nothing
            }
            Way::Whole(limit) => Take::Whole(limit),
            Way::Pieces => Take::Pieces,
            Way::File => {
                let root = cx.open_dir("/saved").expect("a directory");
                Take::File(root.create("body", &CreateOptions::default()).expect("a new file"))
            }
        }
    }

    fn on_interim(&mut self, _: &mut Turn, response: &Response<'_>) {
        self.note(format!("interim {}", response.status().code()));
    }

    fn on_stream(&mut self, _: &mut Turn, stream: RequestStream) {
        if matches!(self.way, Way::Deaf) {
            return;
        }
        self.note("stream");
        self.streams.borrow_mut().push(stream);
    }

    fn on_room(&mut self, _: &mut Turn) {
        self.note("room");
    }

    fn on_piece(&mut self, _: &mut Turn, _: ConnId, piece: &[u8]) {
        assert!(!piece.is_empty(), "no piece is empty");
        self.pieces.extend_from_slice(piece);
    }

    fn on_body(self, _: &mut Turn, body: Payload<'_>) {
        self.note(format!("body {}", text(&body)));
    }

    fn on_end(self, _: &mut Turn, trailers: Trailers<'_>) {
        let trailers = trailers.iter().map(|(name, value)| format!(" {name}={}", text(value)));
        self.note(format!("end {}{}", text(&self.pieces), trailers.collect::<String>()));
    }

    fn on_saved(self, _: &mut Turn, committed: Committed) {
        self.note(format!("saved {committed:?}"));
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        let prefix = format!("{}: ", error.origin());
        self.note(error.to_string().replacen(&prefix, "failed ", 1));
    }
}

/// A client, and its origin under the control of the test.
struct World {
    h: Harness<Connections<Probe>>,
    client: Client<Probe>,
    log: Log,
    streams: Rc<RefCell<Vec<RequestStream>>>,
}

const ORIGIN: &str = "10.0.0.1:80";

fn origin() -> Address {
    Address::Ip(ORIGIN.parse().expect("an address"))
}

impl World {
    fn new() -> World {
        World::with(&ClientOptions::default())
    }

    fn with(options: &ClientOptions) -> World {
        let mut world = World::without_origin(options);
        world.h.set_remote(&origin(), Remote::Listens);
        world
    }

    /// Connections to the origin are refused.
    fn without_origin(options: &ClientOptions) -> World {
        let mut client = None;
        let files = |files: &mut sluicegate_reactor::testing::Files| {
            files.make_dir("/saved");
        };
        let h = Harness::build(&Listen::default(), files, |reactor| {
            let made = Client::new(reactor, origin(), options).expect("room for a connector");
            client.insert(made).shared().handler()
        });
        let client = client.expect("it was made");
        World { h, client, log: Log::default(), streams: Rc::default() }
    }

    fn send(&mut self, request: Request, way: Way) -> ExchangeId {
        let probe = probe(&self.log, way, &self.streams);
        let id = self.client.send(self.h.reactor(), request, probe);
        self.h.run();
        id
    }

    /// Sends a GET request.
    fn get(&mut self, way: Way) {
        self.send(Request::get("/"), way);
    }

    /// The far end of the next connection.
    fn accept(&mut self) -> FarEnd {
        self.h.accept(&origin())
    }

    /// The file that a body was saved in.
    fn saved(&mut self) -> String {
        let root = self.h.reactor().open_dir("/saved").expect("a directory");
        let mut bytes = [0; 100];
        let file = root.open("body").expect("a file");
        let count = file.read_at(&mut bytes, 0).expect("a file");
        text(&bytes[..count])
    }

    /// Takes what the exchanges have been told.
    fn told(&self) -> Vec<String> {
        self.log.take()
    }
}

/// What an exchange is told about a response, and the state of its connection afterwards. The
/// response is delivered whole, cut in two at every position, and byte by byte.
fn same_at_every_split(way: Way, response: &str, ends: bool) -> (Vec<String>, State) {
    let of = |request: fn() -> Request| {
        let bytes = response.as_bytes();
        let whole = exchange(request(), way, [bytes], ends);
        for at in 1..bytes.len() {
            let (first, second) = bytes.split_at(at);
            let split = exchange(request(), way, [first, second], ends);
            assert_eq!(split, whole, "{response:?} cut before byte {at}, and whole");
        }
        let dribbled = exchange(request(), way, bytes.chunks(1), ends);
        assert_eq!(dribbled, whole, "{response:?} byte by byte, and whole");
        whole
    };
    of(|| Request::get("/"))
}

fn exchange<'a>(
    request: Request,
    way: Way,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    ends: bool,
) -> (Vec<String>, State) {
    let mut world = World::new();
    world.send(request, way);
    let far = world.accept();
    for piece in pieces {
        if world.h.state(far) != State::Open {
            break;
        }
        world.h.feed(far, piece);
    }
    if ends && world.h.state(far) == State::Open {
        world.h.finish(far);
    }
    assert_eq!(world.h.ledger().panics, 0);
    (world.told(), world.h.state(far))
}
