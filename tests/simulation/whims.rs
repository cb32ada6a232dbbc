//! A service that does anything that it may at any time, from any callback, and clients that mix
//! requests of all kinds.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::http::multipart::{FormLimits, FormPart};
use sluicegate_protocols::http::{
    Answered, Http, HttpLimits, LogRecord, Reply, Request, Service, Status, Trailers,
};
use sluicegate_reactor::fs::{Committed, CreateOptions, Dir, NewFile};
use sluicegate_reactor::testing::simulation::End;
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{
    ConnId, Context, Handler, HandlerId, Input, Limits, Listen, Payload, Receive, Sessions, Turn,
};

use self::acts::{Dice, Held, numbered};
use self::received::check;
use self::requests::clients;
use crate::is_noise;
use crate::watched::Watched;

mod acts;
mod received;
mod requests;

const ADDRESS: &str = "10.0.0.1:80";

/// How often the service acts for a timer before it settles everything.
const TICKS: usize = 150;

/// What the service has seen, by the numbers of requests.
#[derive(Default)]
struct Seen {
    called: BTreeSet<usize>,
    /// Those that will be delivered again.
    again: BTreeSet<usize>,
    /// Status and length of the body.
    logged: BTreeMap<usize, (u16, u64)>,
    /// The lengths of finished streams.
    streamed: BTreeMap<usize, usize>,
    /// The connections whose response is not finished, which the service was not told of.
    owed: BTreeSet<ConnId>,
    gone: BTreeSet<ConnId>,
}

/// What is set aside for a body.
struct Upload {
    number: usize,
    is_form: bool,
    /// How many bytes have arrived.
    at: usize,
    /// Counts the uploads.
    _alive: Rc<()>,
}

type Me = Watched<Http<Whims>>;

struct Whims {
    me: HandlerId<Me>,
    echo: HandlerId<Echo>,
    dice: Dice,
    dir: Dir,
    files: usize,
    held: Vec<Held>,
    /// Those of all requests.
    connections: Vec<ConnId>,
    is_calm: bool,
    seen: Rc<RefCell<Seen>>,
    alive: Rc<()>,
}

impl Whims {
    fn file(&mut self) -> io::Result<NewFile> {
        self.files += 1;
        self.dir.create(self.files.to_string(), &CreateOptions::default())
    }
}

fn number_of(path: &str) -> usize {
    path[1..].parse().expect("a number")
}

impl Service for Whims {
    type State = Upload;

