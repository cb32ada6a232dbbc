//! What it costs to send, by kind and size. Run with `cargo bench --bench outbound`.
//!
//! One connection over loopback gets the same answer over and over; a round is one answer. The
//! reactor's callback sends it and asks to be called again when it has left, so a round is the CPU
//! time of a callback, the queue, and the system calls. Beside it run the bare calls, in a loop
//! that knows nothing but where it stopped. The client asks for a batch of rounds and takes it
//! away, which is not measured. Looking for what it asks for is part of both: a turn on one side, a
//! poll and a receive on the other. Where the size of a call matters the client has a thread of its
//! own. A size that nobody can choose is shown by the bare calls.
//!
//! Where there is a choice the groups show both sides of it: joined or referenced, read beside the
//! header or by sendfile, sendfile or copy.
//!
//! [`borders`] has both sides of each limit that decides. `benches/README.md` lists their ratios:
//! the medians of several short runs on one core (`taskset -c 1 cargo bench ...`), so that the
//! sides take turns.
//!
//! `plan` is the decision alone, for a few fronts of a queue.

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use sluicegate_reactor::fs::File;
use sluicegate_reactor::outbound::{Front, plan};
use sluicegate_reactor::{Bytes, Context, Handler, Input, Limits, Reactor};

mod bare;
mod borders;
#[path = "../common/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/cpu.rs"]
mod cpu;
#[path = "../common/pair.rs"]
mod pair;

use bare::{Bare, Calls};

/// Bytes that a client asks for at a time, rounded up to whole rounds.
const BATCH: usize = 256 << 10;
const MOST_ROUNDS: usize = 64;
const HEADER: usize = 200;

/// A side of the comparison: something that sends rounds to a client.
trait Sender {
    fn clients(&self) -> &[TcpStream];
    /// Looks for what the client asks for, a round for each byte, and sends what there is room for;
    /// waits so long at most for one or the other.
    fn go(&mut self, wait: Duration);
}

/// An answer, as a handler sends it.
enum Answer {
    Slices(Vec<u8>, usize),
    Shared(Bytes, usize),
    /// A header, and shared bytes.
    Headed(Vec<u8>, Bytes),
    File(Vec<u8>, File),
}

impl Answer {
    fn len(&self) -> usize {
        match self {
            Answer::Slices(piece, count) => piece.len() * count,
            Answer::Shared(piece, count) => piece.len() * count,
            Answer::Headed(header, body) => header.len() + body.len(),
            Answer::File(header, file) => header.len() + file.metadata().unwrap().len as usize,
        }
    }
}

struct Answering {
    answer: Answer,
    len: u64,
}

impl Answering {
    fn next(&self, cx: &mut Context<'_>, left: &mut usize) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        match &self.answer {
            Answer::Slices(piece, count) => {
                for _ in 0..*count {
                    cx.send(&piece[..]);
                }
            }
            Answer::Shared(piece, count) => {
                for _ in 0..*count {
                    cx.send(piece.clone());
                }
            }
            Answer::Headed(header, body) => {
                cx.send(&header[..]);
                cx.send(body.clone());
            }
            Answer::File(header, file) => {
                cx.send(&header[..]);
                cx.send(file.region(0, self.len - header.len() as u64));
            }
        }
        if *left > 0 {
            cx.request_drain();
        }
    }
}

impl Handler for Answering {
    /// How many answers are to follow.
    type Session = usize;
    fn on_open(&mut self, _: &mut Context<'_>) -> usize {
        0
    }
    fn on_data(&mut self, cx: &mut Context<'_>, left: &mut usize, input: &mut Input<'_>) {
        *left += input.take().len();
        self.next(cx, left);
    }
    fn on_drain(&mut self, cx: &mut Context<'_>, left: &mut usize) {
        self.next(cx, left);
    }
}

impl Sender for common::Server {
    fn clients(&self) -> &[TcpStream] {
        &self.clients
    }

    fn go(&mut self, wait: Duration) {
        self.reactor.turn(Some(wait)).unwrap();
    }
}

/// Takes what has arrived and says how much it was.
fn drain(client: &TcpStream, scratch: &mut [u8]) -> usize {
    // On Linux such a receive drops the bytes without copying them (tcp(7)).
    let flags = if cfg!(target_os = "linux") { RecvFlags::TRUNC } else { RecvFlags::empty() };
    let mut all = 0;
    loop {
        match recv(client, &mut *scratch, flags) {
            Ok((_, 0)) => panic!("the server has closed"),
            Ok((_, count)) => all += count,
            Err(Errno::AGAIN) => return all,
            Err(error) => panic!("draining: {error}"),
        }
    }
}

/// One group: rounds of `len` bytes.
struct Group<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    len: usize,
    scratch: Vec<u8>,
}

