//! Deadlines: the reactor's timing wheel beside a sorted set and a binary heap.
//!
//! Each operation runs among a million scheduled deadlines, spread evenly over the next minute at
//! 2^24 ns a tick, on nodes chosen at random: that is what a million connections with idle limits
//! ask for. The wheel's links lie in nodes of a connection's size, the others' deadlines in a dense
//! array, which favours the others: most of the wheel's `expire` is waiting for the memory of nodes
//! that their owner is about to use.
//!
//! - `schedule`: a node that has no deadline gets one.
//! - `put off`: a node's deadline moves behind all others, as by activity on a connection.
//! - `move`: a node's deadline moves to any tick.
//! - `cancel`: a node loses its deadline.
//! - `expire`: the time per expired deadline when the clock moves tick by tick.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use sluicegate_reactor::timer::{Link, Links, Wheel};

const SCHEDULED: u32 = 1_000_000;
/// Nodes that have no deadline until `schedule` gives them one.
const SPARE: u32 = 4_096;
/// A minute in ticks of 2^24 ns.
const HORIZON: u32 = 3_576;

/// What the contenders have in common; scheduling a node again moves its deadline.
trait Deadlines {
    const NAME: &str;
    fn new(nodes: u32) -> Self;
    fn schedule(&mut self, index: u32, due: u32);
    fn cancel(&mut self, index: u32);
    fn advance(&mut self, now: u32, expired: &mut Vec<u32>);
}

/// As large as a connection of the reactor.
#[derive(Clone, Default)]
struct Node {
    link: Link,
    _rest: [u32; 17],
}

struct Nodes(Vec<Node>);

impl Links for Nodes {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

struct Wheeled {
    wheel: Wheel,
    nodes: Nodes,
}

impl Deadlines for Wheeled {
    const NAME: &str = "wheel";

    fn new(nodes: u32) -> Self {
        Wheeled { wheel: Wheel::new(0), nodes: Nodes(vec![Node::default(); nodes as usize]) }
    }

    fn schedule(&mut self, index: u32, due: u32) {
        self.wheel.schedule(&mut self.nodes, index, due);
    }

    fn cancel(&mut self, index: u32) {
        self.wheel.cancel(&mut self.nodes, index);
    }

    fn advance(&mut self, now: u32, expired: &mut Vec<u32>) {
        self.wheel.advance(&mut self.nodes, now, expired);
    }
}

struct Sorted {
    map: BTreeMap<(u32, u32), ()>,
    due: Vec<Option<u32>>,
}

impl Deadlines for Sorted {
    const NAME: &str = "BTreeMap";

    fn new(nodes: u32) -> Self {
        Sorted { map: BTreeMap::new(), due: vec![None; nodes as usize] }
    }

    fn schedule(&mut self, index: u32, due: u32) {
        self.cancel(index);
        self.due[index as usize] = Some(due);
        self.map.insert((due, index), ());
    }

    fn cancel(&mut self, index: u32) {
        if let Some(due) = self.due[index as usize].take() {
            self.map.remove(&(due, index));
        }
    }

    fn advance(&mut self, now: u32, expired: &mut Vec<u32>) {
        while let Some(entry) = self.map.first_entry()
            && entry.key().0 <= now
        {
            let ((_, index), ()) = entry.remove_entry();
            self.due[index as usize] = None;
            expired.push(index);
        }
    }
}

/// A heap cannot remove from its middle: what was moved or cancelled stays as a stale entry until
/// it surfaces, or until stale entries outnumber the live ones and all are swept out.
struct Heaped {
    heap: BinaryHeap<Reverse<(u32, u32)>>,
    due: Vec<Option<u32>>,
    live: usize,
}

impl Deadlines for Heaped {
    const NAME: &str = "BinaryHeap";

    fn new(nodes: u32) -> Self {
        Heaped { heap: BinaryHeap::new(), due: vec![None; nodes as usize], live: 0 }
    }

    fn schedule(&mut self, index: u32, due: u32) {
        self.cancel(index);
        self.due[index as usize] = Some(due);
        self.live += 1;
        self.heap.push(Reverse((due, index)));
        if self.heap.len() > 2 * self.live {
            let Heaped { heap, due, .. } = self;
            heap.retain(|&Reverse((at, index))| due[index as usize] == Some(at));
        }
    }

    fn cancel(&mut self, index: u32) {
        if self.due[index as usize].take().is_some() {
            self.live -= 1;
        }
    }

