//! Counting responses, and how long requests take.

use std::time::Duration;

use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{ConnId, Payload, Turn};

use super::super::HttpMetrics;
use super::{Answered, Http, Reply, Request, Service};
use crate::http::{Deferred, Postponed, ResponseStream, Status};

/// Answers with the status that the path states, begins a stream for `/stream` and `/switch`,
/// postpones what is below `/gate` until that is open, and defers the rest until it is told to
/// answer.
#[derive(Default)]
struct Statuses {
    waiting: Vec<Deferred>,
    streams: Vec<ResponseStream>,
    postponed: Vec<Postponed>,
    is_open: bool,
}

impl Service for Statuses {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match (request.path()[1..].parse().ok().and_then(Status::new), request.path()) {
            (Some(status), _) => reply.status(status).send("done"),
            (_, "/stream") => reply.stream(|stream, _| self.streams.push(stream)),
            (_, "/switch") => reply.defer(|deferred, cx| {
                self.streams.extend(deferred.switch(cx, b"Upgrade: other\r\n"));
            }),
            (_, path) if path.starts_with("/gate") && !self.is_open => {
                reply.postpone(|postponed, _| self.postponed.push(postponed))
            }
            (_, "/gate") => reply.send("done"),
            (_, "/gate/read") => reply.read(10, ()),
            _ => reply.defer(|deferred, _| self.waiting.push(deferred)),
        }
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        (): (),
        _: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.send("done")
    }

    fn on_gone(&mut self, _: &mut Turn, connection: ConnId) {
        self.waiting.retain(|deferred| deferred.connection() != connection);
    }
}

fn statuses() -> (Harness<Http<Statuses>>, HttpMetrics) {
    let metrics = HttpMetrics::default();
    (Harness::new(Http::new(Statuses::default()).with_metrics(metrics.clone())), metrics)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn responses_are_counted_by_the_class_of_their_status() {
    let (mut h, metrics) = statuses();
    let client = h.open();
    for path in ["/200", "/204", "/301", "/404", "/410", "/500", "/600", "/999"] {
        h.feed(client, get(path));
    }
    assert_eq!(metrics.counters().responses, [0, 2, 1, 2, 3]);
    h.feed(client, "nonsense\r\n");
    assert_eq!(metrics.counters().responses, [0, 2, 1, 3, 3], "a refused request counts too");
    assert_eq!(metrics.counters().times.count(), 9);
}

#[test]
fn pipelined_requests_are_counted_one_by_one() {
    let (mut h, metrics) = statuses();
    let client = h.open();
    h.feed(client, get("/200").repeat(1000));
    assert_eq!(metrics.counters().responses[1], 1000);
    assert_eq!(metrics.counters().times.count(), 1000);
}

#[test]
fn a_deferred_response_takes_as_long_as_its_client_waits() {
    let (mut h, metrics) = statuses();
    let client = h.open();
    h.feed(client, get("/later"));
    h.advance(Duration::from_millis(700));
    assert_eq!(metrics.counters().times.count(), 0);
    let deferred = h.handler().service().waiting.pop().expect("a request");
    deferred.answer(h.reactor(), |reply| reply.send("at last"));
    h.run();
    let counters = metrics.counters();
    assert_eq!(counters.responses, [0, 1, 0, 0, 0]);
    assert_eq!(counters.times.max(), Duration::from_millis(700));
}

#[test]
fn a_deferred_response_that_closes_its_connection_counts_once() {
    let (mut h, metrics) = statuses();
    let client = h.open();
    h.feed(client, "GET /later HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let deferred = h.handler().service().waiting.pop().expect("a request");
    deferred.answer(h.reactor(), |reply| reply.send("at last"));
    h.run();
    assert_eq!((metrics.counters().responses[1], metrics.counters().times.count()), (1, 1));
}

#[test]
fn a_response_that_comes_too_late_counts_once() {
    let (mut h, metrics) = statuses();
    let client = h.open();
    h.feed(client, get("/later"));
    h.advance(Duration::from_secs(61));
    assert_eq!(metrics.counters().responses, [0, 0, 0, 0, 1], "503");
    let times = metrics.counters().times;
    assert_eq!((times.count(), times.max().as_secs()), (1, 60), "as long as its client waited");
    assert!(h.sent(client).starts_with(b"HTTP/1.1 503 "));
}

#[test]
fn a_postponed_request_takes_as_long_as_its_client_waits() {
    for (path, expected) in [("/gate", 700), ("/gate/read", 700), ("/gate/later", 1000)] {
        let (mut h, metrics) = statuses();
        let client = h.open();
        h.feed(client, get(path));
        h.advance(Duration::from_millis(700));
        let service = h.handler().service();
        service.is_open = true;
        service.postponed.pop().expect("a request").deliver(h.reactor());
        h.run();
        if let Some(deferred) = h.handler().service().waiting.pop() {
            h.advance(Duration::from_millis(300));
            deferred.answer(h.reactor(), |reply| reply.send("at last"));
            h.run();
        }
        assert!(h.sent(client).starts_with(b"HTTP/1.1 200 "), "{path}");
        let times = metrics.counters().times;
        assert_eq!((times.count(), times.max()), (1, Duration::from_millis(expected)), "{path}");
    }
}

#[test]
fn a_body_that_is_requested_after_a_wait_takes_no_time_until_it_is_complete() {
    let (mut h, metrics) = statuses();
    let client = h.open();
    h.feed(client, "POST /gate/read HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
    h.advance(Duration::from_millis(700));
    let service = h.handler().service();
    service.is_open = true;
    service.postponed.pop().expect("a request").deliver(h.reactor());
    h.run();
    h.feed(client, "y");
    assert!(h.sent(client).starts_with(b"HTTP/1.1 200 "));
    let times = metrics.counters().times;
    assert_eq!((times.count(), times.max()), (1, Duration::ZERO));
}

#[test]
fn a_client_that_has_left_gets_no_response_that_would_count() {
    let (mut h, metrics) = statuses();
    let client = h.open();
    h.feed(client, get("/later"));
    h.reset(client);
    assert_eq!(metrics.counters(), Default::default());
}

#[test]
fn a_stream_counts_once_with_its_time_only_if_it_is_complete() {
    for (path, responses) in [("/stream", [0, 1, 0, 0, 0]), ("/switch", [1, 0, 0, 0, 0])] {
        let (mut h, metrics) = statuses();
        let client = h.open();
        h.feed(client, get(path));
        assert_eq!(metrics.counters().responses, [0; 5], "{path}");
        h.reset(client);
        assert_eq!(metrics.counters().responses, responses, "{path}");
        assert_eq!(metrics.counters().times.count(), 0, "{path}");
    }
    let (mut h, metrics) = statuses();
    let client = h.open();
    h.feed(client, get("/stream"));
    let stream = h.handler().service().streams.pop().expect("a stream");
    stream.finish(h.reactor());
    h.run();
    h.reset(client);
    assert_eq!((metrics.counters().responses[1], metrics.counters().times.count()), (1, 1));
}
