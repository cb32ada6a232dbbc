//! Deadlines: never early, at most two ticks of the wheel late, and counted from what really moved.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Limits, Listen, Timeout};

use crate::probe::{Call, Probe, log, pattern, with_limits};

const SECOND: Duration = Duration::from_secs(1);
/// Two ticks, which is how late a deadline may be.
const LATE: Duration = Duration::from_nanos(2 << 24);

fn limits(idle: Option<u64>, write_stall: Option<u64>) -> Limits {
    let [idle, write_stall] = [idle, write_stall].map(|seconds| seconds.map(Duration::from_secs));
    Limits { idle, write_stall, ..Limits::default() }
}

#[test]
fn an_own_deadline_is_not_early_and_hardly_late() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => cx.set_deadline(Some(Duration::from_millis(250))),
        Call::Timeout(_) => {}
        call => call.by_default(cx),
    }));
    for offset in [0, 1, 7, 16, 17, 100] {
        h.advance(Duration::from_millis(offset));
        h.open();
        log(&mut h);
        h.advance(Duration::from_millis(250) - Duration::from_nanos(1));
        assert!(log(&mut h).is_empty(), "early");
        h.advance(LATE);
        assert!(log(&mut h)[0].ends_with("timeout Own"));
        h.advance(SECOND);
        assert!(log(&mut h).is_empty(), "a deadline comes once");
    }
}

#[test]
fn deadlines_of_one_stretch_of_time_come_in_their_order() {
    let mut waits = [5, 1, 3, 2, 4].into_iter();
    let mut h = Harness::new(Probe::new(move |cx, call, notes| match call {
        Call::Open => cx.set_deadline(waits.next().map(Duration::from_secs)),
        Call::Timeout(_) => {
            let seconds = cx.now().as_secs_f64();
            notes.add(format_args!("at {:.0}", seconds - 1.0));
        }
        call => call.by_default(cx),
    }));
    for _ in 0..5 {
        h.open();
    }
    log(&mut h);
    h.advance(Duration::from_secs(10));
    let at: Vec<_> = log(&mut h).into_iter().filter(|line| line.contains("at ")).collect();
    assert_eq!(at, ["1 at 1", "3 at 2", "2 at 3", "4 at 4", "0 at 5"]);
}

#[test]
fn deadlines_of_one_connection_that_pass_together_all_come() {
    let mut h = with_limits(
        Probe::new(|cx, call, _| match call {
            Call::Open => {
                cx.send(pattern(1 << 20));
                cx.set_deadline(Some(SECOND));
            }
            Call::Timeout(_) => {}
            call => call.by_default(cx),
        }),
        limits(Some(1), Some(1)),
    );
    h.open();
    log(&mut h);
    h.advance(SECOND + 2 * LATE);
    assert_eq!(log(&mut h), ["0 timeout Own", "0 timeout WriteStall", "0 timeout Idle"]);
}

#[test]
fn a_deadline_can_be_moved_and_cleared() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => cx.set_deadline(Some(10 * SECOND)),
        Call::Data(input) => match input.take() {
            b"sooner" => cx.set_deadline(Some(SECOND)),
            b"later" => cx.set_deadline(Some(20 * SECOND)),
            _ => cx.set_deadline(None),
        },
        call => call.by_default(cx),
    }));
    let (sooner, later, never) = (h.open(), h.open(), h.open());
    h.feed(sooner, b"sooner");
    h.feed(later, b"later");
    h.feed(never, b"never");
    log(&mut h);
    h.advance(SECOND + LATE);
    assert_eq!(log(&mut h), ["0 timeout Own", "0 close TimedOut"]);
    h.advance(18 * SECOND);
    assert!(log(&mut h).is_empty());
    h.advance(SECOND + LATE);
    assert_eq!(log(&mut h), ["1 timeout Own", "1 close TimedOut"]);
    h.advance(20 * SECOND);
    assert!(log(&mut h).is_empty());
}

