//! Accepting goes on through whatever fails.

use std::time::Duration;

use log::Level;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::{Harness, Step};

use crate::logged::logged_in;
use crate::probe::{Call, Probe, log};

const SHORTAGES: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

#[test]
fn without_descriptors_accepting_pauses_and_goes_on_by_the_clock() {
    let mut h = Harness::new(Probe::echo());
    h.set_descriptor_limit(2);
    let clients = [h.open(), h.open(), h.open()];
    assert_eq!((h.ledger().accepted, h.ledger().accept_pauses), (1, 1));
    h.advance(Duration::from_millis(99));
    assert_eq!(h.ledger().accept_pauses, 1, "no retry before its time");
    h.advance(Duration::from_millis(1));
    assert_eq!(h.ledger().accept_pauses, 2);
    h.advance(Duration::from_secs(1));
    assert_eq!(h.ledger().accept_pauses, 12, "ten times a second");

    h.set_descriptor_limit(usize::MAX);
    h.advance(Duration::from_millis(100));
    assert_eq!(h.ledger().accepted, 3);
    for client in clients {
        h.feed(client, b"x");
        assert_eq!(h.sent(client), "x");
    }
}

#[test]
fn a_lasting_shortage_is_logged_once_a_second() {
    let logged = logged_in(Level::Error, || {
        let mut h = Harness::new(Probe::echo());
        h.set_descriptor_limit(1);
        h.open();
        h.advance(Duration::from_millis(2900));
        assert_eq!(h.ledger().accept_pauses, 30);
    });
    assert_eq!(logged.len(), 3, "{logged:?}");
    assert!(logged[0].starts_with("127.0.0.1:80: accept: "), "{logged:?}");
}

#[test]
fn a_pause_in_accepting_does_not_slow_connections() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.set_descriptor_limit(2);
    h.open();
    h.feed(client, b"x");
    assert_eq!(h.sent(client), "x");
    assert_eq!(h.ledger().accept_pauses, 1);
}

#[test]
fn every_shortage_pauses_once() {
    for errno in SHORTAGES {
        let mut h = Harness::new(Probe::echo());
        h.script_accept([Step::Errno(errno)]);
        h.open();
        assert_eq!((h.ledger().accepted, h.ledger().accept_pauses), (0, 1));
        h.advance(Duration::from_millis(100));
        assert_eq!((h.ledger().accepted, h.ledger().accept_pauses), (1, 1));
    }
}

#[test]
fn a_connection_lost_before_it_was_accepted_does_not_end_accepting() {
    let mut h = Harness::new(Probe::echo());
    let steps = [Step::Errno(libc::ECONNABORTED), Step::Interrupted, Step::WouldBlock];
    h.script_accept(steps);
    h.open();
    assert_eq!((h.ledger().accepted, h.ledger().accept_pauses), (1, 0));
}

#[test]
fn further_connections_wait_until_one_has_closed() {
    let listen = Listen { max_connections: 2, ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    let clients = [h.open(), h.open(), h.open(), h.open()];
    h.feed(clients[2], b"patience");
    assert_eq!(log(&mut h), ["0 open", "1 open"]);
    h.finish(clients[0]);
    let expected = ["0 eof", "0 close Closed", "2 open", "2 data patience"];
    assert_eq!(log(&mut h), expected);
    h.reset(clients[1]);
    assert_eq!(log(&mut h), ["1 close Reset", "3 open"]);
    assert_eq!(h.reactor().connections(), 2);
}

#[test]
fn what_on_open_sends_leaves_before_anything_is_received() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => {
            cx.send("welcome");
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    assert_eq!(h.sent(client), "welcome");
}

#[test]
fn a_client_that_is_gone_before_it_is_accepted_is_opened_and_closed() {
    let mut h = Harness::new(Probe::echo());
    h.at_once(|h| {
        let client = h.open();
        h.reset(client);
    });
    assert_eq!(log(&mut h), ["0 open", "0 close Reset"]);
}

#[test]
fn losing_connection_after_connection_pauses_instead_of_spinning() {
    let mut h = Harness::new(Probe::echo());
    h.script_accept([Step::Errno(libc::ECONNABORTED); 150]);
    h.open();
    assert_eq!(h.calls().accept, 64, "a turn's budget");
    h.advance(Duration::from_millis(100));
    assert_eq!(h.calls().accept, 128);
    h.advance(Duration::from_millis(100));
    assert_eq!(h.ledger().accepted, 1);
}

#[test]
fn connections_that_cannot_be_registered_pause_accepting() {
    let mut h = Harness::new(Probe::echo());
    h.set_watch_limit(2);
    h.at_once(|h| {
        for _ in 0..10 {
            h.open();
        }
    });
    assert_eq!((h.ledger().accepted, h.ledger().accept_pauses), (2, 1));
    assert_eq!(h.open_descriptors().streams, 1);
    h.set_watch_limit(usize::MAX);
    h.advance(Duration::from_millis(100));
    assert_eq!(h.open_descriptors().streams, 9, "all but the one that was closed");
}
