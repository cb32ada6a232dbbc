//! Responses that are sent piece by piece.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{ConnId, Receive, Sent, Sessions, Turn};

use super::{
    Answered, Http, HttpLimits, LogRecord, Reply, Request, Service, field, logged, split_head,
};
use crate::http::{Deferred, ResponseStream, Status};
use crate::testing::same_at_every_split;

/// Streams to `/stream`, which later callbacks continue; and at once to `/short`.
#[derive(Default)]
struct Streams {
    streams: Vec<ResponseStream>,
    deferred: Vec<Deferred>,
    /// What was told: room and lost connections.
    told: Vec<String>,
    /// What sending has returned.
    sent: Vec<Sent>,
    log: Rc<RefCell<Vec<String>>>,
}

impl Service for Streams {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match request.path() {
            "/stream" => {
                reply.header("trailer", "Checksum").stream(|stream, _| self.streams.push(stream))
            }
            "/short" => reply.stream(|mut stream, cx| {
                for part in ["one", "", "two"] {
                    assert_eq!(stream.send(cx, part), Sent::Accepted);
                }
                stream.finish(cx);
            }),
            "/dropped" => reply.stream(|mut stream, cx| _ = stream.send(cx, "half")),
            "/dropped/with-body" => reply.defer_with_body(|deferred, cx| {
                deferred.answer(cx, |reply| reply.stream(|_, _| {}));
                ((), None)
            }),
            "/dropped/postponed" => reply.postpone(|postponed, cx| {
                postponed.answer(cx, |reply| reply.stream(|_, _| {}));
            }),
            "/deferred" => reply.defer(|deferred, _| self.deferred.push(deferred)),
            "/hint" => {
                let hints = [
                    ("Link", "</a.css>"),
                    ("Bad", "a\r\nb"),
                    ("Bad\r\n", "a"),
                    ("content-length", "9"),
                    ("Transfer-Encoding", "chunked"),
                ];
                reply.interim(Status::EARLY_HINTS, &hints).send("hinted")
            }
            "/empty" => reply.status(Status::NO_CONTENT).stream(|_, _| panic!("no content")),
            "/reset" => reply.status(Status::RESET_CONTENT).stream(|_, _| panic!("no content")),
            path => reply.send(path),
        }
    }

    fn on_room(&mut self, _: &mut Turn, _: ConnId) {
        self.told.push("room".to_owned());
    }

    fn on_gone(&mut self, _: &mut Turn, connection: ConnId) {
        self.streams.retain(|stream| stream.connection() != connection);
        self.told.push("gone".to_owned());
    }

    fn on_client_end(&mut self, _: &mut Turn, _: ConnId) {
        self.told.push("end".to_owned());
    }

    fn on_stop(&mut self, _: &mut Turn, _: ConnId) {
        self.told.push("stop".to_owned());
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.log.borrow_mut().push(logged(record));
    }
}

/// Sends this to all streams.
struct Publish(String);

impl Receive<Publish> for Streams {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Publish(part): Publish) {
        for stream in &mut self.streams {
            self.sent.push(stream.send(cx, &part));
        }
    }
}

/// Ends all streams with a trailer.
struct End;

impl Receive<End> for Streams {
    fn on_message(&mut self, cx: &mut Sessions<'_>, End: End) {
        for stream in self.streams.drain(..) {
            stream
                .finish_with(cx, &[("Checksum", "7"), ("bad name", "x"), ("Content-Length", "9")]);
        }
        for deferred in self.deferred.drain(..) {
            deferred.answer(cx, |reply| reply.stream(|stream, _| self.streams.push(stream)));
        }
    }
}

fn streams() -> Harness<Http<Streams>> {
    Harness::new(Http::new(Streams::default()))
}