#[test]
fn an_idle_connection_times_out_and_an_active_one_does_not() {
    let mut h = with_limits(Probe::echo(), limits(Some(10), None));
    let (idle, active) = (h.open(), h.open());
    log(&mut h);
    for _ in 0..9 {
        h.advance(SECOND);
        h.feed(active, b"x");
    }
    log(&mut h);
    h.advance(SECOND + LATE);
    assert_eq!(log(&mut h), ["0 timeout Idle", "0 close TimedOut"]);
    assert_eq!(h.state(idle), State::Shut);
    h.advance(8 * SECOND - LATE);
    assert!(log(&mut h).is_empty());
    h.advance(SECOND + LATE);
    assert_eq!(log(&mut h), ["1 timeout Idle", "1 close TimedOut"]);
}

#[test]
fn a_connection_that_only_sends_is_not_idle() {
    // Written through at once, and from the queue.
    for (write_first, direct) in [(0, 30), (1024, 0)] {
        let probe = Probe::new(|cx, call, _| match call {
            Call::Open => cx.set_deadline(Some(SECOND)),
            Call::Timeout(Timeout::Own) if cx.sent() < 30 => {
                cx.send(b"x");
                cx.set_deadline(Some(SECOND));
            }
            Call::Timeout(Timeout::Own) => {}
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, Limits { write_first, ..limits(Some(10), None) });
        h.open();
        h.advance(39 * SECOND);
        assert!(log(&mut h)[1..].iter().all(|line| line == "0 timeout Own"));
        assert_eq!((h.ledger().sent, h.ledger().write_through), (30, direct));
        h.advance(3 * SECOND);
        assert_eq!(log(&mut h), ["0 timeout Idle", "0 close TimedOut"]);
    }
}

#[test]
fn an_idle_timeout_is_not_early_and_hardly_late() {
    let mut h = with_limits(Probe::echo(), limits(Some(1), None));
    for offset in [0, 1, 7, 16, 17, 100] {
        h.advance(Duration::from_millis(offset));
        let client = h.open();
        h.feed(client, b"x");
        log(&mut h);
        h.advance(SECOND - Duration::from_nanos(1));
        assert!(log(&mut h).is_empty(), "early");
        h.advance(LATE);
        assert!(log(&mut h)[0].ends_with("timeout Idle"));
    }
}

#[test]
fn a_handler_that_ignores_an_idle_timeout_is_asked_again() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Timeout(_) => {}
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits(Some(1), None));
    h.open();
    log(&mut h);
    h.advance(3 * SECOND + 4 * LATE);
    assert_eq!(log(&mut h), ["0 timeout Idle"; 3]);
}

/// Sends `len` bytes at once, borrowed, shared or from a file.
fn sender(kind: &'static str, limits: Limits) -> Harness<Probe> {
    let listen = Listen { limits, ..Listen::default() };
    Harness::build(
        &listen,
        |files| files.put_file("/f", &pattern(LEN), 0),
        |reactor| {
            let file = reactor.open_dir("/").unwrap().open("f").unwrap();
            reactor.register(Probe::new(move |cx, call, _| match call {
                Call::Data(input) => {
                    input.take();
                    match kind {
                        "borrowed" => cx.send(&pattern(LEN)[..]),
                        "shared" => cx.send(pattern(LEN)),
                        _ => cx.send(file.region(0, LEN as u64)),
                    };
                }
                call => call.by_default(cx),
            }))
        },
    )
}

const LEN: usize = 100_000;
const KINDS: [&str; 3] = ["borrowed", "shared", "file"];

#[test]
fn a_client_that_takes_nothing_is_a_stalled_one() {
    for kind in KINDS {
        let mut h = sender(kind, limits(None, Some(10)));
        let client = h.open();
        h.set_room(client, 1000);
        h.feed(client, b"x");
        log(&mut h);
        h.advance(9 * SECOND);
        assert!(log(&mut h).is_empty(), "{kind}");
        h.advance(SECOND + LATE);
        assert_eq!(log(&mut h), ["0 timeout WriteStall", "0 close TimedOut"], "{kind}");
        assert_eq!(h.state(client), State::Reset);
    }
}

#[test]
fn a_client_that_has_never_taken_a_byte_is_a_stalled_one() {
    for kind in KINDS {
        let mut h = sender(kind, limits(None, Some(10)));
        let client = h.open();
        h.set_room(client, 0);
        h.advance(100 * SECOND);
        h.feed(client, b"x");
        log(&mut h);
        h.advance(10 * SECOND - Duration::from_nanos(1));
        assert!(log(&mut h).is_empty(), "{kind}: early");
        h.advance(LATE);
        assert_eq!(log(&mut h), ["0 timeout WriteStall", "0 close TimedOut"], "{kind}");
    }
}

