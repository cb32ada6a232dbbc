//! A reactor that stops closes idle connections and finishes requests.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Limits, Listen};

use super::{Http, HttpLimits, Probe, answers, ask, field, probe, probe_with, split_head};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn idle_connections_close_at_once() {
    let mut h = probe();
    let client = h.open();
    assert_eq!(ask(&mut h, client, GET), ["200 Get / h"]);
    h.stop();
    assert_eq!(h.state(client), State::Shut);
    assert!(h.sent(client).is_empty());
    h.finish(client);
    assert!(h.reactor().has_stopped());
}

#[test]
fn the_first_request_of_a_client_that_has_just_connected_is_answered() {
    let mut h = probe();
    let (asks, never_asks) = (h.open(), h.open());
    h.stop();
    assert_eq!([asks, never_asks].map(|client| h.state(client)), [State::Open; 2]);
    h.feed(asks, GET);
    let sent = h.sent(asks);
    assert_eq!(field(split_head(&sent).0, "Connection"), Some("close"));
    assert_eq!(answers(&sent), ["200 Get / h"]);
    assert_eq!(h.state(asks), State::Shut);
    h.advance(Duration::from_secs(3));
    assert_eq!(h.state(never_asks), State::Shut);
    assert!(h.sent(never_asks).is_empty());
    h.finish(asks);
    h.finish(never_asks);
    assert!(h.reactor().has_stopped());
}

#[test]
fn answers_on_their_way_leave_whole_and_the_connection_closes_behind_them() {
    let mut h = probe();
    let client = h.open();
    h.set_room(client, 10);
    h.feed(client, GET);
    h.stop();
    assert_eq!(h.state(client), State::Open);
    assert_eq!(answers(&h.sent(client)), ["200 Get / h"]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn a_request_that_was_begun_is_finished_at_every_split_and_its_answer_says_that_it_is_the_last() {
    for split in 1..GET.len() {
        let mut h = probe();
        let client = h.open();
        h.feed(client, &GET[..split]);
        h.stop();
        assert_eq!(h.state(client), State::Open, "split at {split}");
        h.feed(client, &GET[split..]);
        let sent = h.sent(client);
        assert_eq!(field(split_head(&sent).0, "Connection"), Some("close"), "split at {split}");
        assert_eq!(answers(&sent), ["200 Get / h"], "split at {split}");
        assert_eq!(h.state(client), State::Shut, "split at {split}");
    }
}

#[test]
fn a_request_that_was_begun_and_is_not_finished_in_time_is_refused() {
    let limits = HttpLimits { head_timeout: Duration::from_secs(5), ..HttpLimits::default() };
    let mut h = probe_with(limits);
    let client = h.open();
    h.feed(client, "GET / HT");
    h.stop();
    h.advance(Duration::from_secs(6));
    assert_eq!(answers(&h.sent(client)), ["408"]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn requests_that_have_arrived_are_all_answered() {
    let mut h = probe();
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, GET.repeat(5));
        h.stop();
    });
    let sent = h.sent(client);
    assert_eq!(answers(&sent), ["200 Get / h"; 5]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn a_client_that_takes_no_answers_gets_one_more_and_is_told() {
    let mut h = probe();
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, GET.repeat(3000));
    h.stop();
    let sent = h.sent(client);
    assert_eq!(h.state(client), State::Shut);
    let heads = answers(&sent).len();
    assert!((100..3000).contains(&heads), "{heads} answers");
    let last = sent.windows(17).position(|part| part == b"Connection: close");
    let last = last.expect("the last answer says so");
    assert!(sent.len() - last < 100, "nothing follows it");
}

#[test]
fn the_rest_of_a_body_that_nobody_reads_is_not_waited_for() {
    let mut h = probe();
    let client = h.open();
    h.feed(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    h.stop();
    assert_eq!(answers(&h.sent(client)), ["200 Post / h"]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn a_body_left_by_a_client_that_takes_no_answers_ends_the_connection_with_it() {
    let limits = Limits { send_high: 1, send_low: 0, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Http::new(Probe), &listen);
    let client = h.open();
    h.set_room(client, 1);
    h.feed(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    h.stop();
    assert_eq!(h.state(client), State::Open);
    assert_eq!(answers(&h.sent(client)), ["200 Post / h"]);
    assert_eq!(h.state(client), State::Shut);
}
