//! Receiving into files: each one is exact, and an incomplete one leaves nothing behind.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir, NotSaved, Saved};
use sluicegate_reactor::testing::{Harness, State, Step};
use sluicegate_reactor::{Context, Handler, HandlerId, Input, Limits, Listen, Timeout};

use crate::probe::pattern;

mod at_the_end;
mod parts;
mod slow_disk;

/// Repeatedly receives `NAME LENGTH\n` and a file of that length. A length of `-` means everything
/// up to the end of the input.
struct Uploads {
    dir: Dir,
    options: CreateOptions,
    /// Whether to discard the rest of a file that was not saved and go on, rather than close.
    goes_on: bool,
    /// The handler that takes over after a pause.
    hands_to: Option<HandlerId<Uploads>>,
}

impl Uploads {
    fn begin(&mut self, cx: &mut Context<'_>, line: &str) {
        let (name, length) = line.split_once(' ').expect("a name and a length");
        let length = length.parse().ok();
        match self.dir.create(name, &self.options) {
            Ok(file) => {
                if name == "pausing" {
                    cx.pause();
                    cx.set_deadline(Some(Duration::from_secs(1)));
                }
                match length {
                    Some(length) if name == "parts" => cx.receive_part(file, length),
                    _ => cx.receive_file(file, length),
                }
            }
            Err(error) => {
                cx.send(format!("create: {:?}\n", error.kind()));
                cx.discard(length.unwrap_or(u64::MAX));
            }
        }
    }
}

impl Handler for Uploads {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        if let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8(input[..end].to_vec()).expect("text");
            input.consume(end + 1);
            self.begin(cx, &line);
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, _: &mut (), _: Timeout) {
        match self.hands_to {
            Some(next) => cx.hand_over(next, ()),
            None => cx.resume(),
        }
    }

    fn on_saved(&mut self, cx: &mut Context<'_>, _: &mut (), saved: Result<Saved, NotSaved>) {
        match saved {
            Ok(Saved::Committed(Committed::Created)) => cx.send("created\n"),
            Ok(Saved::Committed(Committed::Replaced)) => cx.send("replaced\n"),
            Ok(Saved::Part(file)) => {
                let sent = cx.send(format!("part of {}\n", file.len()));
                cx.receive_file(file, Some(5));
                sent
            }
            Err(NotSaved { error, left }) => {
                let sent = cx.send(format!("{:?}\n", error.kind()));
                if self.goes_on {
                    cx.discard(left.unwrap_or(u64::MAX));
                } else {
                    cx.close();
                }
                sent
            }
        };
    }
}

fn uploads(options: CreateOptions) -> Harness<Uploads> {
    uploads_with(&Limits::default(), options)
}

fn uploads_with(limits: &Limits, options: CreateOptions) -> Harness<Uploads> {
    Harness::build(
        &Listen { limits: limits.clone(), ..Listen::default() },
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.open_dir("/up").expect("it was made");
            reactor.register(Uploads { dir, options, goes_on: true, hands_to: None })
        },
    )
}

fn content(h: &mut Harness<Uploads>, name: &str) -> Option<Vec<u8>> {
    h.files().content(format!("/up/{name}")).map(<[u8]>::to_vec)
}

/// The content of a file, and the number of temporary files.
fn left(h: &mut Harness<Uploads>, name: &str) -> (Option<Vec<u8>>, usize) {
    (content(h, name), h.files().temporary())
}

#[test]
fn a_file_of_known_length_appears_with_its_last_byte() {
    let mut h = uploads(CreateOptions::default());
    let client = h.open();
    h.feed(client, "a 10\nhello");
    assert_eq!(left(&mut h, "a"), (None, 1));
    h.feed(client, "world");
    assert_eq!(h.sent(client), "created\n");
    assert_eq!(content(&mut h, "a").expect("it is there"), b"helloworld");
    assert_eq!(h.files().temporary(), 0);
    assert_eq!(h.open_descriptors().files, 1, "the directory");
}

#[test]
fn files_one_after_the_other_are_the_same_at_every_split() {
    let input = b"a 5\nhellob 0\na 3\nbyec -\nall the rest";
    for at in 0..input.len() {
        let mut h = uploads(CreateOptions::default());
        let client = h.open();
        let (first, second) = input.split_at(at);
        h.feed(client, first);
        h.feed(client, second);
        h.finish(client);
        assert_eq!(h.sent(client), "created\ncreated\nreplaced\ncreated\n", "cut at {at}");
        for (name, expected) in [("a", "bye"), ("b", ""), ("c", "all the rest")] {
            let there = content(&mut h, name).expect("it was created");
            assert_eq!(there, expected.as_bytes(), "{name}, cut at {at}");
        }
    }
}

