//! Bytes for a proxy from its client and from its origin, however the network delivers them: no
//! panic, and the origin gets only requests that a strict server accepts.
//!
//! The first two bytes of an input choose the pieces of the two sides, the third where the bytes of
//! the origin begin, and whether a side ends.

#![no_main]

use std::cell::RefCell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::forward::{Forward, ForwardOptions};
use sluicegate_protocols::http::client::ClientOptions;
use sluicegate_protocols::http::{Answered, Http, HttpLimits, Reply, Request, Service, Status};
use sluicegate_reactor::testing::{Client, Harness, Remote, State};
use sluicegate_reactor::{Address, Listen, Payload};

const SIZES: [usize; 8] = [1, 2, 3, 5, 8, 64, 256, usize::MAX];

fuzz_target!(|input: &[u8]| {
    let [client_piece, origin_piece, how, bytes @ ..] = input else { return };
    let (says, hears) = bytes.split_at(bytes.len() * usize::from(how & 15) / 16);
    let size = |choice: &u8| SIZES[usize::from(choice % 8)];
    let forwarded = pass((says, size(client_piece)), (hears, size(origin_piece)), how >> 4);
    for (request, is_cut) in forwarded {
        check(&request, is_cut);
    }
});

/// Passes bytes in both directions. Returns what has arrived at the origin on each connection, and
/// whether it was reset.
fn pass(
    (says, client_piece): (&[u8], usize),
    (hears, origin_piece): (&[u8], usize),
    ends: u8,
) -> Vec<(Vec<u8>, bool)> {
    let address = Address::Ip("10.0.0.1:80".parse().expect("an address"));
    // Limits so low that small inputs reach them.
    let client = ClientOptions { head: 256, headers: 6, drain: 64, ..ClientOptions::default() };
    let options = ForwardOptions { client, whole_body: 10, ..ForwardOptions::default() };
    let limits = HttpLimits { head: 256, headers: 6, drain: 64, ..HttpLimits::default() };
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let forward = Forward::new(reactor, &address, &options).expect("room for a connector");
            reactor.register(Http::with(forward, limits))
        },
    );
    h.set_remote(&address, Remote::Listens);
    let client = h.open();
    let mut origins: Vec<Client> = Vec::new();
    let mut hears = hears.chunks(origin_piece);
    let mut hear = |h: &mut Harness<_>, origins: &mut Vec<Client>| {
        origins.extend(h.try_accept(&address));
        if let Some(origin) = origins.last().filter(|origin| h.state(**origin) == State::Open)
            && let Some(piece) = hears.next()
        {
            h.feed(*origin, piece);
            return true;
        }
        false
    };
    for piece in says.chunks(client_piece) {
        if h.state(client) != State::Open {
            break;
        }
        h.feed(client, piece);
        hear(&mut h, &mut origins);
    }
    while hear(&mut h, &mut origins) {}
    for end in [origins.last().copied().filter(|_| ends & 1 > 0), (ends & 2 > 0).then_some(client)]
    {
        if let Some(end) = end.filter(|end| h.state(*end) == State::Open) {
            h.finish(end);
        }
    }
    assert_eq!(h.ledger().panics, 0);
    let mut forwarded = Vec::new();
    for origin in origins {
        let is_cut = h.state(origin) != State::Open;
        forwarded.push((h.take(origin).into(), is_cut));
    }
    forwarded
}

/// Counts the requests that a server with the usual limits refuses.
struct Origin {
    refused: Rc<RefCell<Vec<Status>>>,
}

impl Service for Origin {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        assert!(request.header("Via").is_some(), "a request that was not written by the proxy");
        assert!(request.header("X-Forwarded-For").is_some());
        reply.read_pieces(())
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        (): (),
        _: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.send("")
    }

    fn on_refused(&mut self, status: Status, reply: Reply<'_, '_>) -> Answered {
        self.refused.borrow_mut().push(status);
        reply.error(status)
    }
}

/// A server accepts every request that has arrived.
fn check(requests: &[u8], is_cut: bool) {
    // What follows an upgrade is not HTTP.
    if requests.windows(19).any(|bytes| bytes == b"Connection: Upgrade") {
        return;
    }
    let refused = Rc::new(RefCell::new(Vec::new()));
    let mut h = Harness::new(Http::new(Origin { refused: refused.clone() }));
    let server = h.open();
    h.feed(server, requests);
    assert_eq!(*refused.borrow(), [], "{}", requests.escape_ascii());
    assert!(is_cut || h.ledger().panics == 0);
}
