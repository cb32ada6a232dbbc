//! Whatever happens in any order, the state agrees with a simple model.

use std::collections::{BTreeSet, HashMap};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::upstreams::{Balance, UpstreamStatus};

#[derive(Clone, Debug)]
enum Event {
    Choose { source: u8, has_tried: bool },
    Connected(usize),
    Failed(usize),
    GivenUp(usize),
    Closed(usize),
    Checked { which: usize, succeeded: bool },
    Replace(u8),
    Wait(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (any::<u8>(), any::<bool>())
            .prop_map(|(source, has_tried)| Event::Choose { source, has_tried }),
        3 => any::<usize>().prop_map(Event::Connected),
        3 => any::<usize>().prop_map(Event::Failed),
        1 => any::<usize>().prop_map(Event::GivenUp),
        2 => any::<usize>().prop_map(Event::Closed),
        2 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, succeeded)| Event::Checked { which, succeeded }),
        1 => (1_u8..64).prop_map(Event::Replace),
        2 => any::<u16>().prop_map(Event::Wait),
    ]
}

fn options() -> impl Strategy<Value = UpstreamsOptions> {
    let balance = prop_oneof![
        Just(Balance::RoundRobin),
        Just(Balance::LeastConnections),
        Just(Balance::SourceHash)
    ];
    let limits = (proptest::option::of(1_u32..4), proptest::option::of(1_u32..4));
    (balance, limits, 1_u32..3, 1_u32..3, 0_u32..5).prop_map(
        |(balance, (max_connections, max_failures), rise, fall, slow)| UpstreamsOptions {
            balance,
            max_connections,
            max_failures,
            rise,
            fall,
            slow_start: slow * SECOND,
            ..UpstreamsOptions::default()
        },
    )
}

/// What is known of the connections.
#[derive(Default)]
struct Model {
    now: Duration,
    listed: Vec<usize>,
    connecting: Vec<(UpstreamId, usize)>,
    open: Vec<(UpstreamId, usize)>,
}

impl Model {
    fn take(from: &mut Vec<(UpstreamId, usize)>, which: usize) -> Option<UpstreamId> {
        let len = from.len();
        (len > 0).then(|| from.swap_remove(which % len).0)
    }

    fn apply(&mut self, upstreams: &mut Upstreams, event: &Event) {
        match *event {
            Event::Choose { source, has_tried } => self.choose(upstreams, source, has_tried),
            Event::Connected(which) if !self.connecting.is_empty() => {
                let at = which % self.connecting.len();
                let moved = self.connecting.swap_remove(at);
                upstreams.connected(moved.0, self.now);
                self.open.push(moved);
            }
            Event::Connected(_) => {}
            Event::Failed(which) => {
                if let Some(id) = Model::take(&mut self.connecting, which) {
                    upstreams.failed(id, self.now);
                }
            }
            Event::GivenUp(which) => {
                if let Some(id) = Model::take(&mut self.connecting, which) {
                    upstreams.given_up(id);
                }
            }
            Event::Closed(which) => {
                if let Some(id) = Model::take(&mut self.open, which) {
                    upstreams.closed(id);
                }
            }
            Event::Checked { which, succeeded } => {
                let ids: Vec<_> = upstreams.iter().map(|(id, _)| id).collect();
                upstreams.checked(ids[which % ids.len()], succeeded, self.now);
            }
            Event::Replace(bits) => {
                self.listed = (0..6).filter(|bit| bits >> bit & 1 == 1).collect();
                upstreams.replace(list(self.listed.iter().copied()), self.now);
            }
            Event::Wait(millis) => self.now += Duration::from_millis(millis.into()),
        }
    }

    /// What may be chosen: the best of what is listed and not tried, by state and room.
    fn choose(&mut self, upstreams: &mut Upstreams, source: u8, has_tried: bool) {
        let tried: Vec<_> = upstreams.iter().take(has_tried.into()).map(|(id, _)| id).collect();
        let before = upstreams.snapshot(self.now);
        let most = upstreams.options().max_connections.unwrap_or(u32::MAX);
        let source = IpAddr::from([10, 0, 0, source]);
        let choice = upstreams.choose(self.now, Some(source), &tried);
        let left: Vec<&UpstreamStatus> = before.iter().skip(tried.len()).collect();
        let left = left.into_iter().filter(|it| it.state != UpstreamState::Draining);
        let left: Vec<_> = left.collect();
        let is_good =
            |it: &UpstreamStatus| matches!(it.state, UpstreamState::Up | UpstreamState::Starting);
        let has_room = |it: &UpstreamStatus| it.connecting + it.open < most;
        match choice {
            Choice::Connect(id) => {
                let upstream = upstreams.get(id).expect("it is in the list").clone();
                assert!(!tried.contains(&id), "{upstream} was tried before");
                let chosen = left.iter().find(|it| it.upstream == upstream);
                let chosen = chosen.expect("it is neither draining nor unknown");
                assert!(has_room(chosen), "{chosen:?} has no room");
                // One that is ejected may be on trial.
                let is_last =
                    chosen.state == UpstreamState::Ejected || !left.iter().any(|it| is_good(it));
                assert!(is_good(chosen) || is_last, "{chosen:?} was chosen of {left:?}");
                self.connecting.push((id, number(&upstream)));
            }
            Choice::Wait => {
                let free = left.iter().any(|it| is_good(it) && has_room(it));
                assert!(!free && !left.is_empty(), "a client waits for one of {left:?}");
            }
            Choice::Exhausted => assert!(left.is_empty(), "{left:?} are left"),
        }
    }

