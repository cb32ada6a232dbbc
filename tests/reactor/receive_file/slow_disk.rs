//! Files whose disk is slower than their peers.

use std::time::Duration;

use sluicegate_reactor::Listen;
use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::Harness;

use super::{Uploads, content, left, uploads};
use crate::probe::{Call, Probe};

#[test]
fn a_batch_of_an_abandoned_file_is_not_counted_for_the_next_one() {
    let mut h = Harness::build(
        &Listen::default(),
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.fs().open_dir("/up").expect("it was made");
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
