//! A server for a subset of Redis: strings with expiration, and pub/sub.
//!
//! `cargo run --release --example redis`, then `redis-cli` or `redis-benchmark -t get,set,incr`
//!
//! | file | what it does |
//! |---|---|
//! | `server` | the handler: finds commands and runs them |
//! | `table` | the commands, and what `COMMAND` says about them |
//! | `strings`, `expire`, `pubsub`, `connection` | run commands |
//! | `keys`, `deadlines` | keep values, and remove them when they expire |
//! | `subscriptions`, `glob` | keep who has subscribed, and match patterns |

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;

use clap::{Parser, value_parser};

mod common;
#[path = "redis/connection.rs"]
mod connection;
#[path = "redis/deadlines.rs"]
mod deadlines;
#[path = "redis/expire.rs"]
mod expire;
#[path = "redis/glob.rs"]
pub(crate) mod glob;
#[path = "redis/keys.rs"]
mod keys;
#[path = "redis/pubsub.rs"]
mod pubsub;
#[path = "redis/server.rs"]
pub(crate) mod server;
#[path = "redis/strings.rs"]
mod strings;
#[path = "redis/subscriptions.rs"]
mod subscriptions;
#[path = "redis/table.rs"]
mod table;

use common::units;
use server::{Redis, TICK, Tick};

const EXAMPLES: &str = "\
Examples:
  redis                                   then: redis-cli
  redis --port 6380 --bind 0.0.0.0        listen on all addresses, without a password

A command has at most 16 MiB and 1,048,576 arguments; an inline command, 64 KiB;
the name of a channel, and a pattern, 1 KiB. A client has at most 1,000 patterns.";

/// A server for a subset of Redis. It has one database, which is not saved, and one thread.
#[derive(Parser)]
#[command(name = "redis", version, after_help = EXAMPLES)]
#[command(mut_arg("port", |arg| arg.default_value("6379")))]
#[command(mut_arg("threads", |arg| arg.hide(true).value_parser(value_parser!(u16).range(1..=1))))]
struct Options {
    /// How many bytes of replies may wait for a client that sends a long pipeline before it reads;
    /// 0 is no limit. At the limit, the server reads no further commands from the client until it
    /// reads, and disconnects it if it reads nothing for 60 s.
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = units::size)]
    #[arg(help_heading = "Connections")]
    client_output_buffer_limit: u64,
    #[command(flatten)]
    server: common::Server,
}

pub(crate) fn main() -> ExitCode {
    let describe = |at: &_| format!("redis on {at}");
    common::main(|Options { server, client_output_buffer_limit }: Options| {
        let most = match client_output_buffer_limit {
            0 => usize::MAX,
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        server.open(Redis::limits(most))?.run_with(vec![()], describe, |shard, (), _| {
            let redis = shard.register(Redis::create());
            shard.every(TICK, redis, Tick);
            Ok(redis)
        })
    })
}
