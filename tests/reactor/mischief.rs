//! Whatever two handlers call, in whichever callback and for whichever connection, the reactor
//! keeps its invariants, and comes to rest.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::fs::{CreateOptions, Dir, File, NotSaved, Saved};
use sluicegate_reactor::testing::{Client, Harness, Records, Remote, Step, through};
use sluicegate_reactor::{
    Address, Bytes, ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Limits, Listen,
    ListenerId, Payload, Peer, Reason, Receive, Sessions, Timeout, TimerId, Turn,
};

use crate::observing::Witness;
use crate::probe::pattern;

const RUNS: u64 = 60;
/// What one run does from outside, and what its handlers do of their own.
const ACTIONS: usize = 150;
const WHIMS: usize = 1500;
const FILE: usize = 300_000;
const MOST_LISTENERS: usize = 6;

fn far() -> Address {
    SocketAddr::from(([10, 0, 0, 7], 80)).into()
}

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

    fn one_in(&self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Small mostly, and sometimes large, or nothing.
    fn size(&self) -> usize {
        match self.below(10) {
            0 => self.below(200_000),
            1..3 => self.below(10_000),
            3 => 0,
            _ => self.below(100),
        }
    }

    fn time(&self) -> Duration {
        match self.below(8) {
            0 => Duration::MAX,
            1 => Duration::ZERO,
            _ => Duration::from_millis(self.below(3000) as u64),
        }
    }

    fn rate(&self) -> Option<u64> {
        [None, Some(0), Some(1000), Some(100_000), Some(u64::MAX)][self.below(5)]
    }

    fn limits(&self) -> Limits {
        let send_high = 1 + self.size();
        Limits {
            send_high,
            send_low: self.below(send_high),
            max_unread: 1 + self.size(),
            receive_quantum: 1 + self.size(),
            send_quantum: 1 + self.size(),
            receive_most: if self.one_in(3) { 100 + self.size() } else { usize::MAX },
            max_exact: self.size(),
            receive_direct: self.size(),
            // Here, the mark follows from the room of the client, and would change with it.
            receive_low_water: 0,
            quantum_calls: 1 + self.below(20) as u32,
            splice_after: self.size(),
            splice_least: self.size(),
            send_segments: 1 + self.below(70),
            send_files: 1 + self.below(3),
            file_batches: 1 + self.below(3),
            idle: Some(Duration::from_secs(20)),
            send_rate: self.rate().filter(|_| self.one_in(4)),
            ..Limits::default()
        }
    }
}

/// What all handlers of a run share.
struct World {
    dice: Dice,
    left: usize,
    dir: Dir,
    file: File,
    ids: Vec<ConnId>,
    timers: Vec<TimerId>,
    listeners: Vec<ListenerId>,
    connector: Connector<Imp<1>>,
}

/// One of two handlers of different types.
struct Imp<const N: u8> {
    world: Rc<RefCell<World>>,
    one: HandlerId<Imp<0>>,
    other: HandlerId<Imp<1>>,
}

impl World {
    fn take(&mut self) -> bool {
        self.left -= usize::from(self.left > 0);
        self.left > 0
    }

    fn id(&self, own: ConnId) -> ConnId {
        if self.dice.below(2) == 0 { own } else { self.ids[self.dice.below(self.ids.len())] }
    }

    fn send(&self, peer: &mut Peer<'_>) {
        let len = self.dice.size();
        match self.dice.below(3) {
            0 => _ = peer.send(&vec![b'x'; len][..]),
            1 => _ = peer.send(Bytes::from(vec![b'y'; len])),
            // Now and then beyond the end.
            _ => _ = peer.send(self.file.region(self.dice.below(FILE) as u64, len as u64)),
        }
    }

    /// What can be done with any connection.
    fn peer(&self, peer: &mut Peer<'_>, other: ConnId) {
        let dice = &self.dice;
        match dice.below(22) {
            0 => peer.close(),
            1 => peer.abort(),
            2 => peer.shutdown(),
            3 | 4 => peer.pause(),
            5..8 => peer.resume(),
            8 => peer.request_drain(),
            9 => peer.set_deadline(None),
            10 => peer.set_deadline(Some(dice.time())),
            11 => peer.relay_to(other),
            12 => peer.relay_part(other, dice.size() as u64),
            13 => peer.set_send_rate(dice.rate()),
            _ => self.send(peer),
        }
    }

