//! Order, errors and panics on a connection.

use sluicegate_reactor::Bytes;
use sluicegate_reactor::testing::{Harness, State};

use super::{Answered, Http, Reply, Request, Service, answers, check, probe};
use super::{Closes, Stays};
use crate::http::Method;
use crate::testing::same_at_every_split;

#[test]
fn errors_come_after_the_answers_before_them() {
    check(&[(
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\nGET /c\r\n\r\n\
         GET /d HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 Get /a h", "200 Get /b h", "400"],
        Closes,
    )]);
}

#[test]
fn an_unfinished_request_is_not_answered() {
    check(&[
        ("GET / HTTP/1.1\r\nHost: h\r\n", &[], Stays),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HT", &["200 Get / h"], Stays),
    ]);
}

/// Answers with bodies of every kind that the send queue accepts.
struct Kinds;

impl Service for Kinds {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        assert_eq!(request.method(), Method::Get);
        match request.path() {
            "/slice" => reply.send("slice"),
            "/long-slice" => reply.send(&[b'l'; 6000][..]),
            "/shared" => reply.send(Bytes::from_static(b"shared")),
            "/long-shared" => reply.send(vec![b's'; 6000]),
            _ => reply.send(""),
        }
    }
}

#[test]
fn bodies_of_all_kinds_keep_their_order() {
    let paths = ["slice", "long-slice", "shared", "nothing", "long-shared", "slice", "shared"];
    let input: String =
        paths.iter().map(|path| format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    let outcome = same_at_every_split(|| Harness::new(Http::new(Kinds)), input);
    let (long, shared) = ("l".repeat(6000), "s".repeat(6000));
    let bodies = ["slice", &long, "shared", "", &shared, "slice", "shared"];
    assert_eq!(answers(&outcome.sent), bodies.map(|body| format!("200 {body}")));
    assert_eq!(outcome.state, State::Open);
}

/// Panics on request.
struct Fragile;

impl Service for Fragile {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        assert_ne!(request.path(), "/panic");
        reply.header("For", request.path()).send("")
    }
}

#[test]
fn what_a_panic_leaves_behind_never_reaches_another_client() {
    let mut h = Harness::new(Http::new(Fragile));
    h.expect_panics();
    let (first, second) = (h.open(), h.open());
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    h.feed(first, request("/secret") + &request("/panic"));
    assert_eq!(h.ledger().panics, 1);
    h.feed(second, request("/public"));
    let sent = h.sent(second).text().to_owned();
    assert!(sent.contains("For: /public") && !sent.contains("secret"), "{sent}");
}

#[test]
fn a_client_that_ends_its_direction_still_gets_its_answers() {
    let mut h = probe();
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3));
        h.finish(client);
    });
    assert_eq!(answers(&h.sent(client)), ["200 Get / h"; 3]);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn pipelined_answers_leave_in_one_call() {
    let mut h = probe();
    let client = h.open();
    h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(16));
    assert_eq!((h.calls().send, h.calls().send_gather), (1, 0));
    assert_eq!(answers(&h.sent(client)).len(), 16);
}

#[test]
fn row_18_answers_without_a_body_fill_the_queue_like_others() {
    let mut h = probe();
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(4000));
    let queued = h.ledger().queued;
    assert!(queued < 100 << 10, "{queued} bytes queued for a client that reads nothing");
}
