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
use sluicegate_reactor::{Connect, Limits, Reactor, Target};

mod common;
#[path = "common/independent.rs"]
mod independent;

/// Forwards every connection to one target.
#[derive(Parser)]
#[command(name = "proxy", version)]
struct Options {
    #[command(flatten)]
    server: common::Server,
    /// Target to connect to: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    to: Target,
    /// Time to wait for a connection to the target.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = common::units::time)]
    connect_timeout: Duration,
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        let limits = options.server.limits(Limits::default());
        let timeout = options.connect_timeout;
        let connect = Connect { timeout, limits: limits.clone(), ..Connect::default() };
        let make = |reactor: &mut Reactor| Relay::register(reactor, &options.to, &connect);
        let describe = |at: &_| format!("proxy from {at} to {}", options.to);
        independent::run(&options.server, limits, describe, make)
    })
}
