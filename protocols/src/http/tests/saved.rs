//! Services that have bodies saved.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::testing::{Harness, State, same_at_every_split};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Handle, Listen, Receive, Turn, mailbox};

use super::{Answered, Http, Reply, Request, Service, answers, logged};
use crate::http::{Deferred, LogRecord};

/// Saves each body under the request's path, and logs.
struct Inbox {
    dir: Dir,
    done: Handle<Deferred>,
    log: Rc<RefCell<Vec<String>>>,
}

impl Inbox {
    fn save(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let file = self.dir.create(&request.path()[1..], &CreateOptions::default());
        reply.save(file.expect("a new file"))
    }
}

impl Service for Inbox {
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        self.save(request, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let done = &self.done;
        match request.path() {
            "/later" => reply.defer(|deferred, _| {
                Workers::inline().run(move || deferred, done).expect("room");
            }),
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
    fn on_message(&mut self, cx: &mut Turn, deferred: Deferred) {
        deferred.answer(cx, |reply| reply.send("later"));
    }
}

fn inbox() -> Harness<Http<Inbox>> {
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/in"),
        |reactor| {
            let (done, mailbox) = mailbox();
            let dir = reactor.fs().open_dir("/in").expect("it was made");
            let http = reactor.register(Http::new(Inbox { dir, done, log: Rc::default() }));
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
    // A body can be asked for only once.
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
