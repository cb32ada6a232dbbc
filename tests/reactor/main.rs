//! What the reactor promises to handlers, each promise in a file of its own, on a simulated kernel.
#![cfg(feature = "testing")]

mod accepting;
mod backpressure;
mod caps;
mod chaos;
mod closing;
#[cfg(target_os = "linux")]
mod cold_files;
mod connecting;
mod connecting_chaos;
mod deadlines;
mod draining;
mod due_together;
mod exact;
mod fairness;
mod few_bytes;
mod files;
mod half_close;
mod hand_over;
mod handlers;
mod identity;
mod kept_input;
mod ledger;
mod log_lines;
mod logged;
mod messages;
mod names;
mod observing;
mod opening;
mod panics;
mod pausing;
mod probe;
mod queue_properties;
mod rates;
mod readiness;
mod receive_file;
mod reconnecting;
mod relay;
mod sessions;
mod slow_callbacks;
mod stopping;
mod timers;
mod transport;
mod unix_sockets;
mod when_full;
mod yielding;
