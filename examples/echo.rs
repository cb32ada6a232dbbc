//! Sends back what it receives.
//!
//! `cargo run --release --example echo -- --port 7000 --unix /tmp/echo.sock`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sluicegate_protocols::raw::{Protocol, Raw};
use sluicegate_reactor::{Context, Listen, Reactor, Receive, Turn};

mod common;

pub(crate) struct Echo;

impl Protocol for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_bytes(&mut self, cx: &mut Context<'_>, _: &mut (), bytes: &[u8]) {
        cx.send(bytes);
    }
}

/// It is time to print what was done.
#[derive(Clone, Copy)]
struct Report;

impl Receive<Report> for Echo {
    fn on_message(&mut self, cx: &mut Turn<'_>, _: Report) {
        // If nobody reads it, the server goes on all the same.
        let _ = writeln!(io::stdout(), "{}", cx.ledger());
    }
}

/// Sends back what it receives.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    server: common::Server,
    /// Print what each thread has done so far every so many seconds.
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..))]
    stats: Option<u32>,
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        let make = |reactor: &mut Reactor| {
            let echo = reactor.register(Raw(Echo));
            if let Some(seconds) = options.stats {
                reactor.every(Duration::from_secs(seconds.into()), echo, Report);
            }
            Ok(echo)
        };
        options.server.run(&Listen::default(), |at| format!("echo on {at}"), make)
    })
}
