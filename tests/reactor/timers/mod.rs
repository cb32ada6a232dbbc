//! Timers: never early, at most a tick late, in order, once, and gone when they are cancelled.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{
    ConnId, Context, Handler, HandlerId, Input, Listen, Reactor, Reason, Receive, Sessions,
    TimerId, Turn,
};

mod cancelling;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
/// A tick of the wheel, which is how late a timer may be.
const TICK: Duration = Duration::from_nanos(1 << 24);
const NANO: Duration = Duration::from_nanos(1);

type Act = dyn FnMut(&mut Turn, HandlerId<Clock>, u32);

/// Notes each message and when it came, and does with it what the test says.
struct Clock {
    me: HandlerId<Clock>,
    came: Vec<(u32, Duration)>,
    act: Box<Act>,
    /// When the last connection was accepted.
    opened: Duration,
}

impl Handler for Clock {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.opened = cx.now();
    }

    /// Sets a timer for each byte, of so many milliseconds.
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        for time in input.take() {
            cx.after(u32::from(*time) * MILLI, self.me, u32::from(*time));
        }
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, (): (), _: Reason) {
        (self.act)(cx, self.me, u32::MAX);
    }
}

impl Receive<u32> for Clock {
    fn on_message(&mut self, cx: &mut Sessions<'_>, message: u32) {
        self.came.push((message, cx.now()));
        (self.act)(cx, self.me, message);
    }
}

/// A message that somebody else can see being dropped.
impl Receive<Rc<Cell<u32>>> for Clock {
    fn on_message(&mut self, _: &mut Sessions<'_>, message: Rc<Cell<u32>>) {
        message.set(message.get() + 1);
    }
}

fn acting(act: impl FnMut(&mut Turn, HandlerId<Clock>, u32) + 'static) -> Harness<Clock> {
    let act = Box::new(act);
    Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let me = reactor.reserve();
            reactor.install(me, Clock { me, came: Vec::new(), act, opened: Duration::ZERO });
            me
        },
    )
}

fn clock() -> Harness<Clock> {
    acting(|_, _, _| {})
}

fn after(h: &mut Harness<Clock>, time: Duration, message: u32) -> TimerId {
    let me = h.handler().me;
    h.reactor().after(time, me, message)
}

fn every(h: &mut Harness<Clock>, period: Duration, message: u32) -> TimerId {
    let me = h.handler().me;
    h.reactor().every(period, me, message)
}

/// The messages that came since the last time.
fn came(h: &mut Harness<Clock>) -> Vec<u32> {
    std::mem::take(&mut h.handler().came).into_iter().map(|(message, _)| message).collect()
}

/// The present.
fn now(h: &mut Harness<Clock>) -> Duration {
    h.open();
    h.handler().opened
}

#[test]
fn a_timer_is_never_early_and_at_most_a_tick_late() {
    let mut h = clock();
    for offset in [0, 1, 7, 16, 17, 100] {
        h.advance(offset * MILLI);
        for time in [NANO, MILLI, TICK - NANO, TICK, TICK + NANO, 250 * MILLI, 3600 * SECOND] {
            after(&mut h, time, 1);
            h.advance(time - NANO);
            assert_eq!(came(&mut h), [0; 0], "{time:?} is early");
            h.advance(TICK + NANO);
            assert_eq!(came(&mut h), [1], "{time:?} is late");
            h.advance(SECOND);
            assert_eq!(came(&mut h), [0; 0], "{time:?} comes once");
        }
    }
}

#[test]
fn timers_come_in_the_order_of_their_times_and_then_in_that_of_their_setting() {
    let mut h = clock();
    for (time, message) in [(9, 4), (5, 1), (900, 7), (5, 2), (8, 3), (9, 5), (700, 6)] {
        after(&mut h, time * MILLI, message);
    }
    h.stall(SECOND);
    assert_eq!(came(&mut h), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_timer_of_no_time_comes_in_a_later_turn() {
    let mut h = acting(|cx, me, message| {
        if message < 3 {
            cx.after(Duration::ZERO, me, message + 1);
        }
    });
    after(&mut h, Duration::ZERO, 0);
    h.turn();
    assert_eq!(came(&mut h), [0; 0], "not in the turn that follows at once");
    for message in 0..4 {
        h.stall(TICK);
        assert_eq!(came(&mut h), [message], "one a turn");
    }
}

#[test]
fn a_timer_set_on_a_tick_comes_in_a_later_turn() {
    // As often as it takes for the clock to be where a tick begins.
    let mut h = clock();
    let into_tick = now(&mut h).as_nanos() % TICK.as_nanos();
    h.stall(TICK - Duration::from_nanos(into_tick as u64));
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, [0]);
        h.turn();
        assert_eq!(came(h), [0; 0], "set in this turn");
    });
    h.advance(TICK);
    assert_eq!(came(&mut h), [0]);
}

