//! The last two samples of a server, and what has changed between them.

use std::collections::HashMap;

use serde_json::Value;

/// What tells the parts of a list apart. A thread that was down has no earlier figures.
const IDENTITY: [&str; 4] = ["address", "upstream", "thread", "up"];

/// The figures of a server.
#[derive(Default)]
pub(crate) struct Figures {
    /// All figures, `null` before the first sample.
    pub(crate) whole: Part,
    /// Why there is no newer sample.
    pub(crate) failure: Option<String>,
}

/// A sample, or a part of it such as a thread, and the same in the sample before.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) now: Value,
    before: Value,
    /// The time between the samples.
    seconds: f64,
}

impl Figures {
    /// Notes a sample, or why there is none.
    pub(crate) fn add(&mut self, sample: Result<Value, String>) {
        let replace = |now: Value| {
            let before = self.whole.now.take();
            let seconds = number(&now, "clock") - number(&before, "clock");
            // Another process counts from zero.
            let before = if before["started"] == now["started"] { before } else { Value::Null };
            self.whole = Part { now, before, seconds };
        };
        self.failure = sample.map(replace).err();
    }
}

impl Part {
    /// The parts in a list, each with the one of the same identity in the sample before.
    pub(crate) fn list(&self, name: &str) -> Vec<Part> {
        let items = |sample: &Value| sample[name].as_array().cloned().unwrap_or_default();
        let identity = |item: &Value| IDENTITY.map(|key| item[key].to_string());
        // A proxy may have thousands of upstreams, on each of its threads.
        let before = items(&self.before).into_iter().map(|item| (identity(&item), item));
        let mut before: HashMap<_, _> = before.collect();
        let part = |now: Value| {
            let before = before.remove(&identity(&now)).unwrap_or_default();
            Part { now, before, seconds: self.seconds }
        };
        items(&self.now).into_iter().map(part).collect()
    }

    /// A text. What others have put into it cannot control the terminal.
    pub(crate) fn text(&self, key: &str) -> String {
        let text = self.now[key].as_str().unwrap_or_default();
        // Some of these characters reorder what follows them on the screen.
        let is_bidi = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        text.chars().map(|c| if c.is_control() || is_bidi(c) { '.' } else { c }).collect()
    }

    /// The number at a path, in which `*` stands for the sum over a list. The number of an object
    /// is the sum of its members, and that of what a server does not have is 0.
    pub(crate) fn number(&self, path: &str) -> f64 {
        number(&self.now, path)
    }

    /// How much this number grows in a second.
    pub(crate) fn rate(&self, path: &str) -> f64 {
        let growth = (number(&self.now, path) - number(&self.before, path)).max(0.0);
        if self.before.is_null() || self.seconds <= 0.0 { 0.0 } else { growth / self.seconds }
    }
}

fn number(value: &Value, path: &str) -> f64 {
    let (key, rest) = path.split_once('/').unwrap_or((path, ""));
    match value {
        Value::Array(items) => items.iter().map(|item| number(item, rest)).sum(),
        Value::Object(members) if key.is_empty() => members.values().map(|it| number(it, "")).sum(),
        Value::Object(_) => number(&value[key], rest),
        value => value.as_f64().unwrap_or(0.0),
    }
}
