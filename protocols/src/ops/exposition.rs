//! The text formats of Prometheus: its own, version 0.0.4, and OpenMetrics 1.0.
//!
//! They differ in how the families of counters are named, and in the mark at the end.

use std::fmt::{Display, Write};

use sluicegate_reactor::Histogram;

use crate::http::accept::is_named;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// The format for a request with these `Accept` fields. A client that can read OpenMetrics names
    /// it.
    pub(super) fn accepted<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Format {
        match is_named("application/openmetrics-text", accept) {
            true => Format::OpenMetrics,
            false => Format::Text,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family of metrics.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Labels with the value 1.
    Info,
}

impl Kind {
    /// The type's name, and the suffix of the family's samples.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Histogram => ("histogram", ""),
            Kind::Info => ("info", "_info"),
        }
    }
}

/// The labels of a sample: names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text that is being written.
pub(super) struct Exposition {
    format: Format,
    out: String,
}

// Writing to a string cannot fail.
impl Exposition {
    pub(super) fn new(format: Format) -> Exposition {
        Exposition { format, out: String::with_capacity(16 << 10) }
    }

    /// Begins a family. `name` is without the suffix of its type. A family without samples is left
    /// out.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &'a str) -> Family<'a> {
        Family { to: self, name, kind, help, is_empty: true }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// A family that is being written.
pub(super) struct Family<'a> {
    to: &'a mut Exposition,
    name: &'a str,
    kind: Kind,
    help: &'a str,
    is_empty: bool,
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        let (_, suffix) = self.kind.names();
        self.begin();
        self.line(suffix, labels, None, value);
    }

    /// Adds the samples of a histogram, in seconds.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, times: &Histogram) {
        self.begin();
        let mut below = 0;
        for (bound, count) in times.buckets() {
            below += count;
            let bound = bound.map_or("+Inf".to_owned(), |bound| bound.as_secs_f64().to_string());
            self.line("_bucket", labels, Some(("le", &bound)), below);
        }
        self.line("_sum", labels, None, times.sum().as_secs_f64());
        self.line("_count", labels, None, below);
    }

    /// Writes what precedes the first sample.
    fn begin(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            return;
        }
        let Family { to, name, kind, help, .. } = self;
        let (kind, suffix) = match (to.format, kind.names()) {
            (Format::OpenMetrics, (kind, _)) => (kind, ""),
            (Format::Text, ("info", suffix)) => ("gauge", suffix),
            (Format::Text, names) => names,
        };
        let _ = writeln!(to.out, "# HELP {name}{suffix} {help}");
        let _ = writeln!(to.out, "# TYPE {name}{suffix} {kind}");
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        last: Option<(&str, &str)>,
        value: impl Display,
    ) {
        let out = &mut self.to.out;
        let _ = write!(out, "{}{suffix}", self.name);
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            let _ = write!(out, "{separator}{name}=\"");
            escape(value, out);
            out.push('"');
            separator = ',';
        }
        if separator == ',' {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
    }
}

/// Appends the value of a label.
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' | '"' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(format: Format) -> String {
        let mut to = Exposition::new(format);
        to.family("build", Kind::Info, "What runs.").sample(&[("version", "1")], 1);
        let mut sent = to.family("sent_bytes", Kind::Counter, "Bytes sent.");
        sent.sample(&[("to", "a\"b\\c\nd")], 7);
        sent.sample(&[], 8);
        to.family("nothing", Kind::Gauge, "A family without samples.");
        let mut times = Histogram::default();
        times.record(Duration::from_micros(3));
        times.record(Duration::from_secs(60));
        to.family("turn_seconds", Kind::Histogram, "Turns.").histogram(&[("thread", "0")], &times);
        to.finish()
    }

    #[test]
    fn the_formats_differ_in_the_names_of_families_and_in_the_end() {
        let (text, open) = (write(Format::Text), write(Format::OpenMetrics));
        assert!(text.starts_with("# HELP build_info What runs.\n# TYPE build_info gauge\n"));
        assert!(open.starts_with("# HELP build What runs.\n# TYPE build info\n"));
        assert!(text.contains("# TYPE sent_bytes_total counter\n"));
        assert!(open.contains("# TYPE sent_bytes counter\n"));
        assert!(!text.contains("EOF") && open.ends_with("# EOF\n"));
        for both in [text, open] {
            assert!(both.contains("\nbuild_info{version=\"1\"} 1\n"));
            assert!(both.contains("\nsent_bytes_total{to=\"a\\\"b\\\\c\\nd\"} 7\n"));
            assert!(both.contains("\nsent_bytes_total 8\n"));
            assert!(!both.contains("nothing"));
            assert!(both.contains("\nturn_seconds_bucket{thread=\"0\",le=\"0.000002\"} 0\n"));
            assert!(both.contains("\nturn_seconds_bucket{thread=\"0\",le=\"0.000004\"} 1\n"));
            assert!(both.contains("\nturn_seconds_bucket{thread=\"0\",le=\"16.777216\"} 1\n"));
            assert!(both.contains("\nturn_seconds_bucket{thread=\"0\",le=\"+Inf\"} 2\n"));
            assert!(both.contains("\nturn_seconds_sum{thread=\"0\"} 60.000003\n"));
            assert!(both.contains("\nturn_seconds_count{thread=\"0\"} 2\n"));
        }
    }

    #[test]
    fn openmetrics_is_for_clients_that_accept_it() {
        let accepts = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::accepted([accepts.as_bytes()].into_iter()), Format::OpenMetrics);
        let fields = ["text/plain", "application/openmetrics-text"].map(str::as_bytes);
        assert_eq!(Format::accepted(fields.into_iter()), Format::OpenMetrics);
        for accept in ["", "*/*", "text/plain", "application/openmetrics-text;q=0"] {
            assert_eq!(Format::accepted([accept.as_bytes()].into_iter()), Format::Text);
        }
    }
}
