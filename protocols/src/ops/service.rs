//! The HTTP service of the status listener.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_reactor::{Bytes, ConnId, HandlerId, Receive, Sent, Sessions, TimerId, Turn};

use super::exposition::Format;
use super::gather::{Gathering, Message, Shared};
use super::json::json;
use super::listener::listen_options;
use super::metrics;
use super::page;
use super::readiness::Phase;
use super::sample::{Sample, ThreadSample};
use crate::http::{
    Answered, Deferred, Http, HttpMetrics, Method, Reply, Request, ResponseStream, Service, Status,
    values,
};
use crate::upstreams::Inspect;

/// How long to wait for a thread. One that takes longer is in a long callback.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the watchers of `/events` get a sample.
const EVERY: Duration = Duration::from_secs(1);

/// The maximum number of watchers of a thread. At most half of its connections may watch, so that
/// probes can still connect: watchers stay.
const MOST_WATCHERS: usize = 32;

/// The answer to a request for another host.
const MISDIRECTED: &str = "This listener answers to IP addresses, localhost, and the names that it \
                           is configured with.\n";

/// The purpose of a sample.
enum Purpose {
    Metrics(Format, Deferred),
    Json(Deferred),
    /// All watchers of `/events`.
    Event,
}

/// A client that watches `/events`.
struct Watcher {
    stream: ResponseStream,
    /// Whether it has room for another sample. A large one does not fit into its queue at once.
    has_room: bool,
}

impl Watcher {
    fn is_on(&self, connection: ConnId) -> bool {
        self.stream.connection() == connection
    }
}

/// A second has passed.
#[derive(Clone)]
pub(super) struct Tick;

/// The wait for the answers to this question is over.
pub(super) struct Late(u64);

/// The service of a status listener: see [the module](crate::ops).
pub struct StatusService {
    shared: Arc<Shared>,
    /// The index of the thread.
    index: usize,
    handler: HandlerId<Http<StatusService>>,
    http: HttpMetrics,
    /// Questions that not all threads have answered yet, each for at most [`PATIENCE`].
    gatherings: Vec<Gathering<Purpose>>,
    /// The number of the last question.
    pub(super) number: u64,
    watchers: Vec<Watcher>,
    /// Assumes a listener with [`listen_options`].
    most_watchers: usize,
    /// Set while there are watchers.
    ticking: Option<TimerId>,
}

impl StatusService {
    pub(super) fn new(
        shared: Arc<Shared>,
        index: usize,
        handler: HandlerId<Http<StatusService>>,
        http: HttpMetrics,
    ) -> StatusService {
        let connections = listen_options().share(shared.threads.len()).max_connections as usize;
        StatusService {
            shared,
            index,
            handler,
            http,
            gatherings: Vec::new(),
            number: 0,
            watchers: Vec::new(),
            most_watchers: (connections / 2).clamp(1, MOST_WATCHERS),
            ticking: None,
        }
    }

    /// The counters of this thread.
    fn own(&self, cx: &Turn) -> ThreadSample {
        ThreadSample { snapshot: cx.snapshot(), http: self.http.counters(), upstreams: None }
    }

    /// Answers the question of a thread. If this thread has upstreams, their handler adds its part
    /// first. The answer is dropped if the other thread has ended, or if its mailbox is full: it no
    /// longer waits then.
    fn answer(&self, cx: &Turn, number: u64, to: usize) {
        let (to, from) = (self.shared.threads[to].clone(), self.index);
        let mut sample = Box::new(self.own(cx));
        let Some(upstreams) = self.shared.options.upstreams.get(from) else {
            let _ = to.post(Message::Answer { number, from, sample });
            return;
        };
        let _ = upstreams.post(Inspect::new(move |status| {
            sample.upstreams = Some(status);
            let _ = to.post(Message::Answer { number, from, sample });
        }));
    }

