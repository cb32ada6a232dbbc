//! Several origins.

use std::time::Duration;

use sluicegate_reactor::testing::{Client as FarEnd, Harness, Records, Remote, State};
use sluicegate_reactor::{Address, Listen, Target};

use super::checks::every_second;
use super::get;
use crate::forward::{Forward, ForwardOptions};
use crate::http::Http;
use crate::upstreams::UpstreamsOptions;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

pub(super) fn origin(number: u8) -> Address {
    Address::Ip(([10, 0, 0, number], 80).into())
}

/// A proxy with this many origins, of which those with the given numbers can be reached.
pub(super) struct World {
    pub(super) h: Harness<Http<Forward>>,
    count: u8,
}

impl World {
    fn new(count: u8, reachable: &[u8], upstreams: UpstreamsOptions) -> World {
        World::with(count, reachable, &ForwardOptions { upstreams, ..ForwardOptions::default() })
    }

    pub(super) fn with(count: u8, reachable: &[u8], options: &ForwardOptions) -> World {
        let mut h = Harness::build(
            &Listen::default(),
            |_| {},
            |reactor| {
                let origins = (1..=count).map(|number| Target::from(origin(number)));
                let forward = Forward::balanced(reactor, origins, options).expect("room");
                reactor.register(Http::new(forward))
            },
        );
        reachable.iter().for_each(|number| h.set_remote(&origin(*number), Remote::Listens));
        World { h, count }
    }

    fn ask(&mut self, request: impl AsRef<[u8]>) -> FarEnd {
        let client = self.h.open();
        self.h.feed(client, request);
        client
    }

    /// The number of the origin that has got the next request, and its end of the connection.
    fn accept(&mut self) -> (u8, FarEnd) {
        let origins = 1..=self.count;
        let mut accepted =
            origins.filter_map(|number| Some((number, self.h.try_accept(&origin(number))?)));
        accepted.next().expect("a connection to an origin")
    }

