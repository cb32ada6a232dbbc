//! What exchanges do in their callbacks, deadlines of responses, and upgrades.

use std::time::Duration;

use sluicegate_reactor::{Context, Handler, HandlerId, Input, Reactor};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn the_head_of_a_response_has_an_absolute_deadline() {
    let mut world = World::new();
    world.get(WHOLE);
    let far = world.accept();
    for byte in OK.as_bytes()[..30].chunks(1) {
        world.h.advance(Duration::from_millis(1950));
        world.h.feed(far, byte);
    }
    world.h.advance(Duration::from_secs(2));
    assert_eq!(world.told(), ["failed timed out while waiting for the head of the response"]);
    assert_eq!(world.h.state(far), State::Reset);
}

#[test]
fn a_body_may_be_slow_but_not_silent() {
    for way in [WHOLE, Way::Pieces, Way::File, Way::Nothing] {
        let mut world = World::new();
        world.get(way);
        let far = world.accept();
        let (head, body) = OK.split_at(OK.len() - 5);
        world.h.feed(far, head);
        for byte in body.as_bytes()[..4].chunks(1) {
            world.h.advance(Duration::from_secs(if matches!(way, Way::Nothing) { 1 } else { 59 }));
            world.h.feed(far, byte);
        }
        assert_eq!(world.h.state(far), State::Open, "{way:?}");
        world.h.advance(Duration::from_secs(61));
        assert_eq!(world.h.state(far), State::Reset, "{way:?}");
        let last = match way {
            Way::Nothing => "end ",
            _ => "failed timed out while waiting for the body of the response",
        };
        assert_eq!(world.told().last().map(String::as_str), Some(last));
    }
}

/// Pauses after every piece, and sends a further request when it is over.
struct Careful {
    log: Log,
    client: Client<Careful>,
    more: u32,
}

impl Exchange for Careful {
    fn on_response(&mut self, _: &mut Turn, _: &Response<'_>) -> Take {
        Take::Pieces
    }

    fn on_piece(&mut self, cx: &mut Turn, connection: ConnId, piece: &[u8]) {
        self.log.borrow_mut().push(text(piece));
        cx.peer(connection).pause();
    }

    fn on_end(self, cx: &mut Turn, _: Trailers<'_>) {
        self.log.borrow_mut().push("end".to_owned());
        if self.more > 0 {
            let next = Careful { more: self.more - 1, ..self };
            next.client.clone().send(cx, Request::get("/"), next);
        }
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        self.log.borrow_mut().push(error.to_string());
    }
}

/// A harness for the connections of a client with the default options.
fn harness<E: Exchange>() -> (Harness<Connections<E>>, Client<E>) {
    let mut made = None;
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let client = Client::new(reactor, origin(), &ClientOptions::default());
            made.insert(client.expect("room for a connector")).shared().handler()
        },
    );
    h.set_remote(&origin(), Remote::Listens);
    (h, made.expect("it was made"))
}

/// Starts the given number of exchanges, one after the other.
fn careful(more: u32) -> (Harness<Connections<Careful>>, FarEnd, Log) {
    let (mut h, client) = harness();
    let log = Log::default();
    let exchange = Careful { log: log.clone(), client: client.clone(), more };
    client.send(h.reactor(), Request::get("/"), exchange);
    h.run();
    let far = h.accept(&origin());
    (h, far, log)
}

