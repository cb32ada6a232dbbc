//! Request bodies that are saved.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir, File};
use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Handle, Limits, Listen, Receive, Sessions, mailbox};

use super::{Answered, Http, Reply, Request, Service, answers, logged};
use crate::http::{Deferred, HttpLimits, LogRecord};
use crate::testing::same_at_every_split;

/// Saves each body under the request's path, and logs.
struct Inbox {
    dir: Dir,
    done: Handle<Deferred>,
    /// Responses that are never finished.
    kept: Vec<Deferred>,
    log: Rc<RefCell<Vec<String>>>,
}

impl Inbox {
    fn save(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let file = self.dir.create(&request.path()[1..], &CreateOptions::default());
        reply.save(file.expect("a new file"), ())
    }
}

impl Service for Inbox {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        self.save(request, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        (): (),
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let done = &self.done;
        match request.path() {
            "/later" => reply.defer(|deferred, _| {
                Workers::inline().run(move || deferred, done).expect("room");
            }),
            "/never" => reply.defer(|deferred, _| self.kept.push(deferred)),
            "/again" => self.save(request, reply),
            path => reply.send(format!("{path} {}", saved.is_ok())),
        }
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.log.borrow_mut().push(logged(record));
    }
}

impl Receive<Deferred> for Inbox {
    fn on_message(&mut self, cx: &mut Sessions<'_>, deferred: Deferred) {
        deferred.answer(cx, |reply| reply.send("later"));
    }
}

fn inbox() -> Harness<Http<Inbox>> {
    inbox_at(&Listen::default())
}

fn inbox_at(listen: &Listen) -> Harness<Http<Inbox>> {
    Harness::build(
        listen,
        |files| files.make_dir("/in"),
        |reactor| {
            let (done, mailbox) = mailbox();
            let dir = reactor.open_dir("/in").expect("it was made");
            let http = reactor.register(Http::new(Inbox {
                dir,
                done,
                kept: Vec::new(),
                log: Rc::default(),
            }));
            reactor.attach(mailbox, http);
            http
        },
    )
}

fn put(path: &str, body: &str) -> String {
    let length = body.len();
    format!("PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_service_answers_as_it_likes_when_a_body_is_there() {
    let input = put("/a", "hello") + &put("/later", "hello") + &put("/b", "") + &put("/again", "x");
    let outcome = same_at_every_split(inbox, &input);
    // A body can be saved only once.
    assert_eq!(answers(&outcome.sent), ["200 /a true", "200 later", "200 /b true", "500"]);
    assert_eq!(outcome.state, State::Open);
}

#[test]
fn row_38_a_body_is_logged_once_when_its_request_is_answered_or_its_client_has_left() {
    let mut h = inbox();
    let client = h.open();
    let log = h.handler().service().log.clone();
    h.feed(
        client,
        put("/a", "hello") + &put("/later", "hello") + put("/b", "hello").trim_end_matches("lo"),
    );
    assert_eq!(log.take(), ["\"PUT /a HTTP/1.1\" 200 7", "\"PUT /later HTTP/1.1\" 200 5"]);
    h.reset(client);
    assert_eq!(log.take(), ["\"PUT /b HTTP/1.1\" 499 -"]);
    let client = h.open();
    let chunked = "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx";
    h.feed(client, chunked);
    assert_eq!(answers(&h.sent(client)), ["400"]);
    assert_eq!(log.take(), ["\"PUT /c HTTP/1.1\" 400 16"]);
    assert_eq!(h.files().temporary(), 0);
}

#[test]
fn row_17_a_saved_body_leaves_no_deadline_behind_and_the_next_head_has_its_own() {
    for chunked in [false, true] {
        let body = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let request = match chunked {
            false => put("/a", "hello"),
            true => format!("PUT /a HTTP/1.1\r\nHost: h\r\n{body}"),
        };
        let mut h = inbox();
        let client = h.open();
        let (start, end) = request.split_at(request.len() - 8);
        h.feed(client, start);
        h.advance(Duration::from_secs(5));
        h.feed(client, end);
        assert_eq!(answers(&h.sent(client)), ["200 /a true"], "chunked: {chunked}");
        h.advance(Duration::from_secs(70));
        assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open));
        h.feed(client, "GET /b");
        h.advance(Duration::from_millis(9900));
        assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open));
        h.advance(Duration::from_millis(200));
        assert_eq!(answers(&h.sent(client)), ["408"], "chunked: {chunked}");
    }
}

