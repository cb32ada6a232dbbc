use std::process::ExitCode;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

#[path = "../../examples/top.rs"]
mod example;
use example::{figures::Figures, view};

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

#[test]
fn the_figures_of_the_time_between_two_samples_are_drawn() {
    let mut figures = Figures::default();
    figures.add(Ok(sample(10.0, 1_000_000)));
    figures.add(Ok(sample(12.0, 3_000_000)));
    let lines = shown(&figures);
    assert_eq!(lines[0], "proxy 1.2.3, up 3 min, ready");
    let bar = |length| "█".repeat(length);
    assert_eq!(words(&lines, "sent sendfile")[2..], ["977", "KiB", &bar(30)]);
    assert_eq!(words(&lines, "sent joined")[2..], ["488", "KiB", &bar(15)]);
    assert_eq!(words(&lines, "received shared buffer")[3..], ["0", "B"]);
    assert!(!lines.iter().any(|line| line.starts_with("sent splice")), "it was never used");
    assert_eq!(words(&lines, "127.0.0.1:80")[1..6], ["0", "5", "10", "1.0", "k/s"]);
    assert_eq!(words(&lines, "0 ")[..6], ["0", "yes", "5", "10", "k/s", "25"]);
    assert_eq!(words(&lines, "1 ")[..2], ["1", "no"]);
    assert_eq!(words(&lines, "a:1")[1..4], ["0", "up", "4"]);
    assert_eq!(words(&lines, "a:1")[8..], ["–", "–", "–"], "connections are all it knows");
    assert_eq!(words(&lines, "b:1")[1..4], ["0", "down", "0"]);
    assert_eq!(words(&lines, "b:1")[6..], ["9", "1.0", "M/s", "2", "7"]);
    let names = lines.iter().find(|line| line.starts_with("UPSTREAMS ")).expect("a head");
    let mut names: Vec<_> = names.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "each column has a name of its own: {names:?}");
    let memory = lines.iter().position(|line| line.starts_with("MEMORY ")).expect("a budget");
    assert_eq!(words(&lines[memory + 1..], "")[..], ["6.0", "MiB", "8.0", "MiB", "3", "4"]);
    assert!(lines.contains(&"warn      a disk .[2Jis slow".to_owned()), "{lines:#?}");
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
fn a_server_that_has_started_again_counts_from_zero() {
    let mut figures = Figures::default();
    figures.add(Ok(sample(10.0, 1_000_000)));
    let mut again = sample(0.5, 3_000_000);
    again["started"] = json!(2000);
    figures.add(Ok(again));
    assert_eq!(words(&shown(&figures), "sent sendfile")[2..], ["0", "B"]);
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
