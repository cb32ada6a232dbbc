//! Connecting by name: its addresses are looked up elsewhere and tried in turn, all in one time.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sluicegate_reactor::testing::{Harness, Remote, Step};
use sluicegate_reactor::{Connect, Connector, Reason};

use crate::probe::{Probe, log};

const NAME: (&str, u16) = ("db.example", 80);

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 80))
}

fn ip(host: u8) -> IpAddr {
    address(host).ip()
}

fn harness(connect: &Connect) -> (Harness<Probe>, Connector<Probe>) {
    let mut h = Harness::new(Probe::new(|cx, call, _| call.by_default(cx)));
    let connector = h.connector(connect);
    (h, connector)
}

#[test]
fn what_is_sent_while_a_name_is_looked_up_is_kept() {
    let (mut h, connector) = harness(&Connect::default());
    h.hold_name(NAME.0);
    h.set_remote(&address(1).into(), Remote::Listens);
    let id = h.connect(connector, NAME, 7);
    h.reactor().peer(id).send("early");
    assert_eq!((log(&mut h).len(), h.calls().connect), (0, 0));
    h.set_name(NAME.0, [ip(1)]);
    assert_eq!(log(&mut h), ["7 ready"]);
    let far = h.accept(&address(1).into());
    assert_eq!(h.sent(far), "early");
}

#[test]
fn a_name_without_addresses_is_a_failure() {
    let (mut h, connector) = harness(&Connect::default());
    h.connect(connector, NAME, 7);
    h.hold_name("later.example");
    h.connect(connector, ("later.example", 80), 8);
    h.set_name("later.example", []);
    let not_found =
        |session| format!("{session} close {:?}", Reason::Unconnected(ErrorKind::NotFound));
    assert_eq!(log(&mut h), [not_found(7), not_found(8)]);
    assert_eq!(h.ledger().connect_failures, 2);
}

#[test]
fn an_address_in_itself_is_not_looked_up() {
    let (mut h, connector) = harness(&Connect::default());
    h.connect(connector, ("10.0.0.1", 80), 7);
    h.connect(connector, ("::1", 80), 8);
    assert_eq!((h.calls().look_up, h.calls().connect), (0, 2));
    h.connect(connector, ("localhost", 80), 9);
    assert_eq!(h.calls().look_up, 1);
}

#[test]
fn the_next_address_is_tried_when_one_fails() {
    let (mut h, connector) = harness(&Connect::default());
    h.set_name(NAME.0, [ip(1), ip(2), ip(3)]);
    // In the call, after it, and not.
    h.script_connect([Step::Errno(libc::ENETUNREACH)]);
    h.set_remote(&address(2).into(), Remote::Fails(libc::EHOSTUNREACH));
    h.set_remote(&address(3).into(), Remote::Listens);
    let id = h.connect(connector, NAME, 7);
    assert_eq!(log(&mut h), ["7 ready"]);
    h.at_once(|h| h.reactor().peer(id).send("hello"));
    let far = h.accept(&address(3).into());
    assert_eq!(h.sent(far), "hello");
    assert_eq!((h.calls().connect, h.open_descriptors().streams), (3, 1));
}

#[test]
fn when_all_fail_the_reason_is_that_of_the_last() {
    let (mut h, connector) = harness(&Connect::default());
    h.set_name(NAME.0, [ip(1), ip(2)]);
    h.set_remote(&address(1).into(), Remote::Fails(libc::EHOSTUNREACH));
    h.connect(connector, NAME, 7);
    assert_eq!(log(&mut h), ["7 close Unconnected(ConnectionRefused)"]);
    assert_eq!(h.ledger().connect_failures, 1, "one connection, however many attempts");
}

#[test]
fn without_descriptors_no_other_address_is_tried() {
    let (mut h, connector) = harness(&Connect::default());
    h.set_name(NAME.0, [ip(1), ip(2)]);
    h.script_connect([Step::Errno(libc::EMFILE)]);
    h.connect(connector, NAME, 7);
    assert_eq!(log(&mut h), ["7 close Unconnected(QuotaExceeded)"]);
    assert_eq!(h.calls().connect, 1);
}

