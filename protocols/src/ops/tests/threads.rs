//! A server with several threads, of which only the first runs.

use std::time::Duration;

use super::super::gather::Message;
use super::super::sample::ThreadSample;
use super::{World, body, value};

const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn the_figures_of_all_threads_are_collected() {
    let mut world = World::with_threads(2);
    world.use_application(&["/10"]);
    // The same reactor stands for both threads.
    let second = world.others.pop().expect("a second thread");
    second.register(world.h.reactor());
    let metrics = world.get("/metrics");
    for thread in 0..2 {
        assert_eq!(value(&metrics, &format!("sluicegate_thread_up{{thread=\"{thread}\"}}")), 1.0);
        let labels = format!("{{listener=\"10.0.0.1:8080\",thread=\"{thread}\"}}");
        assert_eq!(value(&metrics, &format!("sluicegate_connections{labels}")), 1.0);
    }
    assert_eq!(world.h.reactor().snapshot().timers, 0, "nothing is waited for");
}

#[test]
fn a_thread_in_a_long_callback_is_shown_as_down_after_two_seconds() {
    let mut world = World::with_threads(3);
    let client = world.h.open();
    world.h.feed(client, METRICS);
    world.h.advance(Duration::from_millis(1900));
    assert_eq!(world.text(client), "");
    world.h.advance(Duration::from_millis(200));
    let metrics = world.text(client);
    let ups = [0, 1, 2]
        .map(|thread| value(&metrics, &format!("sluicegate_thread_up{{thread=\"{thread}\"}}")));
    assert_eq!(ups, [1.0, 0.0, 0.0]);
}

#[test]
fn a_thread_that_has_ended_is_not_waited_for() {
    let mut world = World::with_threads(2);
    world.others.clear();
    let response = world.get("/status.json");
    assert!(body(&response).contains("{\"thread\":1,\"up\":false}"), "{response}");
}

#[test]
fn an_answer_that_is_late_or_comes_twice_is_ignored() {
    let mut world = World::with_threads(2);
    world.get("/metrics");
    let answer = |world: &mut World| {
        let snapshot = world.h.reactor().snapshot();
        let sample = Box::new(ThreadSample { snapshot, http: Default::default(), upstreams: None });
        world.h.post(Message::Answer { number: 1, from: 1, sample });
    };
    (0..2).for_each(|_| answer(&mut world));
    world.h.advance(Duration::from_secs(3));
    answer(&mut world);
    assert!(world.get("/livez").starts_with("HTTP/1.1 200 "));
}