fn service(h: &mut Harness<Http<Streams>>) -> &mut Streams {
    h.handler().service()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn publish(h: &mut Harness<Http<Streams>>, part: &str) {
    h.post(Publish(part.to_owned()));
}

fn text(h: &mut Harness<Http<Streams>>, client: Client) -> String {
    h.sent(client).text().to_owned()
}

/// The body of one response, and what follows.
fn body_of(response: &[u8]) -> (&str, String) {
    let (head, rest) = split_head(response);
    (head, String::from_utf8(rest.to_vec()).expect("text"))
}

#[test]
fn row_33_a_body_of_unknown_length_is_chunked_and_ends_an_old_connection() {
    let outcome = same_at_every_split(streams, get("/short"));
    let (head, body) = body_of(&outcome.sent);
    assert_eq!(field(head, "Transfer-Encoding"), Some("chunked"));
    assert_eq!((field(head, "Content-Length"), field(head, "Connection")), (None, None));
    assert_eq!(body, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(outcome.state, State::Open);

    for keep_alive in ["", "Connection: keep-alive\r\n"] {
        let request = format!("GET /short HTTP/1.0\r\n{keep_alive}\r\n");
        let outcome = same_at_every_split(streams, &request);
        let (head, body) = body_of(&outcome.sent);
        assert_eq!(field(head, "Transfer-Encoding"), None);
        assert_eq!((field(head, "Connection"), body.as_str()), (Some("close"), "onetwo"));
        assert_ne!(outcome.state, State::Open);
    }

    let request = get("/short").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let outcome = same_at_every_split(streams, &request);
    let (head, body) = body_of(&outcome.sent);
    assert_eq!(field(head, "Connection"), Some("close"));
    assert!(body.ends_with("0\r\n\r\n"));
    assert_ne!(outcome.state, State::Open);
}

#[test]
fn row_22_a_response_without_content_does_not_wait_for_its_stream() {
    let head_of = get("/stream").replace("GET", "HEAD");
    let old = "HEAD /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned();
    for request in [head_of, old, get("/empty")] {
        let outcome = same_at_every_split(streams, request.clone() + &get("/next"));
        let (head, next) = body_of(&outcome.sent);
        assert_eq!(field(head, "Transfer-Encoding"), None, "{request}");
        assert!(next.starts_with("HTTP/1.1 200") && next.ends_with("/next"), "{request}: {next}");
        assert_eq!(outcome.state, State::Open);
    }
}

#[test]
fn row_22_a_stream_that_resets_content_says_that_it_has_none() {
    for request in [get("/reset"), get("/reset").replace("GET", "HEAD")] {
        let outcome = same_at_every_split(streams, request + &get("/next"));
        let (head, next) = body_of(&outcome.sent);
        // RFC 9112, section 6.3: a client waits for the end of the connection otherwise.
        assert_eq!(field(head, "Content-Length"), Some("0"));
        assert!(next.starts_with("HTTP/1.1 200"), "{next}");
    }
}

#[test]
fn row_18_a_stream_keeps_its_place_among_other_responses() {
    let input = get("/a") + &get("/short") + &get("/b") + &get("/short") + &get("/c");
    let outcome = same_at_every_split(streams, &input);
    let text = outcome.sent.text();
    let positions = |part: &str| text.match_indices(part).map(|(at, _)| at).collect::<Vec<_>>();
    let order = [positions("/a"), positions("3\r\none"), positions("/b"), positions("/c")].concat();
    let [a, first, second, b, c] = order[..] else { panic!("{text}") };
    assert!(a < first && first < b && b < second && second < c, "{text}");
}

#[test]
fn row_46_parts_leave_as_they_are_sent_and_the_last_with_trailers() {
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/stream") + &get("/next"));
    let head = text(&mut h, client);
    assert!(head.contains("trailer: Checksum\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    for (part, expected) in
        [("hello", "5\r\nhello\r\n"), ("", ""), ("0123456789abcdef", "10\r\n0123456789abcdef\r\n")]
    {
        publish(&mut h, part);
        assert_eq!(text(&mut h, client), expected);
    }
    h.post(End);
    let end = text(&mut h, client);
    let (last, next) = end.split_at("0\r\nChecksum: 7\r\n\r\n".len());
    assert_eq!(last, "0\r\nChecksum: 7\r\n\r\n");
    assert!(next.ends_with("/next"), "{next}");
    let log = service(&mut h).log.take();
    assert_eq!(log, ["\"GET /stream HTTP/1.1\" 200 21", "\"GET /next HTTP/1.1\" 200 5"]);
}

#[test]
fn one_part_to_many_clients_reaches_each_of_them() {
    let mut h = streams();
    let clients: Vec<Client> = (0..100).map(|_| h.open()).collect();
    for client in &clients {
        h.feed(*client, get("/stream"));
        h.sent(*client);
    }
    publish(&mut h, "event");
    for client in &clients {
        assert_eq!(text(&mut h, *client), "5\r\nevent\r\n");
    }
}

#[test]
fn a_service_is_told_when_a_slow_client_has_room_again_and_when_one_has_gone() {
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/stream"));
    h.sent(client);
    h.set_room(client, 0);
    publish(&mut h, &"x".repeat(100_000));
    assert_eq!(service(&mut h).sent, [Sent::Full]);
    assert!(service(&mut h).told.is_empty());
    h.set_room(client, 1_000_000);
    assert_eq!(text(&mut h, client).len(), "186a0\r\n\r\n".len() + 100_000);
    assert_eq!(service(&mut h).told, ["room"]);
    publish(&mut h, "more");
    h.reset(client);
    assert_eq!(service(&mut h).told, ["room", "gone"]);
    publish(&mut h, "to nobody");
    assert_eq!(service(&mut h).sent, [Sent::Full, Sent::Accepted]);
}

#[test]
fn a_service_is_not_told_of_room_that_it_does_not_wait_for() {
    let mut h = streams();
    let client = h.open();
    // The log waits until the first response has left.
    h.feed(client, get("/a") + &get("/stream"));
    h.sent(client);
    publish(&mut h, "part");
    assert!(service(&mut h).told.is_empty(), "{:?}", service(&mut h).told);
}

#[test]
fn row_38_a_stream_that_is_cut_is_logged_with_what_has_left() {
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/stream"));
    publish(&mut h, "half");
    h.sent(client);
    h.reset(client);
    assert_eq!(service(&mut h).log.take(), ["\"GET /stream HTTP/1.1\" 200 4"]);

    let client = h.open();
    h.feed(client, get("/stream"));
    h.sent(client);
    h.set_room(client, 0);
    publish(&mut h, "half");
    h.reset(client);
    assert_eq!(service(&mut h).log.take(), ["\"GET /stream HTTP/1.1\" 200 -"]);
}

#[test]
fn a_stream_to_a_client_that_has_gone_says_so() {
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/stream"));
    let mut stream = service(&mut h).streams.pop().expect("a stream");
    h.reset(client);
    assert_eq!(service(&mut h).told, ["gone"]);
    assert_eq!(stream.send(h.reactor(), "part"), Sent::Gone);
    assert_eq!(stream.finish(h.reactor()), Sent::Gone);
    assert_eq!(service(&mut h).told, ["gone"], "only once");
}

#[test]
fn row_17_a_quiet_stream_is_neither_idle_nor_late() {
    let limits = HttpLimits::default();
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/stream"));
    h.sent(client);
    for _ in 0..10 {
        h.advance(limits.response_timeout + Duration::from_secs(30));
        assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open));
        publish(&mut h, "ping");
        assert_eq!(text(&mut h, client), "4\r\nping\r\n");
    }
    h.post(End);
    assert!(text(&mut h, client).ends_with("\r\n\r\n"));
    // The limits of the next request hold again.
    h.feed(client, "GET /");
    h.advance(limits.head_timeout + Duration::from_millis(100));
    assert!(text(&mut h, client).starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_stream_that_is_dropped_must_not_look_complete() {
    for old in [false, true] {
        let request = |path: &str| match old {
            false => get(path),
            true => format!("GET {path} HTTP/1.0\r\n\r\n"),
        };
        let mut h = streams();
        for path in ["/dropped", "/dropped/with-body", "/dropped/postponed"] {
            let client = h.open();
            h.feed(client, request(path) + &request("/next"));
            assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Reset), "{path}");
        }

        let client = h.open();
        h.feed(client, request("/stream") + &request("/next"));
        publish(&mut h, "half");
        service(&mut h).streams.clear();
        h.advance(HttpLimits::default().response_timeout + Duration::from_millis(100));
        assert!(text(&mut h, client).contains("half"));
        assert_eq!(h.state(client), State::Reset, "later");
    }
}

#[test]
fn a_deferred_response_can_become_a_stream() {
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/deferred") + &get("/next"));
    assert!(h.sent(client).is_empty());
    h.post(End);
    let head = text(&mut h, client);
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    publish(&mut h, "part");
    assert_eq!(text(&mut h, client), "4\r\npart\r\n");
    h.post(End);
    let end = text(&mut h, client);
    assert!(end.starts_with("0\r\n\r\nHTTP/1.1 200"), "{end}");
}

#[test]
fn a_server_that_stops_lets_a_stream_end_within_its_grace_period() {
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/stream"));
    h.sent(client);
    h.stop();
    publish(&mut h, "part");
    assert_eq!(text(&mut h, client), "4\r\npart\r\n");
    h.post(End);
    assert!(text(&mut h, client).ends_with("\r\n\r\n"));
    assert_ne!(h.state(client), State::Open);
}

#[test]
fn nothing_reaches_a_connection_of_the_same_id_in_another_reactor() {
    let mut here = streams();
    let client = here.open();
    here.feed(client, get("/stream") + &get("/next"));
    let mut stream = service(&mut here).streams.pop().expect("a stream");
    let client = here.open();
    here.feed(client, get("/deferred"));
    let deferred = service(&mut here).deferred.pop().expect("a request");
    let there = move || {
        let mut there = streams();
        let clients = [there.open(), there.open()];
        let reactor = there.reactor();
        assert_eq!(stream.send(reactor, "part"), Sent::Gone);
        assert_eq!(stream.finish(reactor), Sent::Gone);
        let sent = deferred.answer(reactor, |reply| reply.send("the response"));
        assert_eq!(sent, Sent::Gone);
        there.run();
        for client in clients {
            assert!(there.sent(client).is_empty());
        }
    };
    std::thread::spawn(there).join().expect("no panic");
    here.advance(HttpLimits::default().response_timeout + Duration::from_millis(100));
    assert!(text(&mut here, client).starts_with("HTTP/1.1 503"));
}

#[test]
fn a_stream_that_a_stop_cuts_does_not_look_complete() {
    for (request, expected) in [
        // The last chunk is missing.
        (get("/stream"), State::Closed),
        ("GET /stream HTTP/1.0\r\n\r\n".to_owned(), State::Reset),
    ] {
        let mut h = streams();
        let client = h.open();
        h.feed(client, request);
        publish(&mut h, "half");
        assert!(text(&mut h, client).contains("half"));
        h.stop();
        h.advance(Duration::from_secs(60));
        assert_eq!(h.state(client), expected);
        assert_eq!(service(&mut h).told, ["stop", "gone"]);
    }
}

#[test]
fn an_interim_response_precedes_the_final_one_and_old_clients_get_none() {
    let outcome = same_at_every_split(streams, get("/hint"));
    let text = outcome.sent.text();
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(text.starts_with(hint), "{text}");
    let outcome = same_at_every_split(streams, "GET /hint HTTP/1.0\r\n\r\n");
    assert!(outcome.sent.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_service_is_told_when_the_client_of_a_stream_ends_its_direction_and_when_the_server_stops() {
    let mut h = streams();
    let client = h.open();
    h.feed(client, get("/stream"));
    h.finish(client);
    assert_eq!(service(&mut h).told, ["end"]);
    publish(&mut h, "part");
    h.stop();
    assert_eq!(service(&mut h).told, ["end", "stop"]);
    h.post(End);
    assert!(text(&mut h, client).contains("4\r\npart\r\n0\r\n"));
    assert_eq!(service(&mut h).told, ["end", "stop"]);
}
