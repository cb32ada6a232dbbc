//! The figures as lines of text.

use ratatui::style::Stylize;
use ratatui::text::{Line, Span, Text};

use super::figures::{Figures, Part};

type Cell = Span<'static>;

/// A column of a table: its name, and what it shows of a row. It is aligned right if it has a name
/// and is not the first one, whose name is that of the table.
type Column<T> = (&'static str, fn(&T) -> Cell);

/// What the terminal shows.
pub(crate) fn text(figures: &Figures) -> Text<'static> {
    let mut text = Text::default();
    let whole = [figures.whole()];
    let whole = if whole[0].now.is_null() { &[][..] } else { &whole };
    text.extend(whole.iter().map(state));
    text.extend(figures.failure.as_ref().map(|why| format!("no connection: {why}").red()));
    table(&mut text, whole, NOW);
    let has_budget = whole.iter().any(|it| it.number("threads/*/memory_budget_bytes") > 0.0);
    table(&mut text, if has_budget { whole } else { &[] }, MEMORY);
    table(&mut text, &ways(figures), WAYS);
    table(&mut text, &figures.list("listeners", &["address", "thread"]), LISTENERS);
    table(&mut text, &figures.list("threads", &["thread", "up"]), THREADS);
    table(&mut text, &figures.list("upstreams", &["upstream", "thread"]), UPSTREAMS);
    let warnings = figures.list("warnings", &[]).into_iter().rev().take(5).collect::<Vec<_>>();
    table(&mut text, &warnings, WARNINGS);
    text
}

/// Adds a table, unless it has no rows.
fn table<T>(text: &mut Text<'static>, rows: &[T], columns: &[Column<T>]) {
    if rows.is_empty() {
        return;
    }
    let head = columns.iter().map(|(name, _)| name.cyan()).collect();
    let rows = rows.iter().map(|row| columns.iter().map(|(_, show)| show(row)).collect());
    let lines: Vec<Vec<Cell>> = std::iter::once(head).chain(rows).collect();
    let width = |at: usize| lines.iter().map(|cells| cells[at].width()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    text.push_line("");
    for cells in lines {
        let mut line = Line::default();
        for (at, cell) in cells.into_iter().enumerate() {
            let gap = Span::raw(" ".repeat(widths[at] - cell.width()));
            let is_right = at > 0 && !columns[at].0.is_empty();
            line.extend(if is_right { [gap, cell] } else { [cell, gap] });
            line.push_span("  ");
        }
        text.push_line(line);
    }
}

/// The name of the server, and whether it is ready.
fn state(whole: &Part) -> Line<'static> {
    let (name, version) = (whole.text("name"), whole.text("version"));
    let minutes = (whole.number("time") - whole.number("started")) / 60.0;
    let about = format!("{name} {version}, up {minutes:.0} min, ");
    let state = if whole.now["ready"] == true { "ready".green() } else { "not ready".red() };
    Line::from_iter([about.bold(), state])
}

const NOW: &[Column<Part>] = &[
    ("NOW", |_| Span::raw("")),
    ("open", |it| count(it.number("threads/*/connections"))),
    ("accepted", |it| each(it.rate("threads/*/counters/accepted"))),
    ("slow", |it| alarming(it.number("threads/*/slow_readers"))),
    ("queued", |it| bytes(it.number("threads/*/queued_bytes"))),
    ("waiting", |it| count(it.number("threads/*/waiting"))),
    ("processor %", |it| count((100.0 * it.rate("process/cpu_seconds")).round())),
    ("memory", |it| bytes(it.number("process/resident_bytes"))),
    ("descriptors", |it| count(it.number("process/descriptors"))),
];

/// The memory budget.
const MEMORY: &[Column<Part>] = &[
    ("MEMORY", |_| Span::raw("")),
    ("in use", |it| bytes(it.number("threads/*/memory_bytes"))),
    ("budget", |it| bytes(it.number("threads/*/memory_budget_bytes"))),
    ("shortages", |it| alarming(it.number("threads/*/counters/memory_shortages"))),
    ("aborted", |it| alarming(it.number("threads/*/counters/memory_aborts"))),
];