#[test]
fn a_peer_that_ends_or_resets_early_leaves_no_file() {
    for end in [Harness::finish, Harness::reset] {
        let mut h = uploads(CreateOptions::default());
        let client = h.open();
        h.feed(client, "a 10\nhello");
        end(&mut h, client);
        assert_eq!(left(&mut h, "a"), (None, 0));
        assert_eq!((h.state(client) == State::Open, h.open_descriptors().files), (false, 1));
        assert_eq!(h.sent(client), "");
    }
}

#[test]
fn a_full_disk_is_reported_and_the_rest_of_the_input_is_discarded() {
    let mut h = uploads(CreateOptions::default());
    let client = h.open();
    h.files().set_room(7);
    h.feed(client, "a 10\nhello");
    h.feed(client, "world");
    h.files().set_room(2);
    h.feed(client, "b 2\nhi");
    assert_eq!(h.sent(client), "StorageFull\ncreated\n");
    assert_eq!(left(&mut h, "a"), (None, 0));
}

#[test]
fn an_interrupted_or_short_write_is_continued_and_a_disk_error_is_reported() {
    let mut h = uploads(CreateOptions::default());
    let client = h.open();
    h.files().script_write([Step::Short(2), Step::Interrupted, Step::Short(1)]);
    h.feed(client, "a 5\nhello");
    assert_eq!(h.sent(client), "created\n");
    assert_eq!(content(&mut h, "a").expect("it is there"), b"hello");
    h.handler().goes_on = false;
    h.files().script_write([Step::Errno(libc::EDQUOT)]);
    h.feed(client, "a 5\nhowdy");
    assert_eq!(h.sent(client), format!("{:?}\n", ErrorKind::QuotaExceeded).as_bytes());
    assert_eq!(content(&mut h, "a").expect("it is still there"), b"hello");
    assert_eq!(h.state(client), State::Shut);
}

/// Runs a test on a disk that workers wait for, and on one in memory, which needs no workers.
fn on_both_disks(check: impl Fn(Harness<Uploads>)) {
    on_both_disks_with(CreateOptions::default(), check);
}

fn on_both_disks_with(options: CreateOptions, check: impl Fn(Harness<Uploads>)) {
    for in_memory in [false, true] {
        let mut h = uploads(options);
        if in_memory {
            h.files().set_in_memory();
        }
        check(h);
    }
}

fn large() -> Vec<u8> {
    pattern(1_500_000)
}

#[test]
fn a_large_file_is_exact_however_it_is_split_and_the_bytes_after_it_are_input() {
    for piece in [10_000, 70_000, 200_000, 1_500_000] {
        on_both_disks(|mut h| {
            let client = h.open();
            h.feed(client, format!("a {}\n", large().len()));
            for part in large().chunks(piece) {
                h.feed(client, part);
            }
            h.feed(client, "b 2\nhi");
            assert_eq!(h.sent(client), "created\ncreated\n", "pieces of {piece}");
            assert!(content(&mut h, "a").expect("it is there") == large(), "pieces of {piece}");
            assert_eq!(content(&mut h, "b").expect("it is there"), b"hi");
        });
    }
}

#[test]
fn a_disk_in_memory_is_written_by_splice_or_without_pipes_by_write() {
    for pipes in [usize::MAX, 0] {
        let mut h = uploads(CreateOptions::default());
        h.files().set_in_memory();
        h.set_pipe_size(pipes);
        let client = h.open();
        h.feed(client, format!("a {}\n", large().len()));
        h.feed(client, large());
        assert_eq!(h.sent(client), "created\n");
        assert!(content(&mut h, "a").expect("it is there") == large());
        let ledger = h.ledger();
        assert_eq!(ledger.saved, 1_500_000);
        // The few bytes at the end are copied.
        assert_eq!(ledger.saved_by_splice > 1_200_000, pipes > 0, "{ledger:?}");
        assert_eq!(ledger.no_pipe, u64::from(pipes == 0));
        assert_eq!(h.open_descriptors().pipes, if pipes > 0 { 2 } else { 0 }, "one for all files");
    }
}

#[test]
fn a_pipe_that_still_holds_bytes_is_not_used_for_the_next_file() {
    let mut h = uploads(CreateOptions::default());
    h.files().set_in_memory();
    let client = h.open();
    h.files().set_room(1_000_000);
    h.feed(client, format!("a {}\n", large().len()));
    h.feed(client, large());
    assert_eq!(h.sent(client), "StorageFull\n");
    assert_eq!(h.open_descriptors().pipes, 0);
    h.files().set_room(1 << 30);
    h.feed(client, format!("b {}\n", large().len()));
    h.feed(client, large());
    assert_eq!(h.sent(client), "created\n");
    assert!(content(&mut h, "b").expect("it is there") == large());
}

