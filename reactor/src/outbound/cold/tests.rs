//! Which connections wait for a disk, and for how long that is remembered.

use std::io;

use super::{MOST_READS, done};
use crate::core::ConnId;
use crate::fs::File;
use crate::testing::{Client, Harness, State};
use crate::{Context, Handler, Input, Listen};

/// A handler that answers with a file.
struct Sends(File);

impl Handler for Sends {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
        cx.send(self.0.region(0, 5));
    }
}

/// A harness with a file on a disk that hangs.
fn harness() -> Harness<Sends> {
    let mut h = Harness::build(
        &Listen::default(),
        |files| files.put_file("/f", b"hello", 0),
        |reactor| {
            let file = reactor.open_dir("/").unwrap().open("f").unwrap();
            reactor.register(Sends(file))
        },
    );
    h.files().evict("/f", 0);
    h.hold_disk();
    h
}

#[test]
fn a_read_for_which_no_thread_can_be_started_ends_its_connection_and_goes_on_to_the_next() {
    let mut h = harness();
    let clients: Vec<Client> = (0..=MOST_READS).map(|_| h.open()).collect();
    clients.iter().for_each(|client| h.feed(*client, "send it"));
    let core = &mut h.reactor().turn.core;
    let (first, _) = core.connections.iter().next().unwrap();
    let generation = core.connections[first].generation;
    let refused = io::Error::other("start a worker thread: as the test wants it");
    done(core, ConnId { index: first as u32, generation }, 1, Err(refused));
    assert_eq!((core.cold.running, core.cold.waiting.len()), (MOST_READS, 0));
    h.turn();
    assert_ne!(h.state(clients[0]), State::Open);
    assert!(clients[1..].iter().all(|client| h.state(*client) == State::Open));
}

#[test]
fn who_has_gone_away_from_a_disk_that_hangs_is_forgotten() {
    let mut h = harness();
    let stay: Vec<Client> = (0..MOST_READS + 4).map(|_| h.open()).collect();
    stay.iter().for_each(|client| h.feed(*client, "send it"));
    for _ in 0..300 {
        let client = h.open();
        h.feed(client, "send it");
        h.reset(client);
    }
    let waiting = h.reactor().turn.core.cold.waiting.len();
    assert!((4..=2 * (MOST_READS + 6)).contains(&waiting), "{waiting} wait");
    h.release_disk();
    assert!(stay.iter().all(|client| h.sent(*client) == b"hello"));
    assert!(h.reactor().turn.core.cold.waiting.is_empty());
}
