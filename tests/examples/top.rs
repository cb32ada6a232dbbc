use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

#[path = "../../examples/top.rs"]
mod example;
use example::{figures::Figures, keys, source, view};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

/// What a server says that has sent this many bytes by sendfile.
fn sample(clock: f64, sent: u64) -> Value {
    let counters = json!({
        "accepted": sent / 1000, "turns": sent / 100, "memory_shortages": 3, "memory_aborts": 4,
    });
    json!({
        "name": "proxy", "version": "1.2.3", "started": 1000, "time": 1180, "clock": clock,
        "ready": true, "phase": "ready",
        "process": { "resident_bytes": 3 << 20, "descriptors": 17 },
        "threads": [
            { "thread": 0, "up": true, "connections": 5, "counters": counters,
              "memory_bytes": 6 << 20, "memory_budget_bytes": 8 << 20,
              "turns": { "count": sent / 100, "sum_seconds": clock / 4.0, "p99_seconds": 0.004 } },
            { "thread": 1, "up": false },
        ],
        "listeners": [
            { "address": "127.0.0.1:80", "thread": 0, "connections": 5, "peak": 7, "limit": 10,
              "sent": { "joined": sent / 2, "sendfile": sent, "splice": 0 },
              "received": { "shared_buffer": 100 }, "refused": { "per_address": 2 },
              "counters": counters },
        ],
        "upstreams": [
            { "upstream": "a:1", "thread": 0, "state": "up", "open": 4, "connected": sent },
            { "upstream": "b:1", "thread": 0, "state": "down", "open": 0, "failed": 9,
              "requests": { "active": 2, "answered": sent, "failed": 7 } },
        ],
        "warnings": [{ "level": "warn", "text": "a disk \u{1b}[2Jis slow" }],
    })
}

/// What a terminal shows, without trailing spaces.
fn shown(figures: &Figures) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(110, 40)).expect("a terminal");
    let text = view::text(figures);
    terminal.draw(|frame| frame.render_widget(&text, frame.area())).expect("a frame");
    let cells = terminal.backend().buffer().content();
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
    };
    cells.chunks(110).map(line).collect()
}

/// The words of the first line that begins so.
fn words<'a>(lines: &'a [String], start: &str) -> Vec<&'a str> {
    let line = lines.iter().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("no {start} in {lines:#?}")).split_whitespace().collect()
}

/// The words of each row of a table.
fn rows<'a>(lines: &'a [String], table: &str) -> Vec<Vec<&'a str>> {
    let head = lines.iter().position(|line| line.starts_with(table)).expect(table);
    let rows = lines[head + 1..].iter().take_while(|line| !line.is_empty());
    rows.map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn the_figures_of_the_time_between_two_samples_are_drawn() {
    let mut figures = Figures::default();
    figures.add(Ok(sample(10.0, 1_000_000)));
    figures.add(Ok(sample(12.0, 3_000_000)));
    let lines = shown(&figures);
    assert_eq!(lines[0], "proxy 1.2.3, up 3 min, ready");
    assert_eq!(rows(&lines, "CONNECTIONS ")[0][..3], ["5", "1000", "0"]);
    let sent = &rows(&lines, "SENT/S ")[0];
    assert_eq!(sent[..4], ["1.4", "MiB", "488", "KiB"], "all, and what is joined");
    assert_eq!(sent[8..12], ["977", "KiB", "0", "B"], "sendfile, and splice");
    assert_eq!(words(&lines, "127.0.0.1:80")[1..5], ["0", "5", "10", "1000"]);
    let threads = rows(&lines, "THREADS ");
    assert_eq!(threads[0][..6], ["0", "yes", "5", "25", "4.0", "ms"]);
    assert_eq!(threads[1][..2], ["1", "no"]);
    assert_eq!(words(&lines, "a:1")[1..4], ["0", "up", "4"]);
    assert_eq!(words(&lines, "b:1")[1..], ["0", "down", "0", "0", "9", "1000000", "2", "7"]);
    assert_eq!(rows(&lines, "MEMORY "), [["6.0", "MiB", "8.0", "MiB", "3", "4"]]);
    for table in ["CONNECTIONS ", "SENT/S ", "RECEIVED/S ", "LISTENERS ", "THREADS ", "UPSTREAMS "]
    {
        let names = lines.iter().find(|line| line.starts_with(table)).expect(table);
        let names = names.split("  ").map(str::trim).filter(|it| !it.is_empty());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "each column has a name of its own: {names:?}");
    }
    assert!(lines.contains(&"warn: a disk .[2Jis slow".to_owned()), "{lines:#?}");
}

