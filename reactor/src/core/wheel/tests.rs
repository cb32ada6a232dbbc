//! The wheel compared with a sorted set; tables of its boundaries.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{LEVELS, Link, Links, MAX_DELAY, Wheel};

/// Distances on both sides of every slot and level boundary.
const BOUNDARIES: [u32; 24] = [
    1,
    2,
    63,
    64,
    65,
    127,
    128,
    4_095,
    4_096,
    4_097,
    8_191,
    8_192,
    262_143,
    262_144,
    262_145,
    16_777_215,
    16_777_216,
    16_777_217,
    1 << 29,
    (1 << 29) + 1,
    MAX_DELAY - 4_096,
    MAX_DELAY - 64,
    MAX_DELAY - 1,
    MAX_DELAY,
];

/// Current ticks from which the distances above cross no boundary, one, or many, and the wrap of
/// `u32`.
const STARTS: [u32; 13] = [
    0,
    1,
    62,
    63,
    64,
    4_095,
    262_143,
    (1 << 30) - 1,
    1 << 30,
    (1 << 31) - 1,
    3 << 30,
    u32::MAX - 64,
    u32::MAX,
];

fn wheel_and_links(now: u32, nodes: usize) -> (Wheel, Vec<Link>) {
    (Wheel::new(now), vec![Link::default(); nodes])
}

fn advance(wheel: &mut Wheel, links: &mut impl Links, now: u32) -> Vec<u32> {
    let mut expired = Vec::new();
    wheel.advance(links, now, &mut expired);
    expired
}

#[test]
fn a_link_is_twelve_bytes_and_starts_unlinked() {
    assert_eq!(size_of::<Link>(), 12);
    assert!(!Link::default().is_linked());
    assert_eq!(Link::default().due(), None);
}

#[test]
fn at_every_boundary_a_deadline_expires_on_its_tick_and_not_before() {
    for start in STARTS {
        for delay in BOUNDARIES {
            let due = start.wrapping_add(delay);
            let (mut wheel, mut links) = wheel_and_links(start, 1);
            wheel.schedule(&mut links, 0, due);
            assert_eq!(links[0].due(), Some(due), "{start} + {delay}");

            let before = advance(&mut wheel, &mut links, due.wrapping_sub(1));
            assert!(before.is_empty(), "{start} + {delay} expired early");
            assert_eq!(wheel.next(), Some(due), "{start} + {delay}");

            assert_eq!(advance(&mut wheel, &mut links, due), [0], "{start} + {delay} is late");
            assert_eq!((links[0].due(), wheel.len(), wheel.next()), (None, 0, None));
        }
    }
}

#[test]
fn following_next_reaches_each_deadline_on_its_tick_in_at_most_one_call_per_level() {
    for start in STARTS {
        for delay in BOUNDARIES {
            let due = start.wrapping_add(delay);
            let (mut wheel, mut links) = wheel_and_links(start, 1);
            wheel.schedule(&mut links, 0, due);
            let mut calls = 0;
            while let Some(tick) = wheel.next() {
                calls += 1;
                let expected: &[u32] = if tick == due { &[0] } else { &[] };
                assert_eq!(advance(&mut wheel, &mut links, tick), expected, "{start} + {delay}");
            }
            assert!(!links[0].is_linked(), "{start} + {delay} was lost");
            assert!((1..=LEVELS).contains(&calls), "{start} + {delay} took {calls} calls");
        }
    }
}

#[test]
fn one_jump_expires_every_boundary_in_order_of_ticks() {
    for start in STARTS {
        let (mut wheel, mut links) = wheel_and_links(start, BOUNDARIES.len());
        for (index, delay) in BOUNDARIES.iter().enumerate().rev() {
            wheel.schedule(&mut links, index as u32, start.wrapping_add(*delay));
        }
        let expired = advance(&mut wheel, &mut links, start.wrapping_add(i32::MAX as u32));
        assert!(expired.into_iter().eq(0..BOUNDARIES.len() as u32), "from {start}");
        assert!(wheel.is_empty());
    }
}

#[test]
fn a_due_that_is_not_after_the_present_means_the_next_tick() {
    for start in STARTS {
        for behind in [0, 1, 63, 64, 4_096, MAX_DELAY, i32::MAX as u32] {
            let (mut wheel, mut links) = wheel_and_links(start, 1);
            wheel.schedule(&mut links, 0, start.wrapping_sub(behind));
            assert!(advance(&mut wheel, &mut links, start).is_empty());
            assert_eq!(wheel.next(), Some(start.wrapping_add(1)));
            assert_eq!(advance(&mut wheel, &mut links, start.wrapping_add(1)), [0]);
        }
    }
}

