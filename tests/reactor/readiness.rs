//! No edge is lost, and what an edge means is found out by asking.

use sluicegate_reactor::testing::{Harness, State, Step};

use crate::probe::{Probe, log, pattern};

#[test]
fn data_and_the_end_in_one_event_are_both_delivered() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, b"last words");
        h.finish(client);
    });
    assert_eq!(log(&mut h), ["0 open", "0 data last words", "0 eof", "0 close Closed"]);
    assert_eq!(h.sent(client), "last words");
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn a_client_that_sends_and_ends_before_it_is_accepted_is_served() {
    let mut h = Harness::new(Probe::echo());
    let client = h.at_once(|h| {
        let client = h.open();
        h.feed(client, b"early");
        h.finish(client);
        client
    });
    assert_eq!(h.sent(client), "early");
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn a_short_receive_before_the_end_is_not_taken_for_an_empty_socket() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.script_recv(client, [Step::Short(3), Step::Interrupted, Step::Short(1)]);
    h.at_once(|h| {
        h.feed(client, b"abcdef");
        h.finish(client);
    });
    let expected = ["0 open", "0 data abc", "0 data d", "0 data ef", "0 eof", "0 close Closed"];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn urgent_data_does_not_stall_what_follows_it() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, b"before");
        h.feed_urgent(client);
        h.feed(client, b"after");
    });
    assert_eq!(h.sent(client), "beforeafter");
    h.feed_urgent(client);
    h.feed(client, b" and later");
    assert_eq!(h.sent(client), " and later");
}

#[test]
fn what_arrived_before_a_reset_is_read_before_the_connection_closes() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, b"will");
        h.reset(client);
    });
    assert_eq!(log(&mut h), ["0 open", "0 data will", "0 close Reset"]);
}

#[test]
fn an_event_without_a_cause_calls_nobody() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    log(&mut h);
    h.wake(client);
    assert!(log(&mut h).is_empty());
    h.feed(client, b"x");
    assert_eq!(h.sent(client), "x");
}

#[test]
fn a_refused_receive_is_repeated_when_an_edge_comes() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.script_recv(client, [Step::WouldBlock, Step::Interrupted, Step::WouldBlock]);
    h.feed(client, b"patience");
    assert_eq!(h.sent(client), "patience");
}

#[test]
fn refused_interrupted_and_short_sends_lose_and_repeat_nothing() {
    let data = pattern(300_000);
    let steps = [
        Step::Short(1),
        Step::WouldBlock,
        Step::Interrupted,
        Step::Short(1000),
        Step::Interrupted,
        Step::WouldBlock,
        Step::WouldBlock,
        Step::Short(70_000),
    ];
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.script_send(client, steps);
    h.set_room(client, 9_999);
    h.feed(client, &data);
    assert_eq!(h.sent(client), data);
    let ledger = h.ledger();
    assert_eq!((ledger.queued, ledger.sent, ledger.dropped), (300_000, 300_000, 0));
}

#[test]
fn a_short_send_is_not_taken_for_a_full_socket() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.script_send(client, [Step::Short(2), Step::Short(2)]);
    h.feed(client, b"abcdef");
    assert_eq!(h.sent(client), "abcdef");
    assert_eq!(h.ledger().short_writes, 2);
    assert_eq!(h.ledger().send_would_block, 0, "no send was refused");
}
