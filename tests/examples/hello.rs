use std::process::ExitCode;

use sluicegate_protocols::http::Http;
use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::{Harness, State};

#[path = "../../examples/hello.rs"]
mod example;
use example::Hello;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";

#[test]
fn each_of_two_requests_is_greeted_however_they_arrive() {
    let outcome = same_at_every_split(|| Harness::new(Http::new(Hello)), REQUEST.repeat(2));
    assert_eq!(outcome.sent, ANSWER.repeat(2));
    assert_eq!((outcome.state, outcome.state_at_end), (State::Open, State::Closed));
}