#[test]
fn callbacks_of_connections_set_timers_and_timers_reach_connections() {
    struct Late(HandlerId<Late>);
    impl Handler for Late {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
            let message = (cx.id(), input.take().to_vec());
            cx.after(SECOND, self.0, message);
        }
    }
    impl Receive<(ConnId, Vec<u8>)> for Late {
        fn on_message(&mut self, cx: &mut Sessions<'_>, (id, bytes): (ConnId, Vec<u8>)) {
            cx.peer(id).send(&bytes[..]);
        }
    }
    let make = |reactor: &mut Reactor| {
        let me = reactor.reserve();
        reactor.install(me, Late(me));
        me
    };
    let mut h = Harness::build(&Listen::default(), |_| {}, make);
    let (stays, goes) = (h.open(), h.open());
    h.feed(stays, b"a second late");
    h.feed(goes, b"nobody hears this");
    h.reset(goes);
    assert_eq!(h.sent(stays), "");
    h.advance(SECOND + TICK);
    assert_eq!(h.sent(stays), "a second late");
}

#[test]
fn a_repeated_timer_does_not_drift() {
    let mut h = clock();
    let start = now(&mut h);
    every(&mut h, 50 * MILLI, 0);
    h.advance(100 * SECOND);
    let times: Vec<_> = h.handler().came.iter().map(|(_, at)| *at - start).collect();
    assert!((1999..=2000).contains(&times.len()), "{}", times.len());
    for (at, count) in times.into_iter().zip(1..) {
        let due = count * 50 * MILLI;
        assert!((due..=due + TICK).contains(&at), "number {count} at {at:?}");
    }
}

#[test]
fn a_repeated_timer_does_not_make_up_for_a_stall() {
    let mut h = clock();
    every(&mut h, SECOND, 0);
    h.advance(SECOND + TICK);
    assert_eq!(came(&mut h).len(), 1);
    h.stall(60 * SECOND);
    assert_eq!(came(&mut h).len(), 1);
    h.advance(SECOND);
    assert_eq!(came(&mut h).len(), 1, "on the same beat as before");
}

#[test]
fn a_period_shorter_than_a_tick_comes_once_a_tick() {
    for period in [Duration::ZERO, NANO, MILLI, TICK] {
        let mut h = clock();
        every(&mut h, period, 0);
        h.advance(1000 * TICK);
        assert!((999..=1000).contains(&came(&mut h).len()), "{period:?}");
    }
}

#[test]
fn a_panic_over_a_timer_loses_no_other_and_ends_no_repetition() {
    let mut h = acting(|_, _, message| assert!(message != 13, "as the test wants it"));
    h.expect_panics();
    every(&mut h, SECOND, 13);
    after(&mut h, SECOND, 1);
    after(&mut h, SECOND, 13);
    after(&mut h, SECOND, 2);
    h.advance(SECOND + TICK);
    assert_eq!((came(&mut h), h.ledger().panics), (vec![13, 1, 13, 2], 2));
    h.advance(SECOND);
    assert_eq!((came(&mut h), h.ledger().panics), (vec![13], 3));
}

