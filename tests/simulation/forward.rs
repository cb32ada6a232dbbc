//! Clients, a proxy for HTTP, and an origin behind it, with bodies of all kinds in both directions.

use std::time::Duration;

use sluicegate_protocols::forward::{Forward, ForwardOptions};
use sluicegate_protocols::http::client::ClientOptions;
use sluicegate_protocols::http::{
    Answered, Deferred, Http, HttpLimits, Reply, Request, ResponseStream, Service, Status,
};
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{
    Connect, HandlerId, Limits, Listen, Payload, Receive, Sent, Sessions, Target, Turn,
};

use crate::noise_from;
use crate::watched::Watched;

const FRONT: &str = "10.0.0.1:80";
const BACK: &str = "10.0.0.2:80";
/// The longest request body.
const LONGEST: usize = 300_000;

/// The body of a message. That of each request and each response is different.
fn content(number: usize, len: usize) -> Vec<u8> {
    noise_from(37 * number, len)
}

/// What the path of a request asks for.
#[derive(Clone, Debug)]
struct Plan {
    /// `now`, `late`, `chunked` or `early`.
    way: String,
    /// The length of the response.
    len: usize,
    number: usize,
}

impl Plan {
    fn parse(path: &str) -> Plan {
        let parts: Vec<_> = path[1..].split('/').collect();
        let [way, len, number] = parts[..] else { panic!("{path}") };
        let parse = |number: &str| number.parse().expect("a number");
        Plan { way: way.to_owned(), len: parse(len), number: parse(number) }
    }

    fn response(&self) -> Vec<u8> {
        content(self.number + 1, self.len)
    }
}

struct Origin {
    me: HandlerId<Watched<Http<Origin>>>,
}

impl Origin {
    fn respond<V>(&mut self, plan: Plan, reply: Reply<'_, '_>) -> Answered<V> {
        match plan.way.as_str() {
            "late" => reply.defer(|deferred, cx| {
                let plan = Plan { way: "now".into(), ..plan };
                cx.after(Duration::from_millis(30), self.me, Due(deferred, plan));
            }),
            "chunked" => reply.interim(Status::EARLY_HINTS, &[("A", "b")]).stream(|stream, cx| {
                let parts = plan.response();
                send_parts(cx, stream, &parts);
            }),
            _ => reply.send(plan.response()),
        }
    }
}

fn send_parts(cx: &mut Turn, mut stream: ResponseStream, whole: &[u8]) {
    for part in whole.chunks(7_000) {
        if stream.send(cx, part) == Sent::Gone {
            return;
        }
    }
    stream.finish(cx);
}

impl Service for Origin {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let via = request.header("Via").expect("a field");
        assert_eq!(via, b"1.1 sluicegate");
        match Plan::parse(request.path()) {
            plan if plan.way == "early" => reply.send(plan.response()),
            plan if !request.has_body() => self.respond(plan, reply),
            _ => reply.read(LONGEST, ()),
        }
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        (): (),
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let plan = Plan::parse(request.path());
        let len = request.header("X-Length").expect("a field");
        assert_eq!(body.len().to_string().as_bytes(), len);
        assert!(*body == content(plan.number, body.len()), "a body is not that of its request");
        self.respond(plan, reply)
    }
}

struct Due(Deferred, Plan);

impl Receive<Due> for Origin {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Due(deferred, plan): Due) {
        deferred.answer(cx, |reply| self.respond(plan, reply));
    }
}

