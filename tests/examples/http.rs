use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::{Harness, State, same_at_every_split};

#[path = "../../examples/http.rs"]
mod example;
use example::Site;
use example::access_log::{Lines, MOST, Warnings};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

/// Two files, and an access log.
fn site(log: &Arc<Lines>) -> Harness<Http<Site>> {
    Harness::build(
        &Listen::default(),
        |files| {
            files.put_file("/www/a", b"one", 0);
            files.put_file("/www/b", b"and two", 0);
        },
        |reactor| {
            let files = Files::new(reactor, "/www", FilesOptions::default());
            let files = files.expect("the root is there");
            reactor.register(Http::new(Site { files, log: Some(log.clone()) }))
        },
    )
}

/// Writes what waits, and without a pause what was not taken. Says what was complained about.
fn write(log: &Lines, out: impl Write) -> Vec<String> {
    let complaints: RefCell<Vec<String>> = RefCell::default();
    log.write_to(out, Duration::ZERO, |text| complaints.borrow_mut().push(text));
    complaints.into_inner()
}

#[test]
fn files_are_served_in_order_and_each_answer_is_logged() {
    let log = Arc::new(Lines::default());
    let requests = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    let outcome = same_at_every_split(|| site(&log), requests);
    let sent = String::from_utf8(outcome.sent.into()).expect("text");
    let bodies: Vec<_> = sent.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
    assert!(bodies.len() == 2 && bodies[0].ends_with("\r\n\r\none"), "{sent}");
    assert!(bodies[1].ends_with("\r\n\r\nand two"), "{sent}");
    assert_eq!(outcome.state, State::Shut);
    log.end();
    let mut logged = Vec::new();
    assert!(write(&log, &mut logged).is_empty());
    let logged = String::from_utf8(logged).expect("text");
    let mut logged = logged.lines();
    assert!(logged.next().expect("a line").contains("\"GET /a HTTP/1.1\" 200 3 "));
    assert!(logged.next().expect("a line").contains("\"GET /b HTTP/1.0\" 200 7 "));
}

#[test]
fn a_log_that_nobody_reads_stops_no_answer() {
    let log = Arc::new(Lines::default());
    let mut h = site(&log);
    let client = h.open();
    log.add("x".repeat(MOST));
    for _ in 0..10 {
        h.feed(client, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(h.sent(client).ends_with(b"\r\n\r\none"));
    }
    log.end();
    let mut logged = Vec::new();
    let complaints = write(&log, &mut logged);
    assert_eq!(complaints, ["access log: the reader is too slow; 10 lines lost"]);
    assert_eq!(logged.len(), MOST + 1);
}

/// A disk that takes so many bytes, and no more until it was written to so often. Then the log
/// ends.
struct Disk<'a> {
    log: &'a Lines,
    content: Vec<u8>,
    room: usize,
    refusals: usize,
}

impl Write for Disk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.refusals == 0 {
            self.log.end();
            self.content.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let count = bytes.len().min(self.room);
        if count == 0 {
            self.refusals -= 1;
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= count;
        self.content.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_has_room_again_gets_whole_lines() {
    for refusals in [1, 2, 10] {
        let log = Lines::default();
        (0..100).for_each(|number| log.add(number));
        let mut disk = Disk { log: &log, content: Vec::new(), room: 123, refusals };
        let complaints = write(&log, &mut disk);
        // More than one, if that takes more than a second.
        assert!(complaints.iter().all(|text| text.ends_with("; 0 lines lost")));
        let content = String::from_utf8(disk.content).expect("text");
        assert!(content.lines().eq((0..100).map(|number| number.to_string())), "{content}");
    }
}

#[test]
fn what_a_full_disk_does_not_take_at_the_end_is_counted() {
    let log = Lines::default();
    (10..20).for_each(|number| log.add(number));
    log.end();
    let mut disk = Disk { log: &log, content: Vec::new(), room: 8, refusals: 1 };
    assert_eq!(write(&log, &mut disk), ["access log: no storage space; 8 lines lost"]);
    assert_eq!(disk.content, b"10\n11\n12");
}

#[test]
fn a_reader_that_is_gone_ends_the_log() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let log = Lines::default();
    log.add("a line");
    assert_eq!(write(&log, writer), ["access log: the reader is gone; no more lines are written"]);
    log.add("another");
    assert!(write(&log, io::empty()).is_empty());
}

#[test]
fn complaints_are_a_second_apart() {
    let mut complaints = Warnings::default();
    let start = Instant::now();
    let times = [0, 1, 999, 1000, 1001, 1999, 5000];
    let made = times.map(|at| complaints.are_due(start + Duration::from_millis(at)));
    assert_eq!(made, [true, false, false, true, false, false, true]);
}
