//! The figures as lines of text.

use std::{iter, slice};

use ratatui::style::Stylize;
use ratatui::text::{Line, Span, Text};

use super::figures::{Figures, Part};

type Cell = Span<'static>;

/// A column of a table: its name, and what it shows of a row. The first one is aligned left, and
/// its name is that of the table.
type Column = (&'static str, fn(&Part) -> Cell);

/// What the terminal shows.
pub(crate) fn text(Figures { whole, failure }: &Figures) -> Text<'static> {
    let mut text = Text::default();
    let server = if whole.now.is_null() { &[] } else { slice::from_ref(whole) };
    text.extend(server.iter().map(state));
    text.extend(failure.as_ref().map(|why| format!("no connection: {why}").red()));
    table(&mut text, server, SERVER);
    let has_budget = whole.number("threads/*/memory_budget_bytes") > 0.0;
    table(&mut text, if has_budget { server } else { &[] }, MEMORY);
    table(&mut text, server, SENT);
    table(&mut text, server, RECEIVED);
    table(&mut text, &whole.list("listeners"), LISTENERS);
    table(&mut text, &whole.list("threads"), THREADS);
    table(&mut text, &whole.list("upstreams"), UPSTREAMS);
    let warnings: Vec<Part> = whole.list("warnings").into_iter().rev().take(5).collect();
    table(&mut text, &warnings, WARNINGS);
    text
}

/// Adds a table, unless it has no rows.
fn table(text: &mut Text<'static>, rows: &[Part], columns: &[Column]) {
    if rows.is_empty() {
        return;
    }
    let mut lines = vec![Line::default(); 1 + rows.len()];
    for (at, (name, show)) in columns.iter().enumerate() {
        let cells: Vec<Cell> = iter::once(name.cyan()).chain(rows.iter().map(show)).collect();
        let width = cells.iter().map(Span::width).max().unwrap_or(0);
        for (line, cell) in lines.iter_mut().zip(cells) {
            let gap = Span::raw(" ".repeat(width - cell.width()));
            line.extend(if at == 0 { [cell, gap] } else { [gap, cell] });
            line.push_span("  ");
        }
    }
    text.push_line("");
    text.extend(lines);
}

/// The name of the server, and whether it is ready.
fn state(whole: &Part) -> Line<'static> {
    let minutes = (whole.number("time") - whole.number("started")) / 60.0;
    let about = format!("{} {}, up {minutes:.0} min, ", whole.text("name"), whole.text("version"));
    let state = if whole.now["ready"] == true { "ready".green() } else { "not ready".red() };
    Line::from_iter([about.bold(), state])
}

const SERVER: &[Column] = &[
    ("CONNECTIONS", |it| count(it.number("threads/*/connections"))),
    ("accepted/s", |it| count(it.rate("threads/*/counters/accepted"))),
    ("slow", |it| alarming(it.number("threads/*/slow_readers"))),
    ("queued", |it| bytes(it.number("threads/*/queued_bytes"))),
    ("waiting", |it| count(it.number("threads/*/waiting"))),
    ("processor %", |it| count(100.0 * it.rate("process/cpu_seconds"))),
    ("memory", |it| bytes(it.number("process/resident_bytes"))),
    ("descriptors", |it| count(it.number("process/descriptors"))),
];

/// The memory budget.
const MEMORY: &[Column] = &[
    ("MEMORY in use", |it| bytes(it.number("threads/*/memory_bytes"))),
    ("budget", |it| bytes(it.number("threads/*/memory_budget_bytes"))),
    ("shortages", |it| alarming(it.number("threads/*/counters/memory_shortages"))),
    ("aborted", |it| alarming(it.number("threads/*/counters/memory_aborts"))),
];

