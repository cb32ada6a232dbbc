//! The metrics that `/metrics` shows.

use sluicegate_reactor::{Ledger, Snapshot};

use super::exposition::{Exposition, Format, Kind};
use super::sample::{Row, Sample};
use crate::upstreams::{UpstreamState, UpstreamStatus};

#[cfg(test)]
mod tests;

/// The classes of status codes.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A value of a label, and the counter that belongs to it.
pub(super) type Labelled = (&'static str, fn(&Ledger) -> u64);

/// A family of counters that each listener has.
struct Counters {
    name: &'static str,
    help: &'static str,
    /// The label that distinguishes its counters; empty if there is only one counter.
    label: &'static str,
    values: &'static [Labelled],
}

/// The methods by which bytes are sent. Their sum is `Ledger::sent`.
pub(super) const SENT: &[Labelled] = &[
    ("joined", |ledger| ledger.send_bytes - ledger.write_through),
    ("write_through", |ledger| ledger.write_through),
    ("gather", |ledger| ledger.gather_bytes),
    ("sendfile", |ledger| ledger.sendfile_bytes),
    ("splice", |ledger| ledger.splice_bytes),
    ("sealed", |ledger| ledger.sealed_bytes),
];

/// The methods by which bytes are received. Their sum is `Ledger::received`.
pub(super) const RECEIVED: &[Labelled] = &[
    ("shared_buffer", |ledger| {
        ledger.received.saturating_sub(ledger.direct_bytes + ledger.received_by_splice)
    }),
    ("own_buffer", |ledger| ledger.direct_bytes),
    ("splice", |ledger| ledger.received_by_splice),
];

/// Why connections were reset immediately.
pub(super) const REFUSED: &[Labelled] = &[
    ("max_connections", |ledger| ledger.refused_full),
    ("per_address", |ledger| ledger.refused_per_address),
    ("handshakes", |ledger| ledger.refused_handshakes),
];

const LISTENER_COUNTERS: &[Counters] = &[
    Counters {
        name: "sluicegate_connections_opened",
        help: "Connections by origin.",
        label: "by",
        values: &[
            ("accept", |ledger| ledger.accepted),
            ("connect", |ledger| ledger.connects),
            ("adopt", |ledger| ledger.adopted),
        ],
    },
    Counters {
        name: "sluicegate_connections_closed",
        help: "Connections that have ended.",
        label: "",
        values: &[("", |ledger| ledger.closed)],
    },
    Counters {
        name: "sluicegate_connections_refused",
        help: "Connections that were accepted and reset immediately, by the limit that was reached.",
        label: "cause",
        values: REFUSED,
    },
    Counters {
        name: "sluicegate_connections_shed",
        help: "Connections ended to make room for others: idle ones, or those that held most memory.",
        label: "cause",
        values: &[
            ("max_connections", |ledger| ledger.shed),
            ("memory", |ledger| ledger.memory_aborts),
        ],
    },
    Counters {
        name: "sluicegate_accept_pauses",
        help: "Times that accepting paused, by the limit that was reached.",
        label: "cause",
        values: &[
            ("max_connections", |ledger| ledger.full_pauses),
            ("accept_rate", |ledger| ledger.rate_pauses),
            ("shortage", |ledger| ledger.accept_pauses),
        ],
    },
    Counters {
        name: "sluicegate_connect_failures",
        help: "Outgoing connections that were not established.",
        label: "",
        values: &[("", |ledger| ledger.connect_failures)],
    },
    Counters {
        name: "sluicegate_sent_bytes",
        help: "Bytes that the kernel accepted, by method.",
        label: "method",
        values: SENT,
    },
    Counters {
        name: "sluicegate_received_bytes",
        help: "Bytes received, by method.",
        label: "method",
        values: RECEIVED,
    },
    Counters {
        name: "sluicegate_transport_bytes",
        help: "Bytes on the wire below transports such as TLS.",
        label: "direction",
        values: &[("received", |ledger| ledger.wire_received), ("sent", |ledger| ledger.wire_sent)],
    },
    Counters {
        name: "sluicegate_dropped_bytes",
        help: "Bytes that were queued but never sent, because their connection failed.",
        label: "",
        values: &[("", |ledger| ledger.dropped)],
    },
    Counters {
        name: "sluicegate_kept_bytes",
        help: "Bytes copied because a handler left them unconsumed.",
        label: "",
        values: &[("", |ledger| ledger.kept)],
    },
    Counters {
        name: "sluicegate_system_calls",
        help: "System calls that move bytes.",
        label: "call",
        values: &[
            ("receive", |ledger| ledger.recv_calls),
            ("send", |ledger| ledger.send_calls),
            ("gather", |ledger| ledger.gather_calls),
            ("sendfile", |ledger| ledger.sendfile_calls),
            ("splice", |ledger| ledger.splice_calls),
        ],
    },
    Counters {
        name: "sluicegate_handshakes",
        help: "Handshakes of transports such as TLS, by result.",
        label: "result",
        values: &[
            ("completed", |ledger| ledger.handshakes),
            ("failed", |ledger| ledger.handshake_failures),
        ],
    },
    Counters {
        name: "sluicegate_full_queues",
        help: "Times that a queue became full because its client reads slowly.",
        label: "",
        values: &[("", |ledger| ledger.full_queues)],
    },
    Counters {
        name: "sluicegate_budget_stops",
        help: "Times that a connection left the rest of its work for the next turn.",
        label: "direction",
        values: &[
            ("receive", |ledger| ledger.recv_budget_stops),
            ("send", |ledger| ledger.send_budget_stops),
        ],
    },
    Counters {
        name: "sluicegate_rate_holds",
        help: "Times that a connection waited for its rate.",
        label: "",
        values: &[("", |ledger| ledger.send_rate_holds)],
    },
    Counters {
        name: "sluicegate_cold_reads",
        help: "Times that a queue waited for a disk.",
        label: "",
        values: &[("", |ledger| ledger.cold_reads)],
    },
    Counters {
        name: "sluicegate_timeouts",
        help: "Deadlines of connections that passed.",
        label: "",
        values: &[("", |ledger| ledger.timeouts)],
    },
];

/// A counter of each thread: its name, its help and its value.
type ThreadCounter = (&'static str, &'static str, fn(&Ledger) -> u64);

const THREAD_COUNTERS: &[ThreadCounter] = &[
    ("sluicegate_turns", "Turns of the event loop.", |ledger| ledger.turns),
    ("sluicegate_events", "Readiness events.", |ledger| ledger.events),
    ("sluicegate_messages", "Messages handled, including those of timers.", |l| l.messages),
    ("sluicegate_panics", "Callbacks that panicked.", |ledger| ledger.panics),
    ("sluicegate_slow_callbacks", "Callbacks that reached the time limit.", |l| l.slow_callbacks),
    ("sluicegate_memory_shortages", "Times that the memory budget was nearly used up.", |l| {
        l.memory_shortages
    }),
];

/// A value of a label, and the figure of an upstream that belongs to it, if the upstream has it.
type OfUpstream = (&'static str, fn(&UpstreamStatus) -> Option<u64>);

/// A family of which each upstream has a sample for each value of a label. If there is only one
/// value, the label is empty.
struct UpstreamFamily {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    label: &'static str,
    values: &'static [OfUpstream],
}

const UPSTREAM_FAMILIES: &[UpstreamFamily] = &[
    UpstreamFamily {
        name: "sluicegate_upstream_state",
        kind: Kind::Gauge,
        help: "1 for the state of the upstream, and 0 for the other states.",
        label: "state",
        values: &[
            (UpstreamState::Up.name(), |it| is(it, UpstreamState::Up)),
            (UpstreamState::Starting.name(), |it| is(it, UpstreamState::Starting)),
            (UpstreamState::Ejected.name(), |it| is(it, UpstreamState::Ejected)),
            (UpstreamState::Down.name(), |it| is(it, UpstreamState::Down)),
            (UpstreamState::Draining.name(), |it| is(it, UpstreamState::Draining)),
        ],
    },
    UpstreamFamily {
        name: "sluicegate_upstream_connections",
        kind: Kind::Gauge,
        help: "Connections to the upstream, by whether they are established.",
        label: "state",
        values: &[
            ("connecting", |it| Some(it.connecting.into())),
            ("open", |it| Some(it.open.into())),
        ],
    },
    UpstreamFamily {
        name: "sluicegate_upstream_connects",
        kind: Kind::Counter,
        help: "Attempts to connect to the upstream, by result.",
        label: "result",
        values: &[("connected", |it| Some(it.connected)), ("failed", |it| Some(it.failed))],
    },
    UpstreamFamily {
        name: "sluicegate_upstream_active_requests",
        kind: Kind::Gauge,
        help: "Requests to the upstream whose response is not complete.",
        label: "",
        values: &[("", |it| Some(it.requests?.active.into()))],
    },
    UpstreamFamily {
        name: "sluicegate_upstream_requests",
        kind: Kind::Counter,
        help: "Requests to the upstream, by whether a response has begun or will not come.",
        label: "result",
        values: &[
            ("answered", |it| Some(it.requests?.answered)),
            ("failed", |it| Some(it.requests?.failed)),
        ],
    },
];

/// 1 if the upstream is in this state, else 0.
fn is(upstream: &UpstreamStatus, state: UpstreamState) -> Option<u64> {
    Some((upstream.state == state).into())
}

/// The metrics of a sample.
pub(super) fn text(sample: &Sample<'_>, format: Format) -> String {
    let mut to = Exposition::new(format);
    process(sample, &mut to);
    // All of them: Prometheus misses what a counter counts before its first sample.
    let rows = sample.rows();
    connections(&rows, &mut to);
    for Counters { name, help, label, values } in LISTENER_COUNTERS {
        let mut family = to.family(name, Kind::Counter, help);
        for row in &rows {
            let (thread, address) = (row.thread.to_string(), row.address());
            for (value, counter) in *values {
                let labels = [("listener", &*address), ("thread", &*thread), (*label, *value)];
                let labels = if label.is_empty() { &labels[..2] } else { &labels[..] };
                family.sample(labels, counter(row.ledger));
            }
        }
    }
    threads(sample, &mut to);
    http(sample, &mut to);
    upstreams(sample, &mut to);
    #[cfg(feature = "tls")]
    tls(sample, &mut to);
    to.finish()
}

fn process(sample: &Sample<'_>, to: &mut Exposition) {
    let options = sample.options;
    let labels = [("name", &*options.name), ("version", &*options.version)];
    to.family("sluicegate_build", Kind::Info, "The program.").sample(&labels, 1);
    let gauges = [
        (
            "sluicegate_generation",
            "Number of processes that have taken over the listeners, including this one.",
            Some(options.generation.max(1)),
        ),
        (
            "sluicegate_ready",
            "Whether the server should get traffic.",
            Some(options.readiness.is_ready().into()),
        ),
        (
            "process_start_time_seconds",
            "Start time of the server, in seconds since 1970.",
            Some(sample.started),
        ),
        ("process_resident_memory_bytes", "Resident memory.", sample.process.resident),
        ("process_open_fds", "Open descriptors.", sample.process.descriptors),
        ("process_max_fds", "Maximum number of open descriptors.", sample.process.max_descriptors),
    ];
    for (name, help, value) in gauges {
        value.into_iter().for_each(|value| to.family(name, Kind::Gauge, help).sample(&[], value));
    }
    let cpu = sample.process.cpu.map(|time| time.as_secs_f64());
    let mut family = to.family("process_cpu_seconds", Kind::Counter, "Processor time.");
    cpu.into_iter().for_each(|cpu| family.sample(&[], cpu));
}

/// The gauges of the current connections.
fn connections(rows: &[Row<'_>], to: &mut Exposition) {
    type Gauge = fn(&Row<'_>) -> Option<u64>;
    let gauges: [(&str, &str, Gauge); 5] = [
        ("sluicegate_connections", "Open connections.", |row| Some(row.ledger.open())),
        ("sluicegate_connections_peak", "Peak number of open connections.", |row| {
            Some(row.listener?.peak)
        }),
        ("sluicegate_connections_limit", "Maximum number of open connections.", |row| {
            Some(row.listener?.limit)
        }),
        ("sluicegate_slow_readers", "Connections whose queue is full.", |row| {
            Some(row.listener?.slow_readers)
        }),
        ("sluicegate_queued_bytes", "Bytes that the kernel has not accepted yet.", |row| {
            Some(row.ledger.pending())
        }),
    ];
    for (name, help, gauge) in gauges {
        let mut family = to.family(name, Kind::Gauge, help);
        for row in rows {
            let (thread, address) = (row.thread.to_string(), row.address());
            let labels = [("listener", &*address), ("thread", &*thread)];
            gauge(row).into_iter().for_each(|value| family.sample(&labels, value));
        }
    }
}

fn threads(sample: &Sample<'_>, to: &mut Exposition) {
    let help = "Whether the thread has answered within two seconds.";
    let mut up = to.family("sluicegate_thread_up", Kind::Gauge, help);
    for (index, thread) in sample.threads.iter().enumerate() {
        up.sample(&[("thread", &index.to_string())], u8::from(thread.is_some()));
    }
    for (name, help, counter) in THREAD_COUNTERS {
        let mut family = to.family(name, Kind::Counter, help);
        for (index, thread) in sample.answered() {
            let labels = [("thread", &*index.to_string())];
            family.sample(&labels, counter(&thread.snapshot.total));
        }
    }
    type Gauge = fn(&Snapshot) -> Option<u64>;
    let gauges: [(&str, &str, Gauge); 3] = [
        ("sluicegate_timers", "Timers that are set.", |snapshot| Some(snapshot.timers)),
        ("sluicegate_memory_bytes", "Memory held for connections.", |it| Some(it.memory)),
        ("sluicegate_memory_budget_bytes", "Memory that may be held.", |it| it.memory_budget),
    ];
    for (name, help, gauge) in gauges {
        let mut family = to.family(name, Kind::Gauge, help);
        for (index, thread) in sample.answered() {
            let value = gauge(&thread.snapshot);
            value.into_iter().for_each(|it| family.sample(&[("thread", &index.to_string())], it));
        }
    }
    let help = "Duration of turns of the event loop, without waiting.";
    let mut turns = to.family("sluicegate_turn_seconds", Kind::Histogram, help);
    for (index, thread) in sample.answered() {
        let times = thread.snapshot.turn_times.iter();
        times.for_each(|times| turns.histogram(&[("thread", &index.to_string())], times));
    }
}

fn http(sample: &Sample<'_>, to: &mut Exposition) {
    let help = "HTTP responses by the class of their status.";
    let mut responses = to.family("sluicegate_http_responses", Kind::Counter, help);
    for (index, thread) in sample.answered() {
        for (class, count) in CLASSES.iter().zip(thread.http.responses) {
            responses.sample(&[("class", class), ("thread", &index.to_string())], count);
        }
    }
    let help = "Duration of HTTP requests, until their response was sent.";
    let mut times = to.family("sluicegate_http_request_seconds", Kind::Histogram, help);
    for (index, thread) in sample.answered() {
        times.histogram(&[("thread", &index.to_string())], &thread.http.times);
    }
}

fn upstreams(sample: &Sample<'_>, to: &mut Exposition) {
    for UpstreamFamily { name, kind, help, label, values } in UPSTREAM_FAMILIES {
        let mut family = to.family(name, *kind, help);
        for (index, it) in sample.upstreams() {
            let (thread, upstream) = (index.to_string(), it.upstream.to_string());
            for (value, number) in *values {
                let labels = [("upstream", &*upstream), ("thread", &*thread), (*label, *value)];
                let labels = if label.is_empty() { &labels[..2] } else { &labels[..] };
                number(it).into_iter().for_each(|number| family.sample(labels, number));
            }
        }
    }
    let help = "Clients or HTTP requests that wait until an upstream has room.";
    let mut waiting = to.family("sluicegate_upstream_waiting", Kind::Gauge, help);
    for (index, status) in sample.upstreams_by_thread() {
        waiting.sample(&[("thread", &index.to_string())], status.waiting);
    }
}

#[cfg(feature = "tls")]
fn tls(sample: &Sample<'_>, to: &mut Exposition) {
    let Some(counters) = &sample.options.tls else { return };
    let help = "TLS handshakes by version, and whether a session was resumed.";
    let mut family = to.family("sluicegate_tls_handshakes", Kind::Counter, help);
    for (version, resumed, count) in counters.completed() {
        let resumed = if resumed { "true" } else { "false" };
        family.sample(&[("version", version), ("resumed", resumed)], count);
    }
}
