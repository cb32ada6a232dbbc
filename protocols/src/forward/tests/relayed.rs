//! Long bodies of known length, which the reactor relays.

use std::time::Duration;

use sluicegate_reactor::testing::{Client as FarEnd, State};

use super::{World, get};
use crate::forward::ForwardOptions;
use crate::http::client::ClientOptions;

const SECOND: Duration = Duration::from_secs(1);
const LENGTH: usize = 300_000;

/// Opens a client and lets it send a request. Both ends have room for everything.
fn ask(world: &mut World, request: impl AsRef<[u8]>) -> (FarEnd, FarEnd) {
    let (client, far) = world.ask(request);
    world.h.set_room(client, 1_000_000);
    world.h.set_room(far, 1_000_000);
    (client, far)
}

#[test]
fn a_long_response_is_relayed_and_the_connections_are_used_again() {
    for first in [0, 1, 10_000, LENGTH] {
        let mut world = World::new();
        let (client, far) = ask(&mut world, get(""));
        let mut response =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
        response.resize(response.len() + first, b'x');
        world.h.feed(far, response);
        let relayed = world.h.ledger().relayed;
        world.h.feed(far, vec![b'x'; LENGTH - first]);
        assert_eq!(world.h.ledger().relayed - relayed, (LENGTH - first) as u64);
        assert_eq!(world.take(client).matches('x').count(), LENGTH);
        world.take(far);
        // The connection is free when the reactor has tried to read from it again.
        world.h.advance(SECOND);
        world.h.feed(client, get(""));
        assert!(world.take(far).starts_with("GET / "));
        world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(world.response(client), "HTTP/1.1 204 No Content\n\n");
    }
}

#[test]
fn a_long_request_is_relayed_and_the_connections_are_used_again() {
    for first in [0, 1, 10_000, LENGTH] {
        let mut world = World::new();
        let mut request =
            format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
        request.resize(request.len() + first, b'z');
        let (client, far) = ask(&mut world, request);
        let relayed = world.h.ledger().relayed;
        world.h.feed(client, vec![b'z'; LENGTH - first]);
        assert_eq!(world.h.ledger().relayed - relayed, (LENGTH - first) as u64);
        assert_eq!(world.take(far).matches('z').count(), LENGTH);
        world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(world.response(client), "HTTP/1.1 204 No Content\n\n");
        world.h.feed(client, get(""));
        assert!(world.take(far).starts_with("GET / "));
    }
}

#[test]
fn a_pipelined_request_behind_a_relayed_body_waits_for_its_turn() {
    let mut world = World::new();
    let mut request =
        format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
    request.resize(request.len() + LENGTH, b'z');
    request.extend_from_slice(get("").as_bytes());
    let (client, far) = ask(&mut world, request);
    let first = world.take(far);
    assert_eq!((first.matches('z').count(), first.matches("GET").count()), (LENGTH, 0));
    world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
    assert!(world.take(far).starts_with("GET / "));
    assert_eq!(world.response(client), "HTTP/1.1 204 No Content\n\n");
}

#[test]
fn a_relayed_response_that_is_cut_off_resets_the_client() {
    for resets in [false, true] {
        let mut world = World::new();
        let (client, far) = ask(&mut world, get(""));
        world.h.feed(far, format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\nxyz"));
        if resets {
            world.h.reset(far);
        } else {
            world.h.finish(far);
        }
        assert_eq!(world.h.state(client), State::Reset);
    }
}

#[test]
fn a_client_that_leaves_a_relay_ends_the_connection_to_the_origin() {
    let mut world = World::new();
    let (client, far) = ask(&mut world, get(""));
    world.h.feed(far, format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\nxyz"));
    world.h.reset(client);
    world.h.feed(far, "more");
    assert_eq!(world.h.state(far), State::Reset);
}

#[test]
fn an_origin_that_ends_within_a_relayed_request_is_a_bad_gateway() {
    let mut world = World::new();
    let (client, far) =
        world.ask(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n"));
    world.h.feed(client, [b'z'; 1_000]);
    world.h.reset(far);
    world.h.feed(client, [b'z'; 1_000]);
    let response = world.response(client);
    assert!(response.starts_with("HTTP/1.1 502 Bad Gateway\n"), "{response}");
    assert!(response.contains("Connection: close\n"), "{response}");
}

#[test]
fn the_end_of_the_client_within_a_relayed_request_resets_the_origin() {
    let mut world = World::new();
    let (client, far) =
        world.ask(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n"));
    world.h.feed(client, [b'z'; 1_000]);
    world.h.finish(client);
    assert_eq!(world.h.state(far), State::Reset);
}

#[test]
fn an_origin_is_not_late_while_the_client_does_not_read() {
    let client = ClientOptions { body_timeout: SECOND, ..ClientOptions::default() };
    let mut world = World::with(ForwardOptions { client, ..ForwardOptions::default() });
    let (client, far) = world.ask(get(""));
    world.h.set_room(client, 1_000);
    world.h.feed(far, format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
    world.h.feed(far, vec![b'x'; LENGTH]);
    world.h.advance(5 * SECOND);
    assert_eq!((world.h.state(client), world.h.state(far)), (State::Open, State::Open));
    world.h.set_room(client, 1_000_000);
    assert_eq!(world.take(client).matches('x').count(), LENGTH);
}

#[test]
fn bytes_behind_a_relayed_response_do_not_reach_the_next_client() {
    let client = ClientOptions { connections: 1, ..ClientOptions::default() };
    let mut world = World::with(ForwardOptions { client, ..ForwardOptions::default() });
    let (first, far) = ask(&mut world, get(""));
    let second = world.h.open();
    world.h.feed(second, get(""));
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
    response.resize(response.len() + LENGTH, b'x');
    response.extend_from_slice(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    world.h.feed(far, response);
    assert_eq!(world.take(first).matches('x').count(), LENGTH);
    let next = world.accept();
    world.h.feed(next, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(world.response(second), "HTTP/1.1 204 No Content\n\n");
}
