//! A sample as JSON: for `/status.json`, and for the page.

use std::fmt::{Display, Write};

use sluicegate_reactor::{Histogram, Ledger};

use super::metrics::{CLASSES, RECEIVED, REFUSED, SENT};
use super::sample::{Row, Sample, ThreadSample};

/// JSON that is being written. Writing to a string cannot fail.
struct Json(String);

impl Json {
    /// Adds what precedes a value: a comma, and the name if it is a member of an object.
    fn begin(&mut self, name: &str) {
        if !self.0.ends_with(['{', '[']) && !self.0.is_empty() {
            self.0.push(',');
        }
        if !name.is_empty() {
            self.string(name);
            self.0.push(':');
        }
    }

    /// Adds a number, or a value that is written alike.
    fn number(&mut self, name: &str, value: impl Display) {
        self.begin(name);
        let _ = write!(self.0, "{value}");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.begin(name);
        self.string(text);
    }

    fn object(&mut self, name: &str, write: impl FnOnce(&mut Json)) {
        self.begin(name);
        self.0.push('{');
        write(self);
        self.0.push('}');
    }

    fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Json, T),
    ) {
        self.begin(name);
        self.0.push('[');
        items.into_iter().for_each(|item| write(self, item));
        self.0.push(']');
    }

    fn string(&mut self, text: &str) {
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                c if c.is_control() => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

/// The sample as one line.
pub(super) fn json(sample: &Sample<'_>) -> String {
    let mut json = Json(String::with_capacity(8 << 10));
    json.object("", |json| {
        let options = sample.options;
        json.text("name", &options.name);
        json.text("version", &options.version);
        json.number("generation", options.generation.max(1));
        json.number("time", sample.time);
        json.number("started", sample.started);
        json.number("clock", sample.clock.as_secs_f64());
        readiness(sample, json);
        process(sample, json);
        json.array("threads", sample.threads.iter().enumerate(), |json, (index, thread)| {
            json.object("", |json| {
                json.number("thread", index);
                json.number("up", thread.is_some());
                thread.iter().for_each(|thread| one_thread(thread, json));
            });
        });
        json.array("listeners", sample.rows(), |json, row| listener(&row, json));
        #[cfg(feature = "tls")]
        tls(sample, json);
        json.array("warnings", options.warnings.recent(), |json, warning| {
            json.object("", |json| {
                json.number("time", warning.time);
                json.text("level", &warning.level.as_str().to_ascii_lowercase());
                json.text("text", &warning.text);
            });
        });
    });
    json.0
}

fn readiness(sample: &Sample<'_>, json: &mut Json) {
    let readiness = &sample.options.readiness;
    json.number("ready", readiness.is_ready());
    json.text("phase", readiness.phase().name());
    json.array("checks", readiness.checks(), |json, (name, result)| {
        json.object("", |json| {
            json.text("name", &name);
            json.number("passes", result.is_ok());
            result.err().iter().for_each(|why| json.text("why", why));
        });
    });
}

fn process(sample: &Sample<'_>, json: &mut Json) {
    let process = sample.process;
    json.object("process", |json| {
        let cpu = process.cpu.map(|time| time.as_secs_f64());
        cpu.into_iter().for_each(|cpu| json.number("cpu_seconds", cpu));
        let numbers = [
            ("resident_bytes", process.resident),
            ("descriptors", process.descriptors),
            ("max_descriptors", process.max_descriptors),
        ];
        for (name, value) in numbers {
            value.into_iter().for_each(|value| json.number(name, value));
        }
    });
}

fn one_thread(thread: &ThreadSample, json: &mut Json) {
    let ThreadSample { snapshot, http } = thread;
    json.number("connections", snapshot.total.open());
    json.number("slow_readers", snapshot.slow_readers);
    json.number("queued_bytes", snapshot.total.pending());
    json.number("timers", snapshot.timers);
    snapshot.turn_times.iter().for_each(|times| histogram("turns", times, json));
    json.object("http", |json| {
        json.object("responses", |json| {
            CLASSES.iter().zip(http.responses).for_each(|(class, count)| json.number(class, count));
        });
        histogram("times", &http.times, json);
    });
    counters(&snapshot.total, json);
}

fn listener(row: &Row<'_>, json: &mut Json) {
    json.object("", |json| {
        json.text("address", &row.address());
        json.number("thread", row.thread);
        json.number("connections", row.ledger.open());
        json.number("queued_bytes", row.ledger.pending());
        if let Some(listener) = row.listener {
            json.number("peak", listener.peak);
            json.number("limit", listener.limit);
            json.number("slow_readers", listener.slow_readers);
        }
        for (name, values) in [("sent", SENT), ("received", RECEIVED), ("refused", REFUSED)] {
            json.object(name, |json| {
                values.iter().for_each(|(value, counter)| json.number(value, counter(row.ledger)));
            });
        }
        counters(row.ledger, json);
    });
}

/// The counters that are not zero.
fn counters(ledger: &Ledger, json: &mut Json) {
    json.object("counters", |json| {
        let counters = ledger.counters().filter(|(_, count)| *count > 0);
        counters.for_each(|(name, count)| json.number(name, count));
    });
}

/// The number of times in each bucket: those up to 1 µs, up to 2 µs and so on, and the rest.
fn histogram(name: &str, times: &Histogram, json: &mut Json) {
    json.object(name, |json| {
        json.number("count", times.count());
        json.number("sum_seconds", times.sum().as_secs_f64());
        json.number("p50_seconds", times.quantile(0.5).as_secs_f64());
        json.number("p99_seconds", times.quantile(0.99).as_secs_f64());
        json.number("max_seconds", times.max().as_secs_f64());
        json.array("buckets", times.buckets(), |json, (_, count)| json.number("", count));
    });
}

#[cfg(feature = "tls")]
fn tls(sample: &Sample<'_>, json: &mut Json) {
    let completed = sample.options.tls.iter().flat_map(|counters| counters.completed());
    json.array("tls", completed, |json, (version, resumed, count)| {
        json.object("", |json| {
            json.text("version", version);
            json.number("resumed", resumed);
            json.number("count", count);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_and_texts_are_escaped() {
        let mut json = Json(String::new());
        json.object("", |json| {
            json.text("a", "\"\\\n");
            json.array("b", [1, 2], |json, number| json.number("", number));
            json.array("c", [(), ()], |json, ()| json.object("", |json| json.number("d", true)));
        });
        let expected = r#"{"a":"\"\\\u000a","b":[1,2],"c":[{"d":true},{"d":true}]}"#;
        assert_eq!(json.0, expected);
    }

    #[test]
    fn a_text_may_end_like_the_beginning_of_an_array() {
        let mut json = Json(String::new());
        json.array("", ["[", "{"], |json, text| json.text("", text));
        assert_eq!(json.0, r#"["[","{"]"#);
    }
}
