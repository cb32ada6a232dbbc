//! Whatever becomes of connections that are asked for: each session comes back once, is ready at
//! most once, and what was sent arrives in order.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::testing::{Harness, Remote, Step};
use sluicegate_reactor::{
    Address, ConnId, Connect, Connector, Context, Handler, Input, Listen, Reason, Sent, Target,
    Timeout, Turn,
};

const RUNS: u64 = 300;
/// What one run does from outside.
const ACTIONS: usize = 60;
/// Most connections that one run asks for.
const CONNECTIONS: usize = 60;
/// How many hosts there are.
const HOSTS: usize = 4;

/// Numbers that repeat with their seed: xorshift64*.
#[derive(Clone)]
struct Dice(Rc<RefCell<u64>>);

impl Dice {
    fn below(&self, limit: usize) -> usize {
        let mut x = self.0.borrow_mut();
        *x ^= *x >> 12;
        *x ^= *x << 25;
        *x ^= *x >> 27;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

fn host(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number as u8], 80))
}

/// One connection that was asked for.
struct Record {
    id: ConnId,
    /// How many bytes `send` has taken.
    taken: usize,
    ready: bool,
    over: Option<Reason>,
}

struct Dialer {
    dice: Dice,
    connector: Connector<Dialer>,
    records: Vec<Record>,
}

impl Dialer {
    fn dial(&mut self, cx: &mut Turn) {
        if self.records.len() < CONNECTIONS {
            let target = match self.dice.below(3) {
                0 => Target::from(("one.example", 80)),
                1 => Target::from(("many.example", 80)),
                _ => host(self.dice.below(HOSTS)).into(),
            };
            let id = cx.connect(self.connector, target, self.records.len());
            self.records.push(Record { id, taken: 0, ready: false, over: None });
        }
    }

    /// Something, with any connection that was ever asked for.
    fn whim(&mut self, cx: &mut Turn) {
        while self.dice.below(3) > 0 {
            if self.records.is_empty() || self.dice.below(4) == 0 {
                self.dial(cx);
                continue;
            }
            let which = self.dice.below(self.records.len());
            let record = &mut self.records[which];
            let mut peer = cx.peer(record.id);
            assert!(record.over.is_none() || !peer.is_open());
            match self.dice.below(12) {
                0 => peer.close(),
                1 => peer.abort(),
                2 => peer.shutdown(),
                3 => peer.pause(),
                4 | 5 => peer.resume(),
                6 => peer.set_deadline(Some(Duration::from_millis(self.dice.below(3000) as u64))),
                _ => {
                    let bytes = [b'0' + which as u8; 1500];
                    let bytes = &bytes[..self.dice.below(1500)];
                    if peer.send(bytes) != Sent::Gone {
                        assert!(record.over.is_none(), "taken after the end");
                        record.taken += bytes.len();
                    }
                }
            }
        }
    }

    fn call(&mut self, cx: &mut Context<'_>, number: usize) {
        let record = &self.records[number];
        assert!(record.over.is_none(), "called after the end");
        assert_eq!(cx.id(), record.id);
        self.whim(cx);
    }
}

impl Handler for Dialer {
    type Session = usize;

    /// Of a client, which is not counted.
    fn on_open(&mut self, cx: &mut Context<'_>) -> usize {
        self.whim(cx);
        usize::MAX
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, number: &mut usize) {
        assert!(!std::mem::replace(&mut self.records[*number].ready, true), "ready twice");
        self.call(cx, *number);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, number: &mut usize, input: &mut Input<'_>) {
        input.take();
        match *number {
            usize::MAX => self.whim(cx),
            number => {
                assert!(self.records[number].ready, "data before it is ready");
                self.call(cx, number);
            }
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, number: &mut usize, which: Timeout) {
        if *number != usize::MAX {
            self.call(cx, *number);
        }
        if which != Timeout::Own || self.dice.below(2) == 0 {
            cx.close();
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, number: usize, why: Reason) {
        if number != usize::MAX {
            let record = &mut self.records[number];
            assert_eq!(record.id, id);
            assert!(record.over.replace(why).is_none(), "closed twice");
            let failed = matches!(why, Reason::Unconnected(_));
            assert!(!(failed && record.ready), "ready, and not connected");
        }
        self.whim(cx);
    }
}

/// Changes one thing outside of the reactor.
fn act(h: &mut Harness<Dialer>, dice: &Dice) {
    let to = Address::from(host(dice.below(HOSTS)));
    match dice.below(8) {
        0 => h.set_remote(&to, Remote::Silent),
        1 => h.set_remote(&to, Remote::Fails(libc::EHOSTUNREACH)),
        2 => h.set_remote(&to, Remote::Itself),
        3 => h.set_remote(&to, Remote::Listens),
        4 => h.script_connect([Step::Errno(libc::ENETUNREACH), Step::Interrupted]),
        5 => h.advance(Duration::from_millis(dice.below(2500) as u64)),
        6 => h.hold_name(["one.example", "many.example"][dice.below(2)]),
        _ => {
            h.set_name("one.example", [host(0).ip()]);
            h.set_name("many.example", (0..HOSTS).map(|number| host(number).ip()));
        }
    }
}

fn run(seed: u64) {
    let dice = Dice(Rc::new(RefCell::new(seed * 2 + 1)));
    let connect = Connect { max_connections: 20, ..Connect::default() };
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let me = reactor.reserve();
            let connector = reactor.connector(me, &connect).expect("room for a connector");
            reactor.install(me, Dialer { dice: dice.clone(), connector, records: Vec::new() });
            me
        },
    );
    let client = h.open();
    for _ in 0..ACTIONS {
        h.at_once(|h| {
            for _ in 0..=dice.below(3) {
                act(h, &dice);
            }
            h.feed(client, b"go on");
        });
    }
    if dice.below(2) == 0 {
        // Half of the runs end in the middle.
        h.reset(client);
        h.advance(Duration::from_secs(300));
        let records = &h.handler().records;
        assert!(records.iter().all(|record| record.over.is_some()), "over, and told so");
        let failures = records.iter().filter(|r| matches!(r.over, Some(Reason::Unconnected(_))));
        let (failures, asked) = (failures.count() as u64, records.len() as u64);
        assert_eq!((h.ledger().connects, h.ledger().connect_failures), (asked, failures));
        assert_eq!((h.reactor().connections(), h.ledger().panics), (0, 0));
    }
    assert_eq!(h.ledger().panics, 0);
    check_received(&mut h);
}

/// Each far end has what one connection sent, from its beginning on, and nothing else.
fn check_received(h: &mut Harness<Dialer>) {
    let mut received = Vec::new();
    for number in 0..HOSTS {
        while let Some(far) = h.try_accept(&host(number).into()) {
            received.push(h.sent(far));
        }
    }
    for bytes in received.iter().filter(|bytes| !bytes.is_empty()) {
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "bytes of two connections in one");
        let record = &h.handler().records[usize::from(bytes[0] - b'0')];
        assert!(bytes.len() <= record.taken);
        let whole = matches!(record.over, Some(Reason::Closed | Reason::Finished));
        assert!(!whole || bytes.len() == record.taken, "a close in order sends all");
    }
}

#[test]
fn every_session_comes_back_once_whatever_happens() {
    for seed in 0..RUNS {
        let result = catch_unwind(|| run(seed));
        assert!(result.is_ok(), "with seed {seed}");
    }
}
