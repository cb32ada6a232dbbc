//! Connections that are used again, and requests that wait for one.

use std::time::Duration;

use super::*;
use crate::http::Method;

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
pub(super) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n";
const CLOSED: &str = "failed the connection was closed before a response";

/// A client with one idle connection.
pub(super) fn with_idle(options: &ClientOptions) -> (World, FarEnd) {
    let mut world = World::with(options);
    let far = answered(&mut world);
    (world, far)
}

/// Sends a request on a new connection, and answers it.
fn answered(world: &mut World) -> FarEnd {
    world.get(WHOLE);
    let far = world.accept();
    world.h.sent(far);
    world.h.feed(far, OK);
    assert_eq!(world.told(), ["200", "body "]);
    far
}

pub(super) fn few(connections: usize, waiting: usize) -> ClientOptions {
    ClientOptions { connections, waiting, ..ClientOptions::default() }
}

#[test]
fn row_48_a_connection_serves_one_exchange_after_the_other() {
    let mut world = World::new();
    world.get(WHOLE);
    let far = world.accept();
    for _ in 0..3 {
        assert_eq!(world.h.sent(far), REQUEST);
        world.h.feed(far, OK);
        assert_eq!(world.told(), ["200", "body "]);
        world.get(WHOLE);
    }
    assert_eq!(world.h.try_accept(&origin()), None);
}

#[test]
fn the_idle_connection_that_was_used_last_is_used_first() {
    let mut world = World::new();
    world.get(WHOLE);
    world.get(WHOLE);
    let (one, two) = (world.accept(), world.accept());
    world.h.feed(two, OK);
    world.h.feed(one, OK);
    world.h.sent(one);
    world.h.sent(two);
    world.get(WHOLE);
    assert_eq!((&*world.h.sent(one), &*world.h.sent(two)), (REQUEST.as_bytes(), &b""[..]));
    world.get(WHOLE);
    assert_eq!(world.h.sent(two), REQUEST);
}

#[test]
fn requests_beyond_the_cap_wait_in_order_and_beyond_the_queue_fail() {
    let mut world = World::with(&few(1, 2));
    world.send(Request::get("/1"), WHOLE);
    let far = world.accept();
    for target in ["/2", "/3"] {
        world.send(Request::get(target), WHOLE);
    }
    world.send(Request::get("/4"), WHOLE);
    world.h.advance(Duration::from_millis(40));
    assert_eq!(world.told(), ["failed too many requests are waiting for a connection"]);
    for target in ["/1", "/2", "/3"] {
        assert!(world.h.sent(far).starts_with(format!("GET {target} ").as_bytes()));
        world.h.feed(far, OK);
        assert_eq!(world.told(), ["200", "body "]);
    }
    assert_eq!(world.h.try_accept(&origin()), None);
}

#[test]
fn a_request_that_waits_gets_the_place_of_a_connection_that_closes() {
    for response in ["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n"] {
        let mut world = World::with(&few(1, 1));
        world.get(WHOLE);
        world.get(WHOLE);
        let far = world.accept();
        world.h.feed(far, response);
        if world.h.state(far) == State::Open {
            world.h.finish(far);
        }
        let next = world.accept();
        assert_eq!(world.h.sent(next), REQUEST, "{response:?}");
    }
}

#[test]
fn a_request_waits_for_a_connection_only_until_its_deadline() {
    let options = ClientOptions { waiting_timeout: Duration::from_secs(3), ..few(1, 5) };
    let mut world = World::with(&options);
    world.get(WHOLE);
    world.get(WHOLE);
    world.h.advance(Duration::from_secs(2));
    world.get(WHOLE);
    world.h.advance(Duration::from_millis(1100));
    assert_eq!(world.told(), ["failed timed out while waiting for a connection"]);
    world.h.advance(Duration::from_millis(1800));
    assert_eq!(world.told(), [""; 0], "the second one still waits");
    world.h.advance(Duration::from_millis(300));
    assert_eq!(world.told(), ["failed timed out while waiting for a connection"]);
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let (mut world, far) = with_idle(&ClientOptions::default());
    world.h.advance(Duration::from_millis(3900));
    assert_eq!(world.h.state(far), State::Open);
    world.h.advance(Duration::from_millis(200));
    assert_eq!(world.h.state(far), State::Shut);
    world.get(WHOLE);
    world.accept();
}

#[test]
fn row_48_bytes_without_a_request_end_a_connection() {
    let (mut world, far) = with_idle(&ClientOptions::default());
    world.h.feed(far, OK);
    assert_eq!(world.h.state(far), State::Shut);
    world.get(WHOLE);
    assert_eq!(world.told(), [""; 0], "they are no response to a later request");
    world.accept();
}

#[test]
fn an_idle_connection_that_the_origin_closes_is_not_used() {
    let (mut world, far) = with_idle(&ClientOptions::default());
    world.h.finish(far);
    assert_eq!(world.h.state(far), State::Closed);
    world.get(WHOLE);
    world.accept();
    assert_eq!(world.told(), [""; 0]);
}

