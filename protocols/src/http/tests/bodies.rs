//! Request bodies that a service reads.

use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{ConnId, Limits, Listen, Payload, Turn};

use super::{Answered, Http, HttpLimits, Reply, Request, Service, answers, field, split_head};
use crate::http::{Deferred, Status};
use crate::testing::same_at_every_split;

/// The maximum number of bytes of a body that is read whole.
const LIMIT: usize = 100_000;

/// Reads bodies as the first part of the path says, and answers with the path and the body.
#[derive(Default)]
pub(super) struct Bodies {
    /// Whether each body was owned.
    owned: Vec<bool>,
    /// The pieces of all bodies.
    pub(super) pieces: Vec<Vec<u8>>,
    /// Whether a connection pauses after a piece.
    pub(super) pauses: bool,
    pub(super) connection: Option<ConnId>,
    deferred: Vec<Deferred>,
    gone: Vec<ConnId>,
    /// The largest capacity of an owned body.
    capacity: usize,
    pub(super) logs: bool,
}

/// What the service sets aside: the path, and the pieces so far.
pub(super) struct Upload {
    path: String,
    bytes: Vec<u8>,
}

impl Service for Bodies {
    type State = Upload;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
        let upload = Upload { path: request.path().to_owned(), bytes: Vec::new() };
        match upload.path.split('/').nth(1) {
            Some("pieces") => reply.read_pieces(upload),
            Some("ignored") => reply.send("ignored"),
            _ => reply.read(LIMIT, upload),
        }
    }

    fn on_piece(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        upload: &mut Upload,
        piece: &[u8],
    ) -> Result<(), Status> {
        assert!(!piece.is_empty());
        self.pieces.push(piece.to_owned());
        self.connection = Some(connection);
        upload.bytes.extend_from_slice(piece);
        if self.pauses {
            cx.peer(connection).pause();
        }
        assert!(!upload.path.ends_with("/panics"), "on purpose");
        if piece.contains(&b'!') { Err(Status::FORBIDDEN) } else { Ok(()) }
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        mut upload: Upload,
        mut body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        assert_eq!(request.path(), upload.path);
        self.owned.push(matches!(body, Payload::Owned(_)));
        if let Payload::Owned(bytes) = body {
            // Nobody shares it, unless it is empty.
            let buffer = bytes.try_into_mut().unwrap_or_default();
            self.capacity = self.capacity.max(buffer.capacity());
            body = buffer.freeze().into();
        }
        upload.bytes.extend_from_slice(&body);
        match upload.path.as_str() {
            "/panics/a" => panic!("on purpose"),
            "/again" => reply.read(LIMIT, upload),
            "/later" => reply.defer(|deferred, _| self.deferred.push(deferred)),
            path => {
                let text = String::from_utf8_lossy(&upload.bytes);
                reply.send(format!("{path} {text}"))
            }
        }
    }

    fn on_refused(&mut self, status: Status, reply: Reply<'_, '_>) -> Answered {
        reply.status(status).header("X-Refused", "by us").send("refused")
    }

    fn on_gone(&mut self, _: &mut Turn, connection: ConnId) {
        self.gone.push(connection);
    }

    fn wants_log(&self) -> bool {
        self.logs
    }
}

pub(super) fn bodies() -> Harness<Http<Bodies>> {
    Harness::new(Http::new(Bodies::default()))
}

pub(super) fn service(h: &mut Harness<Http<Bodies>>) -> &mut Bodies {
    h.handler().service()
}

pub(super) fn exact(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}

pub(super) fn chunked(path: &str, chunks: &[&str]) -> String {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    request + "0\r\n\r\n"
}

const BARE: &str = "POST /bare HTTP/1.1\r\nHost: h\r\n\r\n";

pub(super) fn ask(h: &mut Harness<Http<Bodies>>, client: Client, input: &str) -> Vec<String> {
    h.feed(client, input);
    answers(&h.sent(client))
}

