//! A balancer between clients and upstreams.

use std::io::ErrorKind;
use std::net::SocketAddr;

use sluicegate_reactor::testing::{Client, Harness, Records, Remote, State};
use sluicegate_reactor::{Address, Connect, Listen, Reactor};

use super::*;
use crate::proxy_protocol::{Header, Version};
use crate::upstreams::{Balance, Balancer, BalancerOptions, Replace};

/// The address of an upstream in [`list`].
pub(super) fn at(number: usize) -> Address {
    SocketAddr::from(([10, 0, 0, number as u8], 80)).into()
}

/// A balancer before the upstreams 1 to `count`, which all refuse.
pub(super) fn balancer(count: usize, options: &BalancerOptions) -> Harness<Balancer> {
    Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            Balancer::register(reactor, list(1..=count), options).expect("room for connectors")
        },
    )
}

/// The same with upstreams that listen.
pub(super) fn serving(count: usize, options: &BalancerOptions) -> Harness<Balancer> {
    let mut h = balancer(count, options);
    (1..=count).for_each(|number| h.set_remote(&at(number), Remote::Listens));
    h
}

/// The error of a refused connect (`errno(3)`), on the BSDs and elsewhere.
const ECONNREFUSED: i32 = if cfg!(target_os = "linux") { 111 } else { 61 };

/// The error of a process that has too many open files.
const EMFILE: i32 = 24;

/// What an upstream does that nobody listens at.
pub(super) fn refuses() -> Remote {
    Remote::Fails(ECONNREFUSED)
}

/// The far end of a connection to an upstream, and which it is.
pub(super) fn accept(h: &mut Harness<Balancer>) -> Option<(Client, usize)> {
    (1..=9).find_map(|number| Some((h.try_accept(&at(number))?, number)))
}

/// Asserts that two ends are joined with each other.
pub(super) fn assert_joined(h: &mut Harness<Balancer>, client: Client, server: Client) {
    for (from, to) in [(client, server), (server, client)] {
        h.feed(from, "across");
        assert_eq!(h.sent(to), "across");
    }
}

#[test]
fn row_20_clients_get_their_upstreams_in_turn() {
    let mut h = serving(3, &BalancerOptions::default());
    for expected in [1, 2, 3, 1] {
        let client = h.open();
        let (server, number) = accept(&mut h).expect("a connection");
        assert_eq!(number, expected);
        assert_joined(&mut h, client, server);
    }
}

#[test]
fn row_20_a_failed_connect_tries_the_next_upstream_and_keeps_what_the_client_has_sent() {
    for has_ended in [false, true] {
        let mut h = balancer(3, &BalancerOptions::default());
        h.set_remote(&at(3), Remote::Listens);
        let client = h.at_once(|h| {
            let client = h.open();
            h.feed(client, vec![7; 100_000]);
            if has_ended {
                h.finish(client);
            }
            client
        });
        let (server, number) = accept(&mut h).expect("a connection");
        assert_eq!((number, h.sent(server).len()), (3, 100_000));
        assert_eq!(h.state(server), if has_ended { State::Shut } else { State::Open });
        h.feed(server, "answer");
        assert_eq!(h.sent(client), "answer");
    }
}

#[test]
fn row_20_an_upstream_that_does_not_answer_is_left_after_its_time() {
    let mut h = balancer(2, &BalancerOptions::default());
    h.set_remote(&at(1), Remote::Silent);
    h.set_remote(&at(2), Remote::Listens);
    let client = h.open();
    h.feed(client, "kept");
    h.advance(Duration::from_secs(9));
    assert_eq!(accept(&mut h), None);
    h.advance(2 * SECOND);
    let (server, number) = accept(&mut h).expect("a connection");
    assert_eq!((number, h.sent(server)), (2, "kept".into()));
}

#[test]
fn row_16_a_client_whose_upstreams_all_refuse_is_closed() {
    let mut h = balancer(3, &BalancerOptions::default());
    let client = h.open();
    assert_eq!(h.state(client), State::Shut);
    let failed: Vec<_> =
        h.handler().upstreams().snapshot(SECOND).iter().map(|status| status.failed).collect();
    assert_eq!(failed, [1, 1, 1]);
}