/// Sends a request on an idle connection, which the origin ends instead of answering.
fn meets_a_close(request: Request, resets: bool) -> World {
    let (mut world, far) = with_idle(&ClientOptions::default());
    world.h.at_once(|h| {
        if resets {
            h.reset(far);
        } else {
            h.finish(far);
        }
        let probe = probe(&world.log, WHOLE, &world.streams);
        world.client.send(h.reactor(), request, probe);
    });
    world
}

#[test]
fn row_48_a_request_that_meets_a_close_is_sent_again_once() {
    for resets in [false, true] {
        for (method, body) in [
            (Method::Get, None),
            (Method::Head, None),
            (Method::Options, None),
            (Method::Delete, None),
            (Method::Put, Some("body")),
        ] {
            let request = Request::new(method, "/");
            let request = match body {
                Some(body) => request.body(body),
                None => request,
            };
            let mut world = meets_a_close(request, resets);
            let far = world.accept();
            let sent = world.h.sent(far);
            assert!(sent.starts_with(method.as_str().as_bytes()), "{method:?}");
            assert!(sent.ends_with(body.unwrap_or("\r\n\r\n").as_bytes()), "{method:?}");
            assert_eq!(world.told(), [""; 0]);
            world.h.finish(far);
            assert_eq!(world.told(), [CLOSED], "not on a new connection");
            assert_eq!(world.h.try_accept(&origin()), None);
        }
    }
}

#[test]
fn row_48_what_may_have_had_an_effect_is_not_sent_again() {
    for resets in [false, true] {
        for request in [
            Request::new(Method::Post, "/"),
            Request::new(Method::Patch, "/").body("body"),
            Request::new(Method::Other("get"), "/"),
            Request::new(Method::Put, "/").stream(Some(4)),
            Request::new(Method::Put, "/").stream(None),
        ] {
            let mut world = meets_a_close(request, resets);
            assert_eq!(world.told().last().map(String::as_str), Some(CLOSED));
            assert_eq!(world.h.try_accept(&origin()), None);
        }
    }
}

#[test]
fn row_48_a_request_is_not_sent_again_once_a_byte_of_the_response_has_come() {
    let (mut world, far) = with_idle(&ClientOptions::default());
    world.get(WHOLE);
    world.h.feed(far, "H");
    world.h.reset(far);
    assert_eq!(world.told(), ["failed the response was cut off"]);
    assert_eq!(world.h.try_accept(&origin()), None);
}

const TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_that_meets_a_408_of_an_idle_connection_is_sent_again_once() {
    let with_body = "HTTP/1.1 408 \r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate";
    for timeout in [TIMEOUT, with_body, "HTTP/1.0 408 Request Time-out\r\n\r\n"] {
        let (mut world, far) = with_idle(&ClientOptions::default());
        world.h.at_once(|h| {
            h.feed(far, timeout);
            h.finish(far);
            let probe = probe(&world.log, WHOLE, &world.streams);
            world.client.send(h.reactor(), Request::get("/"), probe);
        });
        let far = world.accept();
        assert_eq!(world.h.sent(far), REQUEST);
        assert_eq!(world.told(), [""; 0]);
        world.h.feed(far, timeout);
        world.h.finish(far);
        assert_eq!(world.told()[0], "408", "it is the response on a new connection");
        assert_eq!(world.h.try_accept(&origin()), None);
    }
}

#[test]
fn a_408_is_the_response_if_it_can_be_to_no_other_request() {
    let answers = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let begun = "HTTP/1.1 102 Processing\r\n\r\n".to_owned() + TIMEOUT;
    for (request, response) in [
        (Request::new(Method::Post, "/"), TIMEOUT),
        (Request::get("/"), answers),
        (Request::get("/"), &begun),
    ] {
        let (mut world, far) = with_idle(&ClientOptions::default());
        world.send(request, WHOLE);
        world.h.feed(far, response);
        assert!(world.told().contains(&"408".to_owned()), "{response:?}");
        assert_eq!(world.h.try_accept(&origin()), None);
    }
}

#[test]
fn a_late_response_is_not_asked_for_again() {
    let (mut world, _) = with_idle(&ClientOptions::default());
    world.get(WHOLE);
    world.h.advance(Duration::from_secs(59));
    assert_eq!(world.told(), [""; 0]);
    world.h.advance(Duration::from_secs(2));
    assert_eq!(world.told(), ["failed timed out while waiting for the head of the response"]);
    assert_eq!(world.h.try_accept(&origin()), None);
}

#[test]
fn a_failure_to_connect_names_the_origin_and_the_reason() {
    let mut world = World::without_origin(&ClientOptions::default());
    world.get(WHOLE);
    assert_eq!(world.told(), ["failed cannot connect: connection refused"]);
    world.h.set_remote(&origin(), Remote::Silent);
    world.get(WHOLE);
    world.h.advance(Duration::from_secs(11));
    assert_eq!(world.told(), ["failed cannot connect: timed out"]);
}

