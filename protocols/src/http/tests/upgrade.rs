//! Upgrades to another protocol, and hand-overs to HTTP.

use std::cell::RefCell;
use std::rc::Rc;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Context, Handler, HandlerId, Input, Listen, Reactor};

use super::{answers, field, split_head};
use crate::http::{Answered, Http, HttpSession, LogRecord, Reply, Request, Service};
use crate::testing::same_at_every_split;

struct Shout;

impl Handler for Shout {
    type Session = &'static str;

    fn on_open(&mut self, _: &mut Context<'_>) -> &'static str {
        "not accepted here"
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, greeting: &mut &'static str) {
        cx.send(*greeting);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut &'static str, input: &mut Input<'_>) {
        cx.send(input.take().to_ascii_uppercase());
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, _: &mut &'static str) {
        cx.send("(stopped)");
        cx.close();
    }
}

struct Door {
    shout: HandlerId<Shout>,
    records: Vec<String>,
}

impl Service for Door {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match request.upgrade() {
            Some(upgrade) if upgrade.offers("shout") => {
                reply.header("X-Loud", "yes").upgrade(upgrade, "shout", self.shout, "(ready)")
            }
            _ => reply.send("plain"),
        }
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        let line = record.request_line.escape_ascii();
        self.records.push(format!("{line} {} {}", record.status.code(), record.body_sent));
    }
}

fn door() -> Harness<Http<Door>> {
    Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let shout = reactor.register(Shout);
            reactor.register(Http::new(Door { shout, records: Vec::new() }))
        },
    )
}

const UPGRADE: &str = "GET /up HTTP/1.1\r\nHost: h\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: tls/1, SHOUT\r\n\r\n";

#[test]
fn what_follows_an_upgrade_is_the_new_protocols_however_it_is_cut() {
    let input = format!("GET / HTTP/1.1\r\nHost: h\r\n\r\n{UPGRADE}GET / HTTP/1.1\r\n\r\n");
    let outcome = same_at_every_split(door, input);
    let (head, rest) = split_head(&outcome.sent);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let (head, rest) = split_head(rest.strip_prefix(b"plain").expect("the first answer"));
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert_eq!(field(head, "Connection"), Some("Upgrade"));
    assert_eq!(field(head, "Upgrade"), Some("shout"));
    assert_eq!(field(head, "X-Loud"), Some("yes"));
    assert_eq!(field(head, "Content-Length"), None);
    assert_eq!(rest.escape_ascii().to_string(), r"(ready)GET / HTTP/1.1\r\n\r\n");
    assert_eq!(outcome.state, State::Open);
}

#[test]
fn a_change_that_is_not_offered_or_not_possible_does_not_happen() {
    for request in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: shout\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: whisper\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: shout\r\n\
         Content-Length: 3\r\n\r\nabc",
    ] {
        let mut h = door();
        let client = h.open();
        h.feed(client, request);
        assert_eq!(answers(&h.sent(client)), ["200 plain"], "{request:?}");
    }
}

#[test]
fn an_upgrade_is_logged_once() {
    let mut h = door();
    let client = h.open();
    h.feed(client, UPGRADE);
    h.feed(client, "x");
    h.finish(client);
    assert_eq!(h.handler().service().records, ["GET /up HTTP/1.1 101 0"]);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn a_change_while_the_reactor_stops_is_the_new_protocols_to_end() {
    for split in 1..UPGRADE.len() {
        let mut h = door();
        let client = h.open();
        h.feed(client, &UPGRADE[..split]);
        h.stop();
        h.feed(client, &UPGRADE[split..]);
        let sent = h.sent(client);
        let (head, rest) = split_head(&sent);
        assert!(head.starts_with("HTTP/1.1 101"), "split at {split}: {head}");
        assert_eq!(rest, b"(ready)(stopped)", "split at {split}");
        assert_eq!(h.state(client), State::Shut, "split at {split}");
    }
}

/// Answers, and notes the responses that have left.
#[derive(Default)]
struct Noted(Rc<RefCell<Vec<String>>>);

impl Service for Noted {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.send(request.path())
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        let from = record.peer.map_or(0, |peer| peer.port());
        self.0.borrow_mut().push(format!("{} from {from}", record.body_sent));
    }
}

/// Takes three bytes and leaves the rest to HTTP.
struct Preface {
    http: HandlerId<Http<Noted>>,
}

impl Handler for Preface {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        if input.len() >= 3 {
            input.consume(3);
            cx.hand_over(self.http, HttpSession::new());
        }
    }
}

#[test]
fn a_connection_can_be_handed_over_to_http_behind_a_preface() {
    let notes: Rc<RefCell<Vec<String>>> = Rc::default();
    let make = || {
        let noted = Noted(notes.clone());
        let build = |reactor: &mut Reactor| {
            let http = reactor.register(Http::new(noted));
            reactor.register(Preface { http })
        };
        Harness::build(&Listen::default(), |_| {}, build)
    };
    let outcome = same_at_every_split(make, "hi\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(answers(&outcome.sent), ["200 /a"]);
    assert_eq!(outcome.state, State::Open);
    let notes = notes.borrow();
    assert!(notes.len() > 1 && notes.iter().all(|note| *note == notes[0]), "{notes:?}");
    assert!(notes[0].starts_with("2 from ") && notes[0] != "2 from 0", "{notes:?}");
}
