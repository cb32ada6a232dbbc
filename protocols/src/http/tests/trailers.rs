//! The trailer fields of chunked request bodies.

use std::io;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{ConnId, Listen, Payload, Turn};

use super::{Answered, Http, Reply, Request, Service, answers};
use crate::http::Trailers;
use crate::testing::same_at_every_split;

/// Asks for bodies as the path says, and answers with the values of `A` in the head and those of
/// all trailer fields.
struct Witness(Dir);

impl Witness {
    fn report(request: &Request<'_>, trailers: &[String], reply: Reply<'_, '_>) -> Answered<Seen> {
        let values = request.headers().filter(|(name, _)| *name == "A").map(|(_, value)| value);
        let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
        reply.send(format!("head {}, then {}", values.join(" "), trailers.join(" ")))
    }
}

type Seen = Vec<String>;

impl Service for Witness {
    type State = Seen;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Seen> {
        match request.path() {
            "/pieces" => reply.read_pieces(Seen::new()),
            "/whole" => reply.read(100, Seen::new()),
            _ => {
                let file = self.0.create("file", &CreateOptions::default());
                reply.save(file.expect("a new file"), Seen::new())
            }
        }
    }

    fn on_trailers(&mut self, _: &mut Turn, _: ConnId, seen: &mut Seen, trailers: Trailers<'_>) {
        assert!(seen.is_empty(), "called twice");
        seen.extend(
            trailers.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii())),
        );
        assert!(!seen.is_empty(), "called without trailers");
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        seen: Seen,
        _: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Seen> {
        Witness::report(request, &seen, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        seen: Seen,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Seen> {
        assert!(saved.is_ok());
        Witness::report(request, &seen, reply)
    }
}

fn witness() -> Harness<Http<Witness>> {
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/in"),
        |reactor| {
            let dir = reactor.open_dir("/in").expect("it was made");
            reactor.register(Http::new(Witness(dir)))
        },
    )
}

fn post(path: &str, trailers: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nA: 1\r\nTransfer-Encoding: chunked");
    format!("{head}\r\n\r\n5\r\nhello\r\n0\r\n{trailers}\r\n")
}

#[test]
fn row_7_a_service_gets_the_trailers_before_it_answers_and_apart_from_the_head() {
    for path in ["/pieces", "/whole", "/saved"] {
        let input = post(path, "A: 2\r\nContent-Length:  5 \r\nA:\r\n") + &post(path, "");
        let expected = ["200 head 1, then A=2 Content-Length=5 A=", "200 head 1, then "];
        let outcome = same_at_every_split(witness, &input);
        assert_eq!(answers(&outcome.sent), expected, "{path}");
        assert_eq!(outcome.state, State::Open, "{path}");
    }
}

#[test]
fn row_7_trailers_that_break_a_rule_or_exceed_the_limit_of_a_head_are_refused() {
    for path in ["/pieces", "/whole", "/saved"] {
        for trailers in ["A : 2\r\n", " A: 2\r\n", "A: \0\r\n", "A: 2\r\n B\r\n", "A\r\n"] {
            let outcome = same_at_every_split(witness, post(path, trailers));
            assert_eq!(answers(&outcome.sent), ["400"], "{path} {trailers:?}");
        }
        // Each line is within the limit of a line, and together they are longer than 32 KiB.
        let line = format!("A: {}\r\n", "x".repeat(3995));
        for (lines, expected) in [(8, "200"), (9, "431")] {
            let mut h = witness();
            let client = h.open();
            for piece in post(path, &line.repeat(lines)).as_bytes().chunks(1000) {
                h.feed(client, piece);
            }
            let answers = answers(&h.sent(client));
            assert_eq!(answers.len(), 1, "{path}");
            assert_eq!(answers[0][..3], *expected, "{path} {lines}");
        }
    }
}
