//! Responses that are deferred while the service receives the request body.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{ConnId, Turn};

use super::{Answered, Http, HttpLimits, Reply, Request, Service, answers};
use crate::http::{Deferred, Status};

/// Answers to `/call` in the call, drops the response to `/drop` and the stream of `/drop-stream`
/// at the first piece of the body, and answers to any other path then.
#[derive(Default)]
struct Eager {
    path: String,
    pieces: Vec<String>,
    ends: usize,
}

impl Service for Eager {
    type State = Option<Deferred>;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Self::State> {
        self.path = request.path().to_owned();
        let answers_now = self.path == "/call";
        reply.defer_with_body(|deferred, cx| {
            if answers_now {
                deferred.answer(cx, |reply| reply.send("early"));
                return (None, None);
            }
            (Some(deferred), None)
        })
    }

    fn on_piece(
        &mut self,
        cx: &mut Turn,
        _: ConnId,
        deferred: &mut Self::State,
        piece: &[u8],
    ) -> Result<(), Status> {
        self.pieces.push(String::from_utf8_lossy(piece).into_owned());
        if let Some(deferred) = deferred.take() {
            match self.path.as_str() {
                "/drop" => drop(deferred),
                "/drop-stream" => {
                    deferred.answer(cx, |reply| reply.stream(|stream, _| drop(stream)));
                }
                _ => {
                    deferred.answer(cx, |reply| reply.send("early"));
                }
            }
        }
        Ok(())
    }

    fn on_body_end(&mut self, _: &mut Turn, _: ConnId, _: Self::State) {
        self.ends += 1;
    }
}

fn eager() -> Harness<Http<Eager>> {
    Harness::new(Http::new(Eager::default()))
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn a_body_whose_request_is_answered_in_the_call_is_skipped_and_leaves_no_deadline() {
    for before in ["", "he", "hello"] {
        let mut h = eager();
        let client = h.open();
        h.feed(client, post("/call", 5) + before);
        assert_eq!(answers(&h.sent(client)), ["200 early"]);
        h.advance(Duration::from_secs(1));
        h.feed(client, &"hello"[before.len()..]);
        h.advance(Duration::from_secs(60));
        assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open), "{before:?}");
        h.feed(client, post("/call", 0));
        assert_eq!(answers(&h.sent(client)), ["200 early"]);
        let service = h.handler().service();
        assert_eq!((&service.pieces[..], service.ends), (&[][..], 0), "{before:?}");
    }
}

#[test]
fn a_client_is_told_to_continue_before_the_response_wherever_its_body_is_split() {
    let head = post("/", 5).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    for here in 0..=5 {
        let mut h = eager();
        let client = h.open();
        h.feed(client, head.clone() + &"hello"[..here]);
        h.feed(client, &"hello"[here..]);
        let sent = h.sent(client);
        let rest = sent.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").expect("100 first");
        assert_eq!(answers(rest), ["200 early"], "{here}");
    }
}

#[test]
fn the_rest_of_a_body_is_skipped_as_soon_as_the_response_is_complete() {
    for room in [0, 1 << 20] {
        let mut h = eager();
        let client = h.open();
        h.set_room(client, room);
        h.feed(client, post("/", 8) + "one");
        h.feed(client, "two");
        assert_eq!(h.unread(client), 0);
        h.feed(client, "ok".to_owned() + &post("/call", 0));
        h.set_room(client, 1 << 20);
        assert_eq!(answers(&h.sent(client)), ["200 early"; 2]);
        let service = h.handler().service();
        assert_eq!((&service.pieces[..], service.ends), (&["one".to_owned()][..], 0), "{room}");
    }
}

#[test]
fn a_client_that_sends_for_a_response_that_was_dropped_is_told_within_the_timeout() {
    for (path, expected) in [("/drop", &["503"][..]), ("/drop-stream", &[])] {
        let mut h = eager();
        let client = h.open();
        h.feed(client, post(path, 1 << 20));
        let mut seconds = 0;
        while h.state(client) == State::Open && seconds < 120 {
            h.feed(client, "x".repeat(1000));
            h.advance(Duration::from_secs(1));
            seconds += 1;
        }
        let sent = h.sent(client);
        assert!(Duration::from_secs(seconds) <= HttpLimits::default().response_timeout, "{path}");
        match expected {
            [] => assert_eq!(h.state(client), State::Reset, "{path}"),
            expected => assert_eq!(answers(&sent), *expected, "{path}"),
        }
    }
}
