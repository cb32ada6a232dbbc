//! A sample as JSON: for `/status.json`, and for the page.

use serde_json::{Value, json};
use sluicegate_reactor::{Histogram, Ledger};

use super::metrics::{CLASSES, Labelled, RECEIVED, REFUSED, SENT};
use super::readiness::Readiness;
use super::sample::{Row, Sample, ThreadSample};
use super::warnings::Warning;
use crate::upstreams::{RequestCounts, UpstreamStatus};

/// The sample as one line. What is not known is `null`.
pub(super) fn json(sample: &Sample<'_>) -> String {
    let options = sample.options;
    let process = &sample.process;
    let threads = sample.threads.iter().enumerate();
    let rows = sample.rows();
    let status = json!({
        "name": options.name,
        "version": options.version,
        "generation": options.generation.max(1),
        "time": sample.time,
        "started": sample.started,
        "clock": sample.clock.as_secs_f64(),
        "ready": options.readiness.is_ready(),
        "phase": options.readiness.phase().name(),
        "checks": checks(&options.readiness),
        "process": {
            "cpu_seconds": process.cpu.map(|time| time.as_secs_f64()),
            "resident_bytes": process.resident,
            "descriptors": process.descriptors,
            "max_descriptors": process.max_descriptors,
        },
        "threads": threads.map(|(index, sample)| thread(index, sample.as_ref())).collect::<Value>(),
        "listeners": rows.iter().filter(|row| row.is_used()).map(listener).collect::<Value>(),
        "upstreams": sample.upstreams().map(upstream).collect::<Value>(),
        "warnings": options.warnings.recent().iter().map(warning).collect::<Value>(),
        "tls": tls(sample),
    });
    status.to_string()
}

fn checks(readiness: &Readiness) -> Value {
    let checks = readiness.checks().into_iter();
    let check = |(name, result): (String, Result<(), String>)| {
        let (passes, why) = (result.is_ok(), result.err());
        json!({"name": name, "passes": passes, "why": why})
    };
    checks.map(check).collect()
}

fn warning(Warning { time, level, text }: &Warning) -> Value {
    json!({"time": time, "level": level.as_str().to_ascii_lowercase(), "text": text})
}

fn thread(index: usize, sample: Option<&ThreadSample>) -> Value {
    let Some(ThreadSample { snapshot, http, upstreams }) = sample else {
        return json!({"thread": index, "up": false});
    };
    json!({
        "thread": index,
        "up": true,
        "connections": snapshot.total.open(),
        "slow_readers": snapshot.slow_readers,
        "queued_bytes": snapshot.total.pending(),
        "timers": snapshot.timers,
        "memory_bytes": snapshot.memory,
        "memory_budget_bytes": snapshot.memory_budget,
        "waiting": upstreams.as_ref().map(|status| status.waiting),
        "turns": snapshot.turn_times.as_ref().map(histogram),
        "http": {
            "responses": CLASSES.into_iter().zip(http.responses).collect::<Value>(),
            "times": histogram(&http.times),
        },
        "counters": counters(&snapshot.total),
    })
}

fn listener(row: &Row<'_>) -> Value {
    let ledger = row.ledger;
    let by = |counters: &[Labelled]| -> Value {
        counters.iter().map(|(label, counter)| (*label, counter(ledger))).collect()
    };
    json!({
        "address": row.address(),
        "thread": row.thread,
        "connections": ledger.open(),
        "queued_bytes": ledger.pending(),
        "peak": row.listener.map(|listener| listener.peak),
        "limit": row.listener.map(|listener| listener.limit),
        "slow_readers": row.listener.map(|listener| listener.slow_readers),
        "sent": by(SENT),
        "received": by(RECEIVED),
        "refused": by(REFUSED),
        "counters": counters(ledger),
    })
}

fn upstream((thread, status): (usize, &UpstreamStatus)) -> Value {
    json!({
        "upstream": status.upstream.to_string(),
        "thread": thread,
        "state": status.state.name(),
        "connecting": status.connecting,
        "open": status.open,
        "connected": status.connected,
        "failed": status.failed,
        "requests": status.requests.map(|RequestCounts { active, answered, failed }| {
            json!({"active": active, "answered": answered, "failed": failed})
        }),
    })
}

/// The counters that are not zero.
fn counters(ledger: &Ledger) -> Value {
    ledger.counters().filter(|(_, count)| *count > 0).collect()
}

/// The number of times in each bucket: those up to 1 µs, up to 2 µs and so on, and the rest.
fn histogram(times: &Histogram) -> Value {
    json!({
        "count": times.count(),
        "sum_seconds": times.sum().as_secs_f64(),
        "p50_seconds": times.quantile(0.5).as_secs_f64(),
        "p99_seconds": times.quantile(0.99).as_secs_f64(),
        "max_seconds": times.max().as_secs_f64(),
        "buckets": times.buckets().map(|(_, count)| count).collect::<Value>(),
    })
}

#[cfg(feature = "tls")]
fn tls(sample: &Sample<'_>) -> Value {
    let completed = sample.options.tls.iter().flat_map(|counters| counters.completed());
    let rows = completed.map(
        |(version, resumed, count)| json!({"version": version, "resumed": resumed, "count": count}),
    );
    rows.collect()
}

#[cfg(not(feature = "tls"))]
fn tls(_: &Sample<'_>) -> Value {
    json!([])
}
