//! Requests that are delivered to the service again.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{ConnId, Handle, Listen, Payload, Receive, Sent, Sessions, Turn, mailbox};

use super::{
    Answered, Http, HttpLimits, Reply, Request, Service, answers, field, logged, split_head,
};
use crate::http::{Deferred, LogRecord, Method, Postponed, ResponseStream, Status};
use crate::testing::same_at_every_split;

/// Postpones each request once, unless it is for `/now`. Then it saves, reads, defers or answers.
struct Gate {
    dir: Dir,
    /// Whether requests are delivered again at once. Otherwise it takes a message.
    is_open: bool,
    decided: Handle<Decision>,
    waiting: Vec<Postponed>,
    /// The path of the request that was postponed, once it is delivered again.
    passed: Option<String>,
    calls: u32,
    log: Rc<RefCell<Vec<String>>>,
}

/// What happens to the oldest request that is postponed.
#[derive(Clone, Copy)]
enum Decision {
    Deliver,
    Answer,
}

impl Service for Gate {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        self.calls += 1;
        let path = request.path();
        if path == "/now" {
            return reply.send("now");
        }
        if self.passed.take().is_none_or(|passed| passed != path) {
            self.passed = Some(path.to_owned());
            return reply.header("Not", "sent").postpone(|postponed, cx| match path {
                "/dropped" => {}
                "/soon" => postponed.deliver(cx),
                _ => {
                    self.waiting.push(postponed);
                    if self.is_open {
                        self.decided.post(Decision::Deliver).expect("room");
                    }
                }
            });
        }
        match (request.method(), path) {
            (Method::Put, _) => {
                let file = self.dir.create(&path[1..], &CreateOptions::default());
                reply.save(file.expect("a directory"), ())
            }
            (Method::Post, _) => reply.read(1 << 20, ()),
            (Method::Patch, _) => reply.read_pieces(()),
            (_, "/late") => reply.defer(|deferred, cx| {
                deferred.answer(cx, |reply| reply.send("late"));
            }),
            _ => reply.send(path),
        }
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        (): (),
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        if request.path() == "/again" {
            return reply.postpone(|_, _| {});
        }
        reply.send(body)
    }

    fn on_saved(
        &mut self,
        _: &Request<'_>,
        (): (),
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.send(format!("{:?}", saved.as_ref().expect("a file")))
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.log.borrow_mut().push(logged(record));
    }
}

impl Receive<Decision> for Gate {
    fn on_message(&mut self, cx: &mut Sessions<'_>, decision: Decision) {
        let postponed = self.waiting.remove(0);
        match decision {
            Decision::Deliver => postponed.deliver(cx),
            Decision::Answer => {
                let refuse = |reply: Reply<'_, '_>| reply.error(Status::UNAUTHORIZED);
                assert_ne!(postponed.answer(cx, refuse), Sent::Gone);
            }
        }
    }
}

fn gate_with(is_open: bool, log: &Rc<RefCell<Vec<String>>>) -> Harness<Http<Gate>> {
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/www"),
        |reactor| {
            let (decided, mailbox) = mailbox();
            let dir = reactor.open_dir("/www").expect("a directory");
            let (waiting, passed, log) = (Vec::new(), None, log.clone());
            let gate = Gate { dir, is_open, decided, waiting, passed, calls: 0, log };
            let http = reactor.register(Http::new(gate));
            reactor.attach(mailbox, http);
            http
        },
    )
}

fn gate(is_open: bool) -> Harness<Http<Gate>> {
    gate_with(is_open, &Rc::default())
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn chunked(method: &str, path: &str) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
}