#[test]
#[should_panic(expected = "HandlerId belongs to another reactor")]
fn an_id_of_another_reactor_is_refused() {
    struct Other;
    impl Handler for Other {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    }
    impl Receive<u32> for Other {
        fn on_message(&mut self, _: &mut Sessions<'_>, _: u32) {}
    }
    let mut h = clock();
    let other = Reactor::new().unwrap().register(Other);
    h.reactor().after(SECOND, other, 1);
}

#[test]
fn timers_of_a_reactor_that_stops_are_dropped_and_so_are_those_set_while_it_closes() {
    let message = Rc::new(Cell::new(0));
    let late = message.clone();
    let mut h = acting(move |cx, me, what| match what {
        u32::MAX => {
            cx.after(Duration::ZERO, me, late.clone());
            cx.every(NANO, me, late.clone());
        }
        _ => cx.stop(),
    });
    h.reactor().set_drain(Duration::ZERO);
    h.open();
    let me = h.handler().me;
    h.reactor().after(2 * SECOND, me, message.clone());
    h.reactor().every(2 * SECOND, me, message.clone());
    after(&mut h, SECOND, 1);
    assert_eq!(Rc::strong_count(&message), 4);
    h.advance(10 * SECOND);
    assert_eq!(came(&mut h), [1]);
    assert_eq!((message.get(), Rc::strong_count(&message)), (0, 2), "none came, none is left");
}

#[test]
fn times_longer_than_the_wheel_is_wide_are_kept() {
    let mut h = clock();
    let (year, day) = (365 * 24 * 3600 * SECOND, 24 * 3600 * SECOND);
    after(&mut h, year, 1);
    after(&mut h, Duration::MAX, 2);
    every(&mut h, Duration::MAX, 3);
    h.advance(year - NANO);
    assert_eq!(came(&mut h), [0; 0]);
    h.advance(TICK);
    assert_eq!(came(&mut h), [1]);
    h.advance(500 * day);
    assert_eq!(came(&mut h), [0; 0]);
}

#[test]
fn a_timer_set_between_turns_counts_from_then() {
    struct Stops;
    impl Handler for Stops {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    }
    impl Receive<()> for Stops {
        fn on_message(&mut self, cx: &mut Sessions<'_>, (): ()) {
            cx.stop();
        }
    }
    let mut reactor = Reactor::new().unwrap();
    let stops = reactor.register(Stops);
    // Longer than the timer: the reactor's own time is that of its last turn.
    std::thread::sleep(100 * MILLI);
    let start = Instant::now();
    reactor.after(50 * MILLI, stops, ());
    reactor.run().unwrap();
    assert!(start.elapsed() >= 50 * MILLI);
}

#[derive(Clone, Debug)]
enum Step {
    After(u64),
    Cancel(prop::sample::Index),
    Advance(u64),
    Stall(u64),
}

/// Nanoseconds of every magnitude, many of them shared or at the edge of a tick.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3u64,
        (0..200u64).prop_map(|millis| millis * 1_000_000),
        (0..50u64, 0..3u64).prop_map(|(ticks, past)| ((ticks << 24) + past).saturating_sub(1)),
        0..1u64 << 45,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => time().prop_map(Step::After),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        2 => time().prop_map(Step::Advance),
        1 => time().prop_map(Step::Stall),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn timers_agree_with_a_sorted_list(steps in prop::collection::vec(step(), 0..100)) {
        let mut h = clock();
        let mut now = now(&mut h).as_nanos() as u64;
        let tick = |time: u64| time.div_ceil(1 << 24);
        // When, which, and what was set in which tick at the earliest it can come.
        let mut list: Vec<(u64, u32, u64)> = Vec::new();
        let mut ids = Vec::new();
        for step in steps {
            let passed = match step {
                Step::After(time) => {
                    let number = ids.len() as u32;
                    ids.push(after(&mut h, Duration::from_nanos(time), number));
                    list.push((now + time, number, tick(now + time).max((now >> 24) + 1)));
                    list.sort_unstable();
                    continue;
                }
                Step::Cancel(_) if ids.is_empty() => continue,
                Step::Cancel(which) => {
                    let number = which.index(ids.len());
                    let listed = list.iter().position(|(_, which, _)| *which == number as u32);
                    prop_assert_eq!(h.reactor().cancel_timer(ids[number]), listed.is_some());
                    listed.map(|at| list.remove(at));
                    continue;
                }
                Step::Advance(time) => {
                    h.advance(Duration::from_nanos(time));
                    time
                }
                Step::Stall(time) => {
                    h.stall(Duration::from_nanos(time));
                    time
                }
            };
            now += passed;
            let (due, later) = list.iter().partition(|(_, _, tick)| *tick <= now >> 24);
            list = later;
            let due: Vec<_> = due;
            let expected: Vec<_> = due.into_iter().map(|(_, number, _)| number).collect();
            prop_assert_eq!(came(&mut h), expected);
        }
    }
}
