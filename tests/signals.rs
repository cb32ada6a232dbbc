//! Being told to stop, in a process of its own: signals are for all of it.

use rustix::process::{Signal, getpid, kill_process};
use sluicegate_reactor::Reactor;

#[test]
fn a_reactor_that_was_told_twice_about_signals_still_stops_in_order() {
    let mut reactor = Reactor::new().unwrap();
    reactor.stop_on_signals().unwrap();
    reactor.stop_on_signals().unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    reactor.run().unwrap();
}

#[test]
fn a_loop_of_ones_own_learns_that_it_is_to_stop() {
    let mut reactor = Reactor::new().unwrap();
    assert!(!reactor.is_stopping() && !reactor.has_stopped());
    let stopper = reactor.stopper();
    std::thread::spawn(move || stopper.stop());
    while !reactor.has_stopped() {
        reactor.turn(None).unwrap();
    }
}
