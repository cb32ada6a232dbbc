//! Files whose disk is slower than their peers.

use std::time::Duration;

use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Limits, Listen, Timeout};

use super::{Uploads, content, left, uploads, uploads_with};
use crate::probe::{Call, Probe, log};

/// Two ticks of the wheel, which is how late a deadline may be.
const LATE: Duration = Duration::from_nanos(2 << 24);
const IDLE: Duration = Duration::from_secs(10);

fn limits() -> Limits {
    Limits { idle: Some(IDLE), ..Limits::default() }
}

/// Asserts that a connection is idle from now on, and not before.
fn assert_idle_from_now(h: &mut Harness<Uploads>, client: Client) {
    h.advance(IDLE - Duration::from_nanos(1));
    assert_eq!((h.ledger().timeouts, h.state(client)), (0, State::Open), "early");
    h.advance(LATE);
    assert_eq!(h.ledger().timeouts, 1);
}

#[test]
fn a_client_that_has_sent_everything_is_not_idle_while_the_disk_is_slow() {
    let mut h = uploads_with(&limits(), CreateOptions::default());
    h.hold_disk();
    let client = h.open();
    h.feed(client, "a 600000\n");
    h.feed(client, vec![7; 600_000]);
    assert_eq!(h.unread(client), 0, "all of it has arrived");
    h.advance(10 * IDLE);
    assert_eq!((h.ledger().timeouts, h.state(client)), (0, State::Open));
    h.release_disk();
    assert_eq!(h.sent(client), b"created\n");
    assert_idle_from_now(&mut h, client);
}

#[test]
fn a_client_that_sends_no_more_is_idle_once_the_slow_disk_has_what_there_is() {
    let mut h = uploads_with(&limits(), CreateOptions::default());
    h.hold_disk();
    let client = h.open();
    h.feed(client, "a 1000000\n");
    h.feed(client, vec![7; 600_000]);
    h.advance(10 * IDLE);
    assert_eq!((h.ledger().timeouts, h.unread(client)), (0, 0));
    h.release_disk();
    assert_idle_from_now(&mut h, client);
}

#[test]
fn a_client_is_not_idle_while_it_waits_for_a_buffer_and_has_its_whole_time_after_that() {
    let mut h = uploads_with(&limits(), CreateOptions::default());
    h.hold_disk();
    let waiting = h.open();
    h.feed(waiting, "a 600000\n");
    // They have all the buffers there are.
    for number in 0..16 {
        let client = h.open();
        h.feed(client, format!("{number} 600000\n"));
        h.feed(client, vec![number; 600_000]);
    }
    // Something to receive that brings no bytes.
    h.feed_urgent(waiting);
    h.advance(10 * IDLE);
    assert_eq!((h.ledger().timeouts, h.state(waiting)), (0, State::Open));
    h.release_disk();
    h.advance(IDLE - Duration::from_nanos(1));
    assert_eq!(h.ledger().timeouts, 0, "early");
    // The others are idle as well.
    h.advance(LATE);
    assert_eq!(h.ledger().timeouts, 17);
}

#[test]
fn a_client_whose_file_is_given_up_because_the_disk_is_slow_has_its_whole_time_after_that() {
    let listen = Listen { limits: limits(), ..Listen::default() };
    let mut h = Harness::build(
        &listen,
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.open_dir("/up").expect("it was made");
            reactor.register(Probe::new(move |cx, call, _| match call {
                Call::Open => {
                    let file = dir.create("a", &CreateOptions::default()).unwrap();
                    cx.receive_file(file, Some(1_000_000));
                    cx.set_deadline(Some(5 * IDLE));
                }
                Call::Timeout(Timeout::Own) => cx.discard(1_000_000),
                call => call.by_default(cx),
            }))
        },
    );
    h.hold_disk();
    let client = h.open();
    h.feed(client, vec![7; 200_000]);
    h.advance(5 * IDLE + LATE);
    assert_eq!(log(&mut h), ["0 open", "0 timeout Own"]);
    h.advance(IDLE - LATE);
    assert_eq!(h.state(client), State::Open, "early");
    h.advance(2 * LATE);
    assert_eq!(log(&mut h), ["0 timeout Idle", "0 close TimedOut"]);
    h.release_disk();
}