    /// The snapshot shows each connection once, and nobody twice or in vain.
    fn agrees(&self, upstreams: &Upstreams) {
        let snapshot = upstreams.snapshot(self.now);
        let count = |of: &[(UpstreamId, usize)]| {
            let mut counts = HashMap::new();
            of.iter().for_each(|(_, number)| *counts.entry(*number).or_insert(0) += 1);
            counts
        };
        let (mut connecting, mut open) = (count(&self.connecting), count(&self.open));
        for status in &snapshot {
            let number = number(&status.upstream);
            assert_eq!(status.connecting, connecting.remove(&number).unwrap_or(0));
            assert_eq!(status.open, open.remove(&number).unwrap_or(0));
            let is_draining = status.state == UpstreamState::Draining;
            assert_eq!(is_draining, !self.listed.contains(&number));
            assert!(!is_draining || status.connecting + status.open > 0, "{status:?}");
        }
        assert!(connecting.is_empty() && open.is_empty(), "{connecting:?} {open:?}");
    }

    /// Once nothing goes wrong any more, clients get to every upstream of the list.
    fn recovers(mut self, upstreams: &mut Upstreams) {
        self.connecting.drain(..).for_each(|(id, _)| upstreams.given_up(id));
        self.open.drain(..).for_each(|(id, _)| upstreams.closed(id));
        let ids: Vec<_> = upstreams.iter().map(|(id, _)| id).collect();
        for _ in 0..upstreams.options().rise {
            ids.iter().for_each(|id| _ = upstreams.checked(*id, true, self.now));
        }
        // Both the ejection time and the slow start are over.
        self.now += 60 * SECOND;
        let client = |source| {
            let source = IpAddr::from([10, 0, 0, source]);
            let (id, number) = choose_for(upstreams, self.now, Some(source), &[]).expect("room");
            upstreams.given_up(id);
            number
        };
        let chosen: BTreeSet<_> = (0..=u8::MAX).map(client).collect();
        assert_eq!(chosen, self.listed.into_iter().collect());
    }
}

#[test]
fn an_upstream_whose_trial_fails_while_it_is_the_only_one_is_tried_again() {
    let options = UpstreamsOptions { max_failures: Some(1), ..UpstreamsOptions::default() };
    let mut upstreams = Upstreams::new(list([0, 1]), options);
    let mut model = Model { listed: vec![0, 1], ..Model::default() };
    let try_first = Event::Choose { source: 0, has_tried: false };
    let events = [
        try_first.clone(),
        Event::Failed(0),
        Event::Wait(20_000),
        Event::Replace(0b01),
        try_first,
        Event::Failed(0),
        Event::Replace(0b11),
    ];
    events.iter().for_each(|event| model.apply(&mut upstreams, event));
    model.recovers(&mut upstreams);
}

proptest! {
    #[test]
    fn row_20_any_order_of_events_keeps_the_counts_and_the_rules(
        options in options(),
        events in vec(event(), 1..200),
    ) {
        let listed = vec![0, 1, 2];
        let mut upstreams = Upstreams::new(list(listed.iter().copied()), options);
        let mut model = Model { listed, ..Model::default() };
        for event in &events {
            model.apply(&mut upstreams, event);
            model.agrees(&upstreams);
        }
        model.recovers(&mut upstreams);
    }

    #[test]
    fn turns_are_even_however_many_upstreams_and_clients_there_are(
        count in 1_usize..20,
        rounds in 1_usize..20,
        extra in 0_usize..20,
    ) {
        let mut upstreams = Upstreams::new(list(0..count), UpstreamsOptions::default());
        let mut chosen = vec![0; count];
        for _ in 0..count * rounds + extra % count {
            chosen[choose(&mut upstreams, SECOND).expect("room").1] += 1;
        }
        prop_assert!(chosen.iter().all(|times| (rounds..=rounds + 1).contains(times)));
    }
}