#[test]
fn row_16_a_client_waits_for_an_upstream_no_longer_than_its_time_and_takes_its_attempt_along() {
    let options = BalancerOptions { waiting_timeout: 5 * SECOND, ..BalancerOptions::default() };
    let mut h = balancer(2, &options);
    (1..=2).for_each(|number| h.set_remote(&at(number), Remote::Silent));
    let connecting = |h: &mut Harness<Balancer>| -> u32 {
        let snapshot = h.handler().upstreams().snapshot(SECOND);
        snapshot.iter().map(|status| status.connecting).sum()
    };
    let client = h.open();
    h.advance(4 * SECOND);
    assert_eq!((h.state(client), connecting(&mut h)), (State::Open, 1));
    h.advance(2 * SECOND);
    assert_eq!((h.state(client), connecting(&mut h)), (State::Shut, 0));
    h.set_remote(&at(1), Remote::Listens);
    assert_eq!(accept(&mut h), None);
}

/// A balancer before two silent upstreams, which ejects at the first failure.
fn silent(waiting_timeout: Duration) -> Harness<Balancer> {
    let upstreams = UpstreamsOptions { max_failures: Some(1), ..UpstreamsOptions::default() };
    let mut h = balancer(2, &BalancerOptions { upstreams, waiting_timeout, ..Default::default() });
    (1..=2).for_each(|number| h.set_remote(&at(number), Remote::Silent));
    h
}

#[test]
fn an_upstream_that_does_not_answer_in_the_whole_time_of_a_client_has_failed() {
    let mut h = silent(SECOND);
    h.set_remote(&at(2), Remote::Listens);
    let client = h.open();
    h.advance(2 * SECOND);
    assert_eq!(h.state(client), State::Shut);
    let states = states(h.handler().upstreams(), 2 * SECOND);
    assert_eq!(states, [UpstreamState::Ejected, UpstreamState::Up]);
    for _ in 0..3 {
        h.open();
        assert_eq!(accept(&mut h).expect("a connection").1, 2);
    }
}

#[test]
fn an_upstream_is_not_blamed_for_a_client_that_has_little_time_left() {
    let mut h = silent(12 * SECOND);
    let client = h.open();
    h.advance(11 * SECOND);
    h.advance(2 * SECOND);
    assert_eq!(h.state(client), State::Shut);
    let states = states(h.handler().upstreams(), 13 * SECOND);
    assert_eq!(states, [UpstreamState::Ejected, UpstreamState::Up]);
}

#[test]
fn a_proxy_that_is_out_of_connections_blames_no_upstream() {
    let connect = Connect { max_connections: 1, ..Connect::default() };
    let mut h = serving(2, &BalancerOptions { connect, ..BalancerOptions::default() });
    let client = h.open();
    let (server, _) = accept(&mut h).expect("a connection");
    let refused = h.open();
    assert_eq!(h.state(refused), State::Shut);
    assert_joined(&mut h, client, server);
    let snapshot = h.handler().upstreams().snapshot(SECOND);
    assert!(snapshot.iter().all(|status| status.failed + u64::from(status.connecting) == 0));
}

#[test]
fn a_shortage_that_concerns_one_upstream_leaves_clients_the_others() {
    let mut h = balancer(2, &BalancerOptions::default());
    // As for a name when too many others are being looked up.
    h.set_remote(&at(1), Remote::Fails(EMFILE));
    h.set_remote(&at(2), Remote::Listens);
    for _ in 0..4 {
        let client = h.open();
        let (server, number) = accept(&mut h).expect("a connection");
        assert_eq!(number, 2);
        assert_joined(&mut h, client, server);
    }
    let snapshot = h.handler().upstreams().snapshot(SECOND);
    assert_eq!((snapshot[0].failed, snapshot[0].connecting), (0, 0));
}

#[test]
fn an_upstream_that_dies_resets_its_own_clients_alone_and_the_next_ones_go_elsewhere() {
    let mut h = serving(2, &BalancerOptions::default());
    let pairs: Vec<_> = (0..4)
        .map(|_| {
            let client = h.open();
            (client, accept(&mut h).expect("a connection"))
        })
        .collect();
    h.set_remote(&at(1), refuses());
    for (_, (server, number)) in &pairs {
        if *number == 1 {
            h.reset(*server);
        }
    }
    for (client, (server, number)) in pairs {
        match number {
            1 => assert_eq!(h.state(client), State::Reset),
            _ => assert_joined(&mut h, client, server),
        }
    }
    for _ in 0..4 {
        let client = h.open();
        let (server, number) = accept(&mut h).expect("a connection");
        assert_eq!(number, 2);
        assert_joined(&mut h, client, server);
    }
}