#[test]
fn each_body_comes_whole_and_with_what_was_set_aside_for_it() {
    let input = exact("/a", "hello")
        + BARE
        + &chunked("/b", &["he", "l", "lo"])
        + &exact("/c", "")
        + &exact("/ignored", "hello")
        + &chunked("/d", &[])
        + &exact("/a", "GET / HTTP/1.1\r\n\r\n");
    let expected = [
        "200 /a hello",
        "200 /bare ",
        "200 /b hello",
        "200 /c ",
        "200 ignored",
        "200 /d ",
        "200 /a GET / HTTP/1.1\r\n\r\n",
    ];
    let outcome = same_at_every_split(bodies, &input);
    assert_eq!(answers(&outcome.sent), expected);
    assert_eq!(outcome.state, State::Open);
}

#[test]
fn a_body_in_pieces_is_answered_after_its_last() {
    let input = exact("/pieces/a", "hello")
        + &chunked("/pieces/b", &["he", "l", "lo"])
        + &exact("/pieces/c", "")
        + &chunked("/pieces/d", &[])
        + BARE.replace("bare", "pieces/e").as_str()
        + &exact("/a", "hello");
    let expected = [
        "200 /pieces/a hello",
        "200 /pieces/b hello",
        "200 /pieces/c ",
        "200 /pieces/d ",
        "200 /pieces/e ",
        "200 /a hello",
    ];
    let outcome = same_at_every_split(bodies, &input);
    assert_eq!(answers(&outcome.sent), expected);
    assert_eq!(outcome.state, State::Open);
}

#[test]
fn bodies_that_arrive_interleaved_are_not_mixed_up() {
    let mut h = bodies();
    let clients: Vec<Client> = (0..50).map(|_| h.open()).collect();
    let requests: Vec<String> = (0..clients.len())
        .map(|at| {
            let (path, body) = (format!("/{at}"), format!("body of {at}"));
            if at % 2 == 0 { exact(&path, &body) } else { chunked(&path, &[&body, "."]) }
        })
        .collect();
    let longest = requests.iter().map(String::len).max().unwrap_or(0);
    for piece in 0..longest.div_ceil(7) {
        h.at_once(|h| {
            for (client, request) in clients.iter().zip(&requests) {
                let bytes = request.as_bytes();
                let from = (7 * piece).min(bytes.len());
                h.feed(*client, &bytes[from..(from + 7).min(bytes.len())]);
            }
        });
    }
    for (at, client) in clients.iter().enumerate() {
        let end = if at % 2 == 0 { "" } else { "." };
        assert_eq!(answers(&h.sent(*client)), [format!("200 /{at} body of {at}{end}")]);
    }
}

#[test]
fn a_body_that_is_here_is_borrowed_and_a_long_one_is_handed_over_in_its_buffer() {
    let mut h = bodies();
    let client = h.open();
    ask(&mut h, client, &exact("/a", "hello"));
    let long = "x".repeat(LIMIT);
    let request = exact("/a", &long);
    let (start, end) = request.split_at(request.len() / 2);
    h.feed(client, start);
    assert_eq!(ask(&mut h, client, end), [format!("200 /a {long}")]);
    ask(&mut h, client, &chunked("/a", &["hello"]));
    assert_eq!(service(&mut h).owned, [false, true, true]);
}

