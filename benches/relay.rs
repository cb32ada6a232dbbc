//! A relay through memory beside one through a pipe. Run with `cargo bench --bench relay`.
//!
//! A piece of some size waits at one connection. Measured is what it takes the reactor to pass it
//! on to another; putting it there and taking it away is not. Where the two cross each other is
//! `Limits::splice_least`.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sluicegate_protocols::raw::relay::join;
use sluicegate_reactor::{ConnId, Context, Handler, Input, Limits};

mod common;

const SIZES: [usize; 7] = [64, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10];

/// Lets the second connection and the first relay to each other.
struct Joiner {
    first: Option<ConnId>,
}

impl Handler for Joiner {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        match self.first {
            Some(first) => join(cx, first),
            None => self.first = Some(cx.id()),
        }
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

/// Passes one piece, and says how long the reactor worked on it.
fn pass(server: &mut common::Server, piece: &[u8], into: &mut [u8]) -> Duration {
    let (mut sent, mut got, mut spent) = (0, 0, Duration::ZERO);
    while got < piece.len() {
        sent += moved(server.clients[0].write(&piece[sent..]));
        let start = Instant::now();
        server.turn();
        spent += start.elapsed();
        got += moved(server.clients[1].read(into));
    }
    spent
}

fn moved(result: std::io::Result<usize>) -> usize {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        other => other.unwrap(),
    }
}

fn relay(c: &mut Criterion) {
    let mut group = c.benchmark_group("relay");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        for (name, splice_after) in [("memory", usize::MAX), ("pipe", 0)] {
            let limits = Limits { splice_after, splice_least: 0, ..Limits::default() };
            let mut server = common::Server::new(Joiner { first: None }, limits, 2);
            server.clients.iter().for_each(|client| client.set_nonblocking(true).unwrap());
            let (piece, mut into) = (vec![b'p'; size], vec![0; 1 << 20]);
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter_custom(|times| {
                    (0..times).map(|_| pass(&mut server, &piece, &mut into)).sum()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, relay);
criterion_main!(benches);