#[test]
fn a_slow_client_is_not_a_stalled_one() {
    for kind in KINDS {
        for small_file in [16 << 10, u64::MAX] {
            let mut h = sender(kind, Limits { small_file, ..limits(Some(10), Some(10)) });
            let client = h.open();
            h.set_room(client, 1000);
            h.feed(client, b"x");
            log(&mut h);
            let mut got = Vec::new();
            for _ in 0..30 {
                h.advance(9 * SECOND);
                got.extend(h.take(client));
                assert!(log(&mut h).is_empty(), "{kind} {small_file} after {} bytes", got.len());
            }
            assert_eq!(got, pattern(30_000));
        }
    }
}

#[test]
fn a_client_that_makes_too_little_room_for_an_event_is_not_a_stalled_one() {
    for kind in KINDS {
        for (idle, write_stall) in [(Some(75), Some(10)), (Some(10), None), (Some(10), Some(10))] {
            let mut h = sender(kind, limits(idle, write_stall));
            let client = h.open();
            h.set_room(client, 1000);
            h.feed(client, b"x");
            log(&mut h);
            for second in 1..=60 {
                h.advance(SECOND);
                assert!(log(&mut h).is_empty(), "{kind} {idle:?} {write_stall:?}: {second} s");
                h.set_room(client, 1000 + 10 * second);
            }
            // The last of the room is still used.
            h.advance(20 * SECOND + LATE);
            assert_eq!(h.take(client), pattern(1600), "{kind}");
            let which = if write_stall.is_some() { "WriteStall" } else { "Idle" };
            assert_eq!(log(&mut h)[0], format!("0 timeout {which}"), "{kind}");
        }
    }
}

/// Answers whatever it gets with 1000 bytes, and closes.
fn answers_and_closes() -> Probe {
    Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send(pattern(1000));
            cx.close();
        }
        call => call.by_default(cx),
    })
}

#[test]
fn a_close_that_waits_for_a_stalled_client_ends_in_time() {
    let mut h = with_limits(answers_and_closes(), limits(None, Some(10)));
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, b"x");
    h.advance(10 * SECOND + LATE);
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 close TimedOut"]);
    assert_eq!(h.state(client), State::Reset);
}

#[test]
fn a_close_that_waits_for_a_silent_client_ends_when_it_is_idle_too_long() {
    let mut h = with_limits(answers_and_closes(), limits(Some(10), None));
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, b"x");
    h.advance(9 * SECOND);
    assert_eq!(h.take(client), &pattern(1000)[..100]);
    h.advance(9 * SECOND);
    assert_eq!(log(&mut h), ["0 open", "0 data x"]);
    h.advance(SECOND + LATE);
    assert_eq!(log(&mut h), ["0 close TimedOut"]);
    assert_eq!(h.state(client), State::Reset);
}

#[test]
fn an_own_deadline_does_not_cut_a_close_that_waits_for_its_queue() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.set_deadline(Some(SECOND));
            cx.send(pattern(1000));
            cx.close();
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, b"x");
    h.advance(5 * SECOND);
    assert_eq!(h.sent(client), pattern(1000));
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 close Closed"]);
}

#[test]
fn a_deadline_of_a_closed_connection_does_not_come() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => cx.set_deadline(Some(SECOND)),
        call => call.by_default(cx),
    }));
    let first = h.open();
    h.finish(first);
    let second = h.open();
    h.reset(second);
    log(&mut h);
    h.advance(10 * SECOND);
    assert!(log(&mut h).is_empty());
    assert_eq!(h.ledger().timeouts, 0);
}

#[test]
fn very_long_and_very_short_deadlines_are_kept() {
    let mut h = with_limits(
        Probe::new(|cx, call, notes| match call {
            Call::Open if notes.current == 0 => cx.set_deadline(Some(Duration::MAX)),
            Call::Open => cx.set_deadline(Some(Duration::ZERO)),
            call => call.by_default(cx),
        }),
        limits(None, None),
    );
    h.open();
    h.open();
    log(&mut h);
    h.advance(LATE);
    assert_eq!(log(&mut h), ["1 timeout Own", "1 close TimedOut"]);
    h.advance(Duration::from_secs(100 * 24 * 3600));
    assert!(log(&mut h).is_empty());
}