#[test]
fn memory_is_a_row_only_if_the_server_has_a_budget() {
    let mut figures = Figures::default();
    let mut without = sample(10.0, 1_000_000);
    without["threads"][0]["memory_budget_bytes"] = Value::Null;
    figures.add(Ok(without));
    assert!(!shown(&figures).iter().any(|line| line.starts_with("MEMORY")));
}

#[test]
fn an_upstream_has_its_own_rates_wherever_it_is_in_the_list() {
    let mut figures = Figures::default();
    figures.add(Ok(sample(10.0, 1_000_000)));
    let mut moved = sample(12.0, 3_000_000);
    moved["upstreams"].as_array_mut().expect("a list").reverse();
    figures.add(Ok(moved));
    let lines = shown(&figures);
    assert_eq!(words(&lines, "a:1")[1..5], ["0", "up", "4", "1000000"]);
    assert_eq!(words(&lines, "b:1")[6], "1000000");
}

#[test]
fn a_server_that_has_started_again_counts_from_zero() {
    let mut figures = Figures::default();
    figures.add(Ok(sample(10.0, 1_000_000)));
    let mut again = sample(11.0, 3_000_000);
    again["started"] = json!(2000);
    figures.add(Ok(again));
    assert_eq!(rows(&shown(&figures), "SENT/S ")[0][..2], ["0", "B"]);
}

#[test]
fn a_thread_that_answers_again_has_no_rate_yet() {
    let mut figures = Figures::default();
    let mut silent = sample(10.0, 1_000_000);
    silent["threads"][0] = json!({ "thread": 0, "up": false });
    figures.add(Ok(silent));
    figures.add(Ok(sample(11.0, 1_000_000)));
    assert_eq!(rows(&shown(&figures), "THREADS ")[0][..4], ["0", "yes", "5", "0"]);
}

#[test]
fn what_is_known_stays_when_the_connection_is_lost() {
    let mut figures = Figures::default();
    figures.add(Err("127.0.0.1:9100: refused".to_owned()));
    assert_eq!(shown(&figures)[..2], ["no connection: 127.0.0.1:9100: refused", ""]);
    figures.add(Ok(sample(10.0, 1_000_000)));
    figures.add(Err("127.0.0.1:9100: refused".to_owned()));
    let lines = shown(&figures);
    assert_eq!(lines[1], "no connection: 127.0.0.1:9100: refused");
    assert_eq!(words(&lines, "b:1")[..3], ["b:1", "0", "down"]);
    figures.add(Ok(sample(11.0, 1_000_000)));
    assert_eq!(shown(&figures)[1], "");
}

#[test]
fn only_q_and_ctrl_c_quit_whatever_a_terminal_sends() {
    for (input, quits) in [
        (&b"q"[..], true),
        (b"\x03", true),
        (b"xQ\xc3\xa9\xff\n", false),
        // Function keys, a position, and sequences that no terminal has, with a q inside.
        (b"\x1b[A\x1b[1;5H\x1b[11~\x1bOP\x1b[[A\x1b[<0;1;1M\x1b[?62;4c", false),
        (b"\x1b[1q\x1bOq\x1b", false),
        (b"\x1b[300~q", true),
        (b"\x1b[;~\x1b[\xff\xff~\x1b[99999999999999999999Rq", true),
        (b"\x1b[Mq", true),
        (b"\x1b\x1bq", true),
        (b"\x1b[12\x03", true),
    ] {
        assert_eq!(keys::wait_for_quit(input), quits, "{}", input.escape_ascii());
    }
}

/// A server whose response this function reads.
struct Peer<R>(R);

impl<R: FnMut(&mut [u8]) -> io::Result<usize>> Read for Peer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (self.0)(buffer)
    }
}

impl<R> Write for Peer<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_server_whose_response_does_not_end_is_given_up() {
    let endless = Peer(|buffer: &mut [u8]| {
        buffer[..1].fill(b' ');
        Ok(1)
    });
    let given_up = source::exchange(endless, Duration::from_millis(1), |_, _| Ok(()));
    assert_eq!(given_up.map(drop).unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_response_may_be_late_and_signals_may_interrupt_it() {
    let mut waits = [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock].into_iter();
    let mut response = &b"HTTP/1.1 200 OK\r\n\r\n"[..];
    let late = Peer(|buffer: &mut [u8]| match waits.next() {
        Some(kind) => Err(kind.into()),
        None => response.read(buffer),
    });
    let received = source::exchange(late, Duration::from_secs(60), |_, _| Ok(()));
    assert_eq!(received.unwrap(), "HTTP/1.1 200 OK\r\n\r\n");
}
