//! An HTTP API: bodies in and out, a query, a slow response, server-sent events, uploads, and what
//! another server says. Its [`service`] is the part to read.
//! `cargo run --release --example api -- --uploads /tmp`, then `curl -N localhost:8080/events`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sluicegate_protocols::http::Http;
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Address, Limits, Target, mailbox};

mod common;
#[path = "common/independent.rs"]
mod independent;
#[path = "api/service.rs"]
pub(crate) mod service;
#[path = "common/upstream.rs"]
pub(crate) mod upstream;
#[path = "common/web.rs"]
mod web;

use service::{Api, Tick};

const EXAMPLES: &str = "\
Examples, for `api --uploads /tmp --origin example.org:80`:
  curl -H 'Content-Type: application/json' -d '[1]' localhost:8080/echo
  curl 'localhost:8080/search?q=words'    the query, decoded
  curl localhost:8080/slow                a sum that a worker computes
  curl -N localhost:8080/events           an event per second
  curl -T FILE localhost:8080/upload/NAME stored as /tmp/NAME
  curl localhost:8080/upstream            the first page of the origin";

/// An HTTP API to try with curl.
#[derive(Parser)]
#[command(name = "api", version, after_help = EXAMPLES)]
struct Options {
    #[command(flatten)]
    server: common::Server,
    /// Directory for uploads, which clients may replace. By default there are none.
    #[arg(long, value_name = "DIR")]
    uploads: Option<PathBuf>,
    /// Server whose first page is the response to /upstream: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    origin: Option<Target>,
}

impl Options {
    /// Allows a confined process what these options need.
    fn allow(&mut self) {
        let sandbox = &mut self.server.privileges.allowed;
        if let Some(uploads) = &self.uploads {
            sandbox.write(uploads);
        }
        if self.origin.is_some() {
            sandbox.connect();
        }
    }
}

pub(crate) fn main() -> ExitCode {
    common::main(|mut options: Options| {
        let scheme = web::scheme(&mut options.server);
        options.allow();
        let describe = |at: &Address| format!("API on {scheme}://{at}/");
        independent::run(&options.server, Limits::default(), describe, |reactor, metrics| {
            let uploads = options.uploads.as_ref().map(|dir| reactor.open_dir(dir)).transpose()?;
            let (done, mailbox) = mailbox();
            let origin = upstream::Origin::new(reactor, options.origin.as_ref())?;
            let (workers, subscribers) = (Workers::new(), Vec::new());
            let api = Api { uploads, workers, done, subscribers, origin };
            let http = reactor.register(Http::new(api).with_metrics(metrics));
            reactor.attach(mailbox, http);
            reactor.every(Duration::from_secs(1), http, Tick);
            Ok(http)
        })
    })
}
