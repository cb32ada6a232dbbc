//! Files.

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use rustix::time::{ClockId, clock_gettime};
use sluicegate_reactor::fs::{CreateOptions, Dir, NotSaved, Saved};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Context, Handler, Input, Limits, Reactor, Receive, Sessions};

use crate::bare::{Bare, By};
use crate::common::Server;
use crate::{Group, Step, group, size};

/// A directory in memory, if there is one.
fn directory() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) }
}

/// Receives files of `len` bytes behind a head of one byte, and answers each with one. A dot is no
/// head, and is not answered.
struct Upload {
    directory: Dir,
    len: u64,
}

impl Upload {
    fn server(len: usize, limits: Limits) -> Server {
        let directory = Reactor::new().unwrap().open_dir(directory()).unwrap();
        Server::new(Upload { directory, len: len as u64 }, limits, 1)
    }
}

impl Handler for Upload {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        let is_head = input.bytes()[0] == b'p';
        input.consume(1);
        if is_head {
            let file = self.directory.create("sluicegate-bench", &CreateOptions::default());
            cx.receive_file(file.unwrap(), Some(self.len));
        }
    }

    fn on_saved(&mut self, cx: &mut Context<'_>, (): &mut (), saved: Result<Saved, NotSaved>) {
        saved.unwrap();
        cx.send("a");
    }
}

/// `splice_after`: files in memory, from the buffer for all or through a pipe.
pub(crate) fn splice_after(criterion: &mut Criterion) {
    for len in [64 << 10, 128 << 10, 256 << 10, 512 << 10, 8 << 20] {
        let name = format!("splice_after of a file/{}", size(len));
        let mut group = Group::new(criterion, &name, vec![Step::new(1 + len, 1)]);
        for (name, splice_after) in [("buffer", usize::MAX), ("pipe", 0)] {
            group.side(name, Upload::server(len, Limits { splice_after, ..Limits::default() }));
        }
    }
}

/// The size of the buffer, and of the pipe, for files in memory: for one client and for four.
#[cfg(target_os = "linux")]
pub(crate) fn pipe(criterion: &mut Criterion) {
    let len = 8 << 20;
    let save = |number: usize, by| {
        let path = directory().join(format!("sluicegate-bench-{number}"));
        Bare::save(by, &path, len as u64)
    };
    for count in [1, 4] {
        let name = format!("{count} x file pipe");
        let mut group = Group::new(criterion, &name, vec![Step::new(len, 1)]);
        let buffers = (0..count).map(|number| save(number, By::memory(512 << 10)));
        group.crowd("buffer of 512 KiB", buffers.collect());
        for bytes in [64 << 10, 256 << 10, 512 << 10, 1 << 20] {
            let pipes = (0..count).map(|number| save(number, By::pipe(bytes)));
            group.crowd(&size(bytes), pipes.collect());
        }
    }
}

struct Done;

/// Counts jobs that are done.
struct Jobs(u64);

impl Handler for Jobs {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<Done> for Jobs {
    fn on_message(&mut self, _: &mut Sessions<'_>, Done: Done) {
        self.0 += 1;
    }
}

/// What is gathered for a worker: a job, and a copy that would save it. All threads count.
pub(crate) fn gather(criterion: &mut Criterion) {
    let mut group = group(criterion, "gather");
    let mut reactor = Reactor::new().unwrap();
    let jobs = reactor.register(Jobs(0));
    let (reply, workers) = (reactor.handle(jobs), Workers::new());
    group.bench_function("job", |b| {
        b.iter_custom(|times| {
            let (all, start) = (reactor.handler(jobs).0 + times, process_time());
            while reactor.handler(jobs).0 < all {
                workers.run(|| Done, &reply).unwrap();
                reactor.turn(None).unwrap();
            }
            process_time() - start
        });
    });
    for len in [4 << 10, 16 << 10, 64 << 10, 256 << 10] {
        let bytes = vec![b'p'; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("copy of {}", size(len)), |b| {
            b.iter_custom(|times| {
                let start = process_time();
                (0..times).for_each(|_| drop(black_box(bytes.clone())));
                process_time() - start
            });
        });
    }
}

/// Who closes a file that was given up: the reactor, or a worker by a job, which `gather` has.
pub(crate) fn close(criterion: &mut Criterion) {
    let mut group = group(criterion, "close");
    let path = directory().join("sluicegate-bench");
    for len in [64 << 10, 256 << 10, 1 << 20, 4 << 20] {
        let bytes = vec![b'p'; len];
        group.bench_function(size(len), |b| {
            b.iter_custom(|times| {
                let given_up = (0..times).map(|_| {
                    fs::write(&path, &bytes).unwrap();
                    let file = File::open(&path).unwrap();
                    fs::remove_file(&path).unwrap();
                    let start = process_time();
                    drop(file);
                    process_time() - start
                });
                given_up.sum()
            });
        });
    }
}

/// CPU time of all threads.
fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
