use std::net::SocketAddr;
use std::process::ExitCode;

use sluicegate_protocols::raw::relay::Relay;
use sluicegate_reactor::testing::{Client, Harness, Remote, State};
use sluicegate_reactor::{Address, Connect, Listen};

#[path = "../../examples/proxy.rs"]
mod example;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

/// A proxy with a client, and what it connects to.
fn proxied() -> (Harness<Relay>, Client, Address) {
    let back = Address::from(SocketAddr::from(([10, 0, 0, 1], 80)));
    let make = |reactor: &mut _| Relay::register(reactor, &back, &Connect::default());
    let mut h = Harness::build(&Listen::default(), |_| {}, make);
    let client = h.open();
    (h, client, back)
}

/// One whose connection is made: its two ends, in this order or the other one.
fn joined(client_first: bool) -> (Harness<Relay>, Client, Client) {
    let (mut h, _, back) = proxied();
    h.set_remote(&back, Remote::Listens);
    let client = h.open();
    let server = h.accept(&back);
    if client_first { (h, client, server) } else { (h, server, client) }
}

#[test]
fn bytes_and_ends_are_passed_on_in_both_directions() {
    for client_first in [true, false] {
        let (mut h, first, second) = joined(client_first);
        h.feed(first, b"all I have");
        assert_eq!(h.sent(second), b"all I have");
        h.finish(first);
        assert_eq!((h.state(first), h.state(second)), (State::Open, State::Shut));
        h.feed(second, b"and all of mine");
        h.finish(second);
        assert_eq!(h.sent(first), b"and all of mine");
        assert_eq!((h.state(first), h.state(second)), (State::Closed, State::Closed));
    }
}

#[test]
fn a_reset_is_passed_on() {
    for client_first in [true, false] {
        let (mut h, first, second) = joined(client_first);
        h.reset(first);
        assert_eq!(h.state(second), State::Reset);
    }
}

#[test]
fn a_client_whose_target_refuses_is_closed() {
    let (h, client, _) = proxied();
    assert_eq!(h.state(client), State::Shut);
}