    /// Requests a sample from all threads, and continues once they have answered.
    fn gather(&mut self, cx: &mut Turn, purpose: Purpose) {
        self.number += 1;
        let (number, index) = (self.number, self.index);
        let mut gathering = Gathering::ask(number, &self.shared.threads, index, purpose);
        if self.shared.options.upstreams.is_empty() {
            gathering.note(index, self.own(cx));
        } else {
            self.answer(cx, number, index);
        }
        if gathering.is_complete() {
            return self.finish(cx, gathering);
        }
        gathering.timer = Some(cx.after(PATIENCE, self.handler, Late(self.number)));
        self.gatherings.push(gathering);
    }

    /// Uses the answers of the threads.
    fn finish(&mut self, cx: &mut Turn, mut gathering: Gathering<Purpose>) {
        gathering.timer.take().map(|timer| cx.cancel_timer(timer));
        self.note_stop(cx);
        let time = cx.unix_time();
        let sample = Sample {
            options: &self.shared.options,
            time,
            started: *self.shared.started.get().unwrap_or(&time),
            clock: cx.now(),
            process: cx.process(),
            threads: gathering.take_answers(),
        };
        let no_store = |reply: Reply<'_, '_>, kind, text: String| {
            page::unstored(reply).header("Content-Type", kind).send(text)
        };
        match gathering.purpose {
            Purpose::Metrics(format, to) => {
                let text = metrics::text(&sample, format);
                to.answer(cx, |reply| no_store(reply, format.content_type(), text));
            }
            Purpose::Json(to) => {
                let text = json(&sample) + "\n";
                to.answer(cx, |reply| no_store(reply, "application/json", text));
            }
            Purpose::Event => {
                let event = Bytes::from(format!("data: {}\n\n", json(&sample)));
                // A slow one misses samples. `Limits::write_stall` ends one that does not read.
                for watcher in self.watchers.iter_mut().filter(|watcher| watcher.has_room) {
                    watcher.has_room = watcher.stream.send(cx, &event) == Sent::Accepted;
                }
            }
        }
    }

    fn watch(&mut self, cx: &mut Turn, stream: ResponseStream) {
        self.watchers.push(Watcher { stream, has_room: true });
        if self.ticking.is_none() {
            self.ticking = Some(cx.every(EVERY, self.handler, Tick));
        }
        self.gather(cx, Purpose::Event);
    }

    /// Stops the clock if nobody watches.
    fn rest(&mut self, cx: &mut Turn) {
        if self.watchers.is_empty() {
            self.ticking.take().map(|ticking| cx.cancel_timer(ticking));
        }
    }

    /// Ends the response to a client that watches. If it were only dropped, the connection would
    /// stay until the response timeout.
    fn dismiss(&mut self, cx: &mut Turn, connection: ConnId) {
        let at = self.watchers.iter().position(|watcher| watcher.is_on(connection));
        at.map(|at| self.watchers.swap_remove(at).stream.finish(cx));
        self.rest(cx);
    }

    /// Notes that the server is about to stop.
    fn note_stop(&self, cx: &Turn) {
        if cx.will_stop() {
            self.shared.options.readiness.set_phase(Phase::Draining);
        }
    }

    /// Whether a request may be addressed to the host that it names. A page of an attacker may have
    /// its own name resolve to the address of this listener, and could then read what it answers.
    fn is_host(&self, request: &Request<'_>) -> bool {
        let host = request.host().unwrap_or_default();
        let name = host.split(':').next().unwrap_or_default();
        // An IPv6 address has brackets. Browsers always send a host, and reach no Unix sockets.
        host.is_empty()
            || host.starts_with('[')
            || name.parse::<Ipv4Addr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.shared.options.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
            || request.peer_address().is_ok_and(|peer| peer.is_unix())
    }