/// An origin, and a proxy that moves bytes in some way.
fn serve(sim: &mut Sim) {
    let splice_after = [usize::MAX, 0, 40_000][sim.below(3)];
    let send_high = [1_000, 100_000][sim.below(2)];
    let limits = Limits { splice_after, send_high, send_low: send_high / 4, ..Limits::default() };
    let connect = Connect { limits: limits.clone(), ..Connect::default() };
    let connections = 1 + sim.below(5);
    // A slow client may hold a connection to the origin for long.
    let long = Duration::from_secs(3600);
    let limits_of_http = HttpLimits { response_timeout: long, ..HttpLimits::default() };
    let timeouts =
        ClientOptions { waiting_timeout: long, response_timeout: long, ..ClientOptions::default() };
    let client = ClientOptions { connect, connections, ..timeouts };
    let whole_body = [0, 16 << 10][sim.below(2)];
    let options = ForwardOptions { client, whole_body, ..ForwardOptions::default() };
    sim.reactor(|reactor| {
        let me = reactor.reserve();
        reactor.install(me, Watched::new(Http::new(Origin { me })));
        // A proxy whose client is slow may leave a connection alone for long.
        let limits = Limits { idle: None, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        reactor.listen(BACK, &listen, me).expect("the address is free");
    });
    sim.reactor(|reactor| {
        let origin: Target = BACK.parse().expect("an address");
        let forward = Forward::new(reactor, origin, &options).expect("room for a connector");
        let proxy = reactor.register(Watched::new(Http::with(forward, limits_of_http)));
        let listen = Listen { limits, ..Listen::default() };
        reactor.listen(FRONT, &listen, proxy).expect("the address is free");
    });
}

/// Makes up a request.
fn request(sim: &mut Sim, number: usize, may_be_early: bool) -> (Vec<u8>, Plan) {
    let ways = ["now", "late", "chunked", "early"];
    let way = ways[sim.below(if may_be_early { 4 } else { 3 })].to_owned();
    let plan = Plan { way, len: [0, 13, 5_000, 100_000, 200_000][sim.below(5)], number };
    let path = format!("/{}/{}/{number}", plan.way, plan.len);
    if sim.below(3) == 0 {
        return (format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes(), plan);
    }
    let len = [0, 13, 5_000, 30_000, 200_000][sim.below(5)];
    let body = content(number, len);
    let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nX-Length: {len}\r\n");
    let mut all = head.into_bytes();
    if sim.below(2) == 0 {
        all.extend_from_slice(format!("Content-Length: {len}\r\n\r\n").as_bytes());
        all.extend_from_slice(&body);
    } else {
        all.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks([1_000, 65_536][sim.below(2)]) {
            all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            all.extend_from_slice(chunk);
            all.extend_from_slice(b"\r\n");
        }
        all.extend_from_slice(b"0\r\n\r\n");
    }
    (all, plan)
}

/// Makes up clients, and what they ask for. Some leave early.
fn clients(sim: &mut Sim, may_fail: bool) -> Vec<(Client, Vec<Plan>)> {
    let mut all = Vec::new();
    for number in 0..1 + sim.below(5) {
        let (mut bytes, mut plans) = (Vec::new(), Vec::new());
        for at in 0..1 + sim.below(5) {
            let (request, plan) = request(sim, 100 * number + 2 * at, may_fail);
            bytes.extend(request);
            plans.push(plan);
        }
        let client = sim.client(FRONT).sends(bytes);
        let client = match sim.below(5) {
            0 if may_fail => client.waits(Duration::from_millis(30)).resets(),
            1 if may_fail => client.finishes(),
            2 => client.reads_slowly(),
            _ => client,
        };
        all.push((client, plans));
    }
    all
}

/// The body of a response, and what follows it, if it is complete.
fn body_of<'a>(head: &str, rest: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    if let Some(length) = length {
        let (body, rest) = rest.split_at_checked(length.parse().expect("a length"))?;
        return Some((body.to_vec(), rest));
    }
    assert!(head.contains("\r\nTransfer-Encoding: chunked"), "{head}");
    let (mut body, mut rest) = (Vec::new(), rest);
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let (chunk, after) = rest[end + 2..].split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some((body, rest));
        }
    }
}

/// Checks what a client has received. Returns whether each request has its response with 200.
fn check(client: &Client, plans: &[Plan]) -> bool {
    let received = client.received();
    let mut rest = &received[..];
    let mut is_all = true;
    for plan in plans {
        let (head, status) = loop {
            let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
                return false;
            };
            let head = std::str::from_utf8(&rest[..end + 2]).expect("text");
            rest = &rest[end + 4..];
            let status: u16 = head[9..12].parse().expect("a status");
            if status >= 200 {
                break (head, status);
            }
        };
        let Some((body, behind)) = body_of(head, rest) else { return false };
        rest = behind;
        match status {
            200 => assert!(body == plan.response(), "{plan:?} is not exact"),
            408 | 502..=504 => is_all = false,
            _ => panic!("{status} for {plan:?}"),
        }
        if head.contains("\r\nConnection: close") {
            assert!(rest.is_empty(), "more behind the last response");
            return false;
        }
    }
    assert!(rest.is_empty(), "more than was asked for");
    is_all
}

#[test]
pub(crate) fn every_request_is_forwarded_and_answered_exactly() {
    // Those that do not end a connection.
    let faults = Faults { no_buffers: 0.0, aborted: 0.0, refused: 0.0, ..Faults::default() };
    let faults = Faults { exhausted: 0.0, ..faults };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let all = clients(sim, false);
        sim.run();
        for (client, plans) in all {
            assert!(check(&client, &plans), "{client:?} {plans:?}");
        }
    });
}

#[test]
pub(crate) fn whatever_fails_no_response_is_another_or_looks_complete() {
    Simulation::new().run(|sim| {
        serve(sim);
        let all = clients(sim, true);
        sim.run();
        for (client, plans) in all {
            let is_all = check(&client, &plans);
            assert!(is_all || client.end() != End::Open, "{client:?} {plans:?}");
        }
    });
}

#[test]
pub(crate) fn a_proxy_that_stops_leaves_no_response_that_only_looks_complete() {
    Simulation::new().run(|sim| {
        serve(sim);
        let all = clients(sim, true);
        let when = Duration::from_micros(sim.below(500_000) as u64);
        sim.after(when, Sim::stop);
        sim.run();
        for (client, plans) in all {
            check(&client, &plans);
        }
    });
}
