//! Streamed responses of known length.

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Receive, Sent, Sessions};

use super::{Answered, Http, Reply, Request, Service, answers, field, split_head};
use crate::http::{ResponseStream, Status};
use crate::testing::same_at_every_split;

/// Promises ten bytes, and sends five of them at once.
#[derive(Default)]
struct Sized {
    streams: Vec<ResponseStream>,
}

impl Service for Sized {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let reply = match request.path() {
            "/none" => reply.status(Status::NO_CONTENT),
            "/reset" => reply.status(Status::RESET_CONTENT),
            "/whole" => {
                return reply.stream_sized(7, |mut stream, cx| {
                    assert_eq!(stream.send(cx, "200 abc"), Sent::Accepted);
                    assert_eq!(stream.finish(cx), Sent::Accepted);
                });
            }
            _ => reply,
        };
        reply.stream_sized(10, |mut stream, cx| {
            stream.send(cx, "01234");
            self.streams.push(stream);
        })
    }
}

/// Sends this to all streams, and ends them.
struct Rest(&'static str);

impl Receive<Rest> for Sized {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Rest(part): Rest) {
        for mut stream in self.streams.drain(..) {
            if stream.send(cx, part) != Sent::Gone {
                stream.finish(cx);
            }
        }
    }
}

fn sized() -> Harness<Http<Sized>> {
    Harness::new(Http::new(Sized::default()))
}

fn request(method: &str, path: &str, version: &str) -> String {
    format!("{method} {path} HTTP/{version}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
}

#[test]
fn a_stream_of_known_length_states_it_and_keeps_the_connection() {
    for version in ["1.0", "1.1"] {
        let input = request("GET", "/whole", version);
        let outcome = same_at_every_split(sized, &(input.clone() + &input));
        assert_eq!(answers(&outcome.sent), ["200 200 abc", "200 200 abc"], "{version}");
        assert_eq!(outcome.state, State::Open, "{version}");
    }
}

#[test]
fn a_stream_of_known_length_can_be_continued_later() {
    let mut h = sized();
    let client = h.open();
    h.feed(client, request("GET", "/", "1.1") + &request("GET", "/whole", "1.1"));
    h.post(Rest("56789"));
    assert_eq!(answers(&h.sent(client)), ["200 0123456789", "200 200 abc"]);
}

#[test]
fn a_stream_that_does_not_keep_to_its_length_is_cut_off() {
    for rest in ["5678", "567890", ""] {
        let mut h = sized();
        let client = h.open();
        h.feed(client, request("GET", "/", "1.1"));
        h.post(Rest(rest));
        assert_eq!(h.state(client), State::Reset, "{rest:?}");
    }
}

#[test]
fn a_sized_stream_without_content_has_only_a_head() {
    for (method, path, length) in
        [("HEAD", "/", Some("10")), ("GET", "/none", None), ("GET", "/reset", Some("0"))]
    {
        let mut h = sized();
        let client = h.open();
        h.feed(client, request(method, path, "1.1"));
        h.post(Rest("more than ten bytes"));
        let sent = h.sent(client);
        let (head, body) = split_head(&sent);
        assert_eq!(field(head, "Content-Length"), length, "{path}");
        assert!(body.is_empty(), "{path}");
        assert_eq!(h.state(client), State::Open, "{path}");
    }
}