    /// The status of the response.
    fn status(&mut self, client: FarEnd) -> String {
        let response = String::from_utf8_lossy(&self.h.take(client)).into_owned();
        response.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Lets a client send a request, and an origin answer. Returns the number of the origin.
    pub(super) fn exchange(&mut self) -> u8 {
        let client = self.ask(get("Connection: close\r\n"));
        let (number, far) = self.accept();
        self.h.feed(far, HELLO);
        self.h.finish(far);
        assert_eq!(self.status(client), "200");
        number
    }
}

#[test]
fn each_origin_gets_a_request_in_turn() {
    let mut world = World::new(3, &[1, 2, 3], UpstreamsOptions::default());
    let numbers: Vec<_> = (0..6).map(|_| world.exchange()).collect();
    assert_eq!(numbers, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn a_request_that_cannot_be_sent_goes_to_the_next_origin() {
    let bodies = ["", "Content-Length: 4\r\n\r\nbody"];
    for (method, body) in ["GET", "POST"].into_iter().zip(bodies) {
        let mut world = World::new(3, &[3], UpstreamsOptions::default());
        let client = world.ask(format!("{method} / HTTP/1.1\r\nHost: h\r\n{body}\r\n\r\n"));
        let (number, far) = world.accept();
        let request = String::from_utf8_lossy(&world.h.take(far)).into_owned();
        assert!(request.starts_with(method), "{request}");
        assert_eq!(request.ends_with("\r\n\r\nbody"), method == "POST", "{request}");
        world.h.feed(far, HELLO);
        assert_eq!((number, world.status(client)), (3, "200".to_owned()), "{method}");
    }
}

#[test]
fn a_request_goes_to_the_next_origin_if_the_first_closes_in_the_handshake() {
    for method in ["GET", "POST"] {
        let mut options = ForwardOptions::default();
        options.client.connect.transport = Some(Records::factory());
        let mut world = World::with(2, &[1, 2], &options);
        let client = world.ask(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        let (first, far) = world.accept();
        world.h.finish(far);
        let (second, _) = world.accept();
        assert_eq!((first, second, &*world.status(client)), (1, 2, ""), "{method}");
    }
}

#[test]
fn a_shortage_that_concerns_one_origin_leaves_clients_the_others() {
    const EMFILE: i32 = 24;
    let mut world = World::new(2, &[2], UpstreamsOptions::default());
    // As for a name when too many others are being looked up.
    world.h.set_remote(&origin(1), Remote::Fails(EMFILE));
    (0..6).for_each(|_| assert_eq!(world.exchange(), 2));
}

#[test]
fn a_client_that_leaves_cancels_the_request_at_the_next_origin() {
    let mut world = World::new(2, &[2], UpstreamsOptions::default());
    let client = world.ask(get(""));
    let (_, far) = world.accept();
    world.h.reset(client);
    assert_eq!(world.h.state(far), State::Reset);
}

#[test]
fn if_no_origin_can_be_reached_each_is_tried_once() {
    let mut world = World::new(3, &[], UpstreamsOptions::default());
    let client = world.ask(get(""));
    assert_eq!(world.status(client), "502");
    assert_eq!(world.h.ledger().connects, 3);
}

#[test]
fn a_request_that_was_sent_is_not_sent_to_another_origin() {
    let mut world = World::new(2, &[1, 2], UpstreamsOptions::default());
    let client = world.ask(get(""));
    let (_, far) = world.accept();
    world.h.finish(far);
    assert_eq!(world.status(client), "502");
    assert_eq!(world.h.ledger().connects, 1);
}

#[test]
fn an_origin_that_fails_again_and_again_is_avoided_for_a_time() {
    let mut world = World::new(2, &[2], UpstreamsOptions::default());
    (0..10).for_each(|_| assert_eq!(world.exchange(), 2));
    assert_eq!(world.h.ledger().connects, 10 + 3, "three attempts at the first origin");
    world.h.set_remote(&origin(1), Remote::Listens);
    assert_eq!(world.exchange(), 2, "the time is not over");
    world.h.advance(11 * SECOND);
    let numbers = [world.exchange(), world.exchange()];
    assert!(numbers.contains(&1), "{numbers:?}");
}

#[test]
fn an_origin_that_closes_without_a_response_is_avoided_too() {
    let once = UpstreamsOptions { max_failures: Some(1), ..UpstreamsOptions::default() };
    let mut world = World::new(2, &[1, 2], once);
    world.ask(get(""));
    let (number, far) = world.accept();
    world.h.finish(far);
    let others: Vec<_> = (0..3).map(|_| world.exchange()).collect();
    assert!(!others.contains(&number), "{others:?}");
}

#[test]
fn an_origin_has_no_more_requests_than_it_may_have() {
    let one = UpstreamsOptions { max_connections: Some(1), ..UpstreamsOptions::default() };
    let mut world = World::new(2, &[1, 2], one);
    let clients = [(); 2].map(|()| world.ask(get("")));
    let refused = world.ask(get(""));
    assert_eq!(world.status(refused), "503");
    // One of them leaves, and the other one is answered: both origins have room again.
    let (_, first) = world.accept();
    world.h.feed(first, HELLO);
    let answered = clients.map(|client| world.status(client));
    let left = clients[usize::from(answered[0] == "200")];
    world.h.reset(left);
    let more = [(); 3].map(|()| world.ask(get("")));
    let statuses = more.map(|client| world.status(client));
    assert_eq!(statuses, ["", "", "503"]);
}

#[test]
fn a_service_has_one_to_a_hundred_origins() {
    for (count, works) in [(0, false), (1, true), (100, true), (101, false)] {
        let mut reactor = sluicegate_reactor::Reactor::new().expect("a reactor");
        let origins = (0..count).map(|number| Target::from(origin(number)));
        let options = ForwardOptions { health_check: Some(every_second()), ..Default::default() };
        let made = Forward::balanced(&mut reactor, origins, &options);
        assert_eq!(made.is_ok(), works, "{made:?}");
    }
}
