//! Requests whose bodies a service ignores, reads whole, in pieces or into files, and responses at
//! once, later and in parts, in any mix on one connection.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::http::{
    Answered, Deferred, Http, LogRecord, Reply, Request, ResponseStream, Service, Status,
};
use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{ConnId, HandlerId, Listen, Payload, Receive, Sent, Sessions, Turn};

use self::received::{Asked, check};
use crate::watched::Watched;
use crate::{is_noise, noise, noise_from};

mod received;

const ADDRESS: &str = "10.0.0.1:80";
/// The most bytes of a body that is read whole.
const LIMIT: usize = 150_000;

/// What the path of a request asks for.
#[derive(Clone, Debug)]
struct Plan {
    /// `ignored`, `whole`, `pieces` or `saved`.
    body: String,
    /// `now`, `hint`, `later`, `stream` or `late-stream`.
    response: String,
    /// The length of the response.
    len: usize,
    /// How long a response, its next part or the next piece is put off.
    delay: Duration,
    /// The length of each part of a stream.
    part: usize,
    number: usize,
}

impl Plan {
    fn path(&self) -> String {
        let Plan { body, response, len, delay, part, number } = self;
        format!("/{body}/{response}/{len}/{}/{part}/{number}", delay.as_millis())
    }

    fn parse(path: &str) -> Plan {
        let parts: Vec<_> = path[1..].split('/').collect();
        let [body, response, len, delay, part, number] = parts[..] else { panic!("{path}") };
        let parse = |number: &str| number.parse::<usize>().expect("a number");
        Plan {
            body: body.to_owned(),
            response: response.to_owned(),
            len: parse(len),
            delay: Duration::from_millis(parse(delay) as u64),
            part: parse(part),
            number: parse(number),
        }
    }
}

/// What the service has seen.
#[derive(Default)]
struct Seen {
    called: BTreeSet<usize>,
    /// Status and body of each line of the access log.
    logged: BTreeMap<usize, (u16, u64)>,
    /// The connections whose request body is arriving.
    receiving: BTreeSet<ConnId>,
    streams: BTreeMap<ConnId, Streaming>,
    /// The connections whose response is deferred.
    deferred: BTreeSet<ConnId>,
    /// Streams that were finished when their connection had ended.
    too_late: BTreeSet<ConnId>,
}

struct Streaming {
    stream: ResponseStream,
    plan: Plan,
    sent: usize,
    waits: bool,
}

/// What is set aside for a body.
struct Upload {
    plan: Plan,
    pieces: usize,
    bytes: usize,
    /// Counts the uploads.
    _alive: Rc<()>,
}

type Me = Watched<Http<Mixed>>;

struct Mixed {
    me: HandlerId<Me>,
    dir: Dir,
    seen: Rc<RefCell<Seen>>,
    alive: Rc<()>,
}

impl Mixed {
    fn respond<V>(&mut self, plan: Plan, reply: Reply<'_, '_>) -> Answered<V> {
        match plan.response.as_str() {
            "now" => reply.send(noise(plan.len)),
            "hint" => reply.interim(Status::EARLY_HINTS, &[("Link", "</a>")]).send(noise(plan.len)),
            "later" | "late-stream" => reply.defer(|deferred, cx| {
                self.seen.borrow_mut().deferred.insert(deferred.connection());
                cx.after(plan.delay, self.me, Due(deferred, plan));
            }),
            _ => reply.header("Trailer", "Checksum").stream(|stream, cx| {
                let id = stream.connection();
                let streaming = Streaming { stream, plan, sent: 0, waits: false };
                assert!(self.seen.borrow_mut().streams.insert(id, streaming).is_none());
                self.advance(cx, id);
            }),
        }
    }

    /// Sends parts until there is no room, or the next is put off.
    fn advance(&mut self, cx: &mut Turn, id: ConnId) {
        let mut seen = self.seen.borrow_mut();
        while let Some(streaming) = seen.streams.get_mut(&id) {
            let Streaming { stream, plan, sent, waits } = streaming;
            if *sent == plan.len {
                let Some(Streaming { stream, .. }) = seen.streams.remove(&id) else { return };
                if stream.finish_with(cx, &[("Checksum", "7")]) == Sent::Gone {
                    seen.too_late.insert(id);
                }
                return;
            }
            let end = plan.len.min(*sent + plan.part);
            let part = noise_from(*sent, end - *sent);
            *sent = end;
            match stream.send(cx, part) {
                Sent::Gone => return,
                Sent::Full => {
                    *waits = true;
                    return;
                }
                Sent::Accepted if plan.delay.is_zero() => {}
                Sent::Accepted => {
                    cx.after(plan.delay, self.me, Next(id));
                    return;
                }
            }
        }
    }
}

