//! Forwards every connection to one target, or every HTTP request.
//!
//! `cargo run --release --example proxy -- --port 7000 --to localhost:8080`
//!
//! If the target cannot be reached, the client's connection is closed. If one side is reset, so is
//! the other. With `--http` instead of `--to`, requests are checked and passed on over connections
//! that are kept, and the client gets 502 or 504 if the target does not answer.

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser};
use sluicegate_protocols::forward::{Forward, ForwardOptions};
use sluicegate_protocols::http::client::ClientOptions;
use sluicegate_protocols::http::{Http, HttpLimits};
use sluicegate_protocols::raw::relay::Relay;
use sluicegate_reactor::{Address, Connect, HandlerId, Limits, Reactor, Target};

mod common;
#[path = "common/independent.rs"]
mod independent;

/// Forwards every connection to one target, or every HTTP request.
#[derive(Parser)]
#[command(name = "proxy", version)]
struct Options {
    #[command(flatten)]
    server: common::Server,
    #[command(flatten)]
    target: Forwarded,
    /// Time to wait for a connection to the target.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = common::units::time)]
    connect_timeout: Duration,
}

/// What is forwarded, and where.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Forwarded {
    /// Target of connections: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    to: Option<Target>,
    /// Target of HTTP requests: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    http: Option<Target>,
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        // A long body is relayed, except for what arrives with its head: keep that short.
        let limits = Limits { receive_most: 32 << 10, ..Limits::default() };
        let limits = options.server.limits(limits);
        let timeout = options.connect_timeout;
        let connect = Connect { timeout, limits: limits.clone(), ..Connect::default() };
        let describe = |at: &Address, to: &Target| format!("proxy from {at} to {to}");
        match (options.target.to, options.target.http) {
            (Some(to), _) => {
                let make = |reactor: &mut Reactor| Relay::register(reactor, &to, &connect);
                independent::run(&options.server, limits, |at| describe(at, &to), make)
            }
            (_, Some(origin)) => {
                let make = |reactor: &mut Reactor| http(reactor, &origin, &connect);
                independent::run(&options.server, limits, |at| describe(at, &origin), make)
            }
            (None, None) => Err("--to or --http is missing".to_owned().into()),
        }
    })
}

/// Registers a proxy for HTTP.
pub(crate) fn http(
    reactor: &mut Reactor,
    origin: &Target,
    connect: &Connect,
) -> io::Result<HandlerId<Http<Forward>>> {
    let mut client = ClientOptions { connect: connect.clone(), ..ClientOptions::default() };
    if let Some(idle) = connect.limits.idle {
        (client.response_timeout, client.body_timeout) = (idle, idle);
    }
    // The deadlines of the client come first.
    let most = client.waiting_timeout + connect.timeout + client.response_timeout;
    let limits = HttpLimits { response_timeout: most, ..HttpLimits::default() };
    let options = ForwardOptions { client, ..ForwardOptions::default() };
    let forward = Forward::new(reactor, origin, &options)?;
    Ok(reactor.register(Http::with(forward, limits)))
}
