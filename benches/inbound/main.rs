//! What it costs to receive, by what is expected: both sides of each border that decides how. Run
//! with `cargo bench --bench inbound`.
//!
//! Clients put something at the sockets; measured is the CPU time in which the reactor takes it and
//! does what is asked for, turn by turn; putting it there and taking away what comes back is not.
//! Where much moves the clients have a thread of their own.
//! `benches/README.md` lists the ratios of the two sides: the medians of several short runs on one
//! core (`taskset -c 1 cargo bench ...`), so that the sides take turns.
//!
//! A size that nobody can choose, such as that of a buffer or a pipe, is shown by the bare calls in
//! a loop that does nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

mod alignment;
mod bare;
mod buffers;
#[path = "../common/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/cpu.rs"]
mod cpu;
mod exact;
mod file;
#[path = "../common/pair.rs"]
mod pair;
mod relay;
mod stream;
mod together;

use client::moved;

/// One side of a border: something that receives.
trait Side {
    /// The client that sends, and the one to which something comes back.
    fn ends(&self) -> (&TcpStream, &TcpStream);
    /// Receives what is there, within a quantum, or waits so long at most for something to be.
    fn go(&mut self, wait: Duration);
}

impl Side for common::Server {
    fn ends(&self) -> (&TcpStream, &TcpStream) {
        (&self.clients[0], &self.clients[self.clients.len() - 1])
    }

    fn go(&mut self, wait: Duration) {
        self.reactor.turn(Some(wait)).unwrap();
    }
}

/// What is sent at once, and how many bytes come back for it. With none of them it is not measured.
#[derive(Clone)]
struct Step {
    bytes: Vec<u8>,
    back: usize,
}

impl Step {
    fn new(len: usize, back: usize) -> Step {
        Step { bytes: vec![b'p'; len], back }
    }
}

/// One group: rounds of some steps.
struct Group<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    steps: Vec<Step>,
    scratch: Vec<u8>,
}

impl Group<'_> {
    fn new<'a>(criterion: &'a mut Criterion, name: &str, steps: Vec<Step>) -> Group<'a> {
        let mut group = group(criterion, name);
        group.throughput(Throughput::Bytes(steps.iter().map(|step| step.bytes.len() as u64).sum()));
        Group { group, steps, scratch: vec![0; 1 << 20] }
    }

    fn side(&mut self, name: &str, side: impl Side) -> &mut Self {
        let steps = self.steps.clone();
        self.side_of(name, side, &steps)
    }

    /// A side whose clients have a thread of their own. There is one step.
    fn beside(&mut self, name: &str, mut side: impl Side) -> &mut Self {
        let (from, to) = side.ends();
        from.set_nonblocking(true).unwrap();
        to.set_nonblocking(true).unwrap();
        let ends = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let Step { bytes, back } = &self.steps[0];
        self.group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let go = |wait| side.go(wait);
                client::beside(&[(&ends.0, &ends.1)], (bytes, *back), times, go)
            });
        });
        self
    }

    /// The bare calls for several clients, which have a thread of their own. There is one step.
    #[cfg(target_os = "linux")]
    fn crowd(&mut self, name: &str, mut bare: Vec<bare::Bare>) {
        let clone = |end: &TcpStream| {
            end.set_nonblocking(true).unwrap();
            end.try_clone().unwrap()
        };
        let ends: Vec<_> =
            bare.iter().map(Side::ends).map(|(from, to)| (clone(from), clone(to))).collect();
        let ends: Vec<_> = ends.iter().map(|(from, to)| (from, to)).collect();
        let Step { bytes, back } = &self.steps[0];
        self.group.bench_function(name, |b| {
            b.iter_custom(|times| {
                client::beside(&ends, (bytes, *back), times, |wait| bare::go(&mut bare, wait))
            });
        });
    }

    /// A side with steps of its own.
    fn side_of(&mut self, name: &str, mut side: impl Side, steps: &[Step]) -> &mut Self {
        let (from, to) = side.ends();
        from.set_nonblocking(true).unwrap();
        to.set_nonblocking(true).unwrap();
        let Group { group, scratch, .. } = self;
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let rounds = (0..times).flat_map(|_| steps);
                rounds.map(|step| carry_out(&mut side, step, scratch)).sum()
            });
        });
        self
    }
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(format!("inbound/{name}"));
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300));
    group.sample_size(20);
    group
}

/// Sends what a step says, until all has come back for it.
fn carry_out(side: &mut impl Side, step: &Step, scratch: &mut [u8]) -> Duration {
    let (mut sent, mut got, mut spent) = (0, 0, Duration::ZERO);
    while sent < step.bytes.len() || got < step.back {
        sent += moved(side.ends().0.write(&step.bytes[sent..]));
        let start = cpu::time();
        side.go(Duration::ZERO);
        spent += cpu::time() - start;
        got += moved(side.ends().1.read(scratch));
    }
    if step.back > 0 { spent } else { Duration::ZERO }
}

/// A name for a number of bytes.
fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

criterion_group!(
    benches,
    stream::receive_quantum,
    stream::receive_buffer,
    stream::kept,
    stream::room,
    buffers::buffers,
    alignment::alignment,
    exact::receive_direct,
    exact::receive_low_water,
    exact::brief,
    exact::most_pieces,
    exact::growth,
    relay::splice_least,
    relay::splice_after,
    relay::small_splices,
    relay::receive_quantum,
    relay::chunk,
    together::together,
    file::splice_after,
    file::gather,
    file::close
);
#[cfg(target_os = "linux")]
criterion_group!(pipes, relay::pipe, file::pipe);
#[cfg(not(target_os = "linux"))]
fn pipes() {}
criterion_main!(benches, pipes);