#[test]
fn row_50_an_exchange_that_pauses_receives_no_more() {
    let (mut h, far, log) = careful(0);
    h.feed(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n");
    h.feed(far, "0\r\n\r\n");
    h.advance(Duration::from_secs(1000));
    assert_eq!(log.take(), ["a"], "the time of the pause does not count");
    let connections = h.reactor().connections();
    assert_eq!(connections, 1);
}

#[test]
fn a_callback_can_send_the_next_request_on_the_same_connection() {
    let (mut h, far, log) = careful(2);
    for _ in 0..3 {
        assert_eq!(h.sent(far), "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
        h.feed(far, OK);
        assert_eq!(log.take(), ["hello", "end"], "a pause behind the last piece ends nothing");
    }
    assert_eq!(h.try_accept(&origin()), None);
    assert_eq!(h.state(far), State::Open);
}

#[test]
fn bytes_behind_a_response_are_not_the_response_to_the_next_request() {
    let (mut h, far, log) = careful(1);
    h.feed(far, OK.repeat(2));
    assert_eq!(log.take(), ["hello", "end"]);
    let next = h.accept(&origin());
    h.feed(next, OK);
    assert_eq!(log.take(), ["hello", "end"]);
}

#[test]
fn bytes_behind_a_long_body_are_not_the_response_to_a_request_that_waits() {
    for way in [WHOLE, Way::File] {
        for length in [1_000, 100_000, 900_000] {
            let options = ClientOptions { connections: 1, ..ClientOptions::default() };
            let mut world = World::with(&options);
            world.get(way);
            world.get(WHOLE);
            let far = world.accept();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            world.h.feed(far, head + &"x".repeat(length) + OK);
            assert_eq!(world.told().len(), 2, "{way:?} {length}");
            let next = world.accept();
            world.h.feed(next, OK);
            assert_eq!(world.told(), ["200", "body hello"], "{way:?} {length}");
        }
    }
}

/// Cancels itself, or panics, in the callback with this name.
struct Ends {
    log: Log,
    client: Client<Ends>,
    id: Rc<RefCell<Option<ExchangeId>>>,
    place: &'static str,
    panics: bool,
}

impl Ends {
    fn at(&self, place: &str, cx: &mut Turn) {
        if self.place == place {
            assert!(!self.panics, "as the test wants it");
            let id = self.id.borrow();
            self.client.cancel(cx, id.as_ref().expect("an id"));
        }
    }
}

impl Exchange for Ends {
    fn on_interim(&mut self, cx: &mut Turn, _: &Response<'_>) {
        self.at("interim", cx);
    }

    fn on_response(&mut self, cx: &mut Turn, _: &Response<'_>) -> Take {
        self.at("response", cx);
        Take::Pieces
    }

    fn on_piece(&mut self, cx: &mut Turn, _: ConnId, _: &[u8]) {
        self.at("piece", cx);
    }

    fn on_end(self, _: &mut Turn, _: Trailers<'_>) {
        self.log.borrow_mut().push("end".to_owned());
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        self.log.borrow_mut().push(error.to_string());
    }
}

/// What an exchange that ends in a callback is told about a response, and the state of its
/// connection.
fn ends_in(place: &'static str, panics: bool, response: &str) -> (Vec<String>, State) {
    let (mut h, client) = harness();
    if panics {
        h.expect_panics();
    }
    let (log, id) = (Log::default(), Rc::default());
    let (log_of_it, id_of_it) = (log.clone(), Rc::clone(&id));
    let exchange = Ends { log: log_of_it, client: client.clone(), id: id_of_it, place, panics };
    *id.borrow_mut() = Some(client.send(h.reactor(), Request::get("/"), exchange));
    h.run();
    let far = h.accept(&origin());
    h.feed(far, response);
    (log.take(), h.state(far))
}

#[test]
fn an_exchange_that_ends_in_a_callback_hears_of_it_at_most_once() {
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (place, response) in [("interim", OK), ("response", OK), ("response", empty), ("piece", OK)]
    {
        let response = format!("HTTP/1.1 100 Continue\r\n\r\n{response}");
        let cancelled = ends_in(place, false, &response);
        assert_eq!(cancelled, (Vec::new(), State::Reset), "{place}");
        let panicked = ends_in(place, true, &response);
        let told = "10.0.0.1:80: a callback of the exchange panicked".to_owned();
        assert_eq!(panicked, (vec![told], State::Reset), "{place}");
    }
}

/// Speaks another protocol after an upgrade: sends back what it gets.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

struct Upgrades {
    to: Option<HandlerId<Echo>>,
}

impl Exchange for Upgrades {
    fn on_response(&mut self, _: &mut Turn, _: &Response<'_>) -> Take {
        Take::Nothing
    }

    fn on_upgrade(self, cx: &mut Context<'_>, response: &Response<'_>) {
        assert_eq!(response.header("Upgrade"), Some(&b"echo"[..]));
        if let Some(to) = self.to {
            cx.hand_over(to, ());
        }
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        panic!("{error}");
    }
}

#[test]
fn an_upgraded_connection_goes_to_its_new_handler_with_what_follows() {
    for accepts in [true, false] {
        let mut made = None;
        let register = |reactor: &mut Reactor| {
            let echo = reactor.register(Echo);
            let client = Client::new(reactor, origin(), &ClientOptions::default());
            let (client, _) = made.insert((client.expect("room for a connector"), echo));
            client.shared().handler()
        };
        let mut h = Harness::build(&Listen::default(), |_| {}, register);
        h.set_remote(&origin(), Remote::Listens);
        let (client, echo) = made.expect("it was made");
        let exchange = Upgrades { to: accepts.then_some(echo) };
        client.send(h.reactor(), Request::get("/").upgrade("echo"), exchange);
        h.run();
        let far = h.accept(&origin());
        h.sent(far);
        h.feed(far, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nhello");
        let (state, sent) = if accepts { (State::Open, "hello") } else { (State::Shut, "") };
        assert_eq!(h.state(far), state);
        assert_eq!(h.sent(far), sent);
    }
}
