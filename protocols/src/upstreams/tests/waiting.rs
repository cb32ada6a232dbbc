//! Clients that wait because all upstreams have their most connections.

use sluicegate_reactor::testing::{Client, Harness, Remote, State};
use sluicegate_reactor::{Limits, Listen};

use super::balancer::{accept, assert_joined, at, refuses, serving};
use super::*;
use crate::upstreams::{Balancer, BalancerOptions};

/// Room for one connection to each upstream, and for two clients that wait.
fn tight() -> BalancerOptions {
    let upstreams = UpstreamsOptions { max_connections: Some(1), ..UpstreamsOptions::default() };
    BalancerOptions { upstreams, waiting: 2, ..BalancerOptions::default() }
}

/// A client with its upstream.
fn pair(h: &mut Harness<Balancer>) -> (Client, Client) {
    let client = h.open();
    (client, accept(h).expect("a connection").0)
}

#[test]
fn those_who_wait_are_served_in_their_order_when_a_connection_ends() {
    let mut h = serving(2, &tight());
    let pairs = [pair(&mut h), pair(&mut h)];
    let waiting = [h.open(), h.open()];
    h.feed(waiting[0], "kept");
    assert_eq!((accept(&mut h), h.handler().waiting()), (None, 2));
    h.reset(pairs[1].0);
    let (server, number) = accept(&mut h).expect("a connection");
    assert_eq!((h.sent(server), number), ("kept".into(), 2));
    assert_joined(&mut h, waiting[0], server);
    h.finish(pairs[0].0);
    assert_eq!(accept(&mut h), None);
    h.finish(pairs[0].1);
    let (server, _) = accept(&mut h).expect("a connection");
    assert_joined(&mut h, waiting[1], server);
    assert_eq!(h.handler().waiting(), 0);
}

#[test]
fn no_more_wait_than_there_is_room_for() {
    let mut h = serving(1, &tight());
    let (client, server) = pair(&mut h);
    let waiting = [h.open(), h.open()];
    let refused = h.open();
    assert_eq!(h.state(refused), State::Shut);
    assert_eq!(waiting.map(|client| h.state(client)), [State::Open; 2]);
    assert_joined(&mut h, client, server);
}

#[test]
fn a_client_waits_no_longer_than_its_time_and_is_not_idle_meanwhile() {
    let limits = Limits { idle: Some(SECOND), ..Limits::default() };
    let listen = Listen { limits: limits.clone(), ..Listen::default() };
    let connect = sluicegate_reactor::Connect {
        limits: Limits { idle: None, ..limits },
        ..sluicegate_reactor::Connect::default()
    };
    let options = BalancerOptions { waiting_timeout: 10 * SECOND, connect, ..tight() };
    let mut h = Harness::build(
        &listen,
        |_| {},
        |reactor| Balancer::register(reactor, list([1]), &options).expect("room for connectors"),
    );
    h.set_remote(&at(1), Remote::Listens);
    let first = h.open();
    let (server, _) = accept(&mut h).expect("a connection");
    let waiting = h.open();
    for _ in 0..18 {
        h.advance(SECOND / 2);
        h.feed(server, "busy");
        h.sent(first);
    }
    assert_eq!((h.state(first), h.state(waiting)), (State::Open, State::Open));
    h.advance(SECOND / 2);
    h.feed(server, "busy");
    h.advance(SECOND / 2 + SECOND / 10);
    assert_eq!((h.state(waiting), h.handler().waiting()), (State::Shut, 0));
}

#[test]
fn once_joined_a_client_has_no_deadline_but_its_own_limits() {
    let mut h = serving(1, &BalancerOptions { waiting_timeout: 10 * SECOND, ..tight() });
    let (client, server) = pair(&mut h);
    h.advance(60 * SECOND);
    assert_joined(&mut h, client, server);
}

#[test]
fn an_upstream_that_may_be_tried_again_serves_those_who_wait() {
    let mut h = serving(2, &BalancerOptions { waiting: 3, ..tight() });
    h.set_remote(&at(1), refuses());
    let (client, server) = pair(&mut h);
    let tried = [h.open(), h.open()];
    assert_eq!(states(h.handler().upstreams(), SECOND)[0], UpstreamState::Ejected);
    let last = h.open();
    h.set_remote(&at(1), Remote::Listens);
    h.advance(9 * SECOND);
    assert_eq!((accept(&mut h), h.handler().waiting()), (None, 3));
    h.advance(2 * SECOND);
    // The others have already tried it.
    let (other, number) = accept(&mut h).expect("a connection");
    assert_eq!((number, h.handler().waiting()), (1, 2));
    assert_joined(&mut h, last, other);
    h.reset(client);
    h.reset(server);
    let (server, _) = accept(&mut h).expect("a connection");
    assert_joined(&mut h, tried[0], server);
}

#[test]
fn a_client_whose_attempt_fails_waits_in_front_of_those_who_came_later() {
    for waiting in [2, 1] {
        let mut options = BalancerOptions { waiting, ..tight() };
        options.upstreams.max_failures = Some(1);
        let mut h = serving(2, &options);
        h.set_remote(&at(1), Remote::Silent);
        let early = h.open();
        let (_, server) = pair(&mut h);
        let late = h.open();
        h.advance(11 * SECOND);
        assert_eq!((h.handler().waiting(), h.state(early)), (waiting, State::Open));
        assert_eq!(h.state(late), if waiting == 2 { State::Open } else { State::Shut });
        h.reset(server);
        let (server, number) = accept(&mut h).expect("a connection");
        assert_eq!(number, 2);
        assert_joined(&mut h, early, server);
    }
}

#[test]
fn a_client_behind_others_is_served_where_they_have_been_in_vain() {
    let mut h = serving(2, &BalancerOptions { waiting: 1, ..tight() });
    h.set_remote(&at(1), refuses());
    pair(&mut h);
    let tried = h.open();
    h.set_remote(&at(1), Remote::Listens);
    let (client, server) = pair(&mut h);
    assert_joined(&mut h, client, server);
    assert_eq!((h.state(tried), h.handler().waiting()), (State::Open, 1));
}