#[test]
fn row_16_a_body_over_the_limit_of_its_request_is_refused_before_it_is_read() {
    let long = "x".repeat(LIMIT + 1);
    let announced = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n";
    for input in [&exact("/a", &long)[..200], announced, &chunked("/a", &[&long])[..200]] {
        let mut h = bodies();
        let client = h.open();
        h.feed(client, input);
        let sent = h.sent(client);
        assert_eq!(answers(&sent), ["413"], "{input}");
        assert_eq!(field(split_head(&sent).0, "X-Refused"), Some("by us"), "{input}");
        assert_ne!(h.state(client), State::Open);
    }
    // The sum of the chunks counts.
    let half = "x".repeat(LIMIT / 2 + 1);
    let mut h = bodies();
    let client = h.open();
    assert_eq!(ask(&mut h, client, &chunked("/a", &[&half, &half])), ["413"]);
    let mut h = bodies();
    let client = h.open();
    let just = "x".repeat(LIMIT - LIMIT / 2 - 1);
    let sum = answers_of(&mut h, client, &chunked("/a", &[&half, &just]));
    assert_eq!(sum, [format!("200 /a {half}{just}")]);
}

#[test]
fn row_16_a_chunked_body_takes_no_more_memory_than_its_limit() {
    let mut h = bodies();
    let client = h.open();
    let chunk = "x".repeat(1000);
    let sum = answers_of(&mut h, client, &chunked("/a", &vec![chunk.as_str(); LIMIT / 1000]));
    assert_eq!(sum, [format!("200 /a {}", "x".repeat(LIMIT))]);
    let capacity = service(&mut h).capacity;
    assert_eq!(capacity, LIMIT);
}

fn answers_of(h: &mut Harness<Http<Bodies>>, client: Client, input: &str) -> Vec<String> {
    for piece in input.as_bytes().chunks(1000) {
        h.feed(client, piece);
    }
    answers(&h.sent(client))
}

#[test]
fn a_body_beyond_what_the_reactor_receives_in_one_piece_is_too_long() {
    let limits = Limits { max_exact: 1000, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let body = "x".repeat(1001);
    for request in [&exact("/a", &body)[..100], &chunked("/a", &[&body[..500], &body[500..]])] {
        let mut h = Harness::with(Http::new(Bodies::default()), &listen);
        let client = h.open();
        assert_eq!(ask(&mut h, client, request), ["413"], "{request}");
    }
}

#[test]
fn row_24_a_client_that_waits_is_told_to_go_on_only_if_its_body_is_wanted() {
    let head = |path: &str, length: usize| {
        let expect = "Expect: 100-continue";
        format!("POST {path} HTTP/1.1\r\nHost: h\r\n{expect}\r\nContent-Length: {length}\r\n\r\n")
    };
    for path in ["/a", "/pieces/a"] {
        let mut h = bodies();
        let client = h.open();
        h.feed(client, head(path, 5));
        assert_eq!(h.sent(client), "HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(ask(&mut h, client, "hello"), [format!("200 {path} hello")]);
        assert_eq!(ask(&mut h, client, &head(path, 0)), [format!("200 {path} ")]);
    }
    let mut h = bodies();
    let client = h.open();
    assert_eq!(ask(&mut h, client, &head("/a", LIMIT + 1)), ["413"]);
}

#[test]
fn row_17_a_body_that_is_too_slow_is_refused() {
    for path in ["/a", "/pieces/a"] {
        for head in ["Content-Length: 90000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5000\r\n"]
        {
            let mut h = bodies();
            let client = h.open();
            h.feed(client, format!("POST {path} HTTP/1.1\r\nHost: h\r\n{head}"));
            h.feed(client, "x".repeat(6000));
            h.advance(Duration::from_millis(10_100));
            assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open), "{head:?}");
            h.advance(Duration::from_millis(10_100));
            assert_eq!(answers(&h.sent(client)), ["408"], "{path} {head:?}");
        }
    }
}

#[test]
fn row_17_a_body_that_is_fast_enough_is_not_refused_however_it_arrives() {
    for start in [6000, 70_000] {
        for request in [exact("/a", &"x".repeat(LIMIT)), exact("/pieces/a", &"x".repeat(LIMIT))] {
            let mut h = bodies();
            let client = h.open();
            let (start, rest) = request.split_at(start);
            h.feed(client, start);
            for second in rest.as_bytes().chunks(600) {
                h.advance(Duration::from_secs(1));
                assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open), "{start:?}");
                h.feed(client, second);
            }
            assert_eq!(answers(&h.sent(client)).len(), 1);
        }
    }
}

