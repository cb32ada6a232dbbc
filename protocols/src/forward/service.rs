//! The service that forwards requests.

use std::borrow::Cow;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use sluicegate_reactor::{ConnId, Payload, Reactor, Receive, Sent, Sessions, Target, Turn};

use super::attempt::Attempt;
use super::checks::Checks;
use super::fields;
use super::options::{ForwardOptions, HostField};
use super::origins::Origins;
use super::passage::{Answer, BULK, Current, Passage, Retry, Upload};
use super::rules::FieldRules;
use super::shared::Shared;
use super::tunnel::Tunnel;
use crate::http::client::{ExchangeId, Request as Forwarded};
use crate::http::{Answered, Method, Reply, Request, Service, Status, Trailers};
use crate::upstreams::{Inspect, UpstreamId};
use crate::warnings::Warnings;

/// A [`Service`] that forwards requests to an origin and answers with its responses.
///
/// See the [module](super).
pub struct Forward {
    origins: Rc<Origins<Passage>>,
    shared: Rc<Shared>,
    /// One for each connection of a client, by its slot.
    links: Vec<Option<Link>>,
}

/// The state for the connection of a client.
struct Link {
    connection: ConnId,
    /// The IP address of the client; an IPv4 address even on a socket for both versions.
    ip: Option<IpAddr>,
    /// The same as text.
    address: String,
    current: Current,
}

/// The request body that [`Forward`] receives.
pub struct Body(Option<Upload>);

impl Forward {
    /// Creates a service that forwards to one origin: a [`Target`], an address, or text such as
    /// `localhost:8080`. It connects on demand.
    ///
    /// # Errors
    /// The same as those of [`ForwardOptions::check`] and
    /// [`Client::new`](crate::http::client::Client::new).
    pub fn new(
        reactor: &mut Reactor,
        origin: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        options: &ForwardOptions,
    ) -> io::Result<Forward> {
        let origin = Target::of(origin)
            .map_err(|error| io::Error::new(error.kind(), format!("origin {error}")))?;
        Forward::balanced(reactor, [origin], options)
    }

    /// Creates a service that balances requests across [several origins](super#several-origins).
    ///
    /// # Errors
    /// The same as those of [`Forward::new`], and `InvalidInput` if there is no origin, or
    /// if there are more than 100.
    ///
    /// # Panics
    /// If the reactor has no room for the handlers: one for each origin, and another one with
    /// [health checks](ForwardOptions::health_check), of the 256 in all.
    pub fn balanced(
        reactor: &mut Reactor,
        origins: impl IntoIterator<Item = Target>,
        options: &ForwardOptions,
    ) -> io::Result<Forward> {
        options.check()?;
        let shared = Shared {
            options: options.clone(),
            request_rules: FieldRules::of_requests(options)?,
            response_rules: FieldRules::of_responses(options)?,
            tunnel: reactor.register(Tunnel),
            warnings: RefCell::new(Warnings::of(module_path!())),
            lines: RefCell::default(),
        };
        let origins = Origins::register(reactor, origins, options)?;
        if let Some(check) = &options.health_check {
            Checks::start(reactor, origins.upstreams(), check, options)?;
        }
        Ok(Forward { origins, shared: Rc::new(shared), links: Vec::new() })
    }

    /// The link of the connection of a request. `None` if the client has already reset it, so that
    /// its address is not known any more.
    fn link(&mut self, request: &Request<'_>) -> Option<&mut Link> {
        let connection = request.connection();
        let slot = connection.slot();
        if slot >= self.links.len() {
            self.links.resize_with(slot + 1, || None);
        }
        let entry = &mut self.links[slot];
        if entry.as_ref().is_none_or(|link| link.connection != connection) {
            let address = request.peer_address().ok()?.ip_and_port();
            let ip = address.map(|at| at.ip().to_canonical());
            let address = ip.map_or("unknown".to_owned(), |ip| ip.to_string());
            *entry = Some(Link { connection, ip, address, current: Current::default() });
        }
        entry.as_mut()
    }

    /// The exchange of a connection, unless it is over.
    fn exchange(&self, connection: ConnId) -> Option<(UpstreamId, ExchangeId)> {
        let link = self.links.get(connection.slot())?.as_ref()?;
        let current = link.current.borrow().clone().filter(|_| link.connection == connection);
        current.filter(|(_, exchange)| !exchange.is_over())
    }