impl Group<'_> {
    fn new<'a>(criterion: &'a mut Criterion, name: &str, len: usize) -> Group<'a> {
        let mut group = criterion.benchmark_group(format!("outbound/{name}"));
        group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300));
        group.sample_size(20);
        group.throughput(Throughput::Bytes(len as u64));
        Group { group, len, scratch: vec![0; 1 << 20] }
    }

    fn server(&self, answer: Answer, limits: Limits, clients: usize) -> common::Server {
        assert_eq!(answer.len(), self.len);
        let server =
            common::Server::new(Answering { answer, len: self.len as u64 }, limits, clients);
        for client in &server.clients {
            client.set_nonblocking(true).unwrap();
        }
        server
    }

    fn reactor(&mut self, name: &str, answer: Answer, limits: Limits) -> &mut Self {
        let server = self.server(answer, limits, 1);
        self.run(name, server)
    }

    /// The same, for so many clients in a thread of their own: a round is an answer for each.
    fn crowd(&mut self, name: &str, clients: usize, answer: Answer, limits: Limits) -> &mut Self {
        let server = self.server(answer, limits, clients);
        self.run_beside(name, server)
    }

    fn bare(&mut self, name: &str, calls: Calls) -> &mut Self {
        let bare = Bare::new(pair::pair(), calls, self.len);
        self.run(name, bare)
    }

    /// The same, for a client in a thread of its own.
    fn bare_beside(&mut self, name: &str, calls: Calls) -> &mut Self {
        let bare = Bare::new(pair::pair(), calls, self.len);
        self.run_beside(name, bare)
    }

    fn run(&mut self, name: &str, mut sender: impl Sender) -> &mut Self {
        let Group { group, len, scratch } = self;
        group.bench_function(name, |b| {
            b.iter_custom(|times| rounds(&mut sender, times, *len, scratch));
        });
        self
    }

    fn run_beside(&mut self, name: &str, mut sender: impl Sender) -> &mut Self {
        let clients = sender.clients().iter().map(|client| client.try_clone().unwrap());
        let clients: Vec<_> = clients.collect();
        let ends: Vec<_> = clients.iter().map(|client| (client, client)).collect();
        self.group.throughput(Throughput::Bytes((ends.len() * self.len) as u64));
        self.group.bench_function(name, |b| {
            b.iter_custom(|times| {
                client::beside(&ends, (b".", self.len), times, |wait| sender.go(wait))
            });
        });
        self
    }
}

/// Sends so many rounds, a batch at a time.
fn rounds(sender: &mut impl Sender, times: u64, len: usize, scratch: &mut [u8]) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = times as usize;
    while left > 0 {
        let batch = left.min(MOST_ROUNDS).min(BATCH.div_ceil(len));
        let mut missing = batch * len;
        let mut client = &sender.clients()[0];
        client.write_all(&[b'.'; MOST_ROUNDS][..batch]).unwrap();
        while missing > 0 {
            let start = cpu::time();
            sender.go(Duration::ZERO);
            elapsed += cpu::time() - start;
            missing -= drain(&sender.clients()[0], scratch);
        }
        left -= batch;
    }
    elapsed
}

/// The default without quanta: those are for the sake of other connections, and there are none.
fn default() -> Limits {
    Limits {
        send_quantum: usize::MAX,
        receive_quantum: usize::MAX,
        quantum_calls: u32::MAX,
        ..Limits::default()
    }
}

fn outbound(criterion: &mut Criterion) {
    let referenced = || Limits { join: 0, join_in_room: 0, ..default() };
    let piece = |len| Bytes::from(vec![b'.'; len]);

    Group::new(criterion, "16 x 64 B", 16 * 64)
        .reactor("joined", Answer::Slices(vec![b'.'; 64], 16), default())
        .bare("send", Calls::Send);
    Group::new(criterion, "borrowed 2 KiB", 2 << 10)
        .reactor("written through", Answer::Slices(vec![b'.'; 2 << 10], 1), default())
        .bare("send", Calls::Send);
    Group::new(criterion, "shared 64 KiB", 64 << 10)
        .reactor("referenced", Answer::Shared(piece(64 << 10), 1), default())
        .bare("send", Calls::Send);
    Group::new(criterion, "16 x shared 1 KiB", 16 << 10)
        .reactor("joined", Answer::Shared(piece(1 << 10), 16), default())
        .reactor("referenced", Answer::Shared(piece(1 << 10), 16), referenced())
        .bare("send", Calls::Send);
}

fn files(criterion: &mut Criterion) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outbound");
    let file = |len: usize| {
        fs::write(&path, vec![b'.'; len]).unwrap();
        fs::File::open(&path).unwrap()
    };
    let answer = || {
        let directory = Reactor::new().unwrap().open_dir(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Answer::File(vec![b'.'; HEADER], directory.open("outbound").unwrap())
    };

    let small = file(10 << 10);
    let mut group = Group::new(criterion, "header + file of 10 KiB", HEADER + (10 << 10));
    group
        .reactor("read beside", answer(), default())
        .reactor("sendfile", answer(), Limits { small_file: 0, ..default() })
        .bare("read, send", Calls::ReadSend(small));
    drop(group);

    let large = file(1 << 20);
    let copy = Limits { small_file: u64::MAX, ..default() };
    let mut group = Group::new(criterion, "header + file of 1 MiB", HEADER + (1 << 20));
    group.reactor("sendfile", answer(), default()).reactor("copy", answer(), copy);
    #[cfg(target_os = "linux")]
    group.bare("send, sendfile", Calls::Sendfile(large));
}

fn decision(criterion: &mut Criterion) {
    let limits = Limits::default();
    let memory = Front { pieces: 1, memory: 200, ..Front::default() };
    let small = Front { file_left: 10 << 10, ..memory };
    let large = Front { file_left: 1 << 20, ..memory };
    let fronts = [memory, small, large, Front { pieces: 0, memory: 0, ..large }];
    let mut group = criterion.benchmark_group("outbound/plan");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300));
    group.sample_size(20);
    group.throughput(Throughput::Elements(fronts.len() as u64));
    group.bench_function("4 fronts", |b| {
        b.iter(|| {
            for front in &fronts {
                black_box(plan(black_box(front), black_box(&limits)));
            }
        });
    });
}

criterion_group!(
    benches,
    outbound,
    files,
    decision,
    borders::join,
    borders::join_in_room,
    borders::write_through,
    borders::gather,
    borders::small_file,
    borders::chunk,
    borders::scratch,
    borders::quanta,
    borders::pieces,
    borders::looks
);
criterion_main!(benches);
