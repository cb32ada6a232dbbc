//! Connections for requests that offer an upgrade.

use super::reuse::{OK, REQUEST, few, with_idle};
use super::*;

fn offer() -> Request {
    Request::get("/offer").upgrade("echo")
}

#[test]
fn a_request_that_offers_an_upgrade_has_a_connection_to_itself() {
    let (mut world, far) = with_idle(&few(1, 1));
    world.send(offer(), WHOLE);
    assert_eq!(world.h.state(far), State::Shut, "an idle one makes room");
    world.h.finish(far);
    // Neither its own connection nor that of another request is used again.
    let mut far = world.accept();
    for request in [Request::get("/"), offer()] {
        world.send(request, WHOLE);
        world.h.feed(far, OK);
        assert_eq!(world.told(), ["200", "body "]);
        assert_eq!(world.h.state(far), State::Shut);
        world.h.finish(far);
        far = world.accept();
    }
    assert!(world.h.sent(far).starts_with(b"GET /offer "));
}

#[test]
fn one_connection_is_closed_for_each_request_that_offers_an_upgrade() {
    let mut world = World::with(&few(2, 3));
    let busy = [(); 2].map(|()| {
        world.get(WHOLE);
        let far = world.accept();
        world.h.sent(far);
        far
    });
    world.send(offer(), WHOLE);
    world.get(WHOLE);
    for far in busy {
        world.h.feed(far, OK);
    }
    assert_eq!(world.told(), ["200", "body ", "200", "body "]);
    assert_eq!(world.h.state(busy[0]), State::Shut);
    assert_eq!(world.h.sent(busy[1]), REQUEST, "the request behind it does not wait for it");
    world.h.finish(busy[0]);
    let far = world.accept();
    assert!(world.h.sent(far).starts_with(b"GET /offer "));
}

#[test]
fn the_longest_idle_connection_makes_room_first() {
    let mut world = World::with(&few(2, 2));
    world.get(WHOLE);
    world.get(WHOLE);
    let idle = [world.accept(), world.accept()];
    for far in idle {
        world.h.feed(far, OK);
    }
    for states in [(State::Shut, State::Open), (State::Shut, State::Shut)] {
        world.send(offer(), WHOLE);
        assert_eq!((world.h.state(idle[0]), world.h.state(idle[1])), states);
        let far = world.accept();
        assert!(world.h.sent(far).starts_with(b"GET /offer "));
    }
}

#[test]
fn a_response_of_http_1_0_upgrades_nothing() {
    let response = b"HTTP/1.0 101 A\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let (told, state) = exchange(offer(), WHOLE, [&response[..]], false);
    assert_eq!(told, ["failed the response is invalid: 101 in a response of HTTP/1.0"]);
    assert_eq!(state, State::Reset);
}
