//! What a relay promises, whichever handler it is: one connects to a target for every client.

use std::net::SocketAddr;

use sluicegate_reactor::testing::{Client, Harness, Remote, State};
use sluicegate_reactor::{Address, Handler, HandlerId, Listen, Reactor};

/// Registers a relay to a target.
pub(crate) type Make<H> = fn(&mut Reactor, &Address) -> HandlerId<H>;

/// A relay with a client, and its target, which refuses.
pub(crate) fn refused<H: Handler>(make: Make<H>) -> (Harness<H>, Client, Address) {
    let back = Address::from(SocketAddr::from(([10, 0, 0, 1], 80)));
    let mut h = Harness::build(&Listen::default(), |_| {}, |reactor| make(reactor, &back));
    let client = h.open();
    (h, client, back)
}

/// A relay with a client and what it has connected to, in this order and in the other one.
fn both_ways<H: Handler>(make: Make<H>, promise: impl Fn(Harness<H>, Client, Client)) {
    for client_first in [true, false] {
        let (mut h, _, back) = refused(make);
        h.set_remote(&back, Remote::Listens);
        let client = h.open();
        let server = h.accept(&back);
        let (first, second) = if client_first { (client, server) } else { (server, client) };
        promise(h, first, second);
    }
}

pub(crate) fn passes_bytes_and_ends_on<H: Handler>(make: Make<H>) {
    both_ways(make, |mut h, first, second| {
        h.feed(first, b"all I have");
        assert_eq!(h.sent(second), "all I have");
        h.finish(first);
        assert_eq!((h.state(first), h.state(second)), (State::Open, State::Shut));
        h.feed(second, b"and all of mine");
        h.finish(second);
        assert_eq!(h.sent(first), "and all of mine");
        assert_eq!((h.state(first), h.state(second)), (State::Closed, State::Closed));
    });
}

pub(crate) fn passes_a_reset_on<H: Handler>(make: Make<H>) {
    both_ways(make, |mut h, first, second| {
        h.feed(first, b"all I have");
        h.reset(first);
        assert_eq!(h.state(second), State::Reset);
    });
}