#[test]
fn a_cancelled_exchange_hears_nothing_and_its_connection_is_reset() {
    let mut world = World::with(&few(1, 5));
    let running = world.send(Request::get("/1"), WHOLE);
    let waiting = world.send(Request::get("/2"), WHOLE);
    world.send(Request::get("/3"), WHOLE);
    let far = world.accept();
    for id in [&waiting, &running] {
        world.client.cancel(world.h.reactor(), id);
        world.h.run();
    }
    assert_eq!(world.h.state(far), State::Reset);
    let next = world.accept();
    assert!(world.h.sent(next).starts_with(b"GET /3 "), "the next one takes the place");
    world.h.feed(next, OK);
    assert_eq!(world.told(), ["200", "body "]);
    world.client.cancel(world.h.reactor(), &running);
    world.h.run();
    assert_eq!(world.h.state(next), State::Open, "an exchange that is over is not affected");
}

#[test]
fn an_exchange_that_is_over_cannot_be_cancelled() {
    let mut world = World::new();
    let over = world.send(Request::get("/1"), WHOLE);
    let far = world.accept();
    world.h.feed(far, OK);
    world.send(Request::get("/2"), WHOLE);
    world.client.cancel(world.h.reactor(), &over);
    world.h.run();
    world.h.feed(far, OK);
    assert_eq!(world.told(), ["200", "body ", "200", "body "]);
}

#[test]
fn a_connection_that_is_closing_is_not_used() {
    let mut world = World::new();
    world.send(Request::get("/").stream(Some(0)), WHOLE);
    let far = world.accept();
    let stream = world.streams.borrow_mut().pop().expect("a stream");
    let connection = stream.connection();
    stream.finish(world.h.reactor());
    world.h.feed(far, OK);
    assert_eq!(world.told(), ["stream", "200", "body "]);
    world.h.at_once(|h| {
        h.reactor().peer(connection).close();
        let probe = probe(&world.log, WHOLE, &world.streams);
        world.client.send(h.reactor(), Request::get("/"), probe);
    });
    assert_eq!(world.told(), [""; 0]);
    world.accept();
}

#[test]
fn when_the_reactor_stops_idle_connections_close_and_exchanges_end() {
    let (mut world, idle) = with_idle(&few(2, 5));
    world.get(WHOLE);
    world.get(WHOLE);
    world.h.feed(idle, OK);
    world.told();
    let busy = world.accept();
    world.h.stop();
    assert_eq!(world.h.state(idle), State::Shut);
    assert_eq!(world.h.state(busy), State::Open);
    world.h.feed(busy, OK);
    assert_eq!(world.told(), ["200", "body "]);
    assert_eq!(world.h.state(busy), State::Shut);
}

#[test]
fn a_connection_is_used_again_after_a_long_body() {
    let mut world = World::with(&few(1, 5));
    world.get(WHOLE);
    world.get(WHOLE);
    let far = world.accept();
    world.h.sent(far);
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
    world.h.feed(far, vec![b'x'; 900_000]);
    assert_eq!(world.h.sent(far), "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
    world.h.feed(far, OK);
    assert_eq!(world.told()[2..], ["200", "body "]);
}

#[test]
fn when_the_reactor_stops_a_connection_closes_after_a_long_body() {
    let mut world = World::new();
    world.get(WHOLE);
    let far = world.accept();
    world.h.stop();
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    world.h.feed(far, vec![b'x'; 100_000]);
    assert_eq!(world.told().len(), 2);
    assert_eq!(world.h.state(far), State::Shut);
}

#[test]
fn when_the_grace_period_ends_every_exchange_fails() {
    let mut world = World::with(&few(1, 5));
    world.get(WHOLE);
    world.get(WHOLE);
    world.accept();
    world.h.reactor().set_drain(Duration::from_secs(1));
    world.h.stop();
    assert_eq!(world.told(), [""; 0]);
    world.h.advance(Duration::from_secs(2));
    assert_eq!(world.told(), ["failed the reactor stopped"; 2]);
}

#[test]
fn a_request_may_wait_for_ever() {
    let mut world = World::with(&ClientOptions { waiting_timeout: Duration::MAX, ..few(1, 5) });
    world.get(WHOLE);
    world.get(WHOLE);
    world.h.advance(Duration::from_secs(30));
    assert_eq!(world.told(), [""; 0]);
    let far = world.accept();
    world.h.feed(far, OK);
    assert_eq!(world.told(), ["200", "body "]);
    world.h.feed(far, OK);
    assert_eq!(world.told(), ["200", "body "]);
}

#[test]
fn a_connection_that_was_lost_while_it_sent_serves_no_other_request() {
    let (mut world, far) = with_idle(&few(1, 10));
    let post = |path: &str, length| Request::new(Method::Post, path).body(vec![b'x'; length]);
    world.h.set_room(far, 1000);
    world.send(post("/", 100_000), WHOLE);
    // It waits for the connection, and cannot be sent twice.
    world.send(post("/next", 10), WHOLE);
    world.h.at_once(|h| {
        h.feed(far, OK);
        h.reset(far);
    });
    world.h.run();
    let far = world.accept();
    assert!(text(&world.h.sent(far)).starts_with("POST /next "));
    assert_eq!(world.told(), ["200", "body "]);
}
