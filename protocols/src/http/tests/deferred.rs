//! Deferred responses.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, State, Step};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Handle, Limits, Listen, Receive, Sent, Sessions, mailbox};

use super::{
    Answered, Http, HttpLimits, Reply, Request, Service, answers, field, logged, split_head,
};
use crate::http::{Deferred, LogRecord, Method, Status};
use crate::testing::same_at_every_split;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// Lets workers answer with the path. Answers `/now` at once, and `/soon` before the call returns.
struct Slow {
    workers: Workers,
    done: Handle<(Deferred, String)>,
}

impl Service for Slow {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let path = request.path().to_owned();
        if path == "/now" {
            return reply.send(path);
        }
        let reply = reply.status(Status::NOT_FOUND).header("Not", "sent");
        reply.defer(|deferred, cx| {
            if path == "/soon" {
                deferred.answer(cx, |reply| reply.header("Was", "late").send(path));
            } else {
                self.workers.run(move || (deferred, path), &self.done).expect("room");
            }
        })
    }
}

impl Receive<(Deferred, String)> for Slow {
    fn on_message(&mut self, cx: &mut Sessions<'_>, (deferred, path): (Deferred, String)) {
        let sent = deferred.answer(cx, |reply| reply.header("Was", "late").send(path));
        assert_ne!(sent, Sent::Gone);
    }
}

fn slow() -> Harness<Http<Slow>> {
    Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let (done, mailbox) = mailbox();
            let http = reactor.register(Http::new(Slow { workers: Workers::inline(), done }));
            reactor.attach(mailbox, http);
            http
        },
    )
}

