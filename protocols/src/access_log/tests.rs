use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::json::Json;
use super::lines::{LastWarning, Lines, MOST};
use crate::http::{LogRecord, Status};

fn add(lines: &Lines, line: impl std::fmt::Display) {
    lines.add(|out| writeln!(out, "{line}"));
}

/// Writes to `out`, which is never opened again, and tries again without a pause. Returns the
/// warnings.
fn write(lines: &Lines, out: impl Write) -> Vec<String> {
    write_to_each(lines, [out].into())
}

/// Writes to the first of the outputs, and to the next one after each request to reopen the log. If
/// there is none, the log cannot be opened.
fn write_to_each<W: Write>(lines: &Lines, mut outs: VecDeque<W>) -> Vec<String> {
    let warnings = RefCell::new(Vec::new());
    let first = outs.pop_front().expect("an output");
    let open = || outs.pop_front().ok_or_else(|| ErrorKind::NotFound.into());
    lines.write(first, open, Duration::ZERO, |text| warnings.borrow_mut().push(text));
    warnings.into_inner()
}

#[test]
fn lines_beyond_the_limit_are_dropped_and_counted() {
    let lines = Lines::default();
    add(&lines, "x".repeat(MOST));
    for number in 0..10 {
        add(&lines, number);
    }
    lines.end();
    let mut logged = Vec::new();
    assert_eq!(write(&lines, &mut logged), ["the reader is too slow; 10 lines lost"]);
    assert_eq!(logged.len(), MOST + 1);
    assert!(lines.wait_for_end(Duration::ZERO));
}

/// A disk with room for `room` bytes. It refuses more `refusals` times; then it has room again, and
/// the log ends.
struct Disk<'a> {
    lines: &'a Lines,
    content: Vec<u8>,
    room: usize,
    refusals: usize,
}

impl Write for Disk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.refusals == 0 {
            self.lines.end();
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
        let lines = Lines::default();
        (0..100).for_each(|number| add(&lines, number));
        let mut disk = Disk { lines: &lines, content: Vec::new(), room: 123, refusals };
        let warnings = write(&lines, &mut disk);
        // More than one, if that takes more than a second.
        assert!(warnings.iter().all(|text| text == "no storage space; 0 lines lost"));
        let content = String::from_utf8(disk.content).unwrap();
        assert!(content.lines().eq((0..100).map(|number| number.to_string())), "{content}");
    }
}

#[test]
fn lines_that_a_full_disk_refuses_at_the_end_are_counted() {
    let lines = Lines::default();
    (10..20).for_each(|number| add(&lines, number));
    lines.end();
    let mut disk = Disk { lines: &lines, content: Vec::new(), room: 8, refusals: 1 };
    assert_eq!(write(&lines, &mut disk), ["no storage space; 8 lines lost"]);
    assert_eq!(disk.content, b"10\n11\n12");
}

#[test]
fn a_reader_that_is_gone_ends_the_log() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let lines = Lines::default();
    add(&lines, "a line");
    assert_eq!(write(&lines, writer), ["the reader is gone; no more lines are written"]);
    assert!(lines.wait_for_end(Duration::ZERO));
    add(&lines, "another");
    assert!(write(&lines, io::empty()).is_empty());
}

/// An output that fails with an error of this kind.
struct Broken(ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn reactors_do_not_wait_while_a_warning_is_logged() {
    for kind in [ErrorKind::BrokenPipe, ErrorKind::StorageFull] {
        let lines = Arc::new(Lines::default());
        add(&lines, "a line");
        lines.end();
        let warn = |_| {
            let (done, is_done) = mpsc::channel();
            let other = Arc::clone(&lines);
            thread::spawn(move || {
                add(&other, "another");
                done.send(())
            });
            assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(()), "{kind}");
        };
        let open = || Err(ErrorKind::NotFound.into());
        lines.write(Broken(kind), open, Duration::ZERO, warn);
    }
}

/// A file of a log that is opened again while a line is being written to it.
struct Rotated<'a> {
    lines: &'a Lines,
    number: usize,
    content: &'a RefCell<Vec<String>>,
}