    /// What needs no connection.
    fn turn(&mut self, cx: &mut Turn, one: HandlerId<Imp<0>>, other: HandlerId<Imp<1>>) {
        let dice = self.dice.clone();
        match dice.below(8) {
            0 => self.timers.push(cx.after(dice.time(), one, ())),
            1 if self.timers.len() < 50 => {
                let period = dice.time().max(Duration::from_millis(500));
                self.timers.push(cx.every(period, other, ()));
            }
            2 if !self.timers.is_empty() => {
                let timer = self.timers[dice.below(self.timers.len())];
                cx.cancel_timer(timer);
            }
            3 if self.listeners.len() < MOST_LISTENERS => {
                let listen = Listen { limits: dice.limits(), ..Listen::default() };
                if let Ok(listener) = cx.listen("10.0.0.9:0", &listen, other) {
                    self.listeners.push(listener);
                }
            }
            4 if !self.listeners.is_empty() && dice.one_in(3) => {
                let listener = self.listeners[dice.below(self.listeners.len())];
                cx.close_listener(listener);
            }
            5 if !self.listeners.is_empty() => {
                let listener = self.listeners[dice.below(self.listeners.len())];
                let max_per_address = [None, Some(0), Some(2)][dice.below(3)];
                let listen = Listen { limits: dice.limits(), max_per_address, ..Listen::default() };
                cx.set_limits(listener, &listen);
            }
            6 => self.ids.push(cx.connect(self.connector, far(), ())),
            _ => {}
        }
    }
}

impl<const N: u8> Imp<N> {
    fn whims(&mut self, cx: &mut Context<'_>) {
        let own = cx.id();
        let dice = self.world.borrow().dice.clone();
        while dice.below(3) > 0 && self.world.borrow_mut().take() {
            let world = &mut *self.world.borrow_mut();
            let (id, other) = (world.id(own), world.id(own));
            match dice.below(20) {
                0 => _ = cx.receive_exact(dice.size()),
                1 => cx.discard(dice.size() as u64),
                2 => cx.yield_now(),
                3 => {
                    let name = format!("f{}", dice.below(1000));
                    if let Ok(file) = world.dir.create(name, &CreateOptions::default()) {
                        let length = dice.size() as u64;
                        match dice.below(3) {
                            0 => cx.receive_file(file, None),
                            1 => cx.receive_file(file, Some(length)),
                            _ => cx.receive_part(file, length),
                        }
                    }
                }
                4 if N == 0 => cx.hand_over(self.other, ()),
                4 => cx.hand_over(self.one, ()),
                5..9 => world.turn(cx, self.one, self.other),
                9 if dice.one_in(10) => panic!("a whim"),
                10 if dice.one_in(4) => {
                    let factory =
                        if dice.one_in(2) { Records::factory() } else { Records::offloaded() };
                    let transport = factory.make(&()).expect("no error");
                    cx.start_transport(transport.expect("a transport"));
                }
                _ => world.peer(&mut cx.peer(id), other),
            }
        }
    }
}

impl<const N: u8> Handler for Imp<N> {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.world.borrow_mut().ids.push(cx.id());
        self.whims(cx);
    }
    fn on_ready(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.whims(cx);
    }
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        let dice = self.world.borrow().dice.clone();
        let count = if dice.one_in(4) { dice.below(input.len() + 1) } else { input.len() };
        input.consume(count);
        self.whims(cx);
    }
    fn on_received(&mut self, cx: &mut Context<'_>, (): &mut (), _: Payload<'_>) {
        self.whims(cx);
    }
    fn on_saved(&mut self, cx: &mut Context<'_>, (): &mut (), _: Result<Saved, NotSaved>) {
        self.whims(cx);
    }
    fn on_relayed(&mut self, cx: &mut Context<'_>, (): &mut (), _: u64) {
        self.whims(cx);
    }
    fn on_drain(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.whims(cx);
    }
    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.whims(cx);
    }
    fn on_timeout(&mut self, cx: &mut Context<'_>, (): &mut (), which: Timeout) {
        self.whims(cx);
        if which != Timeout::Own {
            cx.abort();
        }
    }
    fn on_stop(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.whims(cx);
    }
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, (): (), _: Reason) {
        let (one, other) = (self.one, self.other);
        let world = &mut *self.world.borrow_mut();
        if !world.ids.is_empty() && world.take() {
            let (to, also) = (world.id(id), world.id(id));
            world.peer(&mut cx.peer(to), also);
            world.turn(cx, one, other);
        }
    }
}

impl<const N: u8> Receive<()> for Imp<N> {
    fn on_message(&mut self, cx: &mut Sessions<'_>, (): ()) {
        let id = {
            let world = &mut *self.world.borrow_mut();
            if world.ids.is_empty() || !world.take() {
                return;
            }
            world.turn(cx, self.one, self.other);
            world.ids[world.dice.below(world.ids.len())]
        };
        if let Some((mut cx, ())) = cx.get(id) {
            self.whims(&mut cx);
        }
    }
}

/// A client, and whether it can still send.
struct Far {
    client: Client,
    sends: bool,
}

