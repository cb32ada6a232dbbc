use std::process::ExitCode;

use sluicegate_protocols::raw::relay::Relay;
use sluicegate_reactor::testing::State;
use sluicegate_reactor::{Address, Connect, HandlerId, Reactor};

#[path = "../../examples/proxy.rs"]
mod example;
#[path = "../handlers/relayed.rs"]
mod relayed;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

fn relay(reactor: &mut Reactor, back: &Address) -> HandlerId<Relay> {
    Relay::register(reactor, back, &Connect::default())
}

#[test]
fn bytes_and_ends_are_passed_on_in_both_directions() {
    relayed::passes_bytes_and_ends_on(relay);
}

#[test]
fn a_reset_is_passed_on() {
    relayed::passes_a_reset_on(relay);
}

#[test]
fn a_client_whose_target_refuses_is_closed() {
    let (h, client, _) = relayed::refused(relay);
    assert_eq!(h.state(client), State::Shut);
}
