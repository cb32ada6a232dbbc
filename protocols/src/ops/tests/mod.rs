//! The status listener in the simulated kernel.

mod endpoints;
mod events;
mod exposition;
#[cfg(feature = "tracing")]
mod spans;
mod threads;
mod upstreams;

use sluicegate_reactor::testing::{Client, Harness};
use sluicegate_reactor::{Handle, Listen, ListenerId};

use super::{Readiness, StatusOptions, StatusPart, StatusService};
use crate::http::{Answered, Http, Reply, Request, Service};
use crate::upstreams::Inspect;

/// Answers with the length that the path states, or 404.
struct Lengths;

impl Service for Lengths {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match request.path()[1..].parse() {
            Ok(length) => reply.send(vec![b'.'; length]),
            Err(_) => reply.error(crate::http::Status::NOT_FOUND),
        }
    }
}

/// A server with an application and a status listener, whose first thread runs.
struct World {
    h: Harness<Http<StatusService>>,
    /// The listener of the application.
    application: ListenerId,
    readiness: Readiness,
    /// What the other threads need.
    others: Vec<StatusPart>,
}

impl World {
    fn new() -> World {
        World::with_threads(1)
    }

    fn with_threads(count: usize) -> World {
        World::with(count, Vec::new())
    }

    fn with(threads: usize, upstreams: Vec<Handle<Inspect>>) -> World {
        let readiness = Readiness::default();
        let options = StatusOptions {
            name: "test".into(),
            version: "1.2.3".into(),
            hosts: vec!["h".into()],
            readiness: readiness.clone(),
            upstreams,
            ..StatusOptions::default()
        };
        let mut parts = StatusPart::for_threads(options, threads).into_iter();
        let first = parts.next().expect("a thread");
        let mut application = None;
        let h = Harness::build(
            &Listen::default(),
            |_| {},
            |reactor| {
                let status = first.register(reactor);
                let http = reactor.register(Http::new(Lengths).with_metrics(status.http));
                let listen = Listen { max_connections: 7, ..Listen::default() };
                application = Some(reactor.listen("10.0.0.1:8080", &listen, http).expect("room"));
                status.handler
            },
        );
        let application = application.expect("a listener");
        World { h, application, readiness, others: parts.collect() }
    }

    /// What the status listener answers to a request for this path, on a connection of its own.
    fn get(&mut self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
    }

    fn ask(&mut self, request: &str) -> String {
        let client = self.h.open();
        self.h.feed(client, request);
        self.text(client)
    }

    fn text(&mut self, client: Client) -> String {
        String::from_utf8_lossy(&self.h.take(client)).replace("\r\n", "\n")
    }

    /// Lets a client of the application ask for these paths, one after the other.
    fn use_application(&mut self, paths: &[&str]) -> Client {
        let client = self.h.open_at(self.application);
        for path in paths {
            self.h.feed(client, format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        }
        client
    }
}

/// The body of a response.
fn body(response: &str) -> &str {
    response.split_once("\n\n").expect("a complete head").1
}

/// The value of the sample that begins with this text.
fn value(metrics: &str, start: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no {start} in {metrics}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// The sum of the values of all samples of this name.
fn sum(metrics: &str, name: &str) -> f64 {
    let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    let values = metrics.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<f64>().expect("a number")).sum()
}
