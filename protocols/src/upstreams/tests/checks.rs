//! Checks of upstreams.

use sluicegate_reactor::Connect;
use sluicegate_reactor::testing::{Harness, Records, Remote, State};

use super::balancer::{accept, assert_joined, at, balancer, refuses, serving};
use super::*;
use crate::proxy_protocol::{Header, Version};
use crate::upstreams::{Balancer, BalancerOptions};

fn checking() -> BalancerOptions {
    BalancerOptions { check_interval: Some(5 * SECOND), ..BalancerOptions::default() }
}

/// Accepts the checks that wait, and ends them as a server does that reads to the end. Returns
/// which upstreams were checked.
fn answer(h: &mut Harness<Balancer>) -> Vec<usize> {
    let mut checked = Vec::new();
    while let Some((server, number)) = accept(h) {
        assert_ne!(h.state(server), State::Open);
        h.finish(server);
        checked.push(number);
    }
    checked
}

#[test]
fn each_upstream_is_checked_at_once_and_then_at_every_interval() {
    let mut h = serving(2, &checking());
    for _ in 0..3 {
        h.advance(SECOND / 10);
        assert_eq!(answer(&mut h), [1, 2]);
        h.advance(5 * SECOND - SECOND / 10);
        assert_eq!(answer(&mut h), [0; 0]);
    }
}

#[test]
fn row_20_an_upstream_whose_checks_fail_gets_no_clients_until_they_succeed() {
    let mut h = serving(2, &checking());
    h.set_remote(&at(1), refuses());
    // It is checked at the start too, when nobody listens yet.
    h.advance(11 * SECOND);
    answer(&mut h);
    assert_eq!(states(h.handler().upstreams(), SECOND), [UpstreamState::Down, UpstreamState::Up]);
    for _ in 0..3 {
        let client = h.open();
        let (server, number) = accept(&mut h).expect("a connection");
        assert_eq!(number, 2);
        assert_joined(&mut h, client, server);
    }
    h.set_remote(&at(1), Remote::Listens);
    h.advance(6 * SECOND);
    answer(&mut h);
    assert_eq!(states(h.handler().upstreams(), SECOND)[0], UpstreamState::Down);
    h.advance(5 * SECOND);
    answer(&mut h);
    assert_eq!(states(h.handler().upstreams(), SECOND), [UpstreamState::Up; 2]);
}

#[test]
fn an_upstream_that_does_not_answer_a_check_in_time_is_down() {
    let mut h = balancer(2, &checking());
    h.set_remote(&at(1), Remote::Listens);
    h.set_remote(&at(2), Remote::Silent);
    for _ in 0..5 {
        h.advance(5 * SECOND);
        answer(&mut h);
    }
    assert_eq!(states(h.handler().upstreams(), SECOND)[1], UpstreamState::Down);
}

#[test]
fn an_upstream_that_is_silent_in_the_handshake_of_a_check_is_down_as_soon() {
    let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
    let options = BalancerOptions { check_interval: Some(SECOND), connect, ..checking() };
    assert!(options.connect.limits.handshake > 5 * SECOND);
    let mut h = serving(1, &options);
    // The first check was refused, since nobody listened yet.
    for _ in 0..5 {
        h.advance(SECOND);
    }
    assert_eq!(states(h.handler().upstreams(), SECOND), [UpstreamState::Down]);
}

#[test]
fn a_check_says_in_its_header_that_it_is_for_nobody() {
    for version in [Version::V1, Version::V2] {
        let mut h = serving(1, &BalancerOptions { announce: Some(version), ..checking() });
        h.advance(6 * SECOND);
        let (server, _) = accept(&mut h).expect("a check");
        assert_eq!(h.sent(server), Header::local().encode(version));
    }
}

#[test]
fn a_reactor_that_stops_does_not_wait_for_its_checks() {
    let mut h = balancer(1, &checking());
    h.set_remote(&at(1), Remote::Silent);
    h.advance(6 * SECOND);
    h.stop();
    h.advance(11 * SECOND);
    assert!(h.reactor().has_stopped());
}

#[test]
fn a_reactor_that_stops_begins_no_check_while_clients_finish() {
    let mut h = serving(1, &checking());
    h.advance(SECOND);
    assert_eq!(answer(&mut h), [1]);
    let client = h.open();
    let (server, _) = accept(&mut h).expect("a connection");
    h.set_remote(&at(1), Remote::Silent);
    h.stop();
    h.advance(6 * SECOND);
    assert_joined(&mut h, client, server);
    h.finish(client);
    h.finish(server);
    h.run();
    assert!(h.reactor().has_stopped());
}