/// The methods that have moved bytes: the name of each, its bytes per second, and the ratio of that
/// to the largest rate.
fn ways(figures: &Figures) -> Vec<(String, f64, f64)> {
    let whole = figures.whole();
    let mut ways = Vec::new();
    for direction in ["sent", "received"] {
        let names = whole.now["listeners"][0][direction].as_object();
        for name in names.into_iter().flat_map(|names| names.keys()) {
            let path = format!("listeners/*/{direction}/{name}");
            if whole.number(&path) > 0.0 {
                ways.push((format!("{direction} {}", name.replace('_', " ")), whole.rate(&path)));
            }
        }
    }
    let most = ways.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    ways.into_iter().map(|(name, rate)| (name, rate, rate / most)).collect()
}

const WAYS: &[Column<(String, f64, f64)>] = &[
    ("BYTES", |(name, _, _)| Span::raw(name.clone())),
    ("per second", |(_, rate, _)| bytes(*rate)),
    ("", |(_, _, share)| "█".repeat((30.0 * share).ceil() as usize).blue()),
];

const LISTENERS: &[Column<Part>] = &[
    ("LISTENERS", |it| Span::raw(it.text("address"))),
    ("thread", |it| count(it.number("thread"))),
    ("open", |it| count(it.number("connections"))),
    ("limit", |it| count(it.number("limit"))),
    ("accepted", |it| each(it.rate("counters/accepted"))),
    ("refused", |it| alarming(it.number("refused"))),
    ("sent/s", |it| bytes(it.rate("sent"))),
    ("received/s", |it| bytes(it.rate("received"))),
];

/// A turn is the mean of those between the samples; quantiles and maxima are since the start.
const THREADS: &[Column<Part>] = &[
    ("THREADS", |it| count(it.number("thread"))),
    ("up", |it| if it.now["up"] == true { "yes".green() } else { "no".red() }),
    ("open", |it| count(it.number("connections"))),
    ("turns", |it| each(it.rate("counters/turns"))),
    ("busy %", |it| count((100.0 * it.rate("turns/sum_seconds")).round())),
    ("turn", |it| time(it.rate("turns/sum_seconds") / it.rate("turns/count").max(1e-9))),
    ("p99", |it| time(it.number("turns/p99_seconds"))),
    ("longest", |it| time(it.number("turns/max_seconds"))),
    ("responses", |it| each(it.rate("http/responses"))),
    ("5xx", |it| alarming(it.number("http/responses/5xx"))),
    ("p99", |it| time(it.number("http/times/p99_seconds"))),
];

const UPSTREAMS: &[Column<Part>] = &[
    ("UPSTREAMS", |it| Span::raw(it.text("upstream"))),
    ("thread", |it| count(it.number("thread"))),
    ("state", |it| if it.text("state") == "up" { "up".green() } else { it.text("state").red() }),
    ("open", |it| count(it.number("open"))),
    ("connecting", |it| count(it.number("connecting"))),
    ("connects", |it| each(it.rate("connected"))),
    ("not connected", |it| alarming(it.number("failed"))),
    ("requests", |it| of_http(it, each(it.rate("requests/answered")))),
    ("active", |it| of_http(it, count(it.number("requests/active")))),
    ("unanswered", |it| of_http(it, alarming(it.number("requests/failed")))),
];

const WARNINGS: &[Column<Part>] =
    &[("WARNINGS", |it| Span::raw(it.text("level"))), ("", |it| Span::raw(it.text("text")))];

/// A figure that only the upstreams of an HTTP proxy have.
fn of_http(upstream: &Part, figure: Cell) -> Cell {
    if upstream.now["requests"].is_object() { figure } else { Span::raw("–") }
}

fn count(number: f64) -> Cell {
    Span::raw(number.to_string())
}

/// A count that should be 0.
fn alarming(number: f64) -> Cell {
    if number > 0.0 { count(number).red() } else { count(number) }
}

fn bytes(number: f64) -> Cell {
    scaled(number, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

fn each(number: f64) -> Cell {
    scaled(number, 1000.0, &["/s", " k/s", " M/s"])
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
