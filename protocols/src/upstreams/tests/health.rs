//! Which upstreams are avoided, and for how long.

use super::*;
use crate::upstreams::Change;

const EJECTED: Duration = Duration::from_secs(10);

fn two() -> Upstreams {
    Upstreams::new(list(1..=2), UpstreamsOptions::default())
}

/// The numbers of the upstreams that the next connections get.
fn next(upstreams: &mut Upstreams, now: Duration, count: usize) -> Vec<usize> {
    (0..count).map(|_| choose(upstreams, now).expect("room").1).collect()
}

#[test]
fn failures_in_a_row_eject_an_upstream_and_a_success_between_them_does_not() {
    let mut upstreams = two();
    for outcome in [false, false, true, false, false, false] {
        let id = loop {
            let (id, number) = choose(&mut upstreams, SECOND).expect("room");
            if number == 1 {
                break id;
            }
            upstreams.given_up(id);
        };
        assert_eq!(states(&upstreams, SECOND)[0], UpstreamState::Up);
        match outcome {
            true => assert_eq!(upstreams.connected(id, SECOND), None),
            false => _ = upstreams.failed(id, SECOND),
        }
    }
    assert_eq!(states(&upstreams, SECOND), [UpstreamState::Ejected, UpstreamState::Up]);
    assert_eq!(next(&mut upstreams, SECOND, 3), [2, 2, 2]);
}

#[test]
fn after_its_time_one_connection_tries_an_upstream_and_the_others_follow_if_it_succeeds() {
    let mut upstreams = two();
    eject(&mut upstreams, SECOND, 1);
    let late = SECOND + EJECTED;
    assert_eq!(upstreams.next_trial(SECOND), Some(late));
    assert_eq!(next(&mut upstreams, late - Duration::from_nanos(1), 2), [2, 2]);
    let tries = |upstreams: &mut Upstreams, now| -> Vec<_> {
        let chosen = (0..3).map(|_| choose(upstreams, now).expect("room"));
        chosen.filter(|(_, number)| *number == 1).map(|(id, _)| id).collect()
    };
    let trials = tries(&mut upstreams, late);
    assert_eq!(trials.len(), 1);
    assert_eq!(upstreams.failed(trials[0], late), None);
    assert_eq!(upstreams.next_trial(late), Some(late + EJECTED));
    let trials = tries(&mut upstreams, late + EJECTED);
    upstreams.given_up(trials[0]);
    let trials = tries(&mut upstreams, late + EJECTED);
    assert_eq!(trials.len(), 1);
    assert_eq!(upstreams.connected(trials[0], late + EJECTED), Some(Change::Up));
    assert!(tries(&mut upstreams, late + EJECTED).len() > 1);
    assert_eq!(upstreams.next_trial(late), None);
}

#[test]
fn the_only_upstream_is_never_eject() {
    let mut upstreams = Upstreams::new(list([1]), UpstreamsOptions::default());
    for _ in 0..10 {
        let (id, _) = choose(&mut upstreams, SECOND).expect("room");
        assert_eq!(upstreams.failed(id, SECOND), None);
    }
    assert_eq!(states(&upstreams, SECOND), [UpstreamState::Up]);
}

#[test]
fn row_20_if_all_upstreams_are_avoided_they_are_used_nevertheless() {
    let mut upstreams = two();
    eject(&mut upstreams, SECOND, 1);
    let first = upstreams.iter().next().expect("two upstreams").0;
    let second = upstreams.iter().nth(1).expect("two upstreams").0;
    for _ in 0..3 {
        upstreams.checked(second, false, SECOND);
    }
    assert_eq!(states(&upstreams, SECOND), [UpstreamState::Ejected, UpstreamState::Down]);
    let mut chosen = next(&mut upstreams, SECOND, 2);
    chosen.sort_unstable();
    assert_eq!(chosen, [1, 2]);
    // A success shows that the first one is back.
    assert_eq!(upstreams.connected(first, SECOND), Some(Change::Up));
    assert_eq!(next(&mut upstreams, SECOND, 3), [1, 1, 1]);
}

