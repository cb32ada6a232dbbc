//! Whatever is queued, and whatever the kernel takes of it at a time: every byte arrives once, in
//! its place, within bounded work a turn, and what was queued is sent, pending or dropped.

use std::collections::VecDeque;
use std::sync::LazyLock;

use proptest::prelude::*;
use sluicegate_reactor::fs::File;
use sluicegate_reactor::testing::{Calls, Client, Harness, State, Step};
use sluicegate_reactor::{Bytes, ColdFiles, ConnId, Context, Handler, Input, Limits, Listen, Sent};

const FILE: usize = 100_000;
/// Most bytes that are sent in a run.
const MOST: usize = 300_000;

/// Content without a period, so that no wrong offset goes unseen. What is relayed has the highest
/// bit, what is sent has it not: a client can tell which of the two streams a byte belongs to.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..FILE as u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 16) as u8 & 0x7f).collect()
});

fn relayed(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| CONTENT[at % FILE] | 0x80).collect()
}

#[derive(Clone, Debug)]
enum Piece {
    Slice(usize, usize),
    Shared(usize, usize),
    Region(usize, usize),
    /// From where the last region ended.
    Follows(usize),
}

#[derive(Clone, Debug)]
enum Op {
    /// The handler sends these.
    Send(Vec<Piece>),
    /// The other connection receives so much to pass on.
    Relay(usize),
    /// What the next sends and reads of the file say.
    Sends(Vec<Step>),
    Reads(Vec<Step>),
    Room(usize),
    Take,
    Wake,
    Evict(usize),
    HoldDisk,
    ReleaseDisk,
    PipeSize(usize),
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..100usize, 2 => 1..5000usize, 1 => 1..60_000usize]
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        (0..FILE, size()).prop_map(|(at, len)| Piece::Slice(at, len)),
        (0..FILE, size()).prop_map(|(at, len)| Piece::Shared(at, len)),
        (0..FILE, size()).prop_map(|(at, len)| Piece::Region(at, len)),
        size().prop_map(Piece::Follows),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Normal),
        size().prop_map(Step::Short),
        Just(Step::Interrupted),
        Just(Step::WouldBlock),
    ];
    prop::collection::vec(step, 1..8)
}

/// Reading a file at a place that is in memory never says `EAGAIN`.
fn read_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![size().prop_map(Step::Short), Just(Step::Interrupted)];
    prop::collection::vec(step, 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::vec(piece(), 1..12).prop_map(Op::Send),
        3 => size().prop_map(Op::Relay),
        4 => steps().prop_map(Op::Sends),
        2 => read_steps().prop_map(Op::Reads),
        3 => (0..100_000usize).prop_map(Op::Room),
        5 => Just(Op::Take),
        1 => Just(Op::Wake),
        2 => (0..FILE).prop_map(Op::Evict),
        1 => Just(Op::HoldDisk),
        1 => Just(Op::ReleaseDisk),
        1 => prop_oneof![Just(0), 4096..100_000usize].prop_map(Op::PipeSize),
    ]
}

prop_compose! {
    fn limits()(
        (join, join_in_room, write_through, write_first) in (size(), size(), size(), size()),
        (small_file, sendfile_chunk) in (size(), size()),
        (gather_pieces, warm_window, send_high, send_segments)
            in (1..70usize, size(), size(), 1..70usize),
        (send_quantum, quantum_calls, splice_after) in (size(), 1..20u32, size()),
        copy in any::<bool>(),
        cold_files in prop_oneof![
            4 => Just(ColdFiles::Warm),
            1 => Just(ColdFiles::WarmIfReported),
            1 => Just(ColdFiles::Wait),
        ],
    ) -> Limits {
        Limits {
            join, join_in_room, write_through, write_first,
            small_file: if copy { u64::MAX } else { small_file as u64 },
            // A run is bounded in turns.
            sendfile_chunk: sendfile_chunk.max(50),
            gather_pieces,
            warm_window: warm_window.max(50),
            send_high,
            send_low: send_high / 2,
            send_segments,
            send_quantum: send_quantum.max(50),
            quantum_calls, splice_after, cold_files,
            idle: None,
            write_stall: None,
            ..Limits::default()
        }
    }
}

/// Sends what it is given to its first connection, to which the others are relayed.
struct Sender {
    file: File,
    first: Option<ConnId>,
    pieces: VecDeque<Piece>,
    accepted: Vec<u8>,
    /// Where the last region ended.
    end: usize,
}

impl Sender {
    fn send(&mut self, cx: &mut Context<'_>, piece: &Piece) {
        let (at, len) = match *piece {
            Piece::Slice(at, len) | Piece::Shared(at, len) | Piece::Region(at, len) => (at, len),
            Piece::Follows(len) => (self.end, len),
        };
        let bytes = &CONTENT[at..(at + len).min(FILE)];
        if bytes.is_empty() || self.accepted.len() + bytes.len() > MOST {
            return;
        }
        let sent = match piece {
            Piece::Slice(..) => cx.send(bytes),
            Piece::Shared(..) => cx.send(Bytes::from_static(bytes)),
            Piece::Region(..) | Piece::Follows(_) => {
                self.end = at + bytes.len();
                cx.send(self.file.region(at as u64, bytes.len() as u64))
            }
        };
        if sent != Sent::Gone {
            self.accepted.extend(bytes);
        }
    }
}

