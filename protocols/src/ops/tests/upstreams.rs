//! A server with a balancer, or with a proxy for HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_reactor::testing::Remote;
use sluicegate_reactor::{Address, Listen, ListenerId, Target, mailbox};

use super::{World, body, value};
use crate::forward::{Forward, ForwardOptions};
use crate::http::Http;
use crate::http::client::ClientOptions;
use crate::upstreams::{Balancer, BalancerOptions, UpstreamsOptions};

/// A server with two upstreams, of which the first refuses and the second has room for two
/// connections, and with three clients.
fn world() -> World {
    let (inspect, mailbox) = mailbox();
    let mut world = World::with(1, vec![inspect]);
    let list: [Target; 2] =
        ["10.0.0.7:80", "10.0.0.8:80"].map(|target| target.parse().expect("a target"));
    let upstreams = UpstreamsOptions {
        max_failures: Some(1),
        max_connections: Some(2),
        ..UpstreamsOptions::default()
    };
    let options = BalancerOptions { upstreams, ..BalancerOptions::default() };
    let reactor = world.h.reactor();
    let balancer = Balancer::register(reactor, list, &options).expect("room");
    reactor.attach(mailbox, balancer);
    let listener = reactor.listen("10.0.0.1:5432", &Listen::default(), balancer).expect("room");
    world.h.set_remote(&"10.0.0.8:80".parse().expect("an address"), Remote::Listens);
    for _ in 0..3 {
        world.h.open_at(listener);
    }
    world
}

#[test]
fn the_state_and_the_connections_of_each_upstream_are_shown() {
    let mut world = world();
    let metrics = world.get("/metrics");
    for (upstream, name, label, expected) in [
        ("10.0.0.7:80", "state", "state=\"up\"", 0.0),
        ("10.0.0.7:80", "state", "state=\"ejected\"", 1.0),
        ("10.0.0.7:80", "connections", "state=\"open\"", 0.0),
        ("10.0.0.7:80", "connects_total", "result=\"failed\"", 1.0),
        ("10.0.0.8:80", "state", "state=\"up\"", 1.0),
        ("10.0.0.8:80", "state", "state=\"down\"", 0.0),
        ("10.0.0.8:80", "connections", "state=\"open\"", 2.0),
        ("10.0.0.8:80", "connections", "state=\"connecting\"", 0.0),
        ("10.0.0.8:80", "connects_total", "result=\"connected\"", 2.0),
    ] {
        let labels = format!("{{upstream=\"{upstream}\",thread=\"0\",{label}}}");
        let found = value(&metrics, &format!("sluicegate_upstream_{name}{labels}"));
        assert_eq!(found, expected, "{name}{labels}");
    }
    assert_eq!(value(&metrics, "sluicegate_upstream_waiting{thread=\"0\"}"), 1.0);
    assert!(!metrics.contains("sluicegate_upstream_requests"), "it knows no requests");
    assert_eq!(world.h.reactor().snapshot().timers, 1, "only the one that tries the first again");
}

#[test]
fn upstreams_are_rows_of_the_json() {
    let response = world().get("/status.json");
    let json: Value = serde_json::from_str(body(&response)).expect("JSON");
    let first = json!({
        "upstream": "10.0.0.7:80", "thread": 0, "state": "ejected",
        "connecting": 0, "open": 0, "connected": 0, "failed": 1, "requests": null,
    });
    assert_eq!(json["upstreams"][0], first);
    assert_eq!(json["threads"][0]["waiting"], 1);
    assert_eq!(json["upstreams"].as_array().map(Vec::len), Some(2));
}

const REFUSING: &str = "10.0.0.7:80";
const ORIGIN: &str = "10.0.0.8:80";

