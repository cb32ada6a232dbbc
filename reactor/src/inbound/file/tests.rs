//! When buffers are lent, and how many.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::core::{MOST_HELD, SPARE_BATCHES};
use crate::fs::{CreateOptions, Dir, NotSaved, Saved};
use crate::testing::{Client, Harness, State};
use crate::{Context, Handler, Input, Listen, Reason};

/// How many whole buffers workers hold when no file may receive more.
const MOST_BATCHES: usize = MOST_HELD / BUFFER;
const BUFFER: usize = 512 << 10;

/// A handler for which a byte announces a megabyte for a file.
struct Uploads(Dir);

impl Handler for Uploads {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.consume(1);
        let file = self.0.create("f", &CreateOptions::default()).unwrap();
        cx.receive_file(file, Some(1 << 20));
    }

    fn on_saved(&mut self, cx: &mut Context<'_>, (): &mut (), saved: Result<Saved, NotSaved>) {
        saved.expect("there is room");
        cx.send("saved");
    }
}

/// A harness with a disk that does nothing for now.
fn uploads() -> Harness<Uploads> {
    let mut h = Harness::build(
        &Listen::default(),
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.open_dir("/up").unwrap();
            reactor.register(Uploads(dir))
        },
    );
    h.hold_disk();
    h
}

fn lent(h: &mut Harness<Uploads>) -> usize {
    h.reactor().turn.core.batches.held / BUFFER
}

#[test]
fn a_buffer_is_given_away_for_many_bytes_and_few_are_copied_out_of_it() {
    for (count, expected) in [(5, 0), (64 << 10, 0), ((64 << 10) + 1, 1)] {
        for at in [0, 1] {
            let mut h = uploads();
            let client = h.open();
            let input = vec![7; 1 + count];
            h.feed(client, &input[..at]);
            h.feed(client, &input[at..]);
            assert_eq!(lent(&mut h), expected, "of {count} bytes, cut at {at}");
            assert_eq!((h.ledger().kept, h.ledger().saved), (0, count as u64));
            h.release_disk();
            assert_eq!(lent(&mut h), 0);
        }
    }
}

#[test]
fn a_bounded_number_of_buffers_is_given_away_and_few_are_left_behind() {
    for at in [0, 1] {
        let mut h = uploads();
        let clients: Vec<Client> = (0..MOST_BATCHES + 4).map(|_| h.open()).collect();
        let input = vec![7; 1 + (1 << 20)];
        for client in &clients {
            h.feed(*client, &input[..at]);
            h.feed(*client, &input[at..]);
        }
        // What arrives with the request for the file has been received when there is no room for
        // it.
        let most = if at == 0 { MOST_BATCHES + clients.len() } else { MOST_BATCHES };
        assert!((MOST_BATCHES..=most).contains(&lent(&mut h)), "cut at {at}");
        h.release_disk();
        assert_eq!(h.ledger().saved, (MOST_BATCHES as u64 + 4) << 20);
        assert_eq!((lent(&mut h), h.reactor().turn.core.batches.spare.len()), (0, SPARE_BATCHES));
    }
}

#[test]
fn connections_that_end_while_the_disk_hangs_are_forgotten() {
    let mut h = uploads();
    let input = vec![7; 1 + (1 << 20)];
    for _ in 0..50 {
        let clients: Vec<Client> = (0..MOST_BATCHES + 4).map(|_| h.open()).collect();
        clients.iter().for_each(|client| h.feed(*client, &input));
        // However long the disk takes, the clients do not count as idle.
        h.advance(Duration::from_secs(1000));
        assert!(clients.iter().all(|client| h.state(*client) == State::Open));
        let core = &mut h.reactor().turn.core;
        let open: Vec<u32> = core.connections.iter().map(|(index, _)| index as u32).collect();
        open.iter().for_each(|index| core.fail(*index, Reason::Aborted));
        h.advance(Duration::ZERO);
        assert!(clients.iter().all(|client| h.state(*client) != State::Open));
    }
    let waiting = h.reactor().turn.core.batches.waiting.len();
    assert!((1..=2 * (MOST_BATCHES + 4) + 1).contains(&waiting), "{waiting} wait");
    h.release_disk();
    assert!(h.reactor().turn.core.batches.waiting.is_empty());
}

#[test]
fn of_many_that_wait_one_more_goes_on_than_buffers_came_back() {
    let mut h = uploads();
    let input = vec![7; 1 + (1 << 20)];
    for _ in 0..MOST_BATCHES + 40 {
        let client = h.open();
        h.feed(client, &input);
    }
    let core = &mut h.reactor().turn.core;
    let before = core.batches.waiting.len();
    core.batches.held -= BUFFER;
    wake_waiting(core);
    assert_eq!((core.batches.waiting.len(), core.owed.len()), (before - 2, 2));
}