#[test]
fn a_due_beyond_the_farthest_is_brought_in_to_it() {
    for start in STARTS {
        let (mut wheel, mut links) = wheel_and_links(start, 1);
        for delay in [MAX_DELAY + 1, MAX_DELAY + 2, i32::MAX as u32] {
            wheel.schedule(&mut links, 0, start.wrapping_add(delay));
            assert_eq!(links[0].due(), Some(start.wrapping_add(MAX_DELAY)));
        }
    }
}

#[test]
fn cancelling_what_is_not_scheduled_does_nothing() {
    let (mut wheel, mut links) = wheel_and_links(7, 3);
    wheel.schedule(&mut links, 0, 8);
    wheel.schedule(&mut links, 1, 9);
    wheel.cancel(&mut links, 2);
    assert_eq!(advance(&mut wheel, &mut links, 8), [0]);
    wheel.cancel(&mut links, 0);
    wheel.cancel(&mut links, 0);
    assert_eq!(wheel.len(), 1);
    assert_eq!(advance(&mut wheel, &mut links, 9), [1]);
}

#[test]
fn any_member_of_a_list_can_leave_it() {
    for leaver in 0..4 {
        let (mut wheel, mut links) = wheel_and_links(0, 4);
        for index in 0..4 {
            wheel.schedule(&mut links, index, 10);
        }
        wheel.cancel(&mut links, leaver);
        let mut expired = advance(&mut wheel, &mut links, 10);
        expired.sort_unstable();
        assert!(expired.into_iter().eq((0..4).filter(|&index| index != leaver)));
    }
}

#[test]
fn a_clock_that_steps_back_expires_nothing_and_loses_nothing() {
    let (mut wheel, mut links) = wheel_and_links(1_000, 1);
    wheel.schedule(&mut links, 0, 1_010);
    assert!(advance(&mut wheel, &mut links, 900).is_empty());
    assert_eq!(wheel.next(), Some(1_010));
    assert_eq!(advance(&mut wheel, &mut links, 1_010), [0]);
}

#[test]
fn what_waits_a_whole_round_in_the_slot_of_the_present_is_left_alone() {
    let mut links = Counted { links: vec![Link::default(); 64], visits: 0 };
    let mut wheel = Wheel::new(1);
    wheel.schedule(&mut links, 0, 4_096);
    for index in 2..64 {
        wheel.schedule(&mut links, index, index);
    }
    links.visits = 0;
    assert!(advance(&mut wheel, &mut links, 63).into_iter().eq(2..64));
    assert_eq!(links.visits, 62);
    assert_eq!(wheel.next(), Some(4_096));
}

#[test]
fn putting_a_deadline_off_touches_no_other_node() {
    let mut links = Counted { links: vec![Link::default(); 3], visits: 0 };
    let mut wheel = Wheel::new(0);
    for index in 0..3 {
        wheel.schedule(&mut links, index, 100);
    }
    links.visits = 0;
    for due in [100, 101, 5_000, MAX_DELAY] {
        wheel.schedule(&mut links, 1, due);
        assert_eq!(links.links[1].due(), Some(due));
    }
    assert_eq!(links.visits, 4);
    let mut others = advance(&mut wheel, &mut links, 101);
    others.sort_unstable();
    assert_eq!(others, [0, 2]);
    assert_eq!(advance(&mut wheel, &mut links, MAX_DELAY), [1]);
}

#[test]
fn an_empty_wheel_follows_the_clock_however_far_it_went() {
    let (mut wheel, mut links) = wheel_and_links(0, 1);
    let now = (1 << 31) + 5;
    assert!(advance(&mut wheel, &mut links, now).is_empty());
    wheel.schedule(&mut links, 0, now + 1);
    assert!(advance(&mut wheel, &mut links, now).is_empty());
    assert_eq!(advance(&mut wheel, &mut links, now + 1), [0]);
}

/// Links that count how often the wheel asks for one.
struct Counted {
    links: Vec<Link>,
    visits: usize,
}

impl Links for Counted {
    fn link(&mut self, index: u32) -> &mut Link {
        self.visits += 1;
        self.links.link(index)
    }
}

#[test]
fn a_long_jump_visits_each_deadline_a_bounded_number_of_times() {
    let nodes = 1_000;
    let mut links = Counted { links: vec![Link::default(); nodes], visits: 0 };
    let mut wheel = Wheel::new(u32::MAX - 5);
    for index in 0..nodes as u32 {
        wheel.schedule(&mut links, index, index.wrapping_mul(index).wrapping_mul(999));
    }
    links.visits = 0;
    assert_eq!(advance(&mut wheel, &mut links, MAX_DELAY).len(), nodes);
    // On each level: out of a list, into the next one, and in front of its first node.
    assert!(links.visits <= nodes * LEVELS * 3, "{} visits", links.visits);
}

