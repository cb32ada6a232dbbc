use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::json::Json;
use super::lines::{LastWarning, Lines, MOST, Out};
use crate::http::{LogRecord, Status};

fn add(lines: &Lines, line: impl std::fmt::Display) {
    lines.add(|out| writeln!(out, "{line}"));
}

/// Writes to `out` first, and tries again without a pause. Returns the warnings.
fn write(lines: &Lines, out: impl Write + Send + 'static) -> Vec<String> {
    let warnings = Mutex::new(Vec::new());
    lines.write(Box::new(out), Duration::ZERO, |text| warnings.lock().unwrap().push(text));
    warnings.into_inner().unwrap()
}

/// What was written. Clones share it.
#[derive(Clone, Default)]
struct Content(Arc<Mutex<Vec<u8>>>);

impl Content {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Content {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_beyond_the_limit_are_dropped_and_counted() {
    let lines = Lines::default();
    add(&lines, "x".repeat(MOST));
    for number in 0..10 {
        add(&lines, number);
    }
    lines.end();
    let logged = Content::default();
    assert_eq!(write(&lines, logged.clone()), ["the reader is too slow; 10 lines lost"]);
    assert_eq!(logged.text().len(), MOST + 1);
    assert!(lines.wait_for_end(Duration::ZERO));
}

/// A disk with room for `room` bytes. It refuses more `refusals` times; then it has room again, and
/// the log ends.
struct Disk {
    lines: Arc<Lines>,
    content: Content,
    room: usize,
    refusals: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.refusals == 0 {
            self.lines.end();
            return self.content.write(bytes);
        }
        let count = bytes.len().min(self.room);
        if count == 0 {
            self.refusals -= 1;
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= count;
        self.content.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that is slow: meanwhile more lines are added.
struct Slow(Arc<Lines>, Content);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        add(&self.0, "more");
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.end();
        Ok(())
    }
}

#[test]
fn lines_that_are_being_written_count_towards_the_limit() {
    for (len, lost) in [(MOST - 1, true), (MOST - 2, false)] {
        let (lines, content) = (Arc::new(Lines::default()), Content::default());
        add(&lines, "x".repeat(len));
        let warnings = write(&lines, Slow(lines.clone(), content.clone()));
        assert_eq!(warnings.is_empty(), !lost);
        assert_eq!(content.text().ends_with("more\n"), !lost);
    }
}

#[test]
fn lines_that_were_written_before_an_error_do_not_count_towards_the_limit() {
    let (lines, content) = (Arc::new(Lines::default()), Content::default());
    add(&lines, "x".repeat(MOST - 2));
    add(&lines, "left");
    let (room, refusals) = (MOST - 1, 1);
    let disk = Disk { lines: lines.clone(), content: content.clone(), room, refusals };
    lines.write(Box::new(disk), Duration::ZERO, |_| add(&lines, "more"));
    assert!(content.text().ends_with("x\nleft\nmore\n"));
}

#[test]
fn a_disk_that_has_room_again_gets_whole_lines() {
    for refusals in [1, 2, 10] {
        let (lines, content) = (Arc::new(Lines::default()), Content::default());
        (0..100).for_each(|number| add(&lines, number));
        let disk = Disk { lines: lines.clone(), content: content.clone(), room: 123, refusals };
        let warnings = write(&lines, disk);
        // More than one, if that takes more than a second.
        assert!(warnings.iter().all(|text| text == "no storage space; 0 lines lost"));
        let content = content.text();
        assert!(content.lines().eq((0..100).map(|number| number.to_string())), "{content}");
    }
}

#[test]
fn lines_that_a_full_disk_refuses_at_the_end_are_counted() {
    let (lines, content) = (Arc::new(Lines::default()), Content::default());
    (10..20).for_each(|number| add(&lines, number));
    lines.end();
    let disk = Disk { lines: lines.clone(), content: content.clone(), room: 8, refusals: 1 };
    assert_eq!(write(&lines, disk), ["no storage space; 8 lines lost"]);
    assert_eq!(content.text(), "10\n11\n12");
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
        lines.write(Box::new(Broken(kind)), Duration::ZERO, warn);
    }
}

/// A file of a log that is rotated, twice, while a line is being written to it.
struct Rotated {
    lines: Arc<Lines>,
    number: usize,
    content: Content,
}

impl Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write!(self.content, "{}: ", self.number)?;
        let (lines, number) = (self.lines.clone(), self.number + 1);
        if number == 3 {
            lines.end();
        } else {
            add(&lines, format!("line {number}"));
            let content = self.content.clone();
            self.lines.switch(Box::new(Rotated { lines, number, content }));
        }
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn row_38_a_log_that_is_rotated_loses_no_line() {
    let (lines, content) = (Arc::new(Lines::default()), Content::default());
    add(&lines, "line 0");
    let first = Rotated { lines: lines.clone(), number: 0, content: content.clone() };
    assert!(write(&lines, first).is_empty());
    assert_eq!(content.text(), "0: line 0\n1: line 1\n2: line 2\n");
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

/// An output that is switched to another one when a write fails.
struct SwitchOnError<W> {
    lines: Arc<Lines>,
    out: W,
    next: Option<Out>,
}

impl<W: Write> Write for SwitchOnError<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        if result.is_err() {
            self.next.take().into_iter().for_each(|next| self.lines.switch(next));
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[test]
fn a_reader_that_is_gone_is_left_for_another_one() {
    let lines = Arc::new(Lines::default());
    add(&lines, "a line");
    let (gone, content) = (Broken(ErrorKind::BrokenPipe), Content::default());
    let next = Disk { lines: lines.clone(), content: content.clone(), room: 0, refusals: 0 };
    let gone = SwitchOnError { lines: lines.clone(), out: gone, next: Some(Box::new(next)) };
    assert_eq!(write(&lines, gone), ["broken pipe; 0 lines lost"]);
    assert_eq!(content.text(), "a line\n");
}

#[test]
fn a_full_disk_is_left_for_another_one() {
    let lines = Arc::new(Lines::default());
    (0..100).for_each(|number| add(&lines, number));
    let disk = |room, refusals| {
        let content = Content::default();
        (Disk { lines: lines.clone(), content: content.clone(), room, refusals }, content)
    };
    // It has room for one line and a part of the next one.
    let ((full, first), (empty, second)) = (disk(3, 1), disk(0, 0));
    let full = SwitchOnError { lines: lines.clone(), out: full, next: Some(Box::new(empty)) };
    assert_eq!(write(&lines, full), ["no storage space; 0 lines lost"]);
    assert_eq!(first.text(), "0\n1");
    assert!(second.text().lines().eq((1..100).map(|number| number.to_string())));
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