impl Service for Mixed {
    type State = Upload;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
        let plan = Plan::parse(request.path());
        assert!(self.seen.borrow_mut().called.insert(plan.number), "called twice");
        let upload = Upload { plan: plan.clone(), pieces: 0, bytes: 0, _alive: self.alive.clone() };
        if ["whole", "pieces", "saved"].contains(&plan.body.as_str()) {
            self.seen.borrow_mut().receiving.insert(request.connection());
        }
        match plan.body.as_str() {
            "whole" => reply.read(LIMIT, upload),
            "pieces" => reply.read_pieces(upload),
            "saved" => {
                match self.dir.create(plan.number.to_string(), &CreateOptions::default()) {
                    Ok(file) => reply.save(file, upload),
                    // Out of descriptors.
                    Err(_) => reply.error(Status::SERVICE_UNAVAILABLE),
                }
            }
            _ => self.respond(plan, reply),
        }
    }

    fn on_piece(
        &mut self,
        cx: &mut Turn,
        id: ConnId,
        upload: &mut Upload,
        piece: &[u8],
    ) -> Result<(), Status> {
        let Upload { plan, pieces, bytes, .. } = upload;
        assert!(!piece.is_empty());
        assert!(is_noise(*bytes, piece));
        (*pieces, *bytes) = (*pieces + 1, *bytes + piece.len());
        if !plan.delay.is_zero() && *pieces % 3 == 1 {
            cx.peer(id).pause();
            cx.after(plan.delay, self.me, Resume(id));
        }
        Ok(())
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        upload: Upload,
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        assert!(self.seen.borrow_mut().receiving.remove(&request.connection()));
        assert_eq!(request.path(), upload.plan.path());
        assert!(*body == noise(body.len()), "a body is not exact");
        let len = request.header("X-Length").expect("a field");
        assert_eq!((upload.bytes + body.len()).to_string().as_bytes(), len);
        self.respond(upload.plan, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        upload: Upload,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        assert!(self.seen.borrow_mut().receiving.remove(&request.connection()));
        assert_eq!(request.path(), upload.plan.path());
        if saved.is_ok() { self.respond(upload.plan, reply) } else { reply.saved(saved) }
    }

    fn on_room(&mut self, cx: &mut Turn, id: ConnId) {
        let mut seen = self.seen.borrow_mut();
        let streaming = seen.streams.get_mut(&id).expect("a stream");
        assert!(std::mem::take(&mut streaming.waits), "room that nobody waits for");
        drop(seen);
        self.advance(cx, id);
    }

    fn on_gone(&mut self, _: &mut Turn, id: ConnId) {
        let mut seen = self.seen.borrow_mut();
        let is_waiting = seen.deferred.remove(&id) | seen.receiving.remove(&id);
        assert!(seen.streams.remove(&id).is_some() || seen.too_late.remove(&id) || is_waiting);
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        let line = String::from_utf8_lossy(record.request_line);
        // A head that was cut has no path.
        let Some(path) = line.split(' ').nth(1).filter(|_| line.contains(" HTTP/")) else { return };
        let number = Plan::parse(path).number;
        let what = (record.status.code(), record.body_sent);
        let before = self.seen.borrow_mut().logged.insert(number, what);
        assert_eq!(before, None, "{line} is logged twice");
    }
}

/// Answers what was put off.
struct Due(Deferred, Plan);
impl Receive<Due> for Mixed {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Due(deferred, mut plan): Due) {
        if plan.response == "late-stream" {
            "stream".clone_into(&mut plan.response);
        } else {
            "now".clone_into(&mut plan.response);
        }
        self.seen.borrow_mut().deferred.remove(&deferred.connection());
        deferred.answer(cx, |reply| self.respond(plan, reply));
    }
}

/// Continues a stream.
struct Next(ConnId);
impl Receive<Next> for Mixed {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Next(id): Next) {
        self.advance(cx, id);
    }
}

/// Ends a pause.
struct Resume(ConnId);
impl Receive<Resume> for Mixed {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Resume(id): Resume) {
        cx.peer(id).resume();
    }
}

fn serve(sim: &mut Sim) -> (Rc<RefCell<Seen>>, Rc<()>) {
    sim.files().make_dir("/in");
    let (seen, alive) = (Rc::new(RefCell::new(Seen::default())), Rc::new(()));
    sim.reactor(|reactor| {
        let dir = reactor.open_dir("/in").expect("the directory is there");
        let me = reactor.reserve();
        let mixed = Mixed { me, dir, seen: seen.clone(), alive: alive.clone() };
        reactor.install(me, Watched::new(Http::new(mixed)));
        reactor.listen(ADDRESS, &Listen::default(), me).expect("the address is free");
    });
    (seen, alive)
}

