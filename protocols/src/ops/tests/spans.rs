//! Connections as spans, with a subscriber that notes all it is given.

use std::fmt::{Debug, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Connect, Context, Handler, Input};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::super::ConnectionSpans;

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

/// One line for each span, record and event up to a level.
#[derive(Clone)]
struct Notes {
    level: Level,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Adds ` field=value` for each field.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Clients have any port.
        let value = match field.name() {
            "peer" => "10.9.8.7".to_owned(),
            _ => format!("{value:?}"),
        };
        let _ = write!(self.0, " {field}={value}");
    }
}

impl Notes {
    fn add(&self, start: String, visit: impl FnOnce(&mut Fields<'_>)) -> usize {
        let mut line = start;
        visit(&mut Fields(&mut line));
        let mut lines = self.lines.lock().expect("no panic");
        lines.push(line);
        lines.len()
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    /// A span has the number of its line as its id.
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let start = format!("span {}", span.metadata().name());
        Id::from_u64(self.add(start, |fields| span.record(fields)) as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.add(format!("in {}", span.into_u64()), |fields| values.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let start = event.parent().map_or("event".into(), |span| format!("in {}", span.into_u64()));
        self.add(start, |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn try_close(&self, span: Id) -> bool {
        self.add(format!("end of {}", span.into_u64()), |_| {});
        true
    }
}

/// What a subscriber of this level is given while `what` happens.
fn noted(level: Level, what: impl FnOnce(&mut Harness<Echo>)) -> Vec<String> {
    let notes = Notes { level, lines: Arc::default() };
    tracing::subscriber::with_default(notes.clone(), || {
        let mut h = Harness::new(Echo);
        h.reactor().observe(ConnectionSpans::default());
        what(&mut h);
    });
    let lines = notes.lines.lock().expect("no panic");
    lines.iter().filter(|line| !line.contains("message=turn")).cloned().collect()
}

#[test]
fn a_connection_is_a_span_with_its_bytes_as_events() {
    let lines = noted(Level::TRACE, |h| {
        let client = h.open();
        h.feed(client, b"hello");
        h.finish(client);
    });
    let expected = [
        "span connection id=ConnId(0.1) peer=10.9.8.7 listener=127.0.0.1:80",
        "in 1 message=opened",
        "in 1 message=received bytes=5",
        "in 1 message=sent bytes=5",
        "in 1 received=5",
        "in 1 sent=5",
        "in 1 reason=Closed",
        "in 1 message=closed",
        "end of 1",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_connection_that_fails_is_an_event_and_no_span() {
    let lines = noted(Level::DEBUG, |h| {
        let connector = h.connector(&Connect::default());
        h.connect(connector, SocketAddr::from(([10, 0, 0, 1], 80)), ());
    });
    let failed = "event message=failed id=ConnId(0.1) reason=Unconnected(ConnectionRefused)";
    assert_eq!(lines, [failed]);
}

#[test]
fn a_subscriber_that_wants_warnings_gets_nothing() {
    let lines = noted(Level::WARN, |h| {
        let client = h.open();
        h.feed(client, b"hello");
        h.finish(client);
    });
    assert_eq!(lines, [""; 0]);
}