/// One thing that a client, the kernel or the clock does.
fn act(h: &mut Harness<Imp<0>>, dice: &Dice, world: &Rc<RefCell<World>>, all: &mut Vec<Far>) {
    if all.is_empty() || dice.one_in(10) {
        let client = h.open();
        return all.push(Far { client, sends: true });
    }
    let which = dice.below(all.len());
    let Far { client, sends } = all[which];
    match dice.below(24) {
        0 if sends => {
            all[which].sends = false;
            h.finish(client);
        }
        1 if sends && dice.one_in(3) => {
            all[which].sends = false;
            h.reset(client);
        }
        2 if sends => h.feed_urgent(client),
        3 => h.wake(client),
        4 => h.script_send(client, [Step::Short(1 + dice.size()), Step::WouldBlock]),
        5 => h.script_recv(client, [Step::Interrupted, Step::Short(1 + dice.size())]),
        6 => h.set_room(client, dice.size()),
        7 | 8 => h.advance(Duration::from_millis(dice.below(1500) as u64)),
        9..13 => _ = h.take(client),
        13 => h.post(()),
        14 => h.hold_disk(),
        15 => h.release_disk(),
        16 => {
            let listeners = world.borrow().listeners.clone();
            let open = |id: &&ListenerId| h.reactor().listener_address(**id).is_some();
            if let Some(listener) = listeners.iter().find(open) {
                let client = h.open_at(*listener);
                all.push(Far { client, sends: true });
            }
        }
        17 => {
            let far = h.try_accept(&far());
            all.extend(far.map(|client| Far { client, sends: true }));
        }
        18 => h.set_descriptor_limit([8, 20, 1000][dice.below(3)]),
        // The greeting of `Records`.
        19 if sends => h.feed(client, [b'g', 0, 0]),
        _ if sends => h.feed(client, pattern(dice.size())),
        _ => {}
    }
}

/// Two handlers that know each other, in a reactor with little of everything.
fn imps(dice: &Dice) -> (Harness<Imp<0>>, Rc<RefCell<World>>) {
    let mut shared = None;
    let listen = Listen { limits: dice.limits(), max_connections: 12, ..Listen::default() };
    let mut h = Harness::build(
        &listen,
        |files| {
            files.put_file("/f", &pattern(FILE), 0);
            files.make_dir("/d");
        },
        |reactor| {
            if dice.one_in(3) {
                reactor.set_memory_budget(100_000 + dice.size() as u64 * 10);
            }
            let (one, other) = (reactor.reserve(), reactor.reserve());
            let limits = dice.limits();
            let connect = Connect { max_connections: 5, limits, ..Connect::default() };
            let world = World {
                dice: dice.clone(),
                left: WHIMS,
                dir: reactor.open_dir("/d").unwrap(),
                file: reactor.open_dir("/").unwrap().open("f").unwrap(),
                ids: Vec::new(),
                timers: Vec::new(),
                listeners: Vec::new(),
                connector: reactor.connector(other, &connect).unwrap(),
            };
            let world = Rc::new(RefCell::new(world));
            shared = Some(world.clone());
            reactor.install(one, Imp { world: world.clone(), one, other });
            reactor.install(other, Imp { world, one, other });
            one
        },
    );
    h.set_remote(&far(), Remote::Listens);
    h.expect_panics();
    (h, shared.expect("made above"))
}

fn run(seed: u64) {
    let dice = Dice(Rc::new(RefCell::new(seed * 2 + 1)));
    let (mut h, world) = imps(&dice);
    let witness = Witness::of(&mut h);
    let mut clients = Vec::new();
    for _ in 0..ACTIONS {
        let together = 1 + dice.below(4) * dice.below(2);
        h.at_once(|h| (0..together).for_each(|_| act(h, &dice, &world, &mut clients)));
    }
    h.set_descriptor_limit(10_000);
    h.release_disk();
    if dice.one_in(2) {
        h.stop();
    }
    world.borrow_mut().left = 0;
    for Far { client, sends } in clients {
        h.set_room(client, usize::MAX);
        if sends {
            h.finish(client);
        }
    }
    if !h.reactor().has_stopped() {
        h.stop();
        h.advance(Duration::from_secs(60));
    }
    assert_eq!(h.reactor().connections(), 0);
    assert!(witness.is_content(), "bytes add up, and each connection has its end");
    // It has files open.
    drop(world);
}

#[test]
fn whatever_handlers_call_the_reactor_keeps_its_invariants() {
    for seed in 0..RUNS {
        let result = catch_unwind(|| match seed % 3 {
            0 => run(seed),
            1 => through(Records::factory(), Records::factory(), || run(seed)),
            _ => through(Records::offloaded(), Records::factory(), || run(seed)),
        });
        assert!(result.is_ok(), "with seed {seed}");
    }
}
