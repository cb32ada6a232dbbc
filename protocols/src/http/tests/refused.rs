//! Refusals that a service answers.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{ConnId, Sent, Turn};

use super::{Answered, Http, Reply, Request, Service, answers, field, split_head};
use crate::http::{Deferred, Postponed, ResponseStream, Status};

/// How the service answers what is refused.
#[derive(Clone, Copy)]
enum With {
    StreamAtOnce,
    StreamLater,
    DeferredAtOnce,
    DeferredLater,
    Page,
}

struct Refusing {
    with: With,
    streams: Vec<ResponseStream>,
    deferred: Vec<Deferred>,
}

impl Service for Refusing {
    type State = ();

    /// Defers all responses and forgets them.
    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.defer(|_, _| ())
    }

    fn on_refused(&mut self, status: Status, reply: Reply<'_, '_>) -> Answered {
        let reply = reply.status(status);
        match self.with {
            With::StreamAtOnce => reply.stream(|mut stream, cx| {
                stream.send(cx, "no");
                stream.finish(cx);
            }),
            With::StreamLater => reply.stream(|stream, _| self.streams.push(stream)),
            With::DeferredAtOnce => reply.defer(|deferred, cx| {
                deferred.answer(cx, |reply| reply.status(status).send("no"));
            }),
            With::DeferredLater => reply.defer(|deferred, _| self.deferred.push(deferred)),
            With::Page => reply.header("X-Refused", "by us").send("no"),
        }
    }
}

fn refusing(with: With) -> Harness<Http<Refusing>> {
    let (streams, deferred) = (Vec::new(), Vec::new());
    Harness::new(Http::new(Refusing { with, streams, deferred }))
}

#[test]
fn a_refusal_is_one_response_however_the_service_makes_it() {
    for (with, body) in [
        (With::StreamAtOnce, "no"),
        (With::DeferredAtOnce, "no"),
        (With::DeferredLater, "400 Bad Request\n"),
    ] {
        let mut h = refusing(with);
        let client = h.open();
        h.feed(client, "GET / HTTP/1.1\r\n\r\n");
        let sent = h.sent(client);
        let (head, rest) = split_head(&sent);
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert_eq!(field(head, "Connection"), Some("close"));
        assert_eq!(rest, body.as_bytes());
        assert_eq!(h.state(client), State::Shut);
    }
}

#[test]
fn a_refusal_that_is_streamed_later_must_not_look_complete() {
    let mut h = refusing(With::StreamLater);
    let client = h.open();
    h.feed(client, "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(h.state(client), State::Reset);
    let sent = h.sent(client).text().to_owned();
    assert!(sent.matches("HTTP/1.1 ").count() <= 1, "{sent}");
}

#[test]
fn a_response_that_nobody_can_make_any_more_is_a_refusal() {
    let mut h = refusing(With::Page);
    let client = h.open();
    h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let sent = h.sent(client);
    assert_eq!(answers(&sent), ["503"]);
    assert_eq!(field(split_head(&sent).0, "X-Refused"), Some("by us"));
}

/// Defers all responses, refuses all pieces of a body, and answers the request itself when it is
/// asked for the refusal.
#[derive(Default)]
struct Hasty {
    deferred: Option<Deferred>,
    postponed: Option<Postponed>,
    answered: Vec<Sent>,
}

impl Service for Hasty {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match request.path() {
            "/postponed" => reply.postpone(|postponed, _| self.postponed = Some(postponed)),
            _ => reply.defer_with_body(|deferred, _| {
                self.deferred = Some(deferred);
                ((), None)
            }),
        }
    }

    fn on_piece(&mut self, _: &mut Turn, _: ConnId, (): &mut (), _: &[u8]) -> Result<(), Status> {
        Err(Status::FORBIDDEN)
    }

    fn on_refused(&mut self, status: Status, mut reply: Reply<'_, '_>) -> Answered {
        let cx = reply.turn();
        if let Some(deferred) = self.deferred.take() {
            assert!(!deferred.is_wanted(cx));
            self.answered.push(deferred.answer(cx, |reply| reply.send("late")));
        }
        if let Some(postponed) = self.postponed.take() {
            self.answered.push(postponed.answer(cx, |reply| reply.send("late")));
        }
        reply.error(status)
    }
}

#[test]
fn a_request_that_is_refused_has_no_other_response() {
    for (path, body, status) in [
        ("/", "", "503"),
        ("/postponed", "", "503"),
        ("/", "Content-Length: 1\r\n\r\na", "403"),
        ("/", "Content-Length: 9\r\n\r\na", "403"),
        ("/", "Content-Length: 9\r\n\r\n", "408"),
        ("/", "Transfer-Encoding: chunked\r\n\r\n+\r\n", "400"),
    ] {
        let mut h = Harness::new(Http::new(Hasty::default()));
        let client = h.open();
        let end = if body.is_empty() { "\r\n" } else { body };
        h.feed(client, format!("POST {path} HTTP/1.1\r\nHost: h\r\n{end}"));
        h.advance(Duration::from_secs(61));
        let what = format!("{path} {body}");
        assert_eq!(answers(&h.sent(client)), [status], "{what}");
        assert_eq!(h.handler().service().answered, [Sent::Gone], "{what}");
        assert_ne!(h.state(client), State::Open, "{what}");
    }
}