#[test]
fn a_client_to_whom_no_other_is_left_tries_an_upstream_that_is_avoided() {
    let mut upstreams = two();
    eject(&mut upstreams, SECOND, 1);
    let (second, _) = choose(&mut upstreams, SECOND).expect("room");
    upstreams.failed(second, SECOND);
    let choice = choose_for(&mut upstreams, SECOND, None, &[second]);
    assert_eq!(choice.map(|(_, number)| number), Some(1));
}

#[test]
fn checks_in_a_row_take_an_upstream_down_and_bring_it_up() {
    let mut upstreams = two();
    let (id, _) = upstreams.iter().next().expect("two upstreams");
    let mut check = |succeeded| upstreams.checked(id, succeeded, SECOND);
    for _ in 0..2 {
        let failures = [false, false, true, false, false, false].map(&mut check);
        assert_eq!(failures, [None, None, None, None, None, Some(Change::Down)]);
        let successes = [false, true, false, true, true, true].map(&mut check);
        assert_eq!(successes, [None, None, None, None, Some(Change::Up), None]);
    }
}

#[test]
fn connections_do_not_bring_up_what_checks_took_down() {
    let mut upstreams = two();
    let ids: Vec<_> = upstreams.iter().map(|(id, _)| id).collect();
    for id in &ids {
        (0..3).for_each(|_| _ = upstreams.checked(*id, false, SECOND));
    }
    let (id, _) = choose(&mut upstreams, SECOND).expect("a connection nevertheless");
    assert_eq!(upstreams.connected(id, SECOND), None);
    assert_eq!(states(&upstreams, SECOND), [UpstreamState::Down; 2]);
}

#[test]
fn the_share_of_an_upstream_that_comes_back_or_is_added_grows() {
    let options = UpstreamsOptions { slow_start: 10 * SECOND, ..UpstreamsOptions::default() };
    let mut upstreams = Upstreams::new(list(1..=2), options);
    assert_eq!(states(&upstreams, SECOND), [UpstreamState::Up; 2]);
    eject(&mut upstreams, SECOND, 1);
    let back = SECOND + EJECTED;
    let (id, _) = (0..2)
        .map(|_| choose(&mut upstreams, back).expect("room"))
        .find(|(_, number)| *number == 1)
        .expect("a trial");
    upstreams.connected(id, back);
    // Of a hundred connections it gets a share of x to 100.
    for (seconds, expected) in [(0, 0..=2), (1, 8..=11), (5, 32..=35), (10, 49..=51)] {
        let now = back + seconds * SECOND;
        let chosen = next(&mut upstreams, now, 100);
        let count = chosen.iter().filter(|number| **number == 1).count();
        assert!(expected.contains(&count), "{count} after {seconds} s");
        let is_starting = states(&upstreams, now)[0] == UpstreamState::Starting;
        assert_eq!(is_starting, seconds < 10);
    }
    upstreams.replace(list(1..=3), 100 * SECOND);
    assert_eq!(states(&upstreams, 100 * SECOND)[2], UpstreamState::Starting);
    assert_eq!(states(&upstreams, 110 * SECOND)[2], UpstreamState::Up);
}

#[test]
fn an_upstream_that_comes_back_gets_few_connections_even_if_it_has_the_fewest() {
    let options = UpstreamsOptions {
        balance: crate::upstreams::Balance::LeastConnections,
        slow_start: 10 * SECOND,
        ..UpstreamsOptions::default()
    };
    let mut upstreams = Upstreams::new(list([1]), options);
    next(&mut upstreams, SECOND, 100);
    upstreams.replace(list(1..=2), 2 * SECOND);
    let count = |numbers: Vec<usize>| numbers.iter().filter(|number| **number == 2).count();
    // With half a share it has a third of all 1,100.
    let count = count(next(&mut upstreams, 7 * SECOND, 1000));
    assert!((360..370).contains(&count), "{count}");
}