#[test]
fn the_error_of_a_file_that_was_not_saved_names_its_cause() {
    let error = ErrorKind::StorageFull.into();
    let not_saved = NotSaved { error, left: Some(5) };
    assert_eq!(not_saved.to_string(), "receive a file: no storage space");
    let source = not_saved.source().expect("what the disk said");
    assert_eq!(source.to_string(), "no storage space");
}

#[test]
fn urgent_data_does_not_stall_a_file_that_comes_by_a_pipe() {
    let mut h = uploads(CreateOptions::default());
    h.files().set_in_memory();
    let client = h.open();
    h.feed(client, "a 1500005\n");
    h.at_once(|h| {
        h.feed(client, large());
        h.feed_urgent(client);
        h.feed(client, "12345");
    });
    assert_eq!(h.sent(client), "created\n");
    let expected = [&large()[..], b"12345"].concat();
    assert!(content(&mut h, "a").expect("it is there") == expected);
}

#[test]
fn a_failure_in_a_worker_is_reported_when_all_workers_are_done_with_the_file() {
    on_both_disks(|mut h| {
        let client = h.open();
        h.files().set_room(1_000_000);
        h.feed(client, "a 1500000\n");
        h.feed(client, large());
        assert_eq!(h.sent(client), "StorageFull\n");
        assert_eq!(left(&mut h, "a"), (None, 0));
        h.files().set_room(1_000_000);
        h.feed(client, "b 2\nhi");
        assert_eq!(h.sent(client), "created\n", "the rest was passed over");
        assert_eq!(h.open_descriptors().files, 1, "the directory");
    });
}

#[test]
fn a_removed_directory_is_reported() {
    on_both_disks(|mut h| {
        h.files().make_dir("/up/sub");
        let client = h.open();
        h.feed(client, "sub/a 10\nhello");
        h.files().remove("/up/sub");
        h.feed(client, "world");
        assert_eq!(h.sent(client), "NotFound\n");
    });
}

#[test]
fn a_file_and_its_directory_are_synced_only_on_request() {
    on_both_disks(|mut h| {
        let client = h.open();
        h.feed(client, "a 5\nhello");
        assert_eq!(h.calls().sync, 0);
    });
    let mut h = uploads(CreateOptions { sync: true, ..CreateOptions::default() });
    let client = h.open();
    h.feed(client, "a 5\nhello");
    assert_eq!((h.sent(client), h.calls().sync), ("created\n".into(), 2));
}

#[test]
fn a_file_that_cannot_be_synced_is_reported_and_the_old_one_stays() {
    let options = CreateOptions { sync: true, ..CreateOptions::default() };
    on_both_disks_with(options, |mut h| {
        h.files().put_file("/up/a", b"old", 0);
        h.files().script_sync([Step::Errno(libc::ENOSPC)]);
        let client = h.open();
        h.feed(client, "a 3\nnew");
        assert_eq!(h.sent(client), "StorageFull\n");
        assert_eq!(left(&mut h, "a"), (Some(b"old".to_vec()), 0));
        assert_eq!(h.open_descriptors().files, 1, "the directory");
    });
}

#[test]
fn a_file_received_in_parts_is_one_file() {
    for length in [0, 10, 70_000, 70_010, 600_000] {
        for first in [0, length / 2, length] {
            on_both_disks(|mut h| {
                let client = h.open();
                let input = pattern(length + 5);
                h.feed(client, format!("parts {length}\n"));
                h.feed(client, &input[..first]);
                h.feed(client, &input[first..]);
                assert_eq!(h.sent(client), format!("part of {length}\ncreated\n").as_bytes());
                assert!(content(&mut h, "parts").expect("it is there") == input);
            });
        }
    }
}

#[test]
fn a_paused_connection_receives_nothing_for_its_file_until_it_resumes() {
    on_both_disks(|mut h| {
        let client = h.open();
        h.feed(client, "pausing 10\nhello");
        h.feed(client, "world");
        assert_eq!(h.sent(client), "");
        h.advance(Duration::from_secs(2));
        assert_eq!(h.sent(client), "created\n");
        assert_eq!(content(&mut h, "pausing").expect("it is there"), b"helloworld");
    });
}

#[test]
fn a_handler_that_takes_over_a_connection_gets_the_result_of_its_file() {
    on_both_disks(|mut h| {
        h.hold_disk();
        let (dir, options) = (h.handler().dir.clone(), CreateOptions::default());
        let next = h.reactor().register(Uploads { dir, options, goes_on: true, hands_to: None });
        h.handler().hands_to = Some(next);
        let client = h.open();
        h.feed(client, "pausing 10\nhello");
        h.advance(Duration::from_secs(2));
        h.feed(client, "world");
        h.release_disk();
        assert_eq!(h.sent(client), "created\n");
        assert_eq!(content(&mut h, "pausing").expect("it is there"), b"helloworld");
    });
}
