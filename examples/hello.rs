//! Answers every HTTP request with "Hello, World!".
//!
//! `cargo run --release --example hello -- --port 8080`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;

use clap::Parser;
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_reactor::{Limits, Reactor};

mod common;
#[path = "common/independent.rs"]
mod independent;
#[path = "common/web.rs"]
mod web;

pub(crate) struct Hello;

impl Service for Hello {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.header("Content-Type", "text/plain").send("Hello, World!")
    }
}

const EXAMPLES: &str = "\
Examples:
  hello                                   then: curl localhost:8080
  hello --threads 2 --status 9100         with figures at http://localhost:9100/";

/// Answers every HTTP request with "Hello, World!".
#[derive(Parser)]
#[command(name = "hello", version, after_help = EXAMPLES)]
struct Options {
    #[command(flatten)]
    server: common::Server,
}

pub(crate) fn main() -> ExitCode {
    common::main(|mut options: Options| {
        let scheme = web::scheme(&mut options.server);
        let make = |reactor: &mut Reactor, metrics| {
            Ok(reactor.register(Http::new(Hello).with_metrics(metrics)))
        };
        independent::run(
            &options.server,
            Limits::default(),
            |at| format!("hello on {scheme}://{at}/"),
            make,
        )
    })
}
