//! Services that close their connections.

use std::io;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{ConnId, Listen, Payload, Turn};

use super::{Answered, Http, Reply, Request, Service, answers, field, split_head};
use crate::http::Deferred;
use crate::http::multipart::FormLimits;
use crate::testing::same_at_every_split;

/// Closes the connection after the response, in the way that the path names.
struct Closing {
    dir: Dir,
    is_decided: bool,
}

impl Service for Closing {
    type State = Option<Deferred>;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Self::State> {
        if std::mem::take(&mut self.is_decided) {
            return reply.send("done");
        }
        if request.path() == "/defer-again" {
            return reply.defer(|deferred, cx| {
                deferred.answer(cx, |reply| {
                    reply.close().defer(|deferred, cx| {
                        deferred.answer(cx, |reply| reply.send("done"));
                    })
                });
            });
        }
        let reply = reply.close();
        match request.path() {
            "/defer" => reply.defer(|deferred, cx| {
                deferred.answer(cx, |reply| reply.send("done"));
            }),
            "/defer-with-body" => reply.defer_with_body(|deferred, _| (Some(deferred), None)),
            "/postpone" => reply.postpone(|postponed, cx| {
                self.is_decided = true;
                postponed.deliver(cx);
            }),
            "/read" => reply.read(10, None),
            "/short" => reply.read(1, None),
            "/pieces" => reply.read_pieces(None),
            "/form" => reply.read_form(FormLimits::default(), None),
            "/save" => {
                let file = self.dir.create("file", &CreateOptions::default());
                reply.save(file.expect("a directory"), None)
            }
            _ => reply.send("done"),
        }
    }

    fn on_body_end(&mut self, cx: &mut Turn, _: ConnId, deferred: Self::State) {
        deferred.expect("a request").answer(cx, |reply| reply.send("done"));
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        _: Self::State,
        _: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        reply.send("done")
    }

    fn on_saved(
        &mut self,
        _: &Request<'_>,
        _: Self::State,
        _: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        reply.send("done")
    }
}

fn closing() -> Harness<Http<Closing>> {
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/www"),
        |reactor| {
            let dir = reactor.open_dir("/www").expect("a directory");
            reactor.register(Http::new(Closing { dir, is_decided: false }))
        },
    )
}

#[test]
fn a_connection_that_is_to_be_closed_is_closed_however_its_response_comes() {
    let form = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--\r\n";
    let coding = "Content-Type: multipart/form-data; boundary=b\r\n";
    for (path, fields, body, status) in [
        ("/now", "", "hello", "200 done"),
        ("/defer", "", "hello", "200 done"),
        ("/defer-again", "", "hello", "200 done"),
        ("/defer-with-body", "", "hello", "200 done"),
        ("/postpone", "", "hello", "200 done"),
        ("/read", "", "hello", "200 done"),
        ("/read", "", "", "200 done"),
        ("/pieces", "", "hello", "200 done"),
        ("/form", coding, form, "200 done"),
        ("/save", "", "hello", "200 done"),
        // The refusal of the body that the service has asked for.
        ("/short", "", "hello", "413"),
        ("/form", "", "hello", "415"),
    ] {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        );
        let outcome = same_at_every_split(closing, request.repeat(2));
        assert_eq!(answers(&outcome.sent), [status], "{path}");
        assert_eq!(field(split_head(&outcome.sent).0, "Connection"), Some("close"), "{path}");
        assert_ne!(outcome.state, State::Open, "{path}");
    }
}
