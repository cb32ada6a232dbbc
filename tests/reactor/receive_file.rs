//! What comes for a file is in the file, and a file that does not come to be leaves nothing.

use std::io::ErrorKind;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir, NotSaved, Saved};
use sluicegate_reactor::testing::{Harness, State, Step};
use sluicegate_reactor::{Context, Handler, Input, Listen};

/// Receives `NAME LENGTH\n` and that many bytes, again and again; a length of `-` is all there is.
struct Uploads {
    dir: Dir,
    options: CreateOptions,
    /// What is said of a file that could not be written: go on, or close.
    goes_on: bool,
}

impl Uploads {
    fn begin(&mut self, cx: &mut Context<'_>, line: &str) {
        let (name, length) = line.split_once(' ').expect("a name and a length");
        let length = length.parse().ok();
        match self.dir.create(name, &self.options) {
            Ok(file) => cx.receive_file(file, length),
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

    fn on_saved(&mut self, cx: &mut Context<'_>, _: &mut (), saved: Result<Saved, NotSaved>) {
        match saved {
            Ok(Saved::Committed(Committed::Created)) => cx.send("created\n"),
            Ok(Saved::Committed(Committed::Replaced)) => cx.send("replaced\n"),
            Ok(Saved::Part(_)) => panic!("none was asked for"),
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
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.fs().open_dir("/up").expect("it was made");
            reactor.register(Uploads { dir, options, goes_on: true })
        },
    )
}

fn content(h: &mut Harness<Uploads>, name: &str) -> Option<Vec<u8>> {
    h.files().content(format!("/up/{name}")).map(<[u8]>::to_vec)
}

/// What is in a file, and how many have no name yet.
fn left(h: &mut Harness<Uploads>, name: &str) -> (Option<Vec<u8>>, usize) {
    (content(h, name), h.files().temporary())
}

#[test]
fn a_file_of_known_length_is_there_when_its_last_byte_has_come_and_not_before() {
    let mut h = uploads(CreateOptions::default());
    let client = h.open();
    h.feed(client, "a 10\nhello");
    assert_eq!(left(&mut h, "a"), (None, 1));
    h.feed(client, "world");
    assert_eq!(h.sent(client), b"created\n");
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
        assert_eq!(h.sent(client), b"created\ncreated\nreplaced\ncreated\n", "cut at {at}");
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
        assert_eq!(h.sent(client), b"");
    }
}

#[test]
fn a_full_disk_is_told_and_the_rest_of_the_input_is_passed_over() {
    let mut h = uploads(CreateOptions::default());
    let client = h.open();
    h.files().set_room(7);
    h.feed(client, "a 10\nhello");
    h.feed(client, "world");
    h.files().set_room(2);
    h.feed(client, "b 2\nhi");
    assert_eq!(h.sent(client), b"StorageFull\ncreated\n");
    assert_eq!(left(&mut h, "a"), (None, 0));
}

#[test]
fn an_interrupted_or_short_write_goes_on_and_an_error_of_the_disk_is_told() {
    let mut h = uploads(CreateOptions::default());
    let client = h.open();
    h.files().script_write([Step::Short(2), Step::Interrupted, Step::Short(1)]);
    h.feed(client, "a 5\nhello");
    assert_eq!(h.sent(client), b"created\n");
    assert_eq!(content(&mut h, "a").expect("it is there"), b"hello");
    h.handler().goes_on = false;
    h.files().script_write([Step::Errno(libc::EDQUOT)]);
    h.feed(client, "a 5\nhowdy");
    assert_eq!(h.sent(client), format!("{:?}\n", ErrorKind::QuotaExceeded).as_bytes());
    assert_eq!(content(&mut h, "a").expect("it is still there"), b"hello");
    assert_eq!(h.state(client), State::Shut);
}
