//! Callbacks that hold the loop for long are logged and counted.

use std::time::Duration;

use log::Level;
use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Receive, Sessions};

use crate::logged::logged_in;
use crate::probe::Probe;

/// A message, and that of a timer.
#[derive(Clone)]
struct Tick;

impl Receive<Tick, usize> for Probe {
    fn on_message(&mut self, _: &mut Sessions<'_, usize>, Tick: Tick) {}
}

/// Causes callbacks of a connection, for a message and for a timer.
fn act(h: &mut Harness<Probe>) {
    let client = h.open();
    h.feed(client, b"x");
    h.finish(client);
    h.post(Tick);
    let probe = h.handler_id();
    h.reactor().after(Duration::from_secs(1), probe, Tick);
    h.advance(Duration::from_secs(2));
}

#[test]
fn a_slow_callback_is_logged_with_its_handler_its_connection_and_its_time() {
    let logged = logged_in(Level::Warn, || {
        let mut h = Harness::new(Probe::echo());
        // In simulated time a callback takes none.
        h.reactor().log_slow_callbacks(Duration::ZERO);
        act(&mut h);
        assert_eq!(h.ledger().slow_callbacks, 6);
    });
    let callbacks = ["on_open", "on_data", "on_eof", "on_close"];
    let mut expected: Vec<_> = callbacks
        .map(|callback| format!("Probe::{callback} held the loop for 0.0ns"))
        .into_iter()
        .collect();
    let message = "Probe::on_message(Tick) held the loop for 0.0ns";
    expected.extend([message.to_owned(), message.to_owned()]);
    let told: Vec<_> = logged
        .iter()
        .map(|line| line.rsplit_once(": ").map_or(&**line, |(_, told)| told))
        .collect();
    assert_eq!(told, expected);
    for line in &logged[..callbacks.len()] {
        assert!(line.starts_with("ConnId(0.1) from 127.0.0.1:"), "{line}");
        assert!(line.contains(" at 127.0.0.1:80: "), "{line}");
    }
}

#[test]
fn nothing_is_timed_unless_asked() {
    let logged = logged_in(Level::Warn, || {
        let mut h = Harness::new(Probe::echo());
        act(&mut h);
        assert_eq!(h.ledger().slow_callbacks, 0);
    });
    assert_eq!(logged, [""; 0]);
}
