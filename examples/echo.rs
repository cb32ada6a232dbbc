//! Sends back everything it receives.
//!
//! `cargo run --release --example echo -- --port 7000 --unix echo.sock`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;

use clap::Parser;
use sluicegate_protocols::raw::{Context, Handler, Input};
use sluicegate_reactor::{Limits, Reactor};

mod common;
#[path = "common/independent.rs"]
mod independent;

pub(crate) struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

const EXAMPLES: &str = "\
Examples:
  echo                                    then: nc localhost 8080
  echo --unix echo.sock                   then also: nc -U echo.sock";

/// Sends back everything it receives.
#[derive(Parser)]
#[command(name = "echo", version, after_help = EXAMPLES)]
struct Options {
    #[command(flatten)]
    server: common::Server,
}

pub(crate) fn main() -> ExitCode {
    common::main(|Options { server }: Options| {
        let make = |reactor: &mut Reactor, _| Ok(reactor.register(Echo));
        independent::run(&server, Limits::default(), |at| format!("echo on {at}"), make)
    })
}
