//! The timing wheel against a sorted list: whatever is set, moved, cancelled and expires, both say
//! the same, and neither says it early.

#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate_reactor::timer::{Link, MAX_DELAY, Wheel};

const NODES: usize = 64;

/// Something that the owner of a wheel does.
#[derive(Arbitrary, Debug)]
enum Op {
    Schedule {
        node: u8,
        delay: i32,
    },
    ScheduleSoon {
        node: u8,
        delay: u8,
    },
    Cancel {
        node: u8,
    },
    Advance {
        ticks: u32,
    },
    AdvanceALittle {
        ticks: u8,
    },
    /// As a reactor that slept does.
    AdvanceToNext,
}

/// What the wheel should say: the present, and the deadlines in order, in ticks that do not wrap.
struct Model {
    now: u64,
    sorted: BTreeSet<(u64, u32)>,
    due: [Option<u64>; NODES],
}

impl Model {
    fn cancel(&mut self, node: u32) {
        if let Some(due) = self.due[node as usize].take() {
            self.sorted.remove(&(due, node));
        }
    }

    fn schedule(&mut self, node: u32, delay: i32) {
        self.cancel(node);
        let due = self.now + u64::from(delay.clamp(1, MAX_DELAY as i32).cast_unsigned());
        self.due[node as usize] = Some(due);
        self.sorted.insert((due, node));
    }

    /// What is due up to `now`, in order.
    fn advance(&mut self, now: u64) -> Vec<(u64, u32)> {
        self.now = now;
        let later = self.sorted.split_off(&(now + 1, 0));
        let due: Vec<_> = std::mem::replace(&mut self.sorted, later).into_iter().collect();
        due.iter().for_each(|&(_, node)| self.due[node as usize] = None);
        due
    }
}

fuzz_target!(|input: (u32, Vec<Op>)| {
    let (start, ops) = input;
    let mut links = vec![Link::default(); NODES];
    let mut wheel = Wheel::new(start);
    let mut model = Model { now: u64::from(start), sorted: BTreeSet::new(), due: [None; NODES] };
    for op in ops {
        match op {
            Op::Schedule { node, delay } => {
                schedule(&mut wheel, &mut links, &mut model, node, delay);
            }
            Op::ScheduleSoon { node, delay } => {
                schedule(&mut wheel, &mut links, &mut model, node, i32::from(delay));
            }
            Op::Cancel { node } => {
                let node = u32::from(node) % NODES as u32;
                wheel.cancel(&mut links, node);
                model.cancel(node);
            }
            // More than half the range at a time cannot be told from the past.
            Op::Advance { ticks } => {
                advance(&mut wheel, &mut links, &mut model, ticks % (1 << 31));
            }
            Op::AdvanceALittle { ticks } => {
                advance(&mut wheel, &mut links, &mut model, u32::from(ticks));
            }
            Op::AdvanceToNext => {
                if let Some(next) = wheel.next() {
                    let ticks = next.wrapping_sub(model.now as u32);
                    advance(&mut wheel, &mut links, &mut model, ticks);
                }
            }
        }
        compare(&wheel, &links, &model);
    }
});

fn schedule(wheel: &mut Wheel, links: &mut Vec<Link>, model: &mut Model, node: u8, delay: i32) {
    let node = u32::from(node) % NODES as u32;
    let due = (model.now as u32).wrapping_add(delay.cast_unsigned());
    wheel.schedule(links, node, due);
    model.schedule(node, delay);
}

fn advance(wheel: &mut Wheel, links: &mut Vec<Link>, model: &mut Model, ticks: u32) {
    let now = model.now + u64::from(ticks);
    let mut expired = Vec::new();
    wheel.advance(links, now as u32, &mut expired);
    let expected = model.advance(now);
    assert_eq!(expired.len(), expected.len(), "expired at {now}");
    // In the order of ticks, and in any order within one.
    for same_tick in expected.chunk_by(|a, b| a.0 == b.0) {
        let mut wheels: Vec<u32> = expired.drain(..same_tick.len()).collect();
        wheels.sort_unstable();
        assert!(wheels.iter().eq(same_tick.iter().map(|(_, node)| node)), "expired at {now}");
    }
}

fn compare(wheel: &Wheel, links: &[Link], model: &Model) {
    assert_eq!(wheel.len(), model.sorted.len());
    for (link, due) in links.iter().zip(model.due) {
        assert_eq!(link.due(), due.map(|due| due as u32));
    }
    match (wheel.next(), model.sorted.first()) {
        (None, None) => {}
        (Some(next), Some(&(first, _))) => {
            let ahead = u64::from(next.wrapping_sub(model.now as u32));
            assert!(ahead > 0 && ahead <= first - model.now, "{ahead} for {}", first - model.now);
        }
        (next, first) => panic!("{next:?} for {first:?}"),
    }
}
