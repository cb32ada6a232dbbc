//! Deadlines and timers set between two turns count from then, not from the turn before; the time
//! that callbacks take; and the end of reactors that stop together.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::core::{is_due, tick_of};
use crate::sys::Kernel;
use crate::threads::stopper::Stopper;
use crate::time::deadlines;
use crate::{Context, Handler, Input, Limits, Reactor};

struct Silent;

impl Handler for Silent {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

#[test]
fn deadlines_that_begin_between_turns_count_from_then() {
    const HOUR: u64 = 3600 * 1_000_000_000;
    let mut reactor = Reactor::new().unwrap();
    let silent = reactor.register(Silent);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    // As if the last turn had been an hour ago.
    let go_back = |reactor: &mut Reactor| {
        let core = &mut reactor.turn.core;
        core.now -= HOUR.min(core.now);
        core.tick = core.tick.wrapping_sub(tick_of(HOUR));
    };
    let is_over = |reactor: &Reactor, id| {
        let core = &reactor.turn.core;
        let c = core.find(id).expect("an adopted connection");
        let (due, _) = deadlines::first(core, c).expect("it may not be idle for ever");
        is_due(due, tick_of(core.kernel.monotonic()))
    };
    go_back(&mut reactor);
    let id = reactor.adopt(ours, silent, &Limits::default(), ()).unwrap();
    assert!(!is_over(&reactor, id), "idle before its first turn");
    go_back(&mut reactor);
    reactor.peer(id).set_deadline(Some(Duration::from_secs(60)));
    assert!(!is_over(&reactor, id), "its own deadline has passed when it is set");
}

#[cfg(feature = "testing")]
#[test]
fn timers_that_are_set_between_turns_count_from_then() {
    use crate::sys::Kernel;
    use crate::sys::sim::World;
    use crate::{Receive, Sessions};

    struct Count(u32);

    impl Handler for Count {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    }

    impl Receive<()> for Count {
        fn on_message(&mut self, _: &mut Sessions<'_>, (): ()) {
            self.0 += 1;
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);
    let world = World::new(1);
    let mut reactor = Reactor::on(Kernel::Sim(world.clone())).unwrap();
    let count = reactor.register(Count(0));
    world.advance(60 * MINUTE);
    let before = reactor.turn.now();
    reactor.after(MINUTE, count, ());
    assert_eq!(reactor.now() - before, 60 * MINUTE);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(reactor.handler(count).0, 0, "it is early");
    world.advance(MINUTE + Duration::from_millis(20));
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(reactor.handler(count).0, 1);
}

#[cfg(feature = "testing")]
#[test]
fn callbacks_that_take_as_long_as_the_limit_are_slow_and_shorter_ones_are_not() {
    use crate::sys::Kernel;
    use crate::sys::sim::World;
    use crate::{Receive, Sessions};

    /// Works for as long as a message says.
    struct Works(World);

    impl Handler for Works {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    }

    impl Receive<Duration> for Works {
        fn on_message(&mut self, _: &mut Sessions<'_>, time: Duration) {
            self.0.advance(time);
        }
    }

    const LIMIT: Duration = Duration::from_millis(10);
    let world = World::new(1);
    let mut reactor = Reactor::on(Kernel::Sim(world.clone())).unwrap();
    let works = reactor.register(Works(world));
    let handle = reactor.handle(works);
    let mut slow_after = |limit: Option<Duration>, times: &[Duration]| {
        limit.into_iter().for_each(|limit| reactor.log_slow_callbacks(limit));
        let before = reactor.ledger().slow_callbacks;
        times.iter().for_each(|time| handle.post(*time).unwrap());
        reactor.turn(Some(Duration::ZERO)).unwrap();
        reactor.ledger().slow_callbacks - before
    };
    assert_eq!(slow_after(None, &[LIMIT, 1000 * LIMIT]), 0, "nobody asked");
    let around = [LIMIT - Duration::from_nanos(1), LIMIT, 2 * LIMIT];
    assert_eq!(slow_after(Some(LIMIT), &around), 2);
    assert_eq!(slow_after(Some(Duration::ZERO), &[Duration::ZERO]), 1);
}

/// A thread of a server may start after the server was told to stop, and still get connections.
#[test]
fn a_reactor_without_connections_waits_for_one_that_does_not_exist_yet() {
    let stopper = Stopper::new(2, Duration::ZERO);
    let create = |index| Reactor::with_stopper(Kernel::Os, &stopper, index).unwrap();
    let turn = |reactor: &mut Reactor| {
        reactor.turn(Some(Duration::ZERO)).unwrap();
        reactor.has_stopped()
    };
    let mut first = create(0);
    stopper.stop().unwrap();
    assert!(!turn(&mut first) && !turn(&mut first));
    let mut second = create(1);
    assert!(turn(&mut second) && turn(&mut first));
}
