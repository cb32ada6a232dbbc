//! Whatever clients, kernel and handler do: bytes arrive in order and once, and each connection
//! ends once.

use std::cell::RefCell;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use sluicegate_reactor::fs::File;
use sluicegate_reactor::testing::{Client, Harness, State, Step};
use sluicegate_reactor::{
    Bytes, ConnId, Context, Handler, Input, Limits, Listen, Peer, Reason, Sent, Timeout, Turn,
};

use crate::observing::Witness;
use crate::probe::pattern;

const RUNS: u64 = 300;
/// What one run does from outside.
const ACTIONS: usize = 120;
/// What its handler does of its own in a run, so that it comes to rest.
const WHIMS: usize = 400;
const FILE: usize = 60_000;

static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(FILE));

/// Numbers that repeat with their seed: xorshift64*.
#[derive(Clone)]
struct Dice(Rc<RefCell<u64>>);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(Rc::new(RefCell::new(seed * 2 + 1)))
    }

    fn below(&self, limit: usize) -> usize {
        let mut x = self.0.borrow_mut();
        *x ^= *x >> 12;
        *x ^= *x << 25;
        *x ^= *x >> 27;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// Small mostly, and sometimes large.
    fn size(&self) -> usize {
        match self.below(10) {
            0 => self.below(200_000),
            1..3 => self.below(10_000),
            _ => self.below(100),
        }
    }

    fn step(&self) -> Step {
        match self.below(4) {
            0 => Step::Short(1 + self.size()),
            1 => Step::Interrupted,
            2 => Step::WouldBlock,
            _ => Step::Normal,
        }
    }
}

/// What one connection was given to send, and how it went.
struct Record {
    id: ConnId,
    accepted: Vec<u8>,
    consumed: usize,
    panicked: bool,
    over: Option<Reason>,
}

/// Does as the dice say.
struct Whim {
    dice: Dice,
    left: usize,
    file: File,
    records: Vec<Record>,
}

impl Whim {
    fn send(&mut self, peer: &mut Peer<'_>, number: usize) {
        let len = self.dice.size().min(FILE);
        let start = self.dice.below(FILE - len + 1);
        let bytes = &CONTENT[start..start + len];
        let sent = match self.dice.below(3) {
            0 => peer.send(bytes),
            1 => peer.send(Bytes::copy_from_slice(bytes)),
            _ => peer.send(self.file.region(start as u64, len as u64)),
        };
        if sent != Sent::Gone {
            assert!(self.records[number].over.is_none(), "taken after the end");
            self.records[number].accepted.extend(bytes);
        }
    }

    /// Something, to the connection of this call or to any that there ever was.
    fn whim(&mut self, cx: &mut Context<'_>, number: usize) {
        let dice = self.dice.clone();
        while self.left > 0 && dice.below(3) > 0 {
            self.left -= 1;
            let own = dice.below(2) == 0;
            let number = if own { number } else { dice.below(self.records.len()) };
            let id = self.records[number].id;
            match dice.below(40) {
                0 => cx.peer(id).close(),
                1 => cx.peer(id).abort(),
                2 => cx.peer(id).shutdown(),
                3..6 => cx.peer(id).pause(),
                6..14 => cx.peer(id).resume(),
                14..16 => cx.request_drain(),
                16 => cx.peer(id).set_deadline(None),
                17..19 => {
                    let time = Duration::from_millis(dice.below(3000) as u64);
                    cx.peer(id).set_deadline(Some(time));
                }
                19 if own && dice.below(4) == 0 => {
                    self.records[number].panicked = true;
                    panic!("a whim");
                }
                _ => self.send(&mut cx.peer(id), number),
            }
        }
    }

    fn call(&mut self, cx: &mut Context<'_>, number: usize) {
        let record = &self.records[number];
        assert!(record.over.is_none() && !record.panicked, "called after the end");
        assert_eq!(cx.id(), record.id);
        self.whim(cx, number);
    }
}

impl Handler for Whim {
    type Session = usize;

    fn on_open(&mut self, cx: &mut Context<'_>) -> usize {
        self.records.push(Record {
            id: cx.id(),
            accepted: Vec::new(),
            consumed: 0,
            panicked: false,
            over: None,
        });
        let number = self.records.len() - 1;
        self.call(cx, number);
        number
    }

    fn on_data(&mut self, cx: &mut Context<'_>, number: &mut usize, input: &mut Input<'_>) {
        let consumed = &mut self.records[*number].consumed;
        assert!(input[..] == *stream(*consumed, input.len()), "in order and once");
        let now = match self.dice.below(4) {
            0 => self.dice.below(input.len() + 1),
            _ => input.len(),
        };
        input.consume(now);
        *consumed += now;
        self.call(cx, *number);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, number: &mut usize) {
        self.call(cx, *number);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, number: &mut usize) {
        self.call(cx, *number);
        cx.close();
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, number: &mut usize, which: Timeout) {
        self.call(cx, *number);
        if which != Timeout::Own {
            cx.abort();
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, number: usize, why: Reason) {
        assert_eq!(self.records[number].id, id);
        assert!(self.records[number].over.replace(why).is_none(), "closed twice");
        let other = self.dice.below(self.records.len());
        let id = self.records[other].id;
        self.send(&mut cx.peer(id), other);
    }
}

/// What a client sends, from some place on.
fn stream(from: usize, len: usize) -> &'static [u8] {
    static PERIODS: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(4 << 20));
    &PERIODS[from % 251..][..len]
}