    fn advance(&mut self, now: u32, expired: &mut Vec<u32>) {
        while let Some(&Reverse((due, index))) = self.heap.peek()
            && due <= now
        {
            self.heap.pop();
            if self.due[index as usize] == Some(due) {
                self.cancel(index);
                expired.push(index);
            }
        }
    }
}

/// Marsaglia's xorshift32: the same sequence for every contender.
struct Random(u32);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        ((u64::from(self.0) * u64::from(limit)) >> 32) as u32
    }
}

/// One contender with its million deadlines; every operation leaves it with as many.
struct Crowd<D> {
    deadlines: D,
    random: Random,
    now: u32,
    put_off: u32,
    expired: Vec<u32>,
}

impl<D: Deadlines> Crowd<D> {
    fn new() -> Self {
        let deadlines = D::new(SCHEDULED + SPARE);
        let random = Random(2_463_534_242);
        let mut crowd = Crowd { deadlines, random, now: 0, put_off: 0, expired: Vec::new() };
        (0..SCHEDULED).for_each(|index| crowd.schedule(index));
        crowd
    }

    fn schedule(&mut self, index: u32) {
        let due = self.now + 1 + self.random.below(HORIZON);
        self.deadlines.schedule(index, due);
    }

    fn scheduling(&mut self, times: u64) -> Duration {
        in_rounds(times, |count| {
            let start = Instant::now();
            (SCHEDULED..SCHEDULED + count).for_each(|index| self.schedule(index));
            let elapsed = start.elapsed();
            (SCHEDULED..SCHEDULED + count).for_each(|index| self.deadlines.cancel(index));
            elapsed
        })
    }

    fn putting_off(&mut self, times: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..times {
            self.put_off += 1;
            let due = self.now + HORIZON + self.put_off / (SCHEDULED / HORIZON);
            let index = self.random.below(SCHEDULED);
            self.deadlines.schedule(index, due);
        }
        start.elapsed()
    }

    fn moving(&mut self, times: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..times {
            let index = self.random.below(SCHEDULED);
            self.schedule(index);
        }
        start.elapsed()
    }

    fn cancelling(&mut self, times: u64) -> Duration {
        in_rounds(times, |count| {
            let first = self.random.below(SCHEDULED);
            // A stride that is prime, so that no node comes twice and neighbours do not follow.
            let chosen = |i| (u64::from(first) + u64::from(i) * 499_979) % u64::from(SCHEDULED);
            let start = Instant::now();
            (0..count).for_each(|i| self.deadlines.cancel(chosen(i) as u32));
            let elapsed = start.elapsed();
            (0..count).for_each(|i| self.schedule(chosen(i) as u32));
            elapsed
        })
    }

    fn expiring(&mut self, times: u64) -> Duration {
        let (mut elapsed, mut count) = (Duration::ZERO, 0);
        while count < times {
            self.now += 1;
            let start = Instant::now();
            self.deadlines.advance(self.now, &mut self.expired);
            elapsed += start.elapsed();
            count += self.expired.len() as u64;
            while let Some(index) = self.expired.pop() {
                self.schedule(index);
            }
        }
        // The last tick's deadlines came together, more than were asked for.
        elapsed.mul_f64(times as f64 / count as f64)
    }
}

/// Splits `times` into rounds that the spare nodes suffice for and adds up what they took.
fn in_rounds(mut times: u64, mut round: impl FnMut(u32) -> Duration) -> Duration {
    let mut elapsed = Duration::ZERO;
    while times > 0 {
        let count = times.min(u64::from(SPARE));
        elapsed += round(count as u32);
        times -= count;
    }
    elapsed
}

type Operation<D> = fn(&mut Crowd<D>, u64) -> Duration;

fn contend<D: Deadlines>(group: &mut BenchmarkGroup<'_, WallTime>, operation: Operation<D>) {
    let mut crowd = Crowd::<D>::new();
    group.bench_function(D::NAME, |b| b.iter_custom(|times| operation(&mut crowd, times)));
}

/// Runs one operation of all contenders as a group.
macro_rules! compare {
    ($criterion:expr, $name:literal, $operation:ident) => {
        let mut group = $criterion.benchmark_group(concat!("deadlines/", $name));
        group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
        contend::<Wheeled>(&mut group, Crowd::$operation);
        contend::<Sorted>(&mut group, Crowd::$operation);
        contend::<Heaped>(&mut group, Crowd::$operation);
        group.finish();
    };
}

fn deadlines(criterion: &mut Criterion) {
    compare!(criterion, "schedule", scheduling);
    compare!(criterion, "put off", putting_off);
    compare!(criterion, "move", moving);
    compare!(criterion, "cancel", cancelling);
    compare!(criterion, "expire", expiring);
}

criterion_group!(benches, deadlines);
criterion_main!(benches);