#[test]
fn an_address_that_does_not_answer_has_its_time_and_the_last_one_all_that_is_left() {
    let (mut h, connector) = harness(&Connect::default());
    h.set_name(NAME.0, [ip(1), ip(2)]);
    h.set_remote(&address(1).into(), Remote::Silent);
    h.set_remote(&address(2).into(), Remote::Silent);
    h.connect(connector, NAME, 7);
    h.advance(Duration::from_millis(1990));
    assert_eq!(h.calls().connect, 1);
    h.advance(Duration::from_millis(50));
    assert_eq!((h.calls().connect, h.open_descriptors().streams), (2, 1));
    h.advance(Duration::from_millis(7960));
    assert_eq!(log(&mut h), [""; 0], "ten seconds in all");
    // What the first one says now is said to nobody.
    h.set_remote(&address(1).into(), Remote::Listens);
    assert_eq!(log(&mut h), [""; 0]);
    h.advance(Duration::from_millis(40));
    assert_eq!(log(&mut h), ["7 close Unconnected(TimedOut)"]);
}

#[test]
fn the_time_to_connect_covers_the_looking_up() {
    let (mut h, connector) = harness(&Connect::default());
    h.hold_name(NAME.0);
    h.set_remote(&address(1).into(), Remote::Listens);
    h.connect(connector, NAME, 7);
    h.advance(Duration::from_secs(10));
    assert_eq!(log(&mut h), [""; 0], "a deadline is never early");
    h.advance(Duration::from_millis(40));
    assert_eq!(log(&mut h), ["7 close Unconnected(TimedOut)"]);
    // Another connection has the place when the answer comes.
    h.set_remote(&address(2).into(), Remote::Silent);
    h.connect(connector, address(2), 8);
    h.set_name(NAME.0, [ip(1)]);
    assert_eq!((log(&mut h).len(), h.calls().connect), (0, 1));
}

#[test]
fn a_connection_ended_while_its_name_is_looked_up_leaves_nothing() {
    for abort in [false, true] {
        let (mut h, connector) = harness(&Connect::default());
        h.hold_name(NAME.0);
        h.set_remote(&address(1).into(), Remote::Listens);
        let id = h.connect(connector, NAME, 7);
        h.at_once(|h| {
            let mut peer = h.reactor().peer(id);
            if abort { peer.abort() } else { peer.close() }
        });
        assert_eq!(log(&mut h), [if abort { "7 close Aborted" } else { "7 close Closed" }]);
        h.set_name(NAME.0, [ip(1)]);
        assert_eq!((log(&mut h).len(), h.calls().connect), (0, 0));
        assert_eq!(h.reactor().connections(), 0);
    }
}

#[test]
fn a_reactor_can_end_while_names_are_looked_up() {
    let (mut h, connector) = harness(&Connect::default());
    h.hold_name(NAME.0);
    h.connect(connector, NAME, 7);
    drop(h);
}

#[test]
fn a_thousand_names_wait_and_are_all_answered() {
    let (mut h, connector) = harness(&Connect::default());
    h.hold_name(NAME.0);
    h.at_once(|h| {
        for session in 0..1_000 {
            h.connect(connector, NAME, session);
        }
    });
    assert_eq!(h.calls().look_up, 1_000);
    h.set_name(NAME.0, [ip(1)]);
    assert_eq!(h.ledger().connect_failures, 1_000);
}

#[test]
fn an_answer_never_reaches_another_connection_that_has_taken_the_place() {
    let (mut h, connector) = harness(&Connect::default());
    h.hold_name("one.example");
    h.hold_name("two.example");
    h.set_remote(&address(2).into(), Remote::Listens);
    let id = h.connect(connector, ("one.example", 80), 7);
    h.at_once(|h| h.reactor().peer(id).abort());
    h.connect(connector, ("two.example", 80), 8);
    h.set_name("one.example", [ip(1)]);
    assert_eq!(log(&mut h), ["7 close Aborted"]);
    h.set_name("two.example", [ip(2)]);
    assert_eq!(log(&mut h), ["8 ready"]);
}
