//! Forwarding, with clients and origins whose every byte is scripted.

mod balanced;
mod bodies;
mod changes;
mod checks;
mod failures;
mod relayed;
mod requests;
mod responses;
mod upgrades;

use sluicegate_reactor::testing::{Client as FarEnd, Harness, Remote, State};
use sluicegate_reactor::{Address, Listen};

use super::{Forward, ForwardOptions};
use crate::http::{Http, HttpLimits, HttpMetrics};

const ORIGIN: &str = "10.0.0.1:80";

fn origin() -> Address {
    Address::Ip(ORIGIN.parse().expect("an address"))
}

/// A proxy, with its origin under the control of the test.
struct World {
    h: Harness<Http<Forward>>,
    metrics: HttpMetrics,
}

impl World {
    fn new() -> World {
        World::with(ForwardOptions::default())
    }

    fn with(options: ForwardOptions) -> World {
        let mut world = World::without_origin(options, HttpLimits::default());
        world.h.set_remote(&origin(), Remote::Listens);
        world
    }

    /// Connections to the origin are refused.
    fn without_origin(options: ForwardOptions, limits: HttpLimits) -> World {
        let metrics = HttpMetrics::default();
        let h = Harness::build(
            &Listen::default(),
            |_| {},
            |reactor| {
                let forward =
                    Forward::new(reactor, origin(), &options).expect("room for a connector");
                let http = Http::with(forward, limits).with_metrics(Some(metrics.clone()));
                reactor.register(http)
            },
        );
        World { h, metrics }
    }

    /// The origin's end of the next connection to it.
    fn accept(&mut self) -> FarEnd {
        self.h.accept(&origin())
    }

    /// Opens a client and lets it send a request. Returns it and the origin's end of the connection
    /// that the request was sent on.
    fn ask(&mut self, request: impl AsRef<[u8]>) -> (FarEnd, FarEnd) {
        let client = self.h.open();
        self.h.feed(client, request);
        let far = self.accept();
        (client, far)
    }

    /// Takes what has arrived at one end, as text.
    fn take(&mut self, end: FarEnd) -> String {
        String::from_utf8_lossy(&self.h.take(end)).replace("\r\n", "\n")
    }

    /// The same without the fields that every response has.
    fn response(&mut self, client: FarEnd) -> String {
        let text = self.take(client);
        let is_kept = |line: &&str| !line.starts_with("Date: Sun, 06 Nov 1994");
        let text: String = text.split_inclusive('\n').filter(is_kept).collect();
        text.replace("Via: 1.1 sluicegate\n", "")
    }
}

/// A GET request with these fields.
fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// What an exchange comes to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// What the origin has got.
    request: String,
    /// What the client has got.
    response: String,
    /// Whether the connections of the client and to the origin are open.
    is_open: (bool, bool),
}

/// Passes a request and a response on. Both are delivered whole, cut in two at every position, and
/// byte by byte, and the outcome is always the same, but for the sizes of chunks.
fn same_at_every_split(request: &str, response: &str) -> Outcome {
    let (request_bytes, response_bytes) = (request.as_bytes(), response.as_bytes());
    let whole = pass([request_bytes], [response_bytes]);
    for at in 1..request.len() {
        let (first, second) = request_bytes.split_at(at);
        let split = pass([first, second], [response_bytes]);
        assert_eq!(split, whole, "{request:?} cut before byte {at}, and whole");
    }
    for at in 1..response.len() {
        let (first, second) = response_bytes.split_at(at);
        let split = pass([request_bytes], [first, second]);
        assert_eq!(split, whole, "{response:?} cut before byte {at}, and whole");
    }
    let dribbled = pass(request_bytes.chunks(1), response_bytes.chunks(1));
    assert_eq!(dribbled, whole, "{request:?} and {response:?} byte by byte, and whole");
    whole
}

/// Joins the chunks of a message: `[body]`, and the trailer section.
fn unchunked(text: &str) -> String {
    let Some(at) = text.find("Transfer-Encoding: chunked\n") else { return text.to_owned() };
    let at = at + text[at..].find("\n\n").expect("the end of the head");
    let (head, mut chunks) = (&text[..at], &text[at + 2..]);
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once('\n') {
        let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
        if size == 0 {
            return format!("{head}\n\n[{body}]{rest}");
        }
        let (chunk, rest) = rest.split_at(size);
        body += chunk;
        chunks = rest.strip_prefix('\n').expect("the end of a chunk");
    }
    format!("{head}\n\n[{body}]...")
}

fn pass<'a>(
    request: impl IntoIterator<Item = &'a [u8]>,
    response: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut world = World::new();
    let client = world.h.open();
    for piece in request {
        if world.h.state(client) == State::Open {
            world.h.feed(client, piece);
        }
    }
    let far = world.h.try_accept(&origin());
    for piece in response {
        if let Some(far) = far.filter(|far| world.h.state(*far) == State::Open) {
            world.h.feed(far, piece);
        }
    }
    assert_eq!(world.h.ledger().panics, 0);
    let is_open = |end| world.h.state(end) == State::Open;
    let is_open = (is_open(client), far.is_some_and(is_open));
    let request = far.map_or(String::new(), |far| unchunked(&world.take(far)));
    Outcome { request, response: unchunked(&world.response(client)), is_open }
}
