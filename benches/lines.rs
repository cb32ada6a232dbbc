//! Finding the ends of lines. Run with `cargo bench --bench lines`.
//!
//! Contenders, on the same 256 KiB of lines of 16, 100 and 4,000 bytes:
//!
//! - `memchr`: all newlines by the iterator of that crate, the least that anybody can do;
//! - `Splitter`: lines without their delimiters, with a maximum length; also where that is two
//!   bytes;
//! - `Lines`: delivered by a reactor that receives them over loopback; `bytes` is a handler that
//!   takes the same bytes without looking at them.

use std::cell::Cell;
use std::hint::black_box;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::Server;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use memchr::memchr_iter;
use sluicegate_protocols::line::{Delimiter, LineHandler, Lines, Next, Split, Splitter};
use sluicegate_reactor::{Context, Handler, Input, Limits};

mod common;

const INPUT: usize = 256 << 10;

/// Lines that are so long with their end.
fn lines(len: usize, end: &str) -> Vec<u8> {
    let line = format!("{}{end}", "x".repeat(len - end.len()));
    line.repeat(INPUT / len).into_bytes()
}

/// Counts the lines and their bytes.
fn split(splitter: &Splitter, mut bytes: &[u8]) -> (usize, usize) {
    let (mut count, mut content, mut scanned) = (0, 0, 0);
    while let Split::Line { len, end } = splitter.split(bytes, &mut scanned) {
        black_box(&bytes[..len]);
        (count, content) = (count + 1, content + len);
        bytes = &bytes[end..];
    }
    (count, content)
}

fn search(bytes: &[u8]) -> usize {
    memchr_iter(b'\n', bytes).map(black_box).count()
}

/// Counts the bytes it is given.
struct Count(Rc<Cell<usize>>);

impl LineHandler for Count {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_line(&mut self, _: &mut Context<'_>, _: &mut (), line: &[u8]) -> Next {
        self.0.set(self.0.get() + black_box(line).len());
        Next::Line
    }
}

impl Handler for Count {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        self.0.set(self.0.get() + black_box(input.take()).len());
    }
}

/// Measures how long a reactor takes to receive the input and deliver so many bytes of it.
fn over_loopback<H: Handler>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    input: &[u8],
    bytes: usize,
    handler: impl FnOnce(Count) -> H,
) {
    let delivered = Rc::new(Cell::new(0));
    let mut server = Server::new(handler(Count(delivered.clone())), Limits::default(), 1);
    let mut once = || {
        server.clients[0].write_all(input).unwrap();
        delivered.set(0);
        let start = Instant::now();
        while delivered.get() < bytes {
            server.turn();
        }
        start.elapsed()
    };
    group.bench_function(name, |b| b.iter_custom(|times| (0..times).map(|_| once()).sum()));
}

fn compare(criterion: &mut Criterion, len: usize) {
    let (newlines, returns) = (lines(len, "\n"), lines(len, "\r\n"));
    let count = newlines.len() / len;
    let mut group = criterion.benchmark_group(format!("lines of {len}"));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(count as u64));

    assert_eq!(search(&newlines), count);
    group.bench_function("memchr", |b| b.iter(|| search(black_box(&newlines))));
    for (name, delimiter, input, end) in [
        ("Splitter, newline", Delimiter::newline(), &newlines, 1),
        ("Splitter, crlf", Delimiter::crlf(), &returns, 2),
    ] {
        let splitter = Splitter::new(delimiter, 8 << 10);
        assert_eq!(split(&splitter, input), (count, count * (len - end)));
        group.bench_function(name, |b| b.iter(|| split(&splitter, black_box(input))));
    }
    over_loopback(&mut group, "Lines", &newlines, count * (len - 1), Lines::new);
    over_loopback(&mut group, "bytes", &newlines, newlines.len(), |count| count);
    group.finish();
}

fn all(criterion: &mut Criterion) {
    for len in [16, 100, 4000] {
        compare(criterion, len);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