impl Write for Rotated<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.content.borrow_mut().push(format!("{}: {text}", self.number));
        match self.number {
            2 => self.lines.end(),
            _ => {
                self.lines.reopen();
                add(self.lines, format!("line {}", self.number + 1));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn row_38_a_log_that_is_opened_again_loses_no_line() {
    let (lines, content) = (Lines::default(), RefCell::default());
    add(&lines, "line 0");
    let files = (0..3).map(|number| Rotated { lines: &lines, number, content: &content });
    assert!(write_to_each(&lines, files.collect()).is_empty());
    assert_eq!(*content.borrow(), ["0: line 0\n", "1: line 1\n", "2: line 2\n"]);
}

#[test]
fn a_log_that_cannot_be_opened_again_keeps_its_file() {
    let lines = Lines::default();
    add(&lines, "a line");
    lines.reopen();
    lines.end();
    let mut logged = Vec::new();
    assert_eq!(write(&lines, &mut logged), ["cannot be reopened: entity not found"]);
    assert_eq!(logged, b"a line\n");
}

#[test]
fn a_full_disk_is_left_for_another_one() {
    let lines = Lines::default();
    (0..100).for_each(|number| add(&lines, number));
    let full = Disk { lines: &lines, content: Vec::new(), room: 0, refusals: usize::MAX };
    let empty = Disk { lines: &lines, content: Vec::new(), room: 0, refusals: 0 };
    let (mut full, mut empty) = (full, empty);
    lines.reopen();
    assert!(write_to_each(&lines, [&mut full, &mut empty].into()).is_empty());
    assert_eq!(empty.content.iter().filter(|byte| **byte == b'\n').count(), 100);
}

#[test]
fn warnings_are_a_second_apart() {
    let mut warnings = LastWarning::default();
    let start = Instant::now();
    let times = [0, 1, 999, 1000, 1001, 1999, 5000];
    let made = times.map(|at| warnings.allows_another(start + Duration::from_millis(at)));
    assert_eq!(made, [true, false, false, true, false, false, true]);
}

/// The code points of the string that begins `json`, by the grammar of RFC 8259, and the rest.
fn parse_string(json: &str) -> Option<(Vec<u32>, &str)> {
    let mut rest = json.strip_prefix('"')?;
    let mut points = Vec::new();
    loop {
        let first = rest.chars().next()?;
        rest = &rest[first.len_utf8()..];
        match first {
            '"' => return Some((points, rest)),
            '\\' if rest.starts_with(['"', '\\']) => {
                points.push(rest.chars().next()?.into());
                rest = &rest[1..];
            }
            '\\' => {
                let digits = rest.strip_prefix('u')?.get(..4)?;
                points.push(u32::from_str_radix(digits, 16).ok()?);
                rest = &rest[5..];
            }
            ' '..='\u{10ffff}' => points.push(first.into()),
            _ => return None,
        }
    }
}

#[test]
fn any_bytes_of_a_client_are_a_string_in_json() {
    let bytes: Vec<u8> = (0..=255).collect();
    let record = LogRecord {
        peer: None,
        user: Some(b"alice"),
        time: 971_211_336,
        request_line: &bytes,
        status: Status::NOT_FOUND,
        body_sent: 7,
        referer: None,
        user_agent: Some(b""),
    };
    let line = Json(&record).to_string();
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
    let start =
        "{\"time\":\"2000-10-10T20:55:36Z\",\"client\":null,\"user\":\"alice\",\"request\":";
    let rest = line.strip_prefix(start).expect(&line);
    let (points, rest) = parse_string(rest).expect(&line);
    assert!(points.into_iter().eq(0..=255));
    assert_eq!(rest, ",\"status\":404,\"sent\":7,\"referer\":null,\"user_agent\":\"\"}");

    let peer = Some("[::ffff:192.0.2.1]:80".parse().unwrap());
    let line =
        Json(&LogRecord { peer, user: None, referer: Some(b"http://a/"), ..record }).to_string();
    assert!(
        line.contains("\"client\":\"192.0.2.1\",\"user\":null,\"request\":\"\\u0000"),
        "{line}"
    );
    assert!(line.contains("\"referer\":\"http://a/\","), "{line}");
}