#[test]
fn clients_keep_their_upstream_by_their_address() {
    let upstreams =
        UpstreamsOptions { balance: Balance::SourceHash, ..UpstreamsOptions::default() };
    let mut h = serving(9, &BalancerOptions { upstreams, ..BalancerOptions::default() });
    let mut upstream_of = |last: u8| {
        h.open_from(IpAddr::from([10, 0, 1, last]));
        accept(&mut h).expect("a connection").1
    };
    for last in 1..20 {
        assert_eq!(upstream_of(last), upstream_of(last));
    }
    let different: std::collections::HashSet<_> = (1..20).map(upstream_of).collect();
    assert!(different.len() > 3, "{different:?}");
}

#[test]
fn upstreams_that_are_replaced_keep_their_connections_and_get_no_further_ones() {
    let mut h = serving(3, &BalancerOptions::default());
    let client = h.open();
    let (server, _) = accept(&mut h).expect("a connection");
    h.post(Replace(list(2..=3).into_iter().map(Upstream::from).collect()));
    assert_joined(&mut h, client, server);
    for _ in 0..4 {
        h.open();
        assert_ne!(accept(&mut h).expect("a connection").1, 1);
    }
    let states = states(h.handler().upstreams(), SECOND);
    assert_eq!(states, [UpstreamState::Up, UpstreamState::Up, UpstreamState::Draining]);
    h.finish(client);
    h.finish(server);
    assert_eq!(h.handler().upstreams().snapshot(SECOND).len(), 2);
}

#[test]
fn row_19_each_attempt_announces_the_client_in_front_of_its_transport() {
    for version in [Version::V1, Version::V2] {
        let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
        let options =
            BalancerOptions { announce: Some(version), connect, ..BalancerOptions::default() };
        let mut h = balancer(2, &options);
        h.set_remote(&at(2), Remote::Listens);
        let client = h.open();
        let local: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let header = Header::new(h.address(client), local).encode(version);
        let (server, _) = accept(&mut h).expect("a connection");
        let sent = h.sent(server);
        assert!(sent.starts_with(&header) && sent.len() > header.len(), "{sent:?}");
    }
}

#[test]
fn an_upstream_whose_handshake_fails_is_left_and_the_client_keeps_what_it_has_sent() {
    let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
    let mut h = serving(2, &BalancerOptions { connect, ..BalancerOptions::default() });
    let client = h.open();
    h.feed(client, "kept");
    let (first, _) = accept(&mut h).expect("a connection");
    h.reset(first);
    let (second, number) = accept(&mut h).expect("a connection");
    assert_eq!((number, h.state(second), h.state(client)), (2, State::Open, State::Open));
}

#[test]
fn when_the_reactor_stops_pairs_end_by_themselves_and_those_who_wait_within_the_grace_period() {
    let mut h = serving(2, &BalancerOptions::default());
    let client = h.open();
    let (server, _) = accept(&mut h).expect("a connection");
    h.set_remote(&at(2), Remote::Silent);
    let late = h.open();
    h.stop();
    assert_joined(&mut h, client, server);
    h.finish(client);
    h.finish(server);
    assert_eq!((h.state(client), h.state(late)), (State::Closed, State::Open));
    h.advance(31 * SECOND);
    assert_ne!(h.state(late), State::Open);
}

#[test]
fn a_list_without_upstreams_is_refused() {
    let mut reactor = Reactor::new().expect("a reactor");
    let none: [Target; 0] = [];
    let refused = Balancer::register(&mut reactor, none, &BalancerOptions::default());
    assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::InvalidInput));
    let mut h = serving(1, &BalancerOptions::default());
    h.post(Replace(Vec::new()));
    let client = h.open();
    let (server, _) = accept(&mut h).expect("a connection");
    assert_joined(&mut h, client, server);
}
