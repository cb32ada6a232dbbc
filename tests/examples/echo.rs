use std::process::ExitCode;

use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::{Harness, State};

#[path = "../../examples/echo.rs"]
mod example;
use example::Echo;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

#[test]
fn what_was_sent_comes_back_however_it_arrives() {
    let outcome = same_at_every_split(|| Harness::new(Echo), b"one\r\ntwo\0three");
    assert_eq!(outcome.sent, b"one\r\ntwo\0three");
    assert_eq!((outcome.state, outcome.state_at_end), (State::Open, State::Closed));
}
