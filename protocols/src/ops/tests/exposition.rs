//! The text of the metrics, read by a strict parser.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::super::exposition::{Exposition, Format, Kind};
use super::{World, body};

/// A sample: its name, its labels and its value.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Reads an exposition, and checks that each sample belongs to the family before it.
fn parse(text: &str, format: Format) -> Vec<Sample> {
    let mut types = HashMap::new();
    let mut family = ("", "");
    let mut samples = Vec::new();
    let text = match format {
        Format::Text => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("the end"),
    };
    assert!(text.is_empty() || text.ends_with('\n'));
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a text");
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).expect("a type");
            let (same, kind) = kind.split_once(' ').expect("a type");
            assert!(same == name && !help.is_empty(), "{line}");
            assert_eq!(types.insert(name, kind), None, "{name} comes once");
            family = (name, kind);
            continue;
        }
        let sample = parse_sample(line);
        let suffix = sample.name.strip_prefix(family.0).expect("a sample of the family");
        let suffixes: &[&str] = match (format, family.1) {
            (_, "histogram") => &["_bucket", "_sum", "_count"],
            (Format::OpenMetrics, "counter") => &["_total"],
            (Format::OpenMetrics, "info") => &["_info"],
            (_, "counter" | "gauge") => &[""],
            other => panic!("{other:?}"),
        };
        assert!(suffixes.contains(&suffix), "{line} in {family:?}");
        samples.push(sample);
    }
    samples
}

fn parse_sample(line: &str) -> Sample {
    let (before, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = match before.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("the end of the labels")),
        None => (before, ""),
    };
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    assert!(is_name(name), "{line}");
    let mut rest = labels.chars();
    let mut labels = Vec::new();
    while !rest.as_str().is_empty() {
        let label: String = rest.by_ref().take_while(|c| *c != '=').collect();
        assert!(is_name(&label) && rest.next() == Some('"'), "{line}");
        let mut value = String::new();
        loop {
            match rest.next().expect("a closing quote") {
                '"' => break,
                '\\' => value.push(match rest.next().expect("an escaped character") {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("\\{c}"),
                }),
                '\n' => panic!("a bare newline"),
                c => value.push(c),
            }
        }
        labels.push((label, value));
        assert!(matches!(rest.next(), None | Some(',')), "{line}");
    }
    Sample { name: name.to_owned(), labels, value: value.parse().expect("a number") }
}

/// All families of a server in one of the formats.
fn metrics(accept: &str) -> String {
    let mut world = World::new();
    world.use_application(&["/100", "/x"]);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n");
    body(&world.ask(&request)).to_owned()
}

#[test]
fn both_formats_have_the_same_samples_and_no_sample_comes_twice() {
    let text = parse(&metrics("text/plain"), Format::Text);
    let open = parse(&metrics("application/openmetrics-text"), Format::OpenMetrics);
    let names = |samples: &[Sample]| -> Vec<_> {
        samples.iter().map(|sample| (sample.name.clone(), sample.labels.clone())).collect()
    };
    assert_eq!(names(&text), names(&open));
    let distinct: HashSet<_> = names(&text).into_iter().collect();
    assert_eq!(distinct.len(), text.len());
    assert!(text.len() > 100);
}

#[test]
fn the_buckets_of_a_histogram_are_cumulative_and_end_with_the_count() {
    let samples = parse(&metrics("text/plain"), Format::Text);
    let values = |suffix: &str| -> Vec<f64> {
        let name = format!("sluicegate_http_request_seconds{suffix}");
        samples.iter().filter(|sample| sample.name == name).map(|sample| sample.value).collect()
    };
    let buckets = values("_bucket");
    assert!(buckets.is_sorted() && buckets.len() == 26);
    assert_eq!(buckets.last(), Some(&2.0));
    assert_eq!(values("_count"), [2.0]);
}

proptest! {
    #[test]
    fn labels_of_any_content_parse_back(
        values in prop::collection::vec(any::<String>(), 0..4),
        number in any::<u64>(),
        is_open in any::<bool>(),
    ) {
        let format = if is_open { Format::OpenMetrics } else { Format::Text };
        let mut to = Exposition::new(format);
        let labels: Vec<_> = values.iter().map(|value| ("label", &**value)).collect();
        to.family("family", Kind::Counter, "A help.").sample(&labels, number);
        let samples = parse(&to.finish(), format);
        let labels = values.into_iter().map(|value| ("label".to_owned(), value)).collect();
        let value = number as f64;
        prop_assert_eq!(samples, [Sample { name: "family_total".into(), labels, value }]);
    }
}
