use std::process::ExitCode;
use std::sync::mpsc::sync_channel;

use sluicegate_protocols::http::Http;
use sluicegate_protocols::http::files::{Files, FilesOptions};
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::{Harness, State, same_at_every_split};

#[path = "../../examples/http.rs"]
mod example;
use example::Site;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

#[test]
fn files_are_served_in_order_and_each_answer_is_logged() {
    let (log, lines) = sync_channel(10_000);
    let make = || {
        Harness::build(
            &Listen::default(),
            |files| {
                files.put_file("/www/a", b"one", 0);
                files.put_file("/www/b", b"and two", 0);
            },
            |reactor| {
                let files = Files::new(reactor.fs(), "/www", FilesOptions::default());
                let files = files.expect("the root is there");
                reactor.register(Http::new(Site { files, log: Some(log.clone()) }))
            },
        )
    };
    let requests = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    let outcome = same_at_every_split(make, requests);
    let sent = String::from_utf8(outcome.sent).expect("text");
    let bodies: Vec<_> = sent.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
    assert!(bodies.len() == 2 && bodies[0].ends_with("\r\n\r\none"), "{sent}");
    assert!(bodies[1].ends_with("\r\n\r\nand two"), "{sent}");
    assert_eq!(outcome.state, State::Shut);
    let logged: Vec<_> = lines.try_iter().take(2).collect();
    assert!(logged[0].contains("\"GET /a HTTP/1.1\" 200 3 "), "{logged:?}");
    assert!(logged[1].contains("\"GET /b HTTP/1.0\" 200 7 "), "{logged:?}");
}
