//! Origins behind a transport that fails.

use std::time::Duration;

use sluicegate_reactor::testing::Records;
use sluicegate_reactor::transport::{Factory, Transport};
use sluicegate_reactor::{Connect, Target};

use super::*;

/// A client whose connections have this transport.
fn through(transport: Factory<Target>) -> World {
    let connect = Connect { transport: Some(transport), ..Connect::default() };
    World::with(&ClientOptions { connect, ..ClientOptions::default() })
}

#[test]
fn an_exchange_says_why_the_handshake_failed() {
    let mut world = through(Records::factory());
    world.get(WHOLE);
    let far = world.accept();
    world.h.feed(far, b"?\0\0");
    assert_eq!(world.told(), ["failed a record of kind 63 and 0 bytes"]);
}

#[test]
fn an_exchange_says_why_there_is_no_transport_and_the_next_one_may_have_one() {
    let mut world = through(Factory::new({
        let calls = std::sync::atomic::AtomicUsize::new(0);
        move |_: &Target| match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Err("there is no name".into()),
            _ => Ok(Some(Box::new(Records::default()) as Box<dyn Transport>)),
        }
    }));
    world.get(WHOLE);
    assert_eq!(world.told(), ["failed there is no name"]);
    world.get(WHOLE);
    let far = world.accept();
    world.h.feed(far, b"?\0\0");
    assert_eq!(world.told(), ["failed a record of kind 63 and 0 bytes"]);
    assert_eq!(world.h.ledger().panics, 0);
}

#[test]
fn a_handshake_that_takes_too_long_is_no_connection() {
    let mut world = through(Records::factory());
    world.get(WHOLE);
    let far = world.accept();
    world.h.advance(Duration::from_secs(20));
    assert_eq!(world.told(), ["failed cannot connect: timed out"]);
    assert_ne!(world.h.state(far), State::Open);
}

#[test]
fn a_connection_that_ends_in_the_handshake_is_none() {
    for end in [Harness::finish, Harness::reset] {
        let mut world = through(Records::factory());
        world.get(WHOLE);
        let far = world.accept();
        end(&mut world.h, far);
        assert_eq!(world.told(), ["failed cannot connect: connection reset"]);
    }
}