/// Connections that wait for room, of which all but the last four have a batch with a worker.
fn waiting_uploads() -> (Harness<Uploads>, VecDeque<ConnId>) {
    let mut h = uploads();
    let clients: Vec<Client> = (0..MOST_BATCHES + 4).map(|_| h.open()).collect();
    for _ in 0..2 {
        clients.iter().for_each(|client| h.feed(*client, vec![7; 100 << 10]));
    }
    let waiting = h.reactor().turn.core.batches.waiting.clone();
    assert_eq!(waiting.len(), clients.len());
    (h, waiting)
}

/// Ends a batch of a connection with this result.
fn end_batch(core: &mut Core, id: ConnId, result: io::Result<Option<Committed>>) {
    let file = saving(core, id.index).unwrap();
    let batch = file.take_buffer((AlignedBuffer::new(BUFFER), 0..1));
    let (batch, _) = batch.finish(Ok(&core.kernel));
    batch_done(core, id, batch, result);
}

/// The positions of the connections that are blocked.
fn blocked(core: &mut Core, ids: &VecDeque<ConnId>) -> Vec<usize> {
    let is_blocked = |at: &usize| core.special(ids[*at].index).blocked;
    (0..ids.len()).filter(is_blocked).collect()
}

#[test]
fn two_that_wait_go_on_for_each_batch_although_others_had_their_own_batch_written() {
    let (mut h, waiting) = waiting_uploads();
    let core = &mut h.reactor().turn.core;
    end_batch(core, waiting[2], Ok(None));
    assert_eq!(blocked(core, &waiting), Vec::from_iter(2..waiting.len()));
    // A batch of a connection that is gone.
    core.batches.held -= BUFFER;
    wake_waiting(core);
    assert_eq!(blocked(core, &waiting), Vec::from_iter(4..waiting.len()));
}

#[test]
fn a_connection_that_has_given_up_the_file_that_waited_takes_no_ones_turn() {
    let (mut h, waiting) = waiting_uploads();
    let core = &mut h.reactor().turn.core;
    stop_saving(core, waiting[0].index);
    let dir = Dir::open_root(&core.kernel, &core.closing, "/up").unwrap();
    let file = dir.create("g", &CreateOptions::default()).unwrap();
    receive_file(core, waiting[0].index, file, Some(1), WhenWhole::Commit);
    core.batches.held -= BUFFER;
    wake_waiting(core);
    assert_eq!(blocked(core, &waiting), Vec::from_iter(3..waiting.len()));
}

#[test]
fn a_file_whose_batch_fails_does_not_wait_for_room_to_say_so() {
    let (mut h, waiting) = waiting_uploads();
    let core = &mut h.reactor().turn.core;
    end_batch(core, waiting[2], Err(io::ErrorKind::StorageFull.into()));
    assert_eq!(blocked(core, &waiting), Vec::from_iter(3..waiting.len()));
}

#[test]
fn who_needs_no_buffer_any_more_leaves_it_to_all_behind() {
    let mut h = uploads();
    let input = vec![7; 1 + (1 << 20)];
    let clients: Vec<Client> = (0..4 * MOST_BATCHES).map(|_| h.open()).collect();
    for client in &clients {
        h.feed(*client, &input[..1]);
        h.feed(*client, &input[1..]);
    }
    let core = &mut h.reactor().turn.core;
    let waiting: Vec<u32> = core.batches.waiting.iter().map(|id| id.index).collect();
    let (last, paused) = waiting.split_last().expect("some wait");
    assert!(paused.len() > 2 * MOST_BATCHES && !paused.contains(last));
    paused.iter().for_each(|index| core[*index].flags.set(Flags::PAUSED));
    h.release_disk();
    let saved = clients.iter().filter(|client| h.sent(**client) == b"saved").count();
    assert_eq!(saved, clients.len() - paused.len());
}

#[test]
fn a_file_that_is_large_once_its_batches_are_written_is_closed_by_a_worker() {
    for (bytes, expected) in [(400 << 10, 0), (1 << 20, 1)] {
        let mut h = uploads();
        let client = h.open();
        h.feed(client, "x");
        h.feed(client, vec![7; bytes]);
        let core = &mut h.reactor().turn.core;
        let index = core.indexes()[0];
        stop_saving(core, index);
        assert_eq!(core.closing.borrow().len(), expected, "of {bytes} bytes");
    }
}