/// The bytes per second: all, and those by each method.
const SENT: &[Column] = &[
    ("SENT/S", |it| bytes(it.rate("listeners/*/sent"))),
    ("joined", |it| bytes(it.rate("listeners/*/sent/joined"))),
    ("write through", |it| bytes(it.rate("listeners/*/sent/write_through"))),
    ("gather", |it| bytes(it.rate("listeners/*/sent/gather"))),
    ("sendfile", |it| bytes(it.rate("listeners/*/sent/sendfile"))),
    ("splice", |it| bytes(it.rate("listeners/*/sent/splice"))),
    ("sealed", |it| bytes(it.rate("listeners/*/sent/sealed"))),
];

const RECEIVED: &[Column] = &[
    ("RECEIVED/S", |it| bytes(it.rate("listeners/*/received"))),
    ("shared buffer", |it| bytes(it.rate("listeners/*/received/shared_buffer"))),
    ("own buffer", |it| bytes(it.rate("listeners/*/received/own_buffer"))),
    ("splice", |it| bytes(it.rate("listeners/*/received/splice"))),
];

const LISTENERS: &[Column] = &[
    ("LISTENERS", |it| Span::raw(it.text("address"))),
    ("thread", |it| count(it.number("thread"))),
    ("open", |it| count(it.number("connections"))),
    ("limit", |it| count(it.number("limit"))),
    ("accepted/s", |it| count(it.rate("counters/accepted"))),
    ("refused", |it| alarming(it.number("refused"))),
    ("sent/s", |it| bytes(it.rate("sent"))),
    ("received/s", |it| bytes(it.rate("received"))),
];

/// Quantiles and maxima are those since the start.
const THREADS: &[Column] = &[
    ("THREADS", |it| count(it.number("thread"))),
    ("up", |it| if it.now["up"] == true { "yes".green() } else { "no".red() }),
    ("open", |it| count(it.number("connections"))),
    ("busy %", |it| count(100.0 * it.rate("turns/sum_seconds"))),
    ("turn p99", |it| time(it.number("turns/p99_seconds"))),
    ("longest turn", |it| time(it.number("turns/max_seconds"))),
    ("responses/s", |it| count(it.rate("http/responses"))),
    ("5xx", |it| alarming(it.number("http/responses/5xx"))),
    ("response p99", |it| time(it.number("http/times/p99_seconds"))),
];

const UPSTREAMS: &[Column] = &[
    ("UPSTREAMS", |it| Span::raw(it.text("upstream"))),
    ("thread", |it| count(it.number("thread"))),
    ("state", |it| if it.text("state") == "up" { "up".green() } else { it.text("state").red() }),
    ("open", |it| count(it.number("open"))),
    ("connects/s", |it| count(it.rate("connected"))),
    ("not connected", |it| alarming(it.number("failed"))),
    ("requests/s", |it| count(it.rate("requests/answered"))),
    ("active", |it| count(it.number("requests/active"))),
    ("unanswered", |it| alarming(it.number("requests/failed"))),
];

const WARNINGS: &[Column] =
    &[("WARNINGS", |it| Span::raw(format!("{}: {}", it.text("level"), it.text("text"))))];

fn count(number: f64) -> Cell {
    Span::raw(format!("{number:.0}"))
}

/// A count that should be 0.
fn alarming(number: f64) -> Cell {
    if number > 0.0 { count(number).red() } else { count(number) }
}

fn bytes(number: f64) -> Cell {
    scaled(number, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

/// A time in seconds.
fn time(seconds: f64) -> Cell {
    scaled(1e6 * seconds, 1000.0, &[" µs", " ms", " s"])
}

/// A number in the largest unit of which there is at least one.
fn scaled(mut number: f64, step: f64, units: &[&str]) -> Cell {
    let mut unit = 0;
    while number >= step && unit + 1 < units.len() {
        (number, unit) = (number / step, unit + 1);
    }
    let digits = usize::from(unit > 0 && number < 10.0);
    Span::raw(format!("{number:.digits$}{}", units[unit]))
}
