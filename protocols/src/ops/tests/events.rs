//! Watching the figures.

use std::time::Duration;

use sluicegate_reactor::testing::State;

use super::{World, body};

/// A little more than a second: timers may be late by a tick.
const OVER_A_SECOND: Duration = Duration::from_millis(1100);

const EVENTS: &str = "GET /events HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_sample_a_second_is_sent_while_somebody_watches() {
    let mut world = World::new();
    let watcher = world.h.open();
    world.h.feed(watcher, EVENTS);
    let first = world.text(watcher);
    assert!(first.contains("\nContent-Type: text/event-stream\n"), "{first}");
    assert!(first.contains("data: {") && first.contains("\"name\":\"test\""), "{first}");
    for _ in 0..3 {
        world.h.advance(OVER_A_SECOND);
        assert_eq!(world.text(watcher).matches("data: ").count(), 1);
    }
    let timers = |world: &mut World| world.h.reactor().snapshot().timers;
    assert_eq!(timers(&mut world), 1);
    world.h.finish(watcher);
    assert_eq!(timers(&mut world), 0, "nobody watches any more");
    assert_ne!(world.h.state(watcher), State::Open, "its place is free");
}

#[test]
fn a_head_request_for_the_events_is_answered_and_does_not_watch() {
    let mut world = World::new();
    let client = world.h.open();
    world.h.feed(client, EVENTS.replace("GET", "HEAD"));
    world.h.feed(client, "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n");
    let responses = world.text(client);
    assert!(
        responses.contains("text/event-stream") && responses.ends_with("alive\n"),
        "{responses}"
    );
    assert_eq!(world.h.reactor().snapshot().timers, 0);
}

#[test]
fn all_who_watch_get_the_same_bytes() {
    let mut world = World::new();
    let watchers = [(); 3].map(|()| {
        let watcher = world.h.open();
        world.h.feed(watcher, EVENTS);
        watcher
    });
    for watcher in watchers {
        world.h.take(watcher);
    }
    let made = world.h.handler().service().number;
    world.h.advance(OVER_A_SECOND);
    let [first, second, third] = watchers.map(|watcher| world.text(watcher));
    assert!(first.contains("data: ") && first == second && second == third);
    assert_eq!(world.h.handler().service().number, made + 1, "one sample for all");
}

#[test]
fn a_watcher_that_does_not_read_is_cut_off() {
    let mut world = World::new();
    let watcher = world.h.open();
    world.h.set_room(watcher, 10);
    world.h.feed(watcher, EVENTS);
    world.h.advance(Duration::from_secs(200));
    assert_ne!(world.h.state(watcher), State::Open);
    assert_eq!(world.h.reactor().snapshot().timers, 0);
}

#[test]
fn a_sample_that_does_not_fit_into_a_queue_reaches_a_watcher_that_reads() {
    let mut world = World::new();
    // As large as that of a server with many threads or upstreams.
    world.readiness.check("large").fail(".".repeat(200 << 10));
    let watcher = world.h.open();
    world.h.set_room(watcher, 10 << 10);
    world.h.feed(watcher, EVENTS);
    // Its reading of the first sample takes a while.
    world.h.advance(3 * OVER_A_SECOND);
    let mut samples = 0;
    for _ in 0..3 {
        let pieces = std::iter::repeat_with(|| world.text(watcher));
        let pieces = pieces.take_while(|piece| !piece.is_empty());
        samples += pieces.collect::<String>().matches("data: {").count();
        world.h.advance(OVER_A_SECOND);
    }
    assert_eq!(samples, 3, "it has missed those for which it had no room");
    assert_eq!(world.h.state(watcher), State::Open);
}

#[test]
fn the_number_of_watchers_leaves_connections_to_probes() {
    for (threads, most) in [(1, 32), (128, 4)] {
        let mut world = World::with_threads(threads);
        let responses: Vec<_> = (0..=most).map(|_| world.ask(EVENTS)).collect();
        assert!(responses[most - 1].starts_with("HTTP/1.1 200 "), "{threads} threads");
        assert!(responses[most].starts_with("HTTP/1.1 503 "), "{threads} threads");
    }
}

#[test]
fn a_server_that_stops_ends_its_events() {
    let mut world = World::new();
    let watcher = world.h.open();
    world.h.feed(watcher, EVENTS);
    world.h.stop();
    let response = world.text(watcher);
    assert!(body(&response).ends_with("\n0\n\n"), "the last chunk: {response}");
}