#[test]
fn answers_keep_their_order_however_the_requests_arrive() {
    let post = |length: usize| {
        let head = format!("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        head + &"b".repeat(length)
    };
    let input = get("/now") + &get("/a") + &post(5) + &get("/soon") + &get("/now") + &post(0);
    let outcome = same_at_every_split(slow, &input);
    let expected = ["200 /now", "200 /a", "200 /p", "200 /soon", "200 /now", "200 /p"];
    assert_eq!(answers(&outcome.sent), expected);
    assert_eq!(outcome.sent.windows(9).filter(|part| part == b"Was: late").count(), 4);
    assert!(!outcome.sent.windows(3).any(|part| part == b"Not"));
    assert_eq!((outcome.state, outcome.sent_at_end.len()), (State::Open, 0));
}

#[test]
fn a_deferred_answer_treats_its_connection_as_one_at_once_would() {
    let head = |rest: &str| format!("/a HTTP/1.1\r\nHost: h\r\n{rest}\r\n");
    for (request, stays, says) in [
        (format!("GET {}", head("")), true, None),
        (format!("GET {}", head("Connection: close\r\n")), false, Some("close")),
        (
            format!("GET {}", head("Connection: close\r\n")).replace("/a", "/soon"),
            false,
            Some("close"),
        ),
        ("GET /a HTTP/1.0\r\n\r\n".to_owned(), false, Some("close")),
        ("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), true, Some("keep-alive")),
        (
            format!("PUT {}", head("Expect: 100-continue\r\nContent-Length: 3\r\n")),
            false,
            Some("close"),
        ),
        (format!("PUT {}", head("Transfer-Encoding: chunked\r\n")), false, Some("close")),
    ] {
        let outcome = same_at_every_split(slow, &request);
        let path = request.split(' ').nth(1).expect("a path");
        assert_eq!(answers(&outcome.sent), [format!("200 {path}")], "{request:?}");
        assert_eq!(field(split_head(&outcome.sent).0, "Connection"), says, "{request:?}");
        assert_eq!(outcome.state == State::Open, stays, "{request:?}");
    }
}

#[test]
fn row_22_a_deferred_answer_to_head_has_no_body() {
    let outcome = same_at_every_split(slow, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    let (head, rest) = split_head(&outcome.sent);
    assert_eq!((field(head, "Content-Length"), rest), (Some("2"), &b""[..]));

    let (mut h, client) = held();
    h.feed(client, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    h.advance(HttpLimits::default().response_timeout + Duration::from_millis(100));
    let sent = h.sent(client);
    let (head, rest) = split_head(&sent);
    assert!(head.starts_with("HTTP/1.1 503 ") && rest.is_empty(), "{head}");
}

/// Answers on a message, the oldest request first.
#[derive(Default)]
struct Held {
    waiting: VecDeque<(Deferred, String)>,
    /// What `Deferred::answer` has returned.
    sent: Vec<Sent>,
    log: Rc<RefCell<Vec<String>>>,
}

impl Service for Held {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        if request.method() == Method::Options {
            return reply.send("at once");
        }
        reply.defer(|deferred, _| {
            if request.path() != "/dropped" {
                self.waiting.push_back((deferred, request.path().to_owned()));
            }
        })
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.log.borrow_mut().push(logged(record));
    }
}

/// Answers with the path, repeated this many times.
struct Answer(usize);

impl Receive<Answer> for Held {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Answer(times): Answer) {
        let (deferred, path) = self.waiting.pop_front().expect("a request");
        self.sent.push(deferred.answer(cx, |reply| reply.send(path.repeat(times))));
    }
}

/// Defers the response once more.
struct Again;

impl Receive<Again> for Held {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Again: Again) {
        let (deferred, path) = self.waiting.pop_front().expect("a request");
        self.sent.push(deferred.answer(cx, |reply| {
            reply.defer(|deferred, _| self.waiting.push_back((deferred, path)))
        }));
    }
}

fn held() -> (Harness<Http<Held>>, Client) {
    let mut h = Harness::new(Http::new(Held::default()));
    let client = h.open();
    (h, client)
}

fn service(h: &mut Harness<Http<Held>>) -> &mut Held {
    h.handler().service()
}

fn log(h: &mut Harness<Http<Held>>) -> Vec<String> {
    service(h).log.take()
}

#[test]
fn a_request_behind_a_deferred_one_waits_and_those_behind_it_are_not_received() {
    let (mut h, client) = held();
    h.feed(client, get("/a") + &get("/b"));
    h.feed(client, get("/c"));
    assert_eq!(service(&mut h).waiting.len(), 1);
    assert_eq!(h.unread(client), get("/c").len());
    for path in ["/a", "/b", "/c"] {
        assert!(h.sent(client).is_empty());
        h.post(Answer(1));
        assert_eq!(answers(&h.sent(client)), [format!("200 {path}")]);
    }
    assert_eq!(service(&mut h).sent, [Sent::Accepted; 3]);
}

#[test]
fn a_deferred_answer_of_any_size_reaches_a_slow_client_before_the_next() {
    for times in [1, 1000, 100_000] {
        let (mut h, client) = held();
        h.set_room(client, 1000);
        h.feed(client, get("/a") + "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
        h.post(Answer(times));
        let expected = format!("200 {}", "/a".repeat(times));
        assert_eq!(answers(&h.sent(client)), [&expected, "200 at once"]);
        assert_eq!(h.state(client), State::Open);
    }
}

#[test]
fn nobody_is_answered_when_the_client_has_left() {
    let (mut h, client) = held();
    h.feed(client, get("/a"));
    h.reset(client);
    let other = h.open();
    h.feed(other, get("/b"));
    h.post(Answer(1));
    assert_eq!(service(&mut h).sent, [Sent::Gone]);
    assert!(h.sent(other).is_empty());
    h.post(Answer(1));
    assert_eq!(answers(&h.sent(other)), ["200 /b"]);
    assert_eq!(log(&mut h), ["\"GET /a HTTP/1.1\" 499 -", "\"GET /b HTTP/1.1\" 200 2"]);
}

#[test]
fn a_client_that_has_ended_its_direction_gets_its_answers() {
    let (mut h, client) = held();
    h.feed(client, get("/a") + &get("/b"));
    h.finish(client);
    h.post(Answer(1));
    h.post(Answer(1));
    assert_eq!(answers(&h.sent(client)), ["200 /a", "200 /b"]);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn a_client_whose_time_is_over_is_told_and_the_answer_comes_too_late() {
    let timeout = HttpLimits::default().response_timeout;
    let (mut h, client) = held();
    h.feed(client, get("/a"));
    // Deferring again does not extend the time.
    h.advance(timeout / 2);
    h.post(Again);
    h.advance(timeout / 2 - Duration::from_millis(1));
    h.feed(client, get("/b"));
    assert!(h.sent(client).is_empty());
    h.advance(Duration::from_millis(100));
    let sent = h.sent(client);
    assert_eq!(answers(&sent), ["503"]);
    assert_eq!(field(split_head(&sent).0, "Connection"), Some("close"));
    assert_eq!(h.state(client), State::Shut);
    h.post(Answer(1));
    assert_eq!(service(&mut h).sent, [Sent::Accepted, Sent::Gone]);
    assert_eq!(log(&mut h), ["\"GET /a HTTP/1.1\" 503 24"]);
}

#[test]
fn the_time_for_an_answer_is_neither_that_of_an_idle_connection_nor_of_the_next_head() {
    let limits = Limits { idle: Some(Duration::from_secs(5)), ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Http::new(Held::default()), &listen);
    let client = h.open();
    h.feed(client, get("/a"));
    h.advance(Duration::from_secs(50));
    h.feed(client, "GET /b HT");
    h.advance(Duration::from_secs(9));
    h.post(Answer(1));
    assert_eq!(answers(&h.sent(client)), ["200 /a"]);
    h.advance(Duration::from_secs(4));
    h.feed(client, "TP/1.1\r\nHost: h\r\n\r\n");
    h.post(Answer(1));
    assert_eq!(answers(&h.sent(client)), ["200 /b"]);
    h.advance(Duration::from_secs(6));
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn an_answer_that_nobody_can_make_any_more_is_503_at_once() {
    let (mut h, client) = held();
    h.feed(client, get("/dropped") + &get("/a"));
    assert_eq!(answers(&h.sent(client)), ["503"]);
    h.post(Answer(1));
    assert_eq!(answers(&h.sent(client)), ["200 /a"]);
    assert_eq!(log(&mut h), ["\"GET /dropped HTTP/1.1\" 503 24", "\"GET /a HTTP/1.1\" 200 2"]);
}

#[test]
fn a_body_that_nobody_reads_is_skipped_before_and_behind_a_deferred_answer() {
    let head = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n";
    for before in 0..=10 {
        let (mut h, client) = held();
        h.feed(client, head.to_owned() + &"b".repeat(before));
        assert_eq!(h.unread(client), 0);
        h.post(Answer(1));
        h.feed(client, "b".repeat(10 - before) + &get("/b"));
        h.post(Answer(1));
        assert_eq!(answers(&h.sent(client)), ["200 /a", "200 /b"], "{before} bytes before");
    }
}

#[test]
fn a_reactor_that_stops_waits_for_a_deferred_answer_which_is_the_last() {
    for behind in ["", "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let (mut h, client) = held();
        h.feed(client, get("/a") + behind);
        h.stop();
        assert_eq!(h.state(client), State::Open);
        h.post(Answer(1));
        let sent = h.sent(client);
        assert_eq!(answers(&sent), ["200 /a"]);
        assert_eq!(field(split_head(&sent).0, "Connection"), Some("close"));
        assert_eq!(h.state(client), State::Shut);
        h.finish(client);
        assert!(h.reactor().has_stopped());
    }
}

#[test]
fn a_body_that_ends_while_a_stopping_reactor_waits_does_not_end_the_connection() {
    let (mut h, client) = held();
    h.feed(client, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
    h.stop();
    h.feed(client, "dy");
    assert_eq!(h.state(client), State::Open);
    h.post(Answer(1));
    assert_eq!(answers(&h.sent(client)), ["200 /a"]);
}

#[test]
fn row_38_a_deferred_answer_is_logged_when_it_has_left() {
    let (mut h, client) = held();
    h.set_room(client, 200);
    h.feed(client, get("/a") + &get("/b"));
    assert!(log(&mut h).is_empty());
    h.post(Answer(500));
    assert!(log(&mut h).is_empty());
    h.sent(client);
    assert_eq!(log(&mut h), ["\"GET /a HTTP/1.1\" 200 1000"]);
    h.post(Answer(500));
    let head = h.take(client);
    let start = head.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let taken = head.len() - start + h.arrived(client);
    h.reset(client);
    assert_eq!(log(&mut h), [format!("\"GET /b HTTP/1.1\" 200 {taken}")]);
}

#[test]
fn row_38_a_deferred_answer_that_a_lost_connection_did_not_take_is_logged_as_not_sent() {
    let (mut h, client) = held();
    h.feed(client, get("/a"));
    /// `EPIPE`, the same on every Unix.
    const EPIPE: i32 = 32;
    h.script_send(client, [Step::Errno(EPIPE)]);
    h.post(Answer(500));
    assert_eq!(service(&mut h).sent, [Sent::Gone]);
    assert_eq!(log(&mut h), ["\"GET /a HTTP/1.1\" 200 -"]);
}

#[test]
fn an_answer_before_the_call_returns_leaves_no_deadline_behind() {
    let mut h = slow();
    let client = h.open();
    h.feed(client, get("/soon"));
    assert_eq!(answers(&h.sent(client)), ["200 /soon"]);
    h.advance(HttpLimits::default().response_timeout + Duration::from_secs(10));
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn row_17_a_deferred_response_has_until_its_timeout_whatever_arrives_meanwhile() {
    let limits = HttpLimits { response_timeout: Duration::from_secs(30), ..HttpLimits::default() };
    let post = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";
    for (first, meanwhile) in
        [(get("/a"), ""), (get("/a"), "GET /b"), (post.to_owned(), "bo"), (post.to_owned(), "body")]
    {
        let mut h = Harness::new(Http::with(Held::default(), limits.clone()));
        let client = h.open();
        h.feed(client, &first);
        h.advance(Duration::from_secs(5));
        h.feed(client, meanwhile);
        h.advance(Duration::from_millis(24_900));
        assert!(h.sent(client).is_empty(), "{first:?} {meanwhile:?}");
        assert_eq!(h.state(client), State::Open, "{first:?} {meanwhile:?}");
        h.advance(Duration::from_millis(200));
        assert_eq!(answers(&h.sent(client)), ["503"], "{first:?} {meanwhile:?}");
        assert_eq!(h.state(client), State::Shut, "{first:?} {meanwhile:?}");
    }
}

#[test]
fn row_17_a_half_sent_request_behind_a_deferred_response_gets_408() {
    for first in [get("/a"), "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy".into()] {
        let (mut h, client) = held();
        h.feed(client, first + "GET /b HT");
        h.advance(Duration::from_secs(20));
        h.post(Answer(1));
        assert_eq!(answers(&h.sent(client)), ["200 /a"]);
        h.advance(Duration::from_millis(9900));
        assert!(h.sent(client).is_empty());
        h.advance(Duration::from_millis(200));
        assert_eq!(answers(&h.sent(client)), ["408"]);
        assert_eq!(h.state(client), State::Shut);
    }
}

#[test]
fn row_17_a_deferred_response_leaves_no_deadline_behind() {
    let (mut h, client) = held();
    h.feed(client, get("/a"));
    h.advance(Duration::from_secs(1));
    h.post(Answer(1));
    assert_eq!(answers(&h.sent(client)), ["200 /a"]);
    h.advance(Duration::from_secs(70));
    assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open));
}