fn origin() -> Address {
    ORIGIN.parse().expect("an address")
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A proxy for HTTP with two origins, of which the first refuses, and its listener. There are at
/// most two connections to each.
fn http_proxy(remote: Remote) -> (World, ListenerId) {
    let (inspect, mailbox) = mailbox();
    let mut world = World::with(1, vec![inspect]);
    let list: [Target; 2] = [REFUSING, ORIGIN].map(|target| target.parse().expect("a target"));
    let upstreams = UpstreamsOptions { max_failures: Some(1), ..UpstreamsOptions::default() };
    let client = ClientOptions { connections: 2, ..ClientOptions::default() };
    let options = ForwardOptions { upstreams, client, ..ForwardOptions::default() };
    let reactor = world.h.reactor();
    let forward = Forward::balanced(reactor, list, &options).expect("room");
    let http = reactor.register(Http::new(forward));
    reactor.attach(mailbox, http);
    let listener = reactor.listen("10.0.0.1:80", &Listen::default(), http).expect("room");
    world.h.set_remote(&origin(), remote);
    (world, listener)
}

#[test]
fn the_requests_and_the_connections_of_each_origin_of_an_http_proxy_are_shown() {
    let (mut world, listener) = http_proxy(Remote::Listens);
    let first = world.h.open_at(listener);
    world.h.feed(first, REQUEST);
    let far = world.h.accept(&origin());
    world.h.feed(far, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    assert!(world.text(first).starts_with("HTTP/1.1 503 "));
    // Two are sent, and one waits for a connection.
    world.h.feed(first, REQUEST);
    for _ in 0..2 {
        let client = world.h.open_at(listener);
        world.h.feed(client, REQUEST);
    }
    let metrics = world.get("/metrics");
    for (upstream, name, label, expected) in [
        (REFUSING, "state", ",state=\"ejected\"", 1.0),
        (REFUSING, "connects_total", ",result=\"failed\"", 1.0),
        (REFUSING, "connections", ",state=\"connecting\"", 0.0),
        (REFUSING, "active_requests", "", 0.0),
        (REFUSING, "requests_total", ",result=\"answered\"", 0.0),
        (REFUSING, "requests_total", ",result=\"failed\"", 1.0),
        (ORIGIN, "state", ",state=\"up\"", 1.0),
        (ORIGIN, "connects_total", ",result=\"connected\"", 2.0),
        (ORIGIN, "connects_total", ",result=\"failed\"", 0.0),
        (ORIGIN, "connections", ",state=\"open\"", 2.0),
        (ORIGIN, "connections", ",state=\"connecting\"", 0.0),
        (ORIGIN, "active_requests", "", 3.0),
        (ORIGIN, "requests_total", ",result=\"answered\"", 1.0),
        (ORIGIN, "requests_total", ",result=\"failed\"", 0.0),
    ] {
        let labels = format!("{{upstream=\"{upstream}\",thread=\"0\"{label}}}");
        let found = value(&metrics, &format!("sluicegate_upstream_{name}{labels}"));
        assert_eq!(found, expected, "{name}{labels}");
    }
    assert_eq!(value(&metrics, "sluicegate_upstream_waiting{thread=\"0\"}"), 1.0);

    let response = world.get("/status.json");
    let json: Value = serde_json::from_str(body(&response)).expect("JSON");
    let second = json!({
        "upstream": ORIGIN, "thread": 0, "state": "up",
        "connecting": 0, "open": 2, "connected": 2, "failed": 0,
        "requests": {"active": 3, "answered": 1, "failed": 0},
    });
    assert_eq!(json["upstreams"][1], second);
}

/// The samples of the origin that listens, in each of these families.
fn figures<const N: usize>(world: &mut World, families: [&str; N]) -> [Vec<u64>; N] {
    let metrics = world.get("/metrics");
    families.map(|family| {
        let start = format!("sluicegate_upstream_{family}{{upstream=\"{ORIGIN}\"");
        let lines = metrics.lines().filter(|line| line.starts_with(&start));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    })
}

#[test]
fn a_connection_to_an_origin_of_an_http_proxy_is_counted_from_the_connect_to_its_end() {
    let (mut world, listener) = http_proxy(Remote::Silent);
    let figures = |world: &mut World| figures(world, ["connections", "connects_total"]);
    let client = world.h.open_at(listener);
    world.h.feed(client, REQUEST);
    assert_eq!(figures(&mut world), [[1, 0], [0, 0]], "connecting");
    world.h.set_remote(&origin(), Remote::Listens);
    assert_eq!(figures(&mut world), [[0, 1], [1, 0]], "connected");
    let far = world.h.accept(&origin());
    world.h.feed(far, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(figures(&mut world), [[0, 0], [1, 0]], "closed");
    world.h.feed(client, REQUEST);
    let far = world.h.accept(&origin());
    world.h.reset(far);
    assert_eq!(figures(&mut world), [[0, 0], [2, 0]], "a failure of an established connection");
}

#[test]
fn a_tunnel_is_an_active_request_of_its_origin_until_it_ends() {
    let (mut world, listener) = http_proxy(Remote::Listens);
    let figures = |world: &mut World| figures(world, ["active_requests", "connections"]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let client = world.h.open_at(listener);
    world.h.feed(client, format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}"));
    let far = world.h.accept(&origin());
    world.h.feed(far, format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}"));
    assert!(world.text(client).starts_with("HTTP/1.1 101 "));
    assert_eq!(figures(&mut world), [vec![1], vec![0, 0]], "upgraded");
    world.h.finish(far);
    world.h.finish(client);
    assert_eq!(figures(&mut world), [vec![0], vec![0, 0]], "over");
}

#[test]
fn a_thread_whose_balancer_does_not_answer_is_shown_as_down() {
    let (inspect, _never_read) = mailbox();
    let mut world = World::with(1, vec![inspect]);
    let client = world.h.open();
    world.h.feed(client, "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(world.text(client), "");
    world.h.advance(Duration::from_millis(2100));
    assert_eq!(value(&world.text(client), "sluicegate_thread_up{thread=\"0\"}"), 0.0);
}