    /// Cancels the exchange of a connection. Returns its origin if there was one.
    fn cancel(&self, cx: &mut Turn, connection: ConnId) -> Option<UpstreamId> {
        let (origin, exchange) = self.exchange(connection)?;
        self.origins.client(origin).cancel(cx, &exchange);
        Some(origin)
    }

    /// Passes a request on whose body is complete.
    fn send(
        &mut self,
        request: &Request<'_>,
        body: Option<Payload<'_>>,
        mut reply: Reply<'_, '_>,
    ) -> Answered<Body> {
        let (attempt, mut forwarded) = match self.begin(request, &mut reply) {
            Ok(begun) => begun,
            Err(status) => return reply.error(status),
        };
        if let Some(body) = body {
            forwarded = forwarded.body(body);
        }
        let (origin, retry) = (attempt.id(), self.retry(request, &forwarded));
        reply.defer(|deferred, cx| {
            let client = deferred.connection();
            let (shared, answer) = (self.shared.clone(), Answer::Awaited(deferred));
            let passage = Passage { shared, client, answer, attempt, retry, upload: None };
            let exchange = self.origins.client(origin).send(cx, forwarded, passage);
            self.note_exchange(client, (origin, exchange));
        })
    }

    /// Chooses an origin for a request, and begins the one that it gets. Its body is still missing.
    ///
    /// # Errors
    /// The status of the response if the client is gone, or if no origin has room.
    fn begin(
        &mut self,
        request: &Request<'_>,
        reply: &mut Reply<'_, '_>,
    ) -> Result<(Attempt, Forwarded), Status> {
        let (shared, origins) = (self.shared.clone(), self.origins.clone());
        let link = self.link(request).ok_or(Status::CLIENT_CLOSED)?;
        let chosen = origins.choose(reply.turn().now(), link.ip, &[]);
        let attempt = chosen.ok_or(Status::SERVICE_UNAVAILABLE)?;
        Ok((attempt, forwarded(request, &link.address, &shared)))
    }

    /// What is kept to send a request to another origin.
    fn retry(&mut self, request: &Request<'_>, forwarded: &Forwarded) -> Option<Box<Retry>> {
        if !self.origins.are_several() {
            return None;
        }
        let origins = Rc::downgrade(&self.origins);
        let Link { ip, current, .. } = self.link(request)?;
        let (source, current) = (*ip, current.clone());
        let (request, tried) = (forwarded.clone(), Vec::new());
        Some(Box::new(Retry { origins, request, source, tried, current }))
    }

    /// Passes a request on, and its body as it arrives.
    fn stream(&mut self, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Answered<Body> {
        let length = request.content_length();
        let (attempt, forwarded) = match self.begin(request, &mut reply) {
            Ok((attempt, forwarded)) => (attempt, forwarded.stream(length)),
            Err(status) => return reply.error(status),
        };
        let origin = attempt.id();
        reply.defer_with_body(|deferred, cx| {
            let client = deferred.connection();
            let upload = Upload::default();
            let (shared, answer) = (self.shared.clone(), Answer::Awaited(deferred));
            let (retry, body) = (None, Some(upload.clone()));
            let passage = Passage { shared, client, answer, attempt, retry, upload: body };
            let sender = self.origins.client(origin);
            let (exchange, stream) = sender.send_streamed(cx, forwarded, passage);
            self.note_exchange(client, (origin, exchange));
            let mut relayed_to = None;
            match stream {
                // Until the request has a connection.
                None => cx.peer(client).pause(),
                Some(mut stream) => {
                    if let Some(length) = length.filter(|length| *length >= BULK) {
                        stream.note_relayed(length);
                        relayed_to = Some(stream.connection());
                    }
                    upload.set(Some(stream));
                }
            }
            (Body(Some(upload)), relayed_to)
        })
    }

    fn note_exchange(&self, client: ConnId, exchange: (UpstreamId, ExchangeId)) {
        if let Some(Some(link)) = self.links.get(client.slot()) {
            link.current.replace(Some(exchange));
        }
    }
}

/// The request that the origin gets for one of a client with this address.
fn forwarded(request: &Request<'_>, address: &str, shared: &Shared) -> Forwarded {
    let lines = &mut *shared.lines.borrow_mut();
    let has_trailers = fields::write_request(lines, request, address, shared);
    let mut forwarded = match target_of(request) {
        Cow::Borrowed(target) => Forwarded::new(request.method(), target),
        Cow::Owned(target) => Forwarded::new(request.method(), &target),
    };
    if let (HostField::Keep, Some(host)) = (shared.options.host, request.host()) {
        forwarded = forwarded.host(host);
    }
    if let Some(left) = hops_left(request) {
        forwarded = forwarded.header("Max-Forwards", (left - 1).to_string());
    }
    if let Some(upgrade) = request.upgrade() {
        let offered = shared.options.upgrades.iter().filter(|name| upgrade.offers(name));
        let offered: Vec<&str> = offered.map(String::as_str).collect();
        if !offered.is_empty() {
            forwarded = forwarded.upgrade(&offered.join(", "));
        }
    }
    forwarded.fields(lines, has_trailers)
}

/// The target in the form for an origin (RFC 9112, section 3.2.1).
fn target_of<'a>(request: &Request<'a>) -> Cow<'a, str> {
    let target = request.target();
    if target.starts_with('/') || target == "*" {
        return Cow::Borrowed(target);
    }
    let authority = target.split_once("://").map_or("", |(_, rest)| rest);
    match request.query() {
        // RFC 9112, section 3.2.4.
        None if request.method() == Method::Options && !authority.contains('/') => {
            Cow::Borrowed("*")
        }
        None => Cow::Borrowed(request.path()),
        Some(query) => Cow::Owned(format!("{}?{query}", request.path())),
    }
}

