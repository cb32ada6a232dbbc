//! Files received in parts.

use std::io::{self, ErrorKind};

use sluicegate_reactor::fs::{CreateOptions, Dir, NewFile, NotSaved, Saved};
use sluicegate_reactor::testing::{Client, Harness, Step};
use sluicegate_reactor::{Context, Handler, Input, Listen};

use crate::probe::pattern;

/// Receives one file, as lines of the client say:
///
/// - `part LENGTH`, followed by that many bytes
/// - `append TEXT`
/// - `later TEXT`, which is appended, too, but not written
/// - `end`, after which the reactor commits the file
/// - `commit`, after which the handler does
/// - `drop`
struct Parts(Dir);

impl Handler for Parts {
    /// The file, except while a part is received.
    type Session = Option<NewFile>;

    fn on_open(&mut self, _: &mut Context<'_>) -> Option<NewFile> {
        Some(self.0.create("file", &CreateOptions::default()).expect("there is room for it"))
    }

    fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Option<NewFile>,
        input: &mut Input<'_>,
    ) {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
        let line = String::from_utf8(input[..end].to_vec()).expect("text");
        input.consume(end + 1);
        let mut file = session.take().expect("no part is being received");
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("part", length) => cx.receive_part(file, length.parse().expect("a number")),
            ("end", _) => cx.receive_file(file, Some(0)),
            ("append", text) => {
                tell(cx, &file.append(text.as_bytes()));
                *session = Some(file);
            }
            ("later", text) => {
                file.append_later(text.as_bytes());
                *session = Some(file);
            }
            ("commit", _) => tell(cx, &file.commit()),
            _ => drop(file),
        }
    }

    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Option<NewFile>,
        saved: Result<Saved, NotSaved>,
    ) {
        match saved {
            Ok(Saved::Part(file)) => *session = Some(file),
            Ok(Saved::Committed(_)) => tell(cx, &Ok(())),
            Err(NotSaved { error, .. }) => tell::<()>(cx, &Err(error)),
        }
    }
}

fn tell<T>(cx: &mut Context<'_>, result: &io::Result<T>) {
    cx.send(match result {
        Ok(_) => "done\n".to_owned(),
        Err(error) => format!("{:?}\n", error.kind()),
    });
}

/// A client whose file is received on a disk, or in memory.
fn parts(in_memory: bool) -> (Harness<Parts>, Client) {
    let mut h = Harness::build(
        &Listen::default(),
        |files| {
            files.make_dir("/up");
            if in_memory {
                files.set_in_memory();
            }
        },
        |reactor| {
            let dir = reactor.open_dir("/up").expect("it was made");
            reactor.register(Parts(dir))
        },
    );
    let client = h.open();
    (h, client)
}

fn feed_part(h: &mut Harness<Parts>, client: Client, part: &[u8]) {
    h.feed(client, format!("part {}\n", part.len()));
    h.feed(client, part);
}

#[test]
fn small_parts_are_written_together() {
    for (length, writes) in [(1, 1), (100, 1), (20_000, 5), (100_000, 25)] {
        let (mut h, client) = parts(false);
        let input = pattern(length);
        for part in input.chunks(100) {
            feed_part(&mut h, client, part);
        }
        h.feed(client, "end\n");
        assert_eq!(h.sent(client), "done\n");
        assert!(h.files().content("/up/file") == Some(&input));
        assert_eq!(h.calls().write_at, writes, "of {length} bytes");
    }
}

#[test]
fn what_is_appended_comes_after_the_parts_before_it() {
    for end in ["end\n", "commit\n"] {
        for in_memory in [false, true] {
            let (mut h, client) = parts(in_memory);
            for text in ["append a\n", "part 2\nbc", "part 1\nd", "append ef\n", "part 1\ng", end] {
                h.feed(client, text);
            }
            assert_eq!(h.sent(client), "done\n".repeat(3));
            assert_eq!(h.files().content("/up/file"), Some(&b"abcdefg"[..]));
        }
    }
}

#[test]
fn what_is_appended_without_being_written_keeps_its_place() {
    for end in ["end\n", "commit\n"] {
        for in_memory in [false, true] {
            let (mut h, client) = parts(in_memory);
            let long: String = (0..20_000).map(|number| format!("{number:05}")).collect();
            h.feed(client, "later a\n");
            assert_eq!(h.calls().write_at, 0);
            feed_part(&mut h, client, long.as_bytes());
            for text in ["later b\n", "append c\n", "part 1\nd", "later e\n", "part 0\n", end] {
                h.feed(client, text);
            }
            assert_eq!(h.sent(client), "done\n".repeat(2));
            let expected = format!("a{long}bcde");
            assert!(h.files().content("/up/file") == Some(expected.as_bytes()), "{in_memory}");
        }
    }
}

#[test]
fn a_part_that_cannot_be_written_later_fails_then() {
    for end in ["end\n", "commit\n"] {
        let (mut h, client) = parts(false);
        h.feed(client, "part 4\nbody");
        h.files().script_write([Step::Errno(libc::ENOSPC)]);
        h.feed(client, end);
        assert_eq!(h.sent(client), format!("{:?}\n", ErrorKind::StorageFull));
        assert_eq!(h.files().content("/up/file"), None);
        assert_eq!(h.files().temporary(), 0);
    }
}

#[test]
fn a_part_is_still_there_after_an_append_that_failed() {
    let (mut h, client) = parts(false);
    h.feed(client, "part 4\nbody");
    h.files().script_write([Step::Short(1), Step::Errno(libc::ENOSPC)]);
    h.feed(client, "append more\n");
    h.feed(client, "end\n");
    assert_eq!(h.sent(client), "StorageFull\ndone\n");
    assert_eq!(h.files().content("/up/file"), Some(&b"body"[..]));
}

#[test]
fn a_file_that_is_given_up_with_an_unwritten_part_is_removed() {
    let (mut h, client) = parts(false);
    h.feed(client, "part 4\nbody");
    assert_eq!(h.files().temporary(), 1);
    h.feed(client, "drop\n");
    assert_eq!(h.files().temporary(), 0);
    assert_eq!(h.calls().write_at, 0);
}
