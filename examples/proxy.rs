//! Forwards every connection to one target.
//!
//! `cargo run --release --example proxy -- --port 7000 --to localhost:8080`
//!
//! If the target cannot be reached, the client's connection is closed. If one side is reset, so is
//! the other.

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sluicegate_protocols::raw::relay::Relay;
use sluicegate_reactor::{Connect, Limits, Listen, Reactor, Target};

mod common;
#[path = "common/independent.rs"]
mod independent;

/// Forwards every connection to one target.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    server: common::Server,
    /// Target to connect to: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    to: Target,
    /// Seconds to wait for a connection to the target.
    #[arg(long, value_name = "SECS", default_value_t = 10)]
    connect_timeout: u64,
    /// Seconds without any data after which a connection is dropped.
    #[arg(long, value_name = "SECS", default_value_t = 75)]
    idle_timeout: u64,
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        let idle = Some(Duration::from_secs(options.idle_timeout));
        let limits = Limits { idle, ..Limits::default() };
        let timeout = Duration::from_secs(options.connect_timeout);
        let connect = Connect { timeout, limits: limits.clone(), ..Connect::default() };
        let listen = Listen { limits, ..Listen::default() };
        let make = |reactor: &mut Reactor| Relay::register(reactor, &options.to, &connect);
        let describe = |at: &_| format!("proxy from {at} to {}", options.to);
        independent::run(&options.server, &listen, describe, make)
    })
}