#[test]
fn a_postponed_request_gets_its_response_in_order_however_it_arrives() {
    let input = [
        request("GET", "/a", ""),
        request("POST", "/b", "body of b"),
        request("GET", "/now", "skipped"),
        request("PUT", "/c", "body of c"),
        request("GET", "/soon", "skipped too"),
        request("POST", "/d", ""),
        request("PUT", "/e", ""),
        request("PATCH", "/f", "body of f"),
        request("PATCH", "/g", ""),
        request("GET", "/late", "skipped"),
        chunked("POST", "/h"),
        chunked("PUT", "/i"),
        request("GET", "/j", ""),
    ]
    .concat();
    let outcome = same_at_every_split(|| gate(true), &input);
    let expected = [
        "200 /a",
        "200 body of b",
        "200 now",
        "200 Created",
        "200 /soon",
        "200 ",
        "200 Created",
        "200 ",
        "200 ",
        "200 late",
        "200 abcde",
        "200 Created",
        "200 /j",
    ];
    assert_eq!(answers(&outcome.sent), expected);
    assert_eq!((outcome.state, outcome.sent_at_end.len()), (State::Open, 0));
    assert!(!outcome.sent.windows(3).any(|part| part == b"Not"));
}

#[test]
fn nothing_is_read_behind_a_postponed_request() {
    let mut h = gate(false);
    let client = h.open();
    let body = "b".repeat(1 << 20);
    h.feed(client, request("PUT", "/a", &body) + &request("GET", "/now", ""));
    assert_eq!((h.sent(client).len(), h.handler().service().calls), (0, 1));
    assert!(h.unread(client) > 1 << 19);
    h.post(Decision::Deliver);
    assert_eq!(answers(&h.sent(client)), ["200 Created", "200 now"]);
    assert_eq!(h.files().content("/www/a"), Some(body.as_bytes()));
}

#[test]
fn row_24_a_client_that_waits_for_100_gets_it_once_its_body_is_wanted() {
    let head = "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let mut h = gate(false);
    let client = h.open();
    h.feed(client, head);
    assert_eq!(h.sent(client), "");
    h.post(Decision::Deliver);
    assert_eq!(h.take(client), "HTTP/1.1 100 Continue\r\n\r\n");
    h.feed(client, "abc");
    assert_eq!(answers(&h.sent(client)), ["200 Created"]);

    let client = h.open();
    h.feed(client, head);
    h.post(Decision::Answer);
    let sent = h.sent(client);
    assert_eq!(answers(&sent), ["401"]);
    assert_eq!(field(split_head(&sent).0, "Connection"), Some("close"));
}

