//! Timers and deadlines that are due together: a turn runs some of them, in order, and serves
//! connections before it goes on.

use std::time::Duration;

use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Context, Handler, HandlerId, Input, Limits, Receive, Sessions, TimerId};

use crate::probe::{Call, Probe, log, with_limits};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_nanos(1 << 24);
/// More than a turn runs, and few enough that several turns would be many.
const MANY: u32 = 3000;

/// Notes the messages of its timers, and sends back what it receives.
#[derive(Default)]
struct Clock {
    came: Vec<(u32, Duration)>,
    cancels: Option<(u32, TimerId)>,
}

impl Handler for Clock {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

impl Receive<u32> for Clock {
    fn on_message(&mut self, cx: &mut Sessions<'_>, message: u32) {
        self.came.push((message, cx.now()));
        if let Some((when, id)) = self.cancels
            && when == message
        {
            assert!(cx.cancel_timer(id), "it has not come");
        }
    }
}

/// A harness with a timer for each of these times, which brings its place among them.
fn timers(times: impl IntoIterator<Item = Duration>) -> (Harness<Clock>, Vec<TimerId>) {
    let mut h = Harness::new(Clock::default());
    let clock: HandlerId<Clock> = h.handler_id();
    let set = |(time, message)| h.reactor().after(time, clock, message);
    let ids = times.into_iter().zip(0..).map(set).collect();
    (h, ids)
}

fn came(h: &mut Harness<Clock>) -> Vec<u32> {
    h.handler().came.iter().map(|(message, _)| *message).collect()
}

#[test]
fn very_many_timers_that_are_due_together_come_in_order_and_connections_are_served_meanwhile() {
    const ALL: u32 = 100_000;
    // They are due in another order than that in which they were set.
    let time = |message: u32| SECOND + Duration::from_nanos((message * 7919 % ALL).into());
    let (mut h, _) = timers((0..ALL).map(time));
    let client = h.open();
    h.at_once(|h| {
        let mut before = 0;
        h.stall(2 * SECOND);
        for _ in 0..10 {
            let count = came(h).len();
            assert!(count - before <= 2048, "{} in one turn", count - before);
            before = count;
            h.feed(client, "x");
            h.turn();
            assert_eq!(h.sent(client), b"x");
        }
        assert!((1..ALL as usize).contains(&before), "{before} of {ALL}");
    });
    let mut expected: Vec<u32> = (0..ALL).collect();
    expected.sort_by_key(|message| time(*message));
    assert!(came(&mut h) == expected, "not all, or not in order");
}

#[test]
fn timers_that_become_due_come_behind_those_that_wait_for_their_turn() {
    let (mut h, _) = timers((0..MANY).map(|_| SECOND).chain([3 * SECOND]));
    h.at_once(|h| {
        h.stall(2 * SECOND);
        assert!(came(h).len() < MANY as usize, "some wait");
        h.stall(2 * SECOND);
    });
    assert!(came(&mut h).into_iter().eq(0..=MANY));
}

#[test]
fn a_timer_that_is_due_and_waits_for_its_turn_can_be_cancelled() {
    let (mut h, ids) = timers((0..MANY).map(|_| SECOND));
    h.handler().cancels = Some((7, ids[2500]));
    h.at_once(|h| {
        h.stall(2 * SECOND);
        assert!(came(h).len() < 2000, "{} in one turn", came(h).len());
        assert!(h.reactor().cancel_timer(ids[2000]));
        assert!(!h.reactor().cancel_timer(ids[2500]), "cancelled by another timer");
        // These have their places.
        let clock = h.handler_id();
        for _ in 0..2 {
            h.reactor().after(SECOND, clock, MANY);
        }
    });
    let all = |message: &u32| ![2000, 2500].contains(message);
    assert!(came(&mut h).into_iter().eq((0..MANY).filter(all)));
    h.advance(SECOND + TICK);
    assert_eq!(came(&mut h).split_off(MANY as usize - 2), [MANY; 2]);
}

#[test]
fn a_repeated_timer_that_waits_for_its_turn_keeps_its_period() {
    let (mut h, _) = timers((0..MANY).map(|_| SECOND));
    let clock = h.handler_id();
    h.reactor().every(SECOND, clock, MANY);
    let start = h.reactor().now();
    h.at_once(|h| {
        h.stall(SECOND + TICK);
        while came(h).len() < MANY as usize {
            h.stall(SECOND / 5);
        }
    });
    h.advance(5 * SECOND);
    let repeated = |(message, at): &(u32, Duration)| (*message == MANY).then_some(*at - start);
    let times: Vec<_> = h.handler().came.iter().filter_map(repeated).collect();
    assert!(times[0] > SECOND + SECOND / 5, "it has waited until {:?}", times[0]);
    assert!(times.len() >= 5, "{times:?}");
    for (at, count) in times[1..].iter().zip(2..) {
        assert!((count * SECOND..=count * SECOND + TICK).contains(at), "{times:?}");
    }
}

#[test]
fn very_many_deadlines_that_are_due_together_come_in_order_and_connections_are_served_meanwhile() {
    let probe = Probe::new(|cx, call, notes| match call {
        // The last is the first.
        Call::Open if notes.ids.len() <= MANY as usize => {
            let ticks = 2 * (MANY - notes.ids.len() as u32);
            cx.set_deadline(Some(SECOND + ticks * TICK));
        }
        Call::Data(input) => drop(cx.send(input.take())),
        Call::Timeout(_) => {}
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, Limits { idle: None, ..Limits::default() });
    h.at_once(|h| {
        for _ in 0..MANY {
            h.open();
        }
    });
    let client = h.open();
    log(&mut h);
    let mut order = Vec::new();
    let mut timeouts = |h: &mut Harness<Probe>| {
        let number = |line: String| line.strip_suffix(" timeout Own")?.parse::<u32>().ok();
        order.extend(log(h).into_iter().filter_map(number));
        order.len()
    };
    h.at_once(|h| {
        h.stall(SECOND + 3 * MANY * TICK);
        let first = timeouts(h);
        assert!((1..=1024).contains(&first), "{first} in one turn");
        h.feed(client, "x");
        h.turn();
        assert_eq!(h.sent(client), b"x");
        assert!(timeouts(h) < MANY as usize);
    });
    assert_eq!(timeouts(&mut h), MANY as usize);
    assert!(order.into_iter().eq((0..MANY).rev()), "not in order");
}
