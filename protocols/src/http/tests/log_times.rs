//! Row 38: the times in the access log.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::Payload;
use sluicegate_reactor::testing::{Client, Harness};

use super::{Answered, Http, Reply, Request, Service};
use crate::http::{Deferred, LogRecord, ResponseStream};

/// How long a request waits in these tests.
const WAIT: Duration = Duration::from_secs(5);

/// Reads bodies, begins a stream for `/stream`, and defers every other response.
#[derive(Default)]
struct Waiting {
    deferred: Option<Deferred>,
    stream: Option<ResponseStream>,
    times: Rc<RefCell<Vec<u64>>>,
}

impl Service for Waiting {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match request.path() {
            "/read" => reply.read(10, ()),
            "/stream" => reply.stream(|stream, _| self.stream = Some(stream)),
            _ => reply.defer(|deferred, _| self.deferred = Some(deferred)),
        }
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        (): (),
        _: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.send("read")
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.times.borrow_mut().push(record.time);
    }
}

/// The time in the log, in seconds after the request has arrived, if this happens [`WAIT`] later.
fn logged_after(path: &str, then: impl FnOnce(&mut Harness<Http<Waiting>>, Client)) -> Vec<u64> {
    let mut h = Harness::new(Http::new(Waiting::default()));
    let times = h.handler().service().times.clone();
    let client = h.open();
    h.feed(client, format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"));
    let start = h.reactor().unix_time();
    h.advance(WAIT);
    then(&mut h, client);
    h.run();
    times.take().into_iter().map(|time| time - start).collect()
}

#[test]
fn row_38_the_time_of_a_line_is_that_of_the_answer() {
    let answer = |h: &mut Harness<Http<Waiting>>| {
        let deferred = h.handler().service().deferred.take().expect("a request");
        deferred.answer(h.reactor(), |reply| reply.send("deferred"));
    };
    assert_eq!(logged_after("/defer", |h, _| answer(h)), [5]);
    assert_eq!(logged_after("/read", |h, client| h.feed(client, "ab")), [5]);
    let finish = |h: &mut Harness<Http<Waiting>>, _| {
        let stream = h.handler().service().stream.take().expect("a stream");
        stream.finish(h.reactor());
    };
    assert_eq!(logged_after("/stream", finish), [5]);
    // Not the time at which a slow client has read it.
    let answer_slowly = |h: &mut Harness<Http<Waiting>>, client| {
        h.set_room(client, 1);
        answer(h);
        h.advance(WAIT);
        h.sent(client);
    };
    assert_eq!(logged_after("/defer", answer_slowly), [5]);
}

#[test]
fn row_38_the_time_of_a_line_without_an_answer_is_that_at_which_the_client_has_left() {
    for path in ["/defer", "/read", "/stream"] {
        assert_eq!(logged_after(path, |h, client| h.reset(client)), [5], "{path}");
    }
}