impl Handler for Sender {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        match self.first {
            None => self.first = Some(cx.id()),
            Some(first) => cx.relay_to(first),
        }
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
        while let Some(piece) = self.pieces.pop_front() {
            self.send(cx, &piece);
        }
    }
}

/// A run, with what a client should get and what it got.
struct Run {
    h: Harness<Sender>,
    client: Client,
    source: Client,
    limits: Limits,
    relayed: usize,
    received: Vec<u8>,
}

impl Run {
    fn new(limits: Limits, hides: bool) -> Run {
        let listen = Listen { limits: limits.clone(), ..Listen::default() };
        let mut h = Harness::build(
            &listen,
            |files| {
                files.put_file("/f", &CONTENT, 0);
                if hides {
                    files.hide_residency();
                }
            },
            |reactor| {
                let file = reactor.open_dir("/").unwrap().open("f").unwrap();
                let (pieces, accepted) = (VecDeque::new(), Vec::new());
                reactor.register(Sender { file, first: None, pieces, accepted, end: 0 })
            },
        );
        let (client, source) = (h.open(), h.open());
        Run { h, client, source, limits, relayed: 0, received: Vec::new() }
    }

    fn apply(&mut self, op: Op) {
        let Run { h, client, source, relayed: passed, received, .. } = self;
        apply(h, (*client, *source), op, passed, received);
    }

    /// The same, and a few turns, each of which makes no more calls than two quanta and what a
    /// callback writes through: what was queued leaves before it, and what it queues after it.
    fn apply_in_turns(&mut self, op: Op, written_through: u64) -> Result<(), TestCaseError> {
        let Run { h, client, source, relayed: passed, received, limits } = self;
        // A source that is relayed has its own quanta, and may send for the other.
        let most = 4 * u64::from(limits.quantum_calls) + 2 * written_through + 8;
        h.at_once(|h| {
            apply(h, (*client, *source), op, passed, received);
            for _ in 0..3 {
                let before = moving(h.calls());
                h.turn();
                let calls = moving(h.calls()) - before;
                prop_assert!(calls <= most, "{calls} calls in a turn, and {most} are the most");
            }
            Ok(())
        })
    }
}

fn apply(
    h: &mut Harness<Sender>,
    (client, source): (Client, Client),
    op: Op,
    passed: &mut usize,
    received: &mut Vec<u8>,
) {
    match op {
        Op::Send(pieces) => {
            h.handler().pieces.extend(pieces);
            h.feed(client, "x");
        }
        Op::Relay(len) if *passed + len <= MOST => {
            h.feed(source, relayed(*passed, len));
            *passed += len;
        }
        Op::Relay(_) => {}
        Op::Sends(steps) => h.script_send(client, steps),
        Op::Reads(steps) => h.files().script_read("/f", steps),
        Op::Room(bytes) => h.set_room(client, bytes),
        Op::Take => received.extend(h.take(client)),
        Op::Wake => h.wake(client),
        Op::Evict(from) => h.files().evict("/f", from as u64),
        Op::HoldDisk => h.hold_disk(),
        Op::ReleaseDisk => h.release_disk(),
        Op::PipeSize(bytes) => h.set_pipe_size(bytes),
    }
}

/// Calls that move bytes towards a client.
fn moving(calls: Calls) -> u64 {
    calls.send + calls.send_gather + calls.sendfile + calls.read_at
}

/// The bytes of one of the two streams.
fn stream(bytes: &[u8], mark: u8) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| byte & 0x80 == mark).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_byte_arrives_once_in_its_place_in_bounded_work(
        limits in limits(),
        hides in any::<bool>(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut run = Run::new(limits, hides);
        for op in ops {
            let pieces = if let Op::Send(pieces) = &op { pieces.len() } else { 0 };
            run.apply_in_turns(op, pieces as u64)?;
        }
        run.h.set_room(run.client, usize::MAX);
        run.h.release_disk();
        run.received.extend(run.h.sent(run.client));
        let accepted = run.h.handler().accepted.clone();
        prop_assert!(stream(&run.received, 0) == accepted, "{} bytes sent", accepted.len());
        let passed = stream(&run.received, 0x80);
        prop_assert!(passed == relayed(0, run.relayed), "{} bytes relayed", run.relayed);
        prop_assert_eq!(run.h.ledger().queued, run.h.ledger().sent);
    }

    #[test]
    fn a_file_that_is_cut_ends_the_connection_where_it_ends(
        limits in limits(),
        before in prop::collection::vec(op(), 0..20),
        cut in 0..FILE,
        after in prop::collection::vec(op(), 0..20),
    ) {
        let mut run = Run::new(limits, false);
        for op in before {
            run.apply(op);
        }
        run.h.files().truncate("/f", cut, 0);
        for op in after {
            run.apply(op);
        }
        run.h.set_room(run.client, usize::MAX);
        run.h.release_disk();
        run.received.extend(run.h.sent(run.client));
        let accepted = run.h.handler().accepted.clone();
        let received = stream(&run.received, 0);
        prop_assert!(accepted.starts_with(&received), "{} of {}", received.len(), accepted.len());
        let whole = received.len() == accepted.len();
        prop_assert!(whole || run.h.state(run.client) == State::Reset, "it must not look whole");
        let ledger = run.h.ledger();
        prop_assert_eq!(ledger.queued, ledger.sent + ledger.dropped);
    }
}