/// How many more times an OPTIONS request may be forwarded, if it says so (RFC 9110, section
/// 7.6.2).
fn hops_left(request: &Request<'_>) -> Option<u64> {
    let value = request.header("Max-Forwards").filter(|_| request.method() == Method::Options)?;
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let digits = str::from_utf8(value).ok().filter(|_| is_number)?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

impl Service for Forward {
    type State = Body;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Body> {
        if hops_left(request) == Some(0) {
            return reply.status(Status::NO_CONTENT).finish_head(None);
        }
        let most = self.shared.options.whole_body.min(reply.most_readable());
        match request.content_length() {
            _ if !request.has_body() => self.send(request, None, reply),
            Some(length) if length <= most as u64 => reply.read(most, Body(None)),
            _ => self.stream(request, reply),
        }
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        _: Body,
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Body> {
        self.send(request, Some(body), reply)
    }

    fn on_piece(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        body: &mut Body,
        piece: &[u8],
    ) -> Result<(), Status> {
        if let Some(upload) = &body.0
            && let Some(mut stream) = upload.take()
        {
            match stream.send(cx, piece) {
                Sent::Accepted => upload.set(Some(stream)),
                Sent::Full => {
                    upload.set(Some(stream));
                    cx.peer(connection).pause();
                }
                // The response comes nevertheless, and the rest is skipped.
                Sent::Gone => {}
            }
        }
        Ok(())
    }

    fn on_trailers(&mut self, cx: &mut Turn, _: ConnId, body: &mut Body, trailers: Trailers<'_>) {
        if let Some(stream) = body.0.take().and_then(|upload| upload.take()) {
            let rules = &self.shared.request_rules;
            let trailers = fields::trailers(trailers, stream.has_trailers(), rules);
            stream.finish_with(cx, &trailers);
        }
    }

    fn on_body_end(&mut self, cx: &mut Turn, _: ConnId, body: Body) {
        if let Some(stream) = body.0.and_then(|upload| upload.take()) {
            stream.finish(cx);
        }
    }

    fn on_refused(&mut self, status: Status, mut reply: Reply<'_, '_>) -> Answered {
        let connection = reply.connection();
        let cx = reply.turn();
        let waited_for = self.cancel(cx, connection);
        let Some(origin) = waited_for.filter(|_| status == Status::SERVICE_UNAVAILABLE) else {
            return reply.error(status);
        };
        let late = format!("{}: no response in time", self.origins.client(origin).origin());
        self.shared.warnings.borrow_mut().warn(cx.now(), late);
        reply.error(Status::GATEWAY_TIMEOUT)
    }

    fn on_room(&mut self, cx: &mut Turn, connection: ConnId) {
        if let Some((_, exchange)) = self.exchange(connection)
            && let Some(origin) = exchange.connection()
        {
            cx.peer(origin).resume();
        }
    }

    fn on_gone(&mut self, cx: &mut Turn, connection: ConnId) {
        self.cancel(cx, connection);
    }
}

impl Receive<Inspect> for Forward {
    fn on_message(&mut self, cx: &mut Sessions<'_>, inspect: Inspect) {
        inspect.call(self.origins.status(cx.now()));
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forward({})", self.origins)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Body(streamed)" } else { "Body(whole)" })
    }
}
