//! Everything that can be done with a connection's queue, on a kernel that takes what it likes: its
//! client gets exactly the bytes that were accepted, in order and once.

#![no_main]

use std::mem;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate_reactor::fs::File;
use sluicegate_reactor::testing::{Client, Harness, State, Step};
use sluicegate_reactor::{Bytes, Context, Handler, Input, Limits, Listen, Outgoing, Sent};

/// As long as the longest thing that is sent.
static CONTENT: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..1 << 16).map(|at: u32| (at % 251) as u8).collect());

/// Most bytes that are sent in all: they may leave one a turn, and the harness takes more than
/// 100,000 turns for a loop without end.
const MOST: usize = 90_000;

/// Limits of any size, each at least 1.
#[derive(Arbitrary, Debug)]
struct Sizes {
    send_high: u16,
    send_low: u16,
    send_quantum: u16,
    quantum_calls: u8,
    copy: bool,
    small_file: u16,
    sendfile_chunk: u16,
    join: u16,
    join_in_room: u16,
    write_through: u16,
    write_first: u16,
    gather_pieces: u8,
    send_segments: u8,
    send_files: u8,
}

/// What the handler does in a callback.
#[derive(Arbitrary, Debug)]
enum Act {
    Slice { from: u16, len: u16 },
    Shared { from: u16, len: u16 },
    Region { from: u16, len: u16 },
    RequestDrain,
    Pause,
    Resume,
    Shutdown,
    Close,
}

/// What happens outside.
#[derive(Arbitrary, Debug)]
enum Op {
    /// Input arrives, upon which the handler acts.
    Call {
        acts: Vec<Act>,
    },
    /// How the next send goes.
    Script {
        step: Send,
    },
    Room {
        bytes: u16,
    },
    Take,
    Wake,
}

#[derive(Arbitrary, Debug)]
enum Send {
    Normal,
    Short(u16),
    Interrupted,
    WouldBlock,
}

/// Acts as it is told to, and notes what was accepted.
struct Actor {
    file: File,
    acts: Vec<Act>,
    accepted: Vec<u8>,
    /// Drains asked for and not called.
    wanted: u32,
    ended: bool,
}

impl Actor {
    fn act(&mut self, cx: &mut Context<'_>, act: &Act) {
        match *act {
            Act::Slice { from, len } => {
                let bytes = part(from, len);
                self.send(cx, bytes, bytes);
            }
            Act::Shared { from, len } => {
                let bytes = part(from, len);
                self.send(cx, Bytes::from_static(bytes), bytes);
            }
            Act::Region { from, len } => {
                let bytes = part(from, len);
                let region = self.file.region(u64::from(from), bytes.len() as u64);
                self.send(cx, region, bytes);
            }
            Act::RequestDrain => {
                cx.request_drain();
                self.wanted = 1;
            }
            Act::Pause => cx.pause(),
            Act::Resume => cx.resume(),
            Act::Shutdown => {
                cx.shutdown();
                self.ended = true;
            }
            Act::Close => {
                cx.close();
                self.ended = true;
            }
        }
    }

    fn send<'b>(&mut self, cx: &mut Context<'_>, what: impl Into<Outgoing<'b>>, bytes: &[u8]) {
        if self.accepted.len() + bytes.len() > MOST {
            return;
        }
        let sent = cx.send(what);
        assert_eq!(sent == Sent::Gone, self.ended, "accepted until the end, and not behind it");
        if sent != Sent::Gone {
            self.accepted.extend(bytes);
        }
    }
}

impl Handler for Actor {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
        for act in mem::take(&mut self.acts) {
            self.act(cx, &act);
        }
    }

    fn on_drain(&mut self, _: &mut Context<'_>, (): &mut ()) {
        self.wanted = 0;
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        cx.close();
        self.ended = true;
    }
}

fn part(from: u16, len: u16) -> &'static [u8] {
    let content = &CONTENT[usize::from(from)..];
    &content[..content.len().min(usize::from(len))]
}

fuzz_target!(|input: (Sizes, Vec<Op>)| {
    let (sizes, ops) = input;
    let listen = Listen { limits: limits(&sizes), ..Listen::default() };
    let mut h = Harness::build(
        &listen,
        |files| files.put_file("/f", &CONTENT, 0),
        |reactor| {
            let file = reactor.open_dir("/").unwrap().open("f").unwrap();
            reactor.register(Actor {
                file,
                acts: Vec::new(),
                accepted: Vec::new(),
                wanted: 0,
                ended: false,
            })
        },
    );
    let client = h.open();
    let mut received = Vec::new();
    for op in ops {
        apply(&mut h, client, op, &mut received);
    }
    h.set_room(client, usize::MAX);
    received.extend(h.sent(client));
    assert!(received == h.handler().accepted, "{} bytes", received.len());
    assert!(h.handler().wanted == 0 || h.handler().ended, "a drain that was asked for never came");
    // The handler may be paused, and an end is not read then.
    h.finish(client);
    let ended = h.handler().ended;
    assert!(!ended || h.state(client) != State::Open);
    assert_eq!(h.ledger().panics, 0);
});

fn apply(h: &mut Harness<Actor>, client: Client, op: Op, received: &mut Vec<u8>) {
    match op {
        Op::Call { acts } => {
            h.handler().acts.extend(acts);
            h.feed(client, b"x");
        }
        Op::Script { step } => {
            let step = match step {
                Send::Normal => Step::Normal,
                Send::Short(bytes) => Step::Short(usize::from(bytes.max(1))),
                Send::Interrupted => Step::Interrupted,
                Send::WouldBlock => Step::WouldBlock,
            };
            h.script_send(client, [step]);
        }
        Op::Room { bytes } => h.set_room(client, usize::from(bytes)),
        Op::Take => received.extend(h.take(client)),
        Op::Wake => h.wake(client),
    }
}

fn limits(sizes: &Sizes) -> Limits {
    let size = |bytes: u16| usize::from(bytes.max(1));
    Limits {
        send_high: size(sizes.send_high),
        send_low: usize::from(sizes.send_low.min(sizes.send_high)),
        send_quantum: size(sizes.send_quantum),
        quantum_calls: u32::from(sizes.quantum_calls.max(1)),
        small_file: if sizes.copy { u64::MAX } else { sizes.small_file.into() },
        sendfile_chunk: size(sizes.sendfile_chunk),
        join: usize::from(sizes.join),
        join_in_room: usize::from(sizes.join_in_room),
        write_through: usize::from(sizes.write_through),
        write_first: usize::from(sizes.write_first),
        gather_pieces: usize::from(sizes.gather_pieces),
        send_segments: usize::from(sizes.send_segments.max(1)),
        send_files: usize::from(sizes.send_files.max(1)),
        ..Limits::default()
    }
}
