//! Upgrades to another protocol.

use std::time::Duration;

use sluicegate_reactor::testing::State;

use super::{World, get};

const ASKS: &str =
    "Upgrade: x, WebSocket/13, websocket\r\nConnection: keep-alive, Upgrade\r\nKey: k\r\n";
const AGREES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAccept: a\r\n\r\n";

#[test]
fn row_49_an_accepted_upgrade_joins_the_connections_with_what_came_early() {
    for early in ["", "early"] {
        let mut world = World::new();
        let (client, far) = world.ask(get(ASKS) + early);
        let request = world.take(far);
        assert!(
            request.starts_with("GET / HTTP/1.1\nHost: h\nUpgrade: websocket\nKey: k\n"),
            "{request}"
        );
        assert!(request.ends_with("Connection: Upgrade\n\n"), "{request}");
        world.h.feed(far, AGREES.to_owned() + early);
        let response = world.response(client);
        let expected = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nAccept: a\n\
                        Connection: Upgrade\n\n";
        assert_eq!(response, format!("{expected}{early}"));
        assert_eq!(world.take(far), early);
        world.h.feed(client, "GET / HTTP/1.1\r\n\r\n");
        assert_eq!(world.take(far), "GET / HTTP/1.1\n\n");
        world.h.feed(far, "pong");
        assert_eq!(world.take(client), "pong");
        world.h.finish(far);
        assert_eq!(world.h.state(client), State::Shut);
        world.h.feed(client, "last");
        assert_eq!(world.take(far), "last");
        world.h.finish(client);
        assert_eq!((world.h.state(client), world.h.state(far)), (State::Closed, State::Closed));
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let mut world = World::new();
    let (client, far) = world.ask(get(ASKS));
    world.take(far);
    world.h.feed(far, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(world.response(client), "HTTP/1.1 426 Upgrade Required\nContent-Length: 2\n\nno");
    world.h.feed(client, get(""));
    let far = world.accept();
    assert!(world.take(far).starts_with("GET / "));
}

#[test]
fn an_upgrade_to_anything_but_what_was_offered_is_a_bad_gateway() {
    let of = |fields: &str| {
        let mut world = World::new();
        let (client, far) = world.ask(get(ASKS));
        world.h.feed(far, format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n"));
        (world.response(client), world.h.state(far))
    };
    for fields in [
        "",
        "Connection: Upgrade\r\n",
        "Upgrade:\r\n",
        "Upgrade: ,\r\n",
        "Upgrade: x\r\n",
        "Upgrade: websocket/13\r\n",
        "Upgrade: websocket, x\r\n",
        "Upgrade: websocket\r\nUpgrade: x\r\n",
    ] {
        let (response, origin) = of(fields);
        assert!(response.starts_with("HTTP/1.1 502 Bad Gateway\n"), "{fields:?}: {response}");
        assert_eq!(origin, State::Reset, "{fields:?}");
    }
    for fields in ["Upgrade: WebSocket\r\n", "Upgrade: ,websocket,\r\n"] {
        let (response, origin) = of(fields);
        assert!(response.starts_with("HTTP/1.1 101 Switching"), "{fields:?}: {response}");
        assert_eq!(origin, State::Open, "{fields:?}");
    }
}

#[test]
fn an_upgrade_ends_when_a_side_is_lost_or_silent() {
    for end in 0..3 {
        let mut world = World::new();
        let (client, far) = world.ask(get(ASKS));
        world.h.feed(far, AGREES);
        match end {
            0 => world.h.reset(client),
            1 => world.h.reset(far),
            _ => world.h.advance(Duration::from_secs(150)),
        }
        assert_ne!(world.h.state(client), State::Open, "{end}");
        assert_ne!(world.h.state(far), State::Open, "{end}");
    }
}

#[test]
fn an_upgrade_goes_on_while_the_reactor_stops() {
    let mut world = World::new();
    let (client, far) = world.ask(get(ASKS));
    world.h.feed(far, AGREES);
    world.take(client);
    world.h.stop();
    world.h.feed(far, "still here");
    assert_eq!(world.take(client), "still here");
}
