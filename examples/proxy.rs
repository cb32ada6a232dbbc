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
use std::sync::PoisonError;

use sluicegate_protocols::access_log::AccessLog;
use sluicegate_protocols::forward::{Body, Forward, ForwardOptions};
use sluicegate_protocols::http::{
    Answered, Http, HttpLimits, LogRecord, Middleware, Reply, Request, Service,
};
use sluicegate_protocols::raw::relay::Relay;
use sluicegate_reactor::{Address, HandlerId, Reactor, Target};

mod common;
#[path = "common/http_options.rs"]
mod http_options;
#[path = "common/independent.rs"]
mod independent;
#[path = "proxy/options.rs"]
mod options;

use common::Failure;
use options::Options;

/// The proxy for HTTP, and its access log if there is one.
pub(crate) struct Front {
    forward: Forward,
    log: Option<AccessLog>,
}

impl Middleware for Front {
    type Inner = Forward;

    fn inner(&self) -> &Forward {
        &self.forward
    }

    fn inner_mut(&mut self) -> &mut Forward {
        &mut self.forward
    }

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Body> {
        self.forward.call(request, reply)
    }

    fn wants_log(&self) -> bool {
        self.log.is_some()
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        if let Some(log) = &self.log {
            log.add(record);
        }
    }
}

pub(crate) fn main() -> ExitCode {
    common::main(|mut options: Options| {
        if options.target.http.is_some() {
            options.server.protocol = Some("http/1.1");
        }
        match (&options.target.to, &options.target.http) {
            (Some(_), _) if options.log.access_log.is_some() => {
                Err("--access-log needs --http instead of --to".to_owned().into())
            }
            (Some(to), _) => {
                let connect = options.connect();
                let make = |reactor: &mut Reactor| match options.send_proxy {
                    Some(version) => {
                        Relay::register_announcing(reactor, to, &connect, version.into())
                    }
                    None => Relay::register(reactor, to, &connect),
                };
                independent::run(&options.server, options.limits(), describe(to), make)
            }
            (_, Some(origin)) => forward_requests(&options, origin),
            (None, None) => Err("--to or --http is missing".to_owned().into()),
        }
    })
}

fn describe(to: &Target) -> impl Fn(&Address) -> String {
    move |at| format!("proxy from {at} to {to}")
}

/// Runs the proxy for HTTP.
fn forward_requests(options: &Options, origin: &Target) -> Result<(), Failure> {
    let forward = options.forward();
    forward.check()?;
    let log = options.log.start()?;
    if let Some(log) = &log {
        let reopen = http_options::reopen(log, &options.log);
        options.server.reload.lock().unwrap_or_else(PoisonError::into_inner).push(reopen);
    }
    independent::run(&options.server, options.limits(), describe(origin), |reactor| {
        http(reactor, origin, &forward, log.clone())
    })
}

/// Registers a proxy for HTTP.
pub(crate) fn http(
    reactor: &mut Reactor,
    origin: &Target,
    options: &ForwardOptions,
    log: Option<AccessLog>,
) -> io::Result<HandlerId<Http<Front>>> {
    let client = &options.client;
    // The deadlines of the client come first.
    let most = client.waiting_timeout + client.connect.timeout + client.response_timeout;
    let limits = HttpLimits { response_timeout: most, ..HttpLimits::default() };
    let forward = Forward::new(reactor, origin, options)?;
    Ok(reactor.register(Http::with(Front { forward, log }, limits)))
}