#[test]
fn a_batch_of_an_abandoned_file_is_not_counted_for_the_next_one() {
    let mut h = Harness::build(
        &Listen::default(),
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.open_dir("/up").expect("it was made");
            reactor.register(Probe::new(move |cx, call, _| match call {
                Call::Open => {
                    let file = dir.create("a", &CreateOptions::default()).unwrap();
                    cx.receive_file(file, Some(1_000_000));
                    cx.set_deadline(Some(Duration::from_secs(1)));
                }
                Call::Timeout(_) => {
                    let file = dir.create("b", &CreateOptions::default()).unwrap();
                    cx.receive_file(file, Some(5));
                }
                call => call.by_default(cx),
            }))
        },
    );
    h.hold_disk();
    let client = h.open();
    h.feed(client, vec![7; 200_000]);
    h.advance(Duration::from_secs(2));
    h.feed(client, "hello");
    h.release_disk();
    assert_eq!(h.files().content("/up/b"), Some(&b"hello"[..]));
    assert_eq!(h.files().content("/up/a"), None);
    assert_eq!(h.files().temporary(), 0);
}

#[test]
fn a_slow_disk_stops_receiving_and_memory_stays_bounded() {
    let mut h = uploads(CreateOptions::default());
    h.hold_disk();
    let client = h.open();
    h.feed(client, "a 10000000\n");
    h.feed(client, vec![7; 10_000_000]);
    let batches = 2 * (512 << 10);
    assert!(h.unread(client) >= 10_000_000 - batches - (512 << 10), "{}", h.unread(client));
    // Meanwhile other connections are served.
    let other = h.open();
    h.feed(other, "nothing/b 5\nhello");
    assert_eq!(h.sent(other), "create: NotFound\n");
    h.release_disk();
    assert_eq!(h.sent(client), "created\n");
    assert_eq!(content(&mut h, "a").expect("it is there").len(), 10_000_000);
}

#[test]
fn many_files_on_a_slow_disk_share_a_bounded_number_of_buffers() {
    let mut h = uploads(CreateOptions::default());
    h.hold_disk();
    let clients: Vec<_> = (0..40).map(|_| h.open()).collect();
    for (number, client) in clients.iter().enumerate() {
        h.feed(*client, format!("{number} 600000\n"));
        h.feed(*client, vec![number as u8; 600_000]);
    }
    let received: usize = clients.iter().map(|client| 600_000 - h.unread(*client)).sum();
    assert!(received <= 16 * (512 << 10), "{received}");
    h.release_disk();
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(h.sent(*client), "created\n");
        let there = content(&mut h, &number.to_string()).expect("it is there");
        assert!(there == vec![number as u8; 600_000]);
    }
}

#[test]
fn many_files_that_arrive_in_small_pieces_on_a_slow_disk_take_a_bounded_amount_of_memory() {
    let mut h = uploads(CreateOptions::default());
    h.hold_disk();
    let clients: Vec<_> = (0..200).map(|_| h.open()).collect();
    for (number, client) in clients.iter().enumerate() {
        h.feed(*client, format!("{number} 262144\n"));
        for _ in 0..8 {
            h.feed(*client, [number as u8; 32 << 10]);
        }
    }
    let saved = h.ledger().saved;
    assert!((8 << 20..9 << 20).contains(&saved), "{saved} bytes received");
    h.release_disk();
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(h.sent(*client), "created\n", "{number}");
        let there = content(&mut h, &number.to_string()).expect("it is there");
        assert!(there == [number as u8; 256 << 10], "{number}");
    }
}

#[test]
fn a_connection_that_ends_while_a_worker_writes_leaves_nothing() {
    for end in [Harness::finish, Harness::reset, |h: &mut Harness<Uploads>, _| h.stop()] {
        let mut h = uploads(CreateOptions::default());
        h.hold_disk();
        let client = h.open();
        h.feed(client, "a 9000000\n");
        h.feed(client, vec![7; 600_000]);
        end(&mut h, client);
        h.release_disk();
        h.advance(Duration::from_secs(100));
        assert_eq!(left(&mut h, "a"), (None, 0));
    }
}
