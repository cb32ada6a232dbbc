//! Bytes for a client of HTTP in place of a response, however the network delivers them: no panic,
//! one result for each exchange, the same one for every split, and the body that a naive reading of
//! the whole input finds.
//!
//! The first byte of an input chooses the pieces, the second the way in which the body is received,
//! the method, and whether the origin ends its side.

#![no_main]

use std::cell::RefCell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::http::client::{
    Client, ClientError, ClientOptions, Exchange, Request, Response, Take,
};
use sluicegate_protocols::http::{Method, Trailers};
use sluicegate_reactor::testing::{Harness, Remote, State};
use sluicegate_reactor::{Address, ConnId, Context, Handler, Input, Payload, Turn};

/// The most bytes of a body that is received whole.
const WHOLE: usize = 300;

/// What an exchange was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    interims: usize,
    status: Option<u16>,
    length: Option<u64>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    /// `None` until it is over.
    is_well: Option<bool>,
}

struct Probe {
    told: Rc<RefCell<Told>>,
    way: u8,
}

impl Probe {
    fn end(self, is_well: bool) {
        let earlier = self.told.borrow_mut().is_well.replace(is_well);
        assert_eq!(earlier, None, "an exchange that ends twice");
    }
}

impl Exchange for Probe {
    fn on_interim(&mut self, _: &mut Turn, _: &Response<'_>) {
        self.told.borrow_mut().interims += 1;
    }

    fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
        let mut told = self.told.borrow_mut();
        let earlier = told.status.replace(response.status().code());
        assert_eq!(earlier, None, "two responses to one request");
        told.length = response.body_length();
        match self.way {
            0 => Take::Nothing,
            1 => Take::Whole(WHOLE),
            _ => Take::Pieces,
        }
    }

    fn on_piece(&mut self, _: &mut Turn, _: ConnId, piece: &[u8]) {
        self.told.borrow_mut().body.extend_from_slice(piece);
    }

    fn on_body(self, _: &mut Turn, body: Payload<'_>) {
        assert!(body.len() <= WHOLE);
        self.told.borrow_mut().body.extend_from_slice(&body);
        self.end(true);
    }

    fn on_end(self, _: &mut Turn, trailers: Trailers<'_>) {
        let trailers = trailers.iter().map(|(name, value)| (name.to_owned(), value.to_vec()));
        self.told.borrow_mut().trailers.extend(trailers);
        self.end(true);
    }

    fn on_failed(self, _: &mut Turn, _: ClientError) {
        self.end(false);
    }
}

/// The harness needs a handler to listen for.
struct Nobody;

impl Handler for Nobody {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
}

const SIZES: [usize; 8] = [1, 2, 3, 5, 8, 16, 64, 256];

fuzz_target!(|input: &[u8]| {
    let [choice, how, bytes @ ..] = input else { return };
    let piece = SIZES[usize::from(choice % 8)];
    let (way, is_head, ends) = (how & 3, how & 4 > 0, how & 8 > 0);
    let whole = exchange(bytes, usize::MAX, (way, is_head, ends));
    let split = exchange(bytes, piece, (way, is_head, ends));
    assert_eq!(split, whole, "in pieces of {piece} bytes, and whole");
    check(bytes, is_head, way, &whole.0);
});

/// What an exchange is told, and the state of its connection.
fn exchange(bytes: &[u8], piece: usize, (way, is_head, ends): (u8, bool, bool)) -> (Told, State) {
    let address = Address::Ip("10.0.0.1:80".parse().expect("an address"));
    // Limits so low that small inputs reach them.
    let options = ClientOptions { head: 256, headers: 6, drain: 64, ..ClientOptions::default() };
    let mut h = Harness::new(Nobody);
    h.set_remote(&address, Remote::Listens);
    let client = Client::new(h.reactor(), &address, &options).expect("room for a connector");
    let told = Rc::new(RefCell::new(Told::default()));
    let method = if is_head { Method::Head } else { Method::Get };
    client.send(h.reactor(), Request::new(method, "/"), Probe { told: told.clone(), way });
    h.run();
    let far = h.accept(&address);
    for piece in bytes.chunks(piece) {
        if h.state(far) != State::Open {
            break;
        }
        h.feed(far, piece);
    }
    if ends && h.state(far) == State::Open {
        h.finish(far);
    }
    assert_eq!(h.ledger().panics, 0);
    let state = h.state(far);
    let told = told.borrow().clone();
    assert!(told.is_well.is_some() || state == State::Open, "an exchange without an end");
    (told, state)
}

/// A body of known length is what follows the head, in the order in which it arrived.
fn check(bytes: &[u8], is_head: bool, way: u8, told: &Told) {
    assert!(told.is_well != Some(true) || told.status.is_some_and(|code| code >= 200));
    assert!(!is_head || told.body.is_empty(), "a response to HEAD has no body");
    let Some(length) = told.length.and_then(|length| usize::try_from(length).ok()) else { return };
    assert!(told.body.len() <= length && told.trailers.is_empty());
    if told.is_well == Some(true) && way > 0 {
        assert_eq!(told.body.len(), length);
    }
    let ends = bytes.windows(4).enumerate().filter(|(_, four)| four == b"\r\n\r\n");
    let mut ends = ends.map(|(at, _)| at + 4).skip(told.interims);
    let body = ends.next().map_or(&[][..], |end| &bytes[end..]);
    assert!(body.starts_with(&told.body), "the body is what follows the head");
}
