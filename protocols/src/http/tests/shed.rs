//! At a full listener that sheds, idle connections make room and requests in progress do not.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Listen, WhenFull};

use super::{Answered, Http, Reply, Request, Service, answers};
use crate::http::Deferred;

/// Never answers `/later`, and reads bodies.
struct Busy(Option<Deferred>);

impl Service for Busy {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match request.path() {
            "/later" => reply.defer(|deferred, _| self.0 = Some(deferred)),
            "/body" => reply.read(1000, ()),
            _ => reply.send("now"),
        }
    }
}

/// A client sends this and is then silent. The state of its connection when another one connects.
fn when_another_connects(input: &str) -> State {
    let when_full = WhenFull::Shed;
    let listen = Listen { max_connections: 1, when_full, ..Listen::default() };
    let mut h = Harness::with(Http::new(Busy(None)), &listen);
    let first = h.open();
    h.feed(first, input);
    let _ = h.sent(first);
    h.advance(Duration::from_secs(3));
    let next = h.open();
    let state = h.state(first);
    h.reset(first);
    h.feed(next, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(answers(&h.sent(next)), ["200 now"]);
    state
}

#[test]
fn an_idle_connection_makes_room() {
    assert_eq!(when_another_connects(""), State::Closed);
    assert_eq!(when_another_connects("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), State::Closed);
}

#[test]
fn a_request_in_progress_keeps_its_connection_at_every_split() {
    for input in [
        "GET /later HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nbody",
    ] {
        for end in 1..=input.len() {
            assert_eq!(when_another_connects(&input[..end]), State::Open, "{:?}", &input[..end]);
        }
    }
}
