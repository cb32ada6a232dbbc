//! Forwards every connection to one of its targets, or every HTTP request.
//!
//! `cargo run --release --features tls --example proxy -- --port 7000 --to localhost:8080`
//!
//! If no target can be reached, the client's connection is closed. If one side is reset, so is the
//! other. With `--http` instead of `--to`, requests are checked and forwarded over keep-alive
//! connections, and the client gets 502 or 504 if the target does not answer. With `--sni`, TLS is
//! relayed without being decrypted to the target for the server name that the client requests.

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::io;
use std::iter;
use std::process::ExitCode;
use std::sync::PoisonError;

use sluicegate_protocols::access_log::AccessLog;
use sluicegate_protocols::forward::{Body, Forward, ForwardOptions};
use sluicegate_protocols::http::{
    Answered, Http, HttpLimits, HttpMetrics, LogRecord, Middleware, Reply, Request, Service,
};
use sluicegate_protocols::proxy_protocol::Version;
use sluicegate_protocols::raw::relay::Relay;
use sluicegate_protocols::upstreams::{Balancer, Inspect};
use sluicegate_reactor::{Address, HandlerId, Reactor, Receive, Sessions, Target, mailbox};

#[path = "proxy/balance.rs"]
mod balance;
mod common;
#[path = "proxy/control.rs"]
mod control;
#[path = "common/http_options.rs"]
mod http_options;
#[path = "common/independent.rs"]
mod independent;
#[path = "proxy/options.rs"]
pub(crate) mod options;
#[path = "proxy/target.rs"]
mod target;
#[path = "common/web.rs"]
mod web;

use common::Failure;
use control::{Control, Loader, Thread};
use options::{Forwarded, Options};

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

impl Receive<Inspect> for Front {
    fn on_message(&mut self, cx: &mut Sessions<'_>, inspect: Inspect) {
        self.forward.on_message(cx, inspect);
    }
}

pub(crate) fn main() -> ExitCode {
    common::main(|mut options: Options| {
        options.allow();
        options.server.connections.relayed = options.target.http.is_empty();
        let Forwarded { http, sni, .. } = &options.target;
        match () {
            () if !http.is_empty() => forward_requests(options),
            () if options.log.access_log.is_some() => Err("--access-log needs --http".into()),
            () if sni.is_empty() => forward_connections(options),
            () => forward_by_name(&options),
        }
    })
}

/// Runs the proxy for connections.
fn forward_connections(mut options: Options) -> Result<(), Failure> {
    let loader = Loader { source: options.source(), resolve: options.balancing.resolve };
    let targets = loader.source.targets()?;
    let upstreams = loader.look_up(&targets, &[]);
    let announce = options.send_proxy.map(Version::from);
    let balancing = options.balancing.options(options.connect(&targets)?, announce);
    let threads = 0..options.server.threads;
    let (replace, replacing): (Vec<_>, Vec<_>) = threads.clone().map(|_| mailbox()).unzip();
    let (inspect, inspecting): (Vec<_>, Vec<_>) = threads.map(|_| mailbox()).unzip();
    options.server.status.upstreams = inspect.clone();
    let threads = replace.into_iter().zip(inspect);
    let threads = threads.map(|(replace, inspect)| Thread { replace, inspect }).collect();
    let (control, reload) = Control::new(loader.clone(), targets, upstreams.clone(), threads);
    options.server.reload.lock().unwrap_or_else(PoisonError::into_inner).push(reload);
    // The first thread handles the signals.
    let first = iter::once(Some(control)).chain(iter::repeat_with(|| None));
    let parts = replacing.into_iter().zip(inspecting).zip(first).collect();
    let describe = |at: &Address| format!("proxy from {at} to {}", loader.source);
    let opened = options.server.open(options.limits())?;
    opened.run_with(parts, describe, |shard, ((replace, inspect), control), _| {
        let balancer = Balancer::register(shard, upstreams.clone(), &balancing)?;
        shard.attach(replace, balancer);
        shard.attach(inspect, balancer);
        if let Some((control, mailboxes)) = control {
            control.start(shard, mailboxes)?;
        }
        Ok(balancer)
    })
}

/// Runs the proxy for TLS that is not decrypted.
fn forward_by_name(options: &Options) -> Result<(), Failure> {
    if options.server.tls.is_on() {
        return Err("--sni relays TLS without decrypting it, so it cannot be combined with the \
                    --tls options"
            .into());
    }
    let connect = options.connect(&[])?;
    target::server_names(&options.target.sni)?;
    let make = |reactor: &mut Reactor, _| {
        let names = target::server_names(&options.target.sni)?;
        Relay::register(reactor, names, &connect, options.send_proxy.map(Version::from))
    };
    let describe = |at: &Address| format!("proxy for TLS from {at}");
    independent::run(&options.server, options.limits(), describe, make)
}

/// Runs the proxy for HTTP.
fn forward_requests(mut options: Options) -> Result<(), Failure> {
    let scheme = web::scheme(&mut options.server);
    let (forward, limits) = (options.forward()?, options.http_limits());
    forward.check()?;
    let threads = 0..options.server.threads;
    let (inspect, inspecting): (Vec<_>, _) = threads.map(|_| mailbox()).unzip();
    options.server.status.upstreams = inspect;
    let opened = options.server.open(options.limits())?;
    let log = options.log.start()?;
    if let (Some(log), Some(path)) = (&log, &options.log.access_log) {
        let reopen = http_options::reopen(log, path);
        options.server.reload.lock().unwrap_or_else(PoisonError::into_inner).push(reopen);
    }
    let source = options.source();
    let describe = |at: &Address| format!("proxy from {scheme}://{at} to {source}");
    let origins: Vec<_> = options.target.http.iter().map(|to| to.target.clone()).collect();
    opened.run_with(inspecting, describe, |shard, inspect, (_, metrics, _)| {
        let log = (log.clone(), metrics);
        let http = http(shard, origins.clone(), &forward, limits.clone(), log)?;
        shard.attach(inspect, http);
        Ok(http)
    })
}

/// Registers a proxy for HTTP.
pub(crate) fn http(
    reactor: &mut Reactor,
    origins: Vec<Target>,
    options: &ForwardOptions,
    limits: HttpLimits,
    (log, metrics): (Option<AccessLog>, Option<HttpMetrics>),
) -> io::Result<HandlerId<Http<Front>>> {
    let client = &options.client;
    // The deadlines of the client come first.
    let connecting = client.connect.timeout + client.connect.limits.handshake;
    let attempts = u32::try_from(origins.len()).unwrap_or(u32::MAX);
    let trying = (client.waiting_timeout + connecting).saturating_mul(attempts);
    let most = trying.saturating_add(client.response_timeout);
    let limits = HttpLimits { response_timeout: most, ..limits };
    let forward = Forward::balanced(reactor, origins, options)?;
    Ok(reactor.register(Http::with(Front { forward, log }, limits).with_metrics(metrics)))
}