#[test]
fn row_17_the_rate_of_a_body_is_checked_again_and_again() {
    for head in ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nf0000\r\n"] {
        let mut h = inbox();
        let client = h.open();
        h.feed(client, format!("PUT /a HTTP/1.1\r\nHost: h\r\n{head}"));
        // More than 500 bytes a second, on average over 10 seconds.
        for _ in 0..3 {
            h.feed(client, "x".repeat(6000));
            h.advance(Duration::from_secs(10));
            assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open), "{head:?}");
        }
        h.feed(client, "x".repeat(4000));
        h.advance(Duration::from_millis(10_100));
        assert_eq!(answers(&h.sent(client)), ["408"], "{head:?}");
        assert_eq!(h.files().temporary(), 0);
    }
}

#[test]
fn row_17_a_deferred_response_to_a_saved_body_has_the_whole_timeout() {
    let mut h = inbox();
    let client = h.open();
    let request = put("/never", "hello");
    h.feed(client, &request[..request.len() - 2]);
    h.advance(Duration::from_secs(5));
    h.feed(client, "lo");
    h.advance(Duration::from_millis(59_900));
    assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open));
    h.advance(Duration::from_millis(200));
    assert_eq!(answers(&h.sent(client)), ["503"]);
}

#[test]
fn row_17_a_client_whose_body_is_not_read_is_not_blamed_for_its_rate() {
    let limits = Limits { send_high: 10, send_low: 0, ..Limits::default() };
    let mut h = inbox_at(&Listen { limits, ..Listen::default() });
    let client = h.open();
    h.set_room(client, 10);
    let coding = "Transfer-Encoding: chunked\r\nExpect: 100-continue";
    h.feed(client, format!("PUT /a HTTP/1.1\r\nHost: h\r\n{coding}\r\n\r\n"));
    // The 100 fills the queue, so the first chunk is not read.
    h.feed(client, "5\r\nhel");
    h.advance(Duration::from_secs(25));
    assert_eq!(h.sent(client), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(h.state(client), State::Open);
    h.advance(Duration::from_millis(20_100));
    assert_eq!(answers(&h.sent(client)), ["408"]);
}

/// Sends bodies back from files without a name.
struct Mirror(Dir);

impl Service for Mirror {
    type State = File;

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered<File> {
        let (file, content) = self.0.create_unnamed().expect("a new file");
        reply.save(file, content)
    }

    fn on_saved(
        &mut self,
        _: &Request<'_>,
        content: File,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<File> {
        if saved.is_err() {
            return reply.saved(saved);
        }
        let len = content.metadata().expect("an open file").len;
        reply.send(content.region(0, len))
    }
}

fn mirror() -> Harness<Http<Mirror>> {
    let limits = HttpLimits { body: 20, ..HttpLimits::default() };
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/in"),
        |reactor| {
            let dir = reactor.open_dir("/in").expect("it was made");
            reactor.register(Http::with(Mirror(dir), limits))
        },
    )
}

#[test]
fn a_body_in_an_unnamed_file_can_be_sent_back() {
    let chunked = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let input = put("/", "hello") + chunked + "2\r\nby\r\n1\r\ne\r\n0\r\n\r\n" + &put("/", "");
    let outcome = same_at_every_split(mirror, &input);
    assert_eq!(answers(&outcome.sent), ["200 hello", "200 bye", "200 "]);
    assert_eq!(outcome.state, State::Open);
}

#[test]
fn an_unnamed_file_is_closed_when_it_was_sent_its_client_has_left_or_it_failed() {
    let whole = put("/", "hello");
    let long = put("/", "longer than the limit");
    for (input, room, expected) in [
        (whole.as_str(), 20, &["200 hello"][..]),
        (&whole[..whole.len() - 1], 20, &[]),
        (&long, 20, &["413"]),
        (&whole, 3, &["507"]),
    ] {
        let mut h = mirror();
        h.files().set_room(room);
        let client = h.open();
        h.feed(client, input);
        assert_eq!(answers(&h.sent(client)), expected);
        h.reset(client);
        assert_eq!((h.open_descriptors().files, h.files().temporary()), (1, 0), "the directory");
    }
}
