//! Which upstream is chosen.

use super::*;
use crate::upstreams::Balance;

fn with(balance: Balance, numbers: impl IntoIterator<Item = usize>) -> Upstreams {
    Upstreams::new(list(numbers), UpstreamsOptions { balance, ..UpstreamsOptions::default() })
}

fn chosen(upstreams: &mut Upstreams, count: usize) -> Vec<usize> {
    (0..count).map(|_| choose(upstreams, SECOND).expect("an upstream").1).collect()
}

#[test]
fn row_20_upstreams_are_chosen_in_turn() {
    let mut upstreams = with(Balance::RoundRobin, 1..=3);
    assert_eq!(chosen(&mut upstreams, 7), [1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn row_20_the_upstream_with_the_fewest_connections_is_chosen_and_each_in_turn_among_those() {
    let mut upstreams = with(Balance::LeastConnections, 1..=3);
    let first: Vec<_> = (0..6).map(|_| choose(&mut upstreams, SECOND).expect("room")).collect();
    assert_eq!(first.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
    for (id, number) in first {
        upstreams.connected(id, SECOND);
        if number == 2 {
            upstreams.closed(id);
        }
    }
    assert_eq!(chosen(&mut upstreams, 2), [2, 2]);
    let mut next = chosen(&mut upstreams, 3);
    next.sort_unstable();
    assert_eq!(next, [1, 2, 3]);
}

/// Many clients: IPv4 addresses and IPv6 prefixes.
fn clients() -> impl Iterator<Item = IpAddr> {
    (0..500_u128).flat_map(|n| {
        let v4 = IpAddr::from([10, 1, (n / 250) as u8, (n % 250) as u8]);
        [v4, IpAddr::from(((0x2001_0db8 << 96) | (n << 64) | 1).to_be_bytes())]
    })
}

#[test]
fn row_20_a_client_keeps_its_upstream_and_only_those_of_an_upstream_that_leaves_move() {
    let mut all = with(Balance::SourceHash, 1..=5);
    let mut fewer = with(Balance::SourceHash, [5, 3, 1, 4]);
    let mut counts = [0; 5];
    for client in clients() {
        let upstream_of = |upstreams: &mut Upstreams| {
            let (id, number) = choose_for(upstreams, SECOND, Some(client), &[]).expect("room");
            upstreams.given_up(id);
            number
        };
        let (first, again) = (upstream_of(&mut all), upstream_of(&mut all));
        assert_eq!(first, again);
        let then = upstream_of(&mut fewer);
        assert!(then == first || first == 2, "{client} moves from {first} to {then}");
        counts[first - 1] += 1;
    }
    // 200 each on average; the standard deviation is 13.
    assert!(counts.iter().all(|count| (130..270).contains(count)), "{counts:?}");
}

#[test]
fn addresses_of_one_ipv6_prefix_and_both_forms_of_an_ipv4_address_are_one_client() {
    let mut upstreams = with(Balance::SourceHash, 1..=100);
    for pair in [["2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"], ["10.0.0.9", "::ffff:10.0.0.9"]]
    {
        let [one, other] = pair.map(|text| {
            let source = text.parse().expect("an address");
            choose_for(&mut upstreams, SECOND, Some(source), &[]).expect("room").1
        });
        assert_eq!(one, other, "{pair:?}");
    }
}

#[test]
fn a_client_without_an_address_is_served_in_turn() {
    let mut upstreams = with(Balance::SourceHash, 1..=3);
    assert_eq!(chosen(&mut upstreams, 4), [1, 2, 3, 1]);
}

#[test]
fn row_20_a_client_tries_each_upstream_once() {
    let mut upstreams = with(Balance::RoundRobin, 1..=3);
    let mut tried = Vec::new();
    while let Choice::Connect(id) = upstreams.choose(SECOND, None, &tried) {
        upstreams.failed(id, SECOND);
        assert!(!tried.contains(&id));
        tried.push(id);
    }
    assert_eq!(tried.len(), 3);
    assert_eq!(upstreams.choose(SECOND, None, &tried), Choice::Exhausted);
}

#[test]
fn a_client_waits_while_all_upstreams_have_their_most_connections() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::SourceHash] {
        let options =
            UpstreamsOptions { balance, max_connections: Some(2), ..UpstreamsOptions::default() };
        let mut upstreams = Upstreams::new(list(1..=2), options);
        let source = Some(IpAddr::from([10, 0, 0, 9]));
        let ids: Vec<_> = (0..4)
            .map(|_| choose_for(&mut upstreams, SECOND, source, &[]).expect("room").0)
            .collect();
        assert_eq!(upstreams.choose(SECOND, source, &[]), Choice::Wait);
        upstreams.connected(ids[3], SECOND);
        assert_eq!(upstreams.choose(SECOND, source, &[]), Choice::Wait);
        upstreams.closed(ids[3]);
        assert_eq!(upstreams.choose(SECOND, source, &[]), Choice::Connect(ids[3]));
    }
}

#[test]
fn an_upstream_that_leaves_the_list_finishes_its_connections_and_one_that_stays_keeps_its_own() {
    let mut upstreams = with(Balance::RoundRobin, 1..=3);
    let ids: Vec<_> = (0..3).map(|_| choose(&mut upstreams, SECOND).expect("room").0).collect();
    ids.iter().for_each(|id| _ = upstreams.connected(*id, SECOND));
    upstreams.replace(list([4, 2]), SECOND);
    let shown = |upstreams: &Upstreams| -> Vec<_> {
        let status = upstreams.snapshot(SECOND).into_iter();
        status.map(|status| (number(&status.upstream), status.state, status.open)).collect()
    };
    let (up, draining) = (UpstreamState::Up, UpstreamState::Draining);
    assert_eq!(shown(&upstreams), [(4, up, 0), (2, up, 1), (1, draining, 1), (3, draining, 1)]);
    let mut next = chosen(&mut upstreams, 4);
    next.sort_unstable();
    assert_eq!(next, [2, 2, 4, 4]);
    upstreams.closed(ids[0]);
    upstreams.replace(list([2, 3]), SECOND);
    let mut shown = shown(&upstreams);
    // The connections to the fourth are not established yet.
    assert_eq!(shown.pop(), Some((4, draining, 0)));
    assert_eq!(shown, [(2, up, 1), (3, up, 1)]);
}

#[test]
fn an_upstream_that_is_listed_twice_is_one() {
    let mut upstreams = with(Balance::RoundRobin, [1, 2, 1]);
    assert_eq!(chosen(&mut upstreams, 4), [1, 2, 1, 2]);
}

#[test]
fn reports_about_an_upstream_that_has_left_have_no_effect() {
    let mut upstreams = with(Balance::RoundRobin, 1..=2);
    let (id, _) = choose(&mut upstreams, SECOND).expect("room");
    upstreams.given_up(id);
    upstreams.replace(list([2]), SECOND);
    assert_eq!(upstreams.get(id), None);
    assert_eq!(upstreams.connected(id, SECOND), None);
    assert_eq!(upstreams.failed(id, SECOND), None);
    assert_eq!(upstreams.checked(id, false, SECOND), None);
    upstreams.given_up(id);
    upstreams.closed(id);
    assert_eq!(upstreams.snapshot(SECOND).len(), 1);
}