    fn readiness(&self, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Answered {
        self.note_stop(reply.turn());
        let readiness = &self.shared.options.readiness;
        let is_ready = readiness.is_ready();
        let status = if is_ready { Status::OK } else { Status::SERVICE_UNAVAILABLE };
        let is_verbose = request.query().is_some_and(|query| query.split('&').any(is_verbose));
        let text = match is_verbose {
            true => readiness.to_string(),
            false if is_ready => "ready\n".to_owned(),
            false => "not ready\n".to_owned(),
        };
        page::unstored(reply).status(status).header("Content-Type", page::TEXT).send(text)
    }
}

/// Whether a part of a query is `verbose`, or `verbose` with any value.
fn is_verbose(part: &str) -> bool {
    part.split('=').next() == Some("verbose")
}

impl Service for StatusService {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        if !matches!(request.method(), Method::Get | Method::Head) {
            return reply.header("Allow", "GET, HEAD").error(Status::METHOD_NOT_ALLOWED);
        }
        match request.path() {
            path if !matches!(path, "/livez" | "/readyz") && !self.is_host(request) => {
                let reply = page::unstored(reply).status(Status::MISDIRECTED_REQUEST);
                reply.header("Content-Type", page::TEXT).send(MISDIRECTED)
            }
            "/" => page::answer(reply),
            "/livez" => page::unstored(reply).header("Content-Type", page::TEXT).send("alive\n"),
            "/readyz" => self.readiness(request, reply),
            "/metrics" => {
                let format = Format::accepted(values(request.headers(), "Accept"));
                reply.defer(|to, cx| self.gather(cx, Purpose::Metrics(format, to)))
            }
            "/status.json" => reply.defer(|to, cx| self.gather(cx, Purpose::Json(to))),
            "/events" if self.watchers.len() >= self.most_watchers => {
                reply.header("Retry-After", "5").error(Status::SERVICE_UNAVAILABLE)
            }
            "/events" => {
                let reply = page::unstored(reply).header("Content-Type", "text/event-stream");
                reply.stream(|stream, cx| self.watch(cx, stream))
            }
            _ => reply.error(Status::NOT_FOUND),
        }
    }

    fn on_room(&mut self, _: &mut Turn, connection: ConnId) {
        if let Some(watcher) = self.watchers.iter_mut().find(|it| it.is_on(connection)) {
            watcher.has_room = true;
        }
    }

    fn on_client_end(&mut self, cx: &mut Turn, connection: ConnId) {
        self.dismiss(cx, connection);
    }

    fn on_gone(&mut self, cx: &mut Turn, connection: ConnId) {
        self.watchers.retain(|watcher| !watcher.is_on(connection));
        self.rest(cx);
    }

    fn on_stop(&mut self, cx: &mut Turn, connection: ConnId) {
        self.dismiss(cx, connection);
    }
}

impl Receive<Message> for StatusService {
    fn on_message(&mut self, cx: &mut Sessions<'_>, message: Message) {
        match message {
            Message::Ask { number, from } => self.answer(cx, number, from),
            Message::Answer { number, from, sample } => {
                let at = self.gatherings.iter().position(|gathering| gathering.is(number));
                // It may be late.
                let Some(at) = at else { return };
                self.gatherings[at].note(from, *sample);
                if self.gatherings[at].is_complete() {
                    let gathering = self.gatherings.swap_remove(at);
                    self.finish(cx, gathering);
                }
            }
        }
    }
}

impl Receive<Late> for StatusService {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Late(number): Late) {
        let at = self.gatherings.iter().position(|gathering| gathering.is(number));
        if let Some(at) = at {
            let gathering = self.gatherings.swap_remove(at);
            self.finish(cx, gathering);
        }
    }
}

impl Receive<Tick> for StatusService {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Tick) {
        let is_event = |gathering: &Gathering<_>| matches!(gathering.purpose, Purpose::Event);
        let is_wanted = self.watchers.iter().any(|watcher| watcher.has_room);
        if is_wanted && !self.gatherings.iter().any(is_event) {
            self.gather(cx, Purpose::Event);
        }
    }
}