#[test]
fn row_8_the_body_of_a_request_that_is_answered_instead_is_no_request() {
    for (body, stays) in
        [("GET /now HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3), true), ("b".repeat(70_000), false)]
    {
        let mut h = gate(false);
        let client = h.open();
        h.feed(client, request("PUT", "/a", &body) + &request("GET", "/now", ""));
        h.post(Decision::Answer);
        let expected = if stays { &["401", "200 now"][..] } else { &["401"] };
        assert_eq!(answers(&h.sent(client)), expected);
        assert_eq!(h.state(client) == State::Open, stays);
    }
}

#[test]
fn a_postponed_request_that_is_dropped_or_late_gets_503() {
    let outcome = same_at_every_split(|| gate(true), request("GET", "/dropped", ""));
    assert_eq!(answers(&outcome.sent), ["503"]);

    let mut h = gate(false);
    let client = h.open();
    h.feed(client, request("GET", "/a", ""));
    h.advance(HttpLimits::default().response_timeout + Duration::from_millis(100));
    assert_eq!(answers(&h.sent(client)), ["503"]);
    assert_ne!(h.state(client), State::Open);
    h.post(Decision::Deliver);
    assert_eq!(h.handler().service().calls, 1);
}

#[test]
fn a_client_that_leaves_is_not_asked_about_again() {
    let log = Rc::default();
    let mut h = gate_with(false, &log);
    let client = h.open();
    h.feed(client, request("GET", "/a", ""));
    h.reset(client);
    h.post(Decision::Deliver);
    assert_eq!(h.handler().service().calls, 1);
    assert_eq!(*log.borrow(), ["\"GET /a HTTP/1.1\" 499 -"]);
}

#[test]
fn a_client_that_has_finished_and_a_reactor_that_stops_wait_for_a_postponed_request() {
    let mut h = gate(false);
    let client = h.open();
    h.feed(client, request("PUT", "/a", "abc"));
    h.finish(client);
    h.post(Decision::Deliver);
    assert_eq!(answers(&h.sent(client)), ["200 Created"]);
    assert_ne!(h.state(client), State::Open);

    let client = h.open();
    h.feed(client, request("PUT", "/b", "abc"));
    h.stop();
    h.post(Decision::Deliver);
    let sent = h.sent(client);
    assert_eq!(answers(&sent), ["200 Created"]);
    assert_eq!(field(split_head(&sent).0, "Connection"), Some("close"));
}

#[test]
fn row_38_a_postponed_request_is_logged_once_with_its_response() {
    let log = Rc::default();
    let mut h = gate_with(true, &log);
    let client = h.open();
    h.feed(client, request("PUT", "/a", "abc") + &request("GET", "/b", ""));
    assert_eq!(answers(&h.sent(client)), ["200 Created", "200 /b"]);
    let expected = ["\"PUT /a HTTP/1.1\" 200 7", "\"GET /b HTTP/1.1\" 200 2"];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_request_cannot_be_postponed_after_its_body() {
    let outcome = same_at_every_split(|| gate(true), request("POST", "/again", "abc"));
    assert_eq!(answers(&outcome.sent), ["500"]);
}

#[test]
fn row_18_a_postponed_request_counts_once() {
    let (decided, mailbox) = mailbox();
    let mut h = Harness::build(
        &Listen::default(),
        |files| files.make_dir("/www"),
        |reactor| {
            let dir = reactor.open_dir("/www").expect("a directory");
            let (waiting, log) = (Vec::new(), Rc::default());
            let gate = Gate { dir, is_open: true, decided, waiting, passed: None, calls: 0, log };
            let limits = HttpLimits { requests: Some(2), ..HttpLimits::default() };
            let http = reactor.register(Http::with(gate, limits));
            reactor.attach(mailbox, http);
            http
        },
    );
    let client = h.open();
    h.feed(
        client,
        request("GET", "/a", "") + &request("GET", "/b", "") + &request("GET", "/c", ""),
    );
    assert_eq!(answers(&h.sent(client)), ["200 /a", "200 /b"]);
}

/// Postpones each request, and answers it with a stream or a deferred response.
#[derive(Default)]
struct Later {
    postponed: Option<Postponed>,
    streams: Vec<ResponseStream>,
    deferred: Vec<Deferred>,
    gone: usize,
}

impl Service for Later {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.postpone(|postponed, _| self.postponed = Some(postponed))
    }

    fn on_gone(&mut self, _: &mut Turn, _: ConnId) {
        self.gone += 1;
    }
}

/// Answers the request, with a stream or not.
struct AnswerNow(bool);

impl Receive<AnswerNow> for Later {
    fn on_message(&mut self, cx: &mut Sessions<'_>, AnswerNow(streams): AnswerNow) {
        let postponed = self.postponed.take().expect("a request");
        postponed.answer(cx, |reply| match streams {
            true => reply.stream(|stream, _| self.streams.push(stream)),
            false => reply.defer(|deferred, _| self.deferred.push(deferred)),
        });
    }
}

#[test]
fn a_request_that_is_answered_later_instead_is_like_one_that_was_deferred() {
    for (minor, streams) in [(0, true), (1, true), (0, false), (1, false)] {
        let mut h = Harness::new(Http::new(Later::default()));
        let client = h.open();
        h.feed(client, format!("GET / HTTP/1.{minor}\r\nHost: h\r\n\r\n"));
        h.post(AnswerNow(streams));
        h.stop();
        h.advance(Duration::from_secs(30));
        let what = format!("HTTP/1.{minor}, {streams}");
        assert_eq!(h.handler().service().gone, 1, "{what}");
        // The end of the connection would be that of the stream.
        let is_reset = h.state(client) == State::Reset;
        assert_eq!(is_reset, minor == 0 && streams, "{what}");
    }
}
