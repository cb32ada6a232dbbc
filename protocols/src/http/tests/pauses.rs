//! Request bodies that a service pauses while they are delivered in pieces.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};

use super::bodies::{Bodies, ask, bodies, chunked, exact, service};
use super::{Http, answers};

/// Resumes the connection whose piece was the last.
fn resume(h: &mut Harness<Http<Bodies>>) {
    let id = service(h).connection.expect("a piece came");
    h.reactor().peer(id).resume();
    h.run();
}

#[test]
fn a_service_can_pause_a_body_and_refuse_it() {
    let mut h = bodies();
    service(&mut h).pauses = true;
    let client = h.open();
    let request = chunked("/pieces/a", &["one", "two", "three"]);
    h.feed(client, &request);
    for count in 1..=3 {
        assert_eq!(service(&mut h).pieces.len(), count);
        assert!(h.sent(client).is_empty());
        resume(&mut h);
    }
    assert_eq!(answers(&h.sent(client)), ["200 /pieces/a onetwothree"]);
    for request in [chunked("/pieces/a", &["fine", "bad!"]), exact("/pieces/a", "bad!")] {
        let mut h = bodies();
        let client = h.open();
        assert_eq!(ask(&mut h, client, &(request + &exact("/a", "next"))), ["403"]);
        assert_ne!(h.state(client), State::Open);
    }
}

#[test]
fn a_pause_holds_until_the_service_resumes_whatever_leaves_meanwhile() {
    let mut h = bodies();
    (service(&mut h).pauses, service(&mut h).logs) = (true, true);
    let client = h.open();
    let request = exact("/ignored", "") + &chunked("/pieces/a", &["one", "two", "three"]);
    assert_eq!(ask(&mut h, client, &request), ["200 ignored"]);
    assert_eq!(service(&mut h).pieces.len(), 1, "the log of the first request resumes nothing");
}

#[test]
fn a_pause_at_the_last_piece_does_not_hold_up_the_next_request() {
    let mut h = bodies();
    service(&mut h).pauses = true;
    let client = h.open();
    let answers = ask(&mut h, client, &(exact("/pieces/a", "hello") + &exact("/b", "next")));
    assert_eq!(answers, ["200 /pieces/a hello", "200 /b next"]);
    assert_eq!(ask(&mut h, client, &exact("/c", "more")), ["200 /c more"]);
}

#[test]
fn row_17_a_client_is_blamed_for_its_rate_only_while_its_body_is_read() {
    let mut h = bodies();
    service(&mut h).pauses = true;
    let client = h.open();
    let request = chunked("/pieces/a", &["one", "two"]);
    h.feed(client, &request[..request.len() - 1]);
    for count in 1..=2 {
        h.advance(Duration::from_secs(1000));
        assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open));
        assert_eq!(service(&mut h).pieces.len(), count);
        resume(&mut h);
    }
    // The pause was within the first interval.
    for expected in [&[][..], &["408"]] {
        h.advance(Duration::from_millis(10_100));
        assert_eq!(answers(&h.sent(client)), expected);
    }
}

#[test]
fn a_client_that_resets_while_its_body_is_paused_is_noticed_when_that_goes_on() {
    for request in [chunked("/pieces/a", &["one", "two"]), exact("/pieces/a", "one")] {
        let mut h = bodies();
        service(&mut h).pauses = true;
        let client = h.open();
        h.feed(client, &request[..request.len() - 1]);
        h.reset(client);
        service(&mut h).pauses = false;
        resume(&mut h);
        assert_eq!(h.ledger().closed, 1, "{request}");
    }
}

#[test]
fn a_paused_body_and_what_follows_survive_the_end_of_the_input() {
    let mut h = bodies();
    service(&mut h).pauses = true;
    let client = h.open();
    h.feed(client, chunked("/pieces/a", &["one", "two"]) + &exact("/b", "next"));
    h.finish(client);
    for _ in 1..=2 {
        assert_eq!((h.sent(client).len(), h.state(client)), (0, State::Open));
        resume(&mut h);
    }
    assert_eq!(answers(&h.sent(client)), ["200 /pieces/a onetwo", "200 /b next"]);
    assert_ne!(h.state(client), State::Open);
}