/// A client, what it has sent and received, and whether it can still send.
struct Far {
    client: Client,
    sent: usize,
    received: Vec<u8>,
    sends: bool,
    reset: bool,
}

/// One thing that a client, the kernel or the clock does.
fn act(h: &mut Harness<Whim>, dice: &Dice, clients: &mut Vec<Far>) {
    if clients.is_empty() || dice.below(12) == 0 {
        let client = h.open();
        return clients.push(Far {
            client,
            sent: 0,
            received: Vec::new(),
            sends: true,
            reset: false,
        });
    }
    let which = dice.below(clients.len());
    let far = &mut clients[which];
    match dice.below(20) {
        0 if far.sends => {
            far.sends = false;
            h.finish(far.client);
        }
        1 if !far.reset && dice.below(3) == 0 => {
            (far.sends, far.reset) = (false, true);
            h.reset(far.client);
        }
        2 if far.sends => h.feed_urgent(far.client),
        3 => h.wake(far.client),
        4 => h.script_send(far.client, [dice.step(), dice.step()]),
        12 => h.files().script_read("/f", [Step::Interrupted, Step::Short(1 + dice.size())]),
        5 => h.script_recv(far.client, [dice.step(), dice.step()]),
        6 => h.set_room(far.client, dice.size()),
        7 => h.advance(Duration::from_millis(dice.below(1500) as u64)),
        8..12 => far.received.extend(h.take(far.client)),
        _ if far.sends => {
            let bytes = stream(far.sent, dice.size());
            far.sent += bytes.len();
            h.feed(far.client, bytes);
        }
        _ => {}
    }
}

/// Limits, mostly so small that they are reached.
fn limits(dice: &Dice) -> Limits {
    Limits {
        send_high: 1 + dice.size(),
        send_low: dice.size(),
        max_unread: 1 + dice.size(),
        receive_quantum: 1 + dice.size(),
        send_quantum: 1 + dice.size(),
        quantum_calls: 1 + dice.below(20) as u32,
        linger_idle: Duration::from_millis(dice.size() as u64),
        small_file: [dice.size() as u64, u64::MAX][dice.below(2)],
        sendfile_chunk: 1 + dice.size(),
        join: dice.size(),
        join_in_room: dice.size(),
        write_through: dice.size(),
        write_first: dice.size(),
        gather_pieces: 1 + dice.below(70),
        send_segments: 1 + dice.below(70),
        idle: Some(Duration::from_secs(20)),
        write_stall: Some(Duration::from_secs(10)),
        ..Limits::default()
    }
}

/// What must be true of a client and its connection when all is over.
fn check(far: &Far, state: State, record: &Record) {
    assert!(record.accepted.starts_with(&far.received), "in order and once");
    let in_order = matches!(record.over, Some(Reason::Closed | Reason::Finished));
    assert!(!in_order || far.received == record.accepted, "a close in order sends all");
    assert!(in_order || record.panicked || record.over.is_some(), "over, and told so");
    let cut = far.received.len() < record.accepted.len();
    assert!(!cut || far.reset || state == State::Reset, "what was cut does not look whole");
}

fn run(seed: u64) {
    let dice = Dice::new(seed);
    let limits = limits(&dice);
    let listen = Listen { limits, accept_budget: 2, max_connections: 6, ..Listen::default() };
    let mut h = Harness::build(
        &listen,
        |files| files.put_file("/f", &CONTENT, 0),
        |reactor| {
            let file = reactor.open_dir("/").unwrap().open("f").unwrap();
            reactor.register(Whim { dice: dice.clone(), left: WHIMS, file, records: Vec::new() })
        },
    );
    h.expect_panics();
    let witness = Witness::of(&mut h);
    let mut clients = Vec::new();
    for _ in 0..ACTIONS {
        let together = 1 + dice.below(4) * dice.below(2);
        h.at_once(|h| (0..together).for_each(|_| act(h, &dice, &mut clients)));
    }
    for far in &mut clients {
        h.set_room(far.client, usize::MAX);
        if far.sends {
            h.finish(far.client);
        }
        far.received.extend(h.sent(far.client));
    }
    h.advance(Duration::from_secs(120));
    assert_eq!(h.reactor().connections(), 0);
    assert!(witness.is_content(), "bytes add up, and each connection has its end");
    let panicked = h.handler().records.iter().filter(|record| record.panicked).count();
    assert_eq!(h.ledger().panics, panicked as u64, "those the dice made, and no others");
    for (number, far) in clients.iter_mut().enumerate() {
        far.received.extend(h.sent(far.client));
        check(far, h.state(far.client), &h.handler().records[number]);
    }
}

#[test]
fn nothing_is_lost_repeated_or_left_over_whatever_happens() {
    for seed in 0..RUNS {
        let result = catch_unwind(|| run(seed));
        assert!(result.is_ok(), "with seed {seed}");
    }
}