#[test]
#[should_panic(expected = "out of range")]
fn an_index_that_links_cannot_hold_is_refused() {
    Wheel::new(0).schedule(&mut Vec::<Link>::new(), 1 << 31, 1);
}

const NODES: u32 = 24;

#[derive(Clone, Debug)]
enum Step {
    Schedule { index: u32, delay: i64 },
    Cancel { index: u32 },
    Advance { by: u64 },
    AdvanceToNext,
}

/// Distances of every magnitude, most of them beside a boundary or shared with other deadlines.
fn distance() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..4u32,
        0..200u32,
        (0..=30u32, 0..4u32).prop_map(|(bit, past)| ((1u32 << bit) + past).saturating_sub(2)),
        0..=MAX_DELAY,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..NODES;
    prop_oneof![
        6 => (index.clone(), distance())
            .prop_map(|(index, delay)| Step::Schedule { index, delay: delay.into() }),
        1 => (index.clone(), distance())
            .prop_map(|(index, past)| Step::Schedule { index, delay: -i64::from(past) }),
        2 => index.prop_map(|index| Step::Cancel { index }),
        3 => distance().prop_map(|by| Step::Advance { by: by.into() }),
        1 => (0..=1u64 << 31).prop_map(|by| Step::Advance { by }),
        3 => Just(Step::AdvanceToNext),
    ]
}

/// A wheel, and its expected deadlines in ticks that do not wrap.
struct Model {
    wheel: Wheel,
    links: Vec<Link>,
    now: u64,
    due: [Option<u64>; NODES as usize],
    sorted: BTreeSet<(u64, u32)>,
}

impl Model {
    fn new(start: u32) -> Model {
        let (wheel, links) = wheel_and_links(start, NODES as usize);
        // High enough that a deadline in the past stays above zero.
        let now = (1 << 32) + u64::from(start);
        Model { wheel, links, now, due: [None; NODES as usize], sorted: BTreeSet::new() }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Schedule { index, delay } => {
                let due = self.now.saturating_add_signed(delay);
                self.wheel.schedule(&mut self.links, index, due as u32);
                let due = due.clamp(self.now + 1, self.now + u64::from(MAX_DELAY));
                self.forget(index);
                self.due[index as usize] = Some(due);
                self.sorted.insert((due, index));
            }
            Step::Cancel { index } => {
                self.wheel.cancel(&mut self.links, index);
                self.forget(index);
            }
            Step::Advance { by } => self.advance(by),
            Step::AdvanceToNext => {
                let next = self.wheel.next().unwrap_or(self.now as u32);
                self.advance(next.wrapping_sub(self.now as u32).into());
            }
        }
        self.check();
    }

    fn forget(&mut self, index: u32) {
        if let Some(due) = self.due[index as usize].take() {
            self.sorted.remove(&(due, index));
        }
    }

    fn advance(&mut self, by: u64) {
        self.now += by;
        let expired = advance(&mut self.wheel, &mut self.links, self.now as u32);
        let mut expired: Vec<_> =
            expired.into_iter().map(|index| (self.due[index as usize], index)).collect();
        assert!(expired.is_sorted_by_key(|&(due, _)| due), "out of order: {expired:?}");
        expired.sort_unstable();

        let later = self.sorted.split_off(&(self.now + 1, 0));
        let expected: Vec<_> = self.sorted.iter().map(|&(due, i)| (Some(due), i)).collect();
        assert_eq!(expired, expected, "at {}", self.now);
        for &(_, index) in &self.sorted {
            self.due[index as usize] = None;
        }
        self.sorted = later;
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.sorted.len());
        assert_eq!(self.wheel.is_empty(), self.sorted.is_empty());
        for (link, due) in self.links.iter().zip(self.due) {
            assert_eq!(link.due(), due.map(|due| due as u32));
        }
        let ahead = |tick: u32| tick.wrapping_sub(self.now as u32);
        match (self.wheel.next(), self.sorted.first()) {
            (None, None) => {}
            (Some(next), Some(&(due, _))) => {
                assert!((1..=ahead(due as u32)).contains(&ahead(next)), "next {next}, due {due}");
            }
            (next, first) => panic!("next is {next:?} with {first:?} the earliest"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_wheel_agrees_with_a_sorted_set(
        start in prop_oneof![prop::sample::select(STARTS.to_vec()), any::<u32>()],
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut model = Model::new(start);
        for step in steps {
            model.apply(step);
        }
        while model.wheel.next().is_some() {
            model.apply(Step::AdvanceToNext);
        }
        prop_assert!(model.sorted.is_empty());
    }
}