fn one_of<'a>(sim: &mut Sim, choices: &[&'a str]) -> &'a str {
    choices[sim.below(choices.len())]
}

/// Makes up a request. The last one of a connection may be of HTTP/1.0.
fn request(sim: &mut Sim, number: usize, is_last: bool) -> (Vec<u8>, Asked) {
    let body = one_of(sim, &["ignored", "whole", "pieces", "saved"]).to_owned();
    let response = one_of(sim, &["now", "hint", "later", "stream", "late-stream"]).to_owned();
    let plan = Plan {
        body,
        response,
        len: [0, 13, 5000, 100_000][sim.below(4)],
        delay: Duration::from_millis([0, 1, 30, 200][sim.below(4)]),
        part: [700, 20_000, 90_000][sim.below(3)],
        number,
    };
    let is_head = sim.below(8) == 0;
    let is_old = is_last && sim.below(3) == 0;
    let (method, version) = (["POST", "HEAD"][usize::from(is_head)], u8::from(!is_old));
    let len = [0, 13, 3000, 30_000, LIMIT][sim.below(5)];
    let path = plan.path();
    let mut all = format!("{method} {path} HTTP/1.{version}\r\nHost: h\r\nX-Length: {len}\r\n");
    if !is_old && sim.below(4) == 0 {
        all += "Expect: 100-continue\r\n";
    }
    let mut all = all.into_bytes();
    if is_old || sim.below(2) == 0 {
        all.extend_from_slice(format!("Content-Length: {len}\r\n\r\n").as_bytes());
        all.extend_from_slice(&noise(len));
    } else {
        all.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        let longest = [1000, 7000, 65_536][sim.below(3)];
        for chunk in noise(len).chunks(longest) {
            all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            all.extend_from_slice(chunk);
            all.extend_from_slice(b"\r\n");
        }
        all.extend_from_slice(b"0\r\n\r\n");
    }
    (all, Asked { plan, is_head })
}

/// Makes up clients, and what they ask for.
fn clients(sim: &mut Sim) -> Vec<(Client, Vec<Asked>, bool)> {
    let count = 1 + sim.below(4);
    let mut all = Vec::new();
    for number in 0..count {
        let requests = 1 + sim.below(5);
        let (mut bytes, mut asked) = (Vec::new(), Vec::new());
        for at in 0..requests {
            let (request, what) = request(sim, 100 * number + at, at + 1 == requests);
            bytes.extend(request);
            asked.push(what);
        }
        let is_cut = sim.below(6) == 0;
        if is_cut {
            bytes.truncate(sim.below(bytes.len()));
        }
        let client = sim.client(ADDRESS).sends(bytes);
        let client = match sim.below(5) {
            0 => client.finishes(),
            1 => client.waits(Duration::from_millis(300)).resets(),
            2 => client.reads_slowly(),
            _ => client,
        };
        all.push((client, asked, is_cut));
    }
    all
}

fn check_end(seen: &Seen, alive: &Rc<()>) {
    assert!(seen.streams.is_empty(), "streams whose end nobody was told");
    assert!(seen.too_late.is_empty());
    assert_eq!(Rc::strong_count(alive), 2, "something that was set aside is left");
    let logged: BTreeSet<usize> = seen.logged.keys().copied().collect();
    assert!(seen.called.is_subset(&logged), "{:?} is not logged", &seen.called - &logged);
}

#[test]
pub(crate) fn bodies_and_responses_of_all_kinds_are_exact_and_in_order() {
    Simulation::new().run(|sim| {
        let (seen, alive) = serve(sim);
        let all = clients(sim);
        sim.run();
        let seen = seen.borrow();
        for (client, asked, is_cut) in all {
            let is_all = check(&client, &asked, is_cut, &seen.logged);
            let excused = client.is_spoilt() || client.end() == End::Reset;
            assert!(is_all || is_cut || excused, "{client:?}");
        }
        check_end(&seen, &alive);
    });
}

#[test]
pub(crate) fn a_reactor_that_stops_leaves_no_response_that_only_looks_whole() {
    Simulation::new().run(|sim| {
        let (seen, alive) = serve(sim);
        let all = clients(sim);
        let when = Duration::from_micros(sim.below(1_000_000) as u64);
        sim.after(when, Sim::stop);
        sim.run();
        let seen = seen.borrow();
        for (client, asked, _) in all {
            // A reactor that got no time may not have read what there is of a request.
            check(&client, &asked, true, &seen.logged);
        }
        check_end(&seen, &alive);
    });
}
