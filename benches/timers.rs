//! Timers of the reactor beside a sorted map of closures. Run with `cargo bench --bench timers`.
//!
//! Both hold 100,000 timers that are due in one to two minutes, at random times, and both read the
//! clock for each timer they set. The map is ordered by time and number, has one box for each
//! timer, and looks at exact times where the reactor looks at ticks.
//!
//! - `set and cancel`: a timer at a random time among the others, and its end: what a request does
//!   that is answered in time.
//! - `expire`: the time per message when 10,000 timers are due at once.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use sluicegate_reactor::{Context, Handler, HandlerId, Input, Reactor, Receive, Sessions, TimerId};

const STANDING: u64 = 100_000;
const DUE: u64 = 10_000;
/// Timers that are set before the first of them is cancelled.
const PENDING: u64 = 1_000;
/// Longer than two ticks of the reactor.
const UNTIL_DUE: Duration = Duration::from_millis(40);

/// What the contenders have in common. What a timer does is to count.
trait Timers {
    const NAME: &str;
    type Id: Copy;
    fn new() -> Self;
    fn set(&mut self, time: Duration) -> Self::Id;
    fn cancel(&mut self, id: Self::Id);
    /// Runs what is due.
    fn expire(&mut self);
    /// How many have come.
    fn came(&mut self) -> u64;
}

struct Counter(u64);

impl Handler for Counter {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<u64> for Counter {
    fn on_message(&mut self, _: &mut Sessions<'_>, count: u64) {
        self.0 += count;
    }
}

struct Reacting {
    reactor: Reactor,
    counter: HandlerId<Counter>,
}

impl Timers for Reacting {
    const NAME: &str = "reactor";
    type Id = TimerId;

    fn new() -> Self {
        let mut reactor = Reactor::new().unwrap();
        let counter = reactor.register(Counter(0));
        Reacting { reactor, counter }
    }

    fn set(&mut self, time: Duration) -> TimerId {
        self.reactor.after(time, self.counter, 1)
    }

    fn cancel(&mut self, id: TimerId) {
        assert!(self.reactor.cancel_timer(id));
    }

    fn expire(&mut self) {
        self.reactor.turn(Some(Duration::ZERO)).unwrap();
    }

    fn came(&mut self) -> u64 {
        self.reactor.handler(self.counter).0
    }
}

type Closure = Box<dyn FnOnce(&mut u64)>;

#[derive(Default)]
struct Sorted {
    map: BTreeMap<(Instant, u64), Closure>,
    next: u64,
    came: u64,
}

impl Timers for Sorted {
    const NAME: &str = "BTreeMap";
    type Id = (Instant, u64);

    fn new() -> Self {
        Sorted::default()
    }

    fn set(&mut self, time: Duration) -> Self::Id {
        let (id, count) = ((Instant::now() + time, self.next), 1);
        self.next += 1;
        self.map.insert(id, Box::new(move |came| *came += count));
        id
    }

    fn cancel(&mut self, id: Self::Id) {
        assert!(self.map.remove(&id).is_some());
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.map.first_entry()
            && first.key().0 <= now
        {
            first.remove()(&mut self.came);
        }
    }

    fn came(&mut self) -> u64 {
        self.came
    }
}

/// A contender with its standing timers.
struct Crowd<T> {
    timers: T,
    random: u32,
}

impl<T: Timers> Crowd<T> {
    fn new() -> Self {
        let mut crowd = Crowd { timers: T::new(), random: 2_463_534_242 };
        for _ in 0..STANDING {
            let time = crowd.time();
            crowd.timers.set(time);
        }
        crowd
    }

    /// One to two minutes. Marsaglia's xorshift32: the same sequence for every contender.
    fn time(&mut self) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        Duration::from_secs(60) + Duration::from_micros(u64::from(self.random) % 60_000_000)
    }

    fn setting_and_cancelling(&mut self, times: u64) -> Duration {
        let mut ids = Vec::with_capacity(PENDING as usize);
        let start = Instant::now();
        for done in (0..times).step_by(PENDING as usize) {
            for _ in 0..PENDING.min(times - done) {
                let time = self.time();
                ids.push(self.timers.set(time));
            }
            for id in ids.drain(..) {
                self.timers.cancel(id);
            }
        }
        start.elapsed()
    }

    fn expiring(&mut self, times: u64) -> Duration {
        let mut elapsed = Duration::ZERO;
        let rounds = times.div_ceil(DUE);
        for _ in 0..rounds {
            for _ in 0..DUE {
                self.timers.set(Duration::ZERO);
            }
            sleep(UNTIL_DUE);
            let before = self.timers.came();
            let start = Instant::now();
            self.timers.expire();
            elapsed += start.elapsed();
            assert_eq!(self.timers.came() - before, DUE);
        }
        // The last round had more than were asked for.
        elapsed.mul_f64(times as f64 / (rounds * DUE) as f64)
    }
}

type Operation<T> = fn(&mut Crowd<T>, u64) -> Duration;

fn contend<T: Timers>(group: &mut BenchmarkGroup<'_, WallTime>, operation: Operation<T>) {
    let mut crowd = Crowd::<T>::new();
    group.bench_function(T::NAME, |b| b.iter_custom(|times| operation(&mut crowd, times)));
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers/set and cancel");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    contend::<Reacting>(&mut group, Crowd::setting_and_cancelling);
    contend::<Sorted>(&mut group, Crowd::setting_and_cancelling);
    group.finish();

    // Most of the time is spent waiting for the timers to be due.
    let mut group = criterion.benchmark_group("timers/expire");
    group.warm_up_time(Duration::from_millis(10)).measurement_time(Duration::from_millis(50));
    group.sample_size(20);
    contend::<Reacting>(&mut group, Crowd::expiring);
    contend::<Sorted>(&mut group, Crowd::expiring);
    group.finish();
}

criterion_group!(benches, timers);
criterion_main!(benches);