    fn call(&mut self, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Answered<Upload> {
        let number = number_of(request.path());
        let is_new = self.seen.borrow_mut().called.insert(number);
        assert!(is_new || self.seen.borrow_mut().again.remove(&number), "called twice");
        self.connections.push(request.connection());
        self.act(reply.turn());
        if let Some(upgrade) = request.upgrade()
            && !self.dice.one_in(3)
        {
            return reply.upgrade(upgrade, "echo", self.echo, ());
        }
        let is_form = request.header("Content-Type").is_some();
        let upload = Upload { number, is_form, at: 0, _alive: self.alive.clone() };
        match self.dice.below(if self.is_calm { 6 } else { 8 }) {
            0 => reply.read([100, 10_000, 200_000][self.dice.below(3)], upload),
            1 => reply.read_pieces(upload),
            2 => reply.close().read_pieces(upload),
            3 => match self.file() {
                Ok(file) => reply.save(file, upload),
                Err(_) => numbered(reply, number).error(Status::SERVICE_UNAVAILABLE),
            },
            4 => reply.read_form(FormLimits::default(), upload),
            6 => self.postpone(number, reply),
            7 => self.defer_with_body(number, upload, reply),
            _ => self.respond(number, reply),
        }
    }

    fn on_piece(
        &mut self,
        cx: &mut Turn,
        id: ConnId,
        upload: &mut Upload,
        piece: &[u8],
    ) -> Result<(), Status> {
        assert!(!piece.is_empty());
        assert!(upload.is_form || is_noise(upload.at, piece), "a body is not exact");
        upload.at += piece.len();
        self.act(cx);
        if !self.is_calm && self.dice.one_in(6) {
            cx.peer(id).pause();
        }
        if self.dice.one_in(60) { Err(Status::FORBIDDEN) } else { Ok(()) }
    }

    fn on_part(
        &mut self,
        cx: &mut Turn,
        _: ConnId,
        _: &mut Upload,
        _: &FormPart,
    ) -> Result<Option<NewFile>, Status> {
        self.act(cx);
        match self.dice.below(10) {
            0 => Err(Status::FORBIDDEN),
            1..5 => Ok(self.file().ok()),
            _ => Ok(None),
        }
    }

    fn on_part_saved(&mut self, cx: &mut Turn, _: ConnId, _: &mut Upload, _: Committed) {
        self.act(cx);
    }

    fn on_trailers(&mut self, cx: &mut Turn, _: ConnId, _: &mut Upload, trailers: Trailers<'_>) {
        assert_eq!(trailers.get("a"), Some(&b"b"[..]));
        self.act(cx);
    }

    fn on_body_end(&mut self, cx: &mut Turn, _: ConnId, _: Upload) {
        self.act(cx);
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        upload: Upload,
        body: Payload<'_>,
        mut reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        assert_eq!(number_of(request.path()), upload.number);
        if !upload.is_form {
            assert!(is_noise(upload.at, &body), "a body is not exact");
            let len = request.header("X-Length").expect("a field");
            assert_eq!((upload.at + body.len()).to_string().as_bytes(), len);
        }
        self.act(reply.turn());
        self.respond(upload.number, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        upload: Upload,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        assert_eq!(number_of(request.path()), upload.number);
        match saved {
            Ok(_) => self.respond(upload.number, reply),
            Err(_) => numbered(reply, upload.number).saved(saved),
        }
    }

    fn on_refused(&mut self, status: Status, mut reply: Reply<'_, '_>) -> Answered {
        self.act(reply.turn());
        self.seen.borrow_mut().owed.remove(&reply.connection());
        reply.header("X-Refused", "1").error(status)
    }

    fn on_room(&mut self, cx: &mut Turn, _: ConnId) {
        self.act(cx);
    }

    fn on_client_end(&mut self, cx: &mut Turn, _: ConnId) {
        self.act(cx);
    }

    fn on_stop(&mut self, cx: &mut Turn, _: ConnId) {
        self.act(cx);
    }

    fn on_gone(&mut self, cx: &mut Turn, id: ConnId) {
        assert!(self.seen.borrow_mut().gone.insert(id), "told twice");
        self.seen.borrow_mut().owed.remove(&id);
        self.act(cx);
    }

    fn wants_log(&self) -> bool {
        true
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        let line = String::from_utf8_lossy(record.request_line);
        // A head that was cut has no path.
        let Some(path) = line.split(' ').nth(1).filter(|_| line.contains(" HTTP/")) else { return };
        let what = (record.status.code(), record.body_sent);
        let before = self.seen.borrow_mut().logged.insert(number_of(path), what);
        assert_eq!(before, None, "{line} is logged twice");
    }
}

/// Acts, or settles everything if none is left.
struct Tick(usize);
impl Receive<Tick> for Whims {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Tick(left): Tick) {
        if left == 0 {
            return self.settle(cx);
        }
        self.act(cx);
        cx.after(Duration::from_millis(30), self.me, Tick(left - 1));
    }
}

/// The protocol of connections that are upgraded.
struct Echo;
impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

fn serve(sim: &mut Sim) -> (Rc<RefCell<Seen>>, Rc<()>) {
    sim.files().make_dir("/in");
    let (seen, alive) = (Rc::new(RefCell::new(Seen::default())), Rc::new(()));
    let dice = Dice::new(sim.below(usize::MAX));
    let http = HttpLimits { requests: [None, Some(3)][sim.below(2)], ..HttpLimits::default() };
    let send_high = [1000, 64 << 10][sim.below(2)];
    let limits = Limits { send_high, send_low: send_high / 4, ..Limits::default() };
    sim.reactor(|reactor| {
        let dir = reactor.open_dir("/in").expect("the directory is there");
        let (echo, me) = (reactor.register(Echo), reactor.reserve());
        let whims = Whims {
            me,
            echo,
            dice,
            dir,
            files: 0,
            held: Vec::new(),
            connections: Vec::new(),
            is_calm: false,
            seen: seen.clone(),
            alive: alive.clone(),
        };
        reactor.install(me, Watched::new(Http::with(whims, http)));
        let listen = Listen { limits, ..Listen::default() };
        reactor.listen(ADDRESS, &listen, me).expect("the address is free");
        reactor.after(Duration::ZERO, me, Tick(TICKS));
    });
    (seen, alive)
}

fn check_end(seen: &Seen, alive: &Rc<()>) {
    assert_eq!(Rc::strong_count(alive), 2, "something that was set aside is left");
    let logged: BTreeSet<usize> = seen.logged.keys().copied().collect();
    assert!(seen.owed.is_empty(), "clients that have left, which nobody was told of");
    assert!(seen.called.is_subset(&logged), "{:?} is not logged", &seen.called - &logged);
}

#[test]
pub(crate) fn whatever_a_service_does_responses_are_exact_and_in_order() {
    Simulation::new().run(|sim| {
        let (seen, alive) = serve(sim);
        let all = clients(sim);
        sim.run();
        let seen = seen.borrow();
        for talk in all {
            let client = &talk.client;
            let is_excused = talk.is_cut || client.is_spoilt() || client.end() == End::Reset;
            if let Err(why) = check(&talk, &seen) {
                assert!(is_excused || talk.resets, "{why}: {client:?}");
            }
        }
        check_end(&seen, &alive);
    });
}

#[test]
pub(crate) fn a_service_that_is_stopped_leaves_no_response_that_only_looks_whole() {
    Simulation::new().run(|sim| {
        let (seen, alive) = serve(sim);
        let mut all = clients(sim);
        let when = Duration::from_micros(sim.below(3_000_000) as u64);
        sim.after(when, Sim::stop);
        sim.run();
        let seen = seen.borrow();
        for talk in &mut all {
            // It may have been stopped before the rest of a request was read.
            talk.is_cut = true;
            let _ = check(talk, &seen);
        }
        check_end(&seen, &alive);
    });
}