#[test]
fn row_5_a_chunked_body_that_breaks_a_rule_is_refused() {
    for path in ["/a", "/pieces/a"] {
        for body in ["5\nhello\r\n0\r\n\r\n", "5\r\nhelloX", "g\r\n"] {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
            let outcome = same_at_every_split(bodies, &(head + body));
            assert_eq!(answers(&outcome.sent), ["400"], "{body:?}");
            assert!(String::from_utf8_lossy(&outcome.sent).contains("X-Refused: by us"));
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_gets_nothing() {
    for path in ["/a", "/pieces/a"] {
        for request in [exact(path, "hello"), chunked(path, &["hello"])] {
            for end in request.len() - 8..request.len() {
                let mut h = bodies();
                let client = h.open();
                h.feed(client, &request[..end]);
                h.finish(client);
                assert!(h.sent(client).is_empty(), "{request:?} until {end}");
                assert_ne!(h.state(client), State::Open);
            }
        }
    }
}

#[test]
fn what_a_service_that_panics_leaves_never_reaches_another_client() {
    for path in ["/panics/a", "/pieces/panics"] {
        for request in [exact(path, "hello"), chunked(path, &["hello"])] {
            let mut h = bodies();
            h.expect_panics();
            let (bad, other) = (h.open(), h.open());
            let (start, end) = request.split_at(request.len() - 7);
            h.feed(bad, exact("/ignored", "") + start);
            h.sent(bad);
            h.feed(bad, end);
            assert_eq!((h.sent(bad).len(), h.state(bad)), (0, State::Reset), "{request}");
            assert_eq!(ask(&mut h, other, &exact("/a", "other")), ["200 /a other"]);
        }
    }
}

#[test]
fn a_body_is_read_only_once_and_its_answer_can_be_deferred() {
    let mut h = bodies();
    let client = h.open();
    assert_eq!(ask(&mut h, client, &exact("/again", "hello")), ["500"]);
    for request in [exact("/later", "hello"), chunked("/later", &["hello"])] {
        h.feed(client, request + &exact("/a", "next"));
        assert!(h.sent(client).is_empty());
        let deferred = service(&mut h).deferred.pop().expect("a request");
        deferred.answer(h.reactor(), |reply| reply.send("now"));
        h.run();
        assert_eq!(answers(&h.sent(client)), ["200 now", "200 /a next"]);
    }
}

#[test]
fn row_18_the_last_request_of_a_connection_may_have_a_body() {
    let limits = HttpLimits { requests: Some(2), ..HttpLimits::default() };
    let make = || Harness::new(Http::with(Bodies::default(), limits.clone()));
    let outcome = same_at_every_split(make, &(exact("/a", "hello") + &exact("/b", "hello")));
    assert_eq!(answers(&outcome.sent), ["200 /a hello", "200 /b hello"]);
    assert_ne!(outcome.state, State::Open);
}

#[test]
fn the_service_learns_that_a_body_will_not_be_complete() {
    let whole =
        [exact("/pieces", "hello"), chunked("/pieces", &["he", "llo"]), exact("/a", "hello")];
    for (request, is_reset) in whole.iter().flat_map(|request| [(request, false), (request, true)])
    {
        let mut h = bodies();
        let client = h.open();
        h.feed(client, &request[..request.len() - 1]);
        if is_reset {
            h.reset(client);
        } else {
            h.finish(client);
        }
        assert_eq!(service(&mut h).gone.len(), 1, "{request}");
    }
}

#[test]
fn a_request_that_was_answered_is_not_gone() {
    for path in ["/pieces", "/a"] {
        let mut h = bodies();
        let client = h.open();
        h.feed(client, exact(path, "hello"));
        h.reset(client);
        assert!(service(&mut h).gone.is_empty(), "{path}");
    }
}
