//! A turn of the reactor beside a bare epoll loop. Run with `cargo bench --bench turn`.
//!
//! On each of 1, 64 or 1024 connections a message of 64 bytes waits. Measured is what it takes to
//! echo them all: one wait, and a receive and a send for each. Putting the messages there and
//! taking the echoes away is not measured. Both loops are edge-triggered, receive into one buffer
//! and read a short count as the end of what there is, so they make the same system calls; the
//! difference is what the reactor's bookkeeping costs. `events` is the bare loop with smaller and
//! larger waits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use sluicegate_reactor::{Context, Handler, Input, Limits};

mod common;
#[path = "common/pair.rs"]
mod pair;

const MESSAGE: [u8; 64] = [b'm'; 64];
const READY: [usize; 3] = [1, 64, 1024];

/// What the contenders have in common.
trait Echoing {
    const NAME: &str;
    fn new(connections: usize) -> Self;
    fn clients(&self) -> &[TcpStream];
    /// Turns once and says how many messages that echoed.
    fn turn(&mut self) -> usize;
}

struct Echo;

impl Handler for Echo {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

impl Echoing for common::Server {
    const NAME: &str = "reactor";

    fn new(connections: usize) -> Self {
        common::Server::new(Echo, Limits::default(), connections)
    }

    fn clients(&self) -> &[TcpStream] {
        &self.clients
    }

    fn turn(&mut self) -> usize {
        let before = self.reactor.ledger().sent;
        common::Server::turn(self);
        (self.reactor.ledger().sent - before) as usize / MESSAGE.len()
    }
}

#[cfg(target_os = "linux")]
mod bare {
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;

    use rustix::event::Timespec;
    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
    use rustix::net::{RecvFlags, SendFlags, recv, send};

    use super::{Echoing, MESSAGE, pair::pair};

    /// As large as the reactor's.
    const BUFFER: usize = 512 << 10;
    const EVENTS: usize = 1024;
    const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    const NOTHING: Event = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };

    /// Nothing but the system calls.
    pub(super) struct Bare {
        epoll: OwnedFd,
        events: Vec<Event>,
        connections: Vec<TcpStream>,
        buffer: Vec<u8>,
        clients: Vec<TcpStream>,
    }

    impl Bare {
        /// One that takes so many events in a wait.
        pub(super) fn with_events(self, count: usize) -> Bare {
            Bare { events: vec![NOTHING; count], ..self }
        }
    }

    impl Echoing for Bare {
        const NAME: &str = "bare epoll";

        fn new(connections: usize) -> Bare {
            let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
            let (buffer, events) = (vec![0; BUFFER], vec![NOTHING; EVENTS]);
            let (clients, connections) = (0..connections as u64)
                .map(|index| {
                    let (client, server) = pair();
                    let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
                    epoll::add(&epoll, &server, EventData::new_u64(index), flags).unwrap();
                    (client, server)
                })
                .unzip();
            Bare { epoll, events, connections, buffer, clients }
        }

        fn clients(&self) -> &[TcpStream] {
            &self.clients
        }

        fn turn(&mut self) -> usize {
            let mut sent = 0;
            let count = epoll::wait(&self.epoll, &mut self.events[..], Some(&NOW)).unwrap();
            for event in &self.events[..count] {
                let socket = &self.connections[event.data.u64() as usize];
                loop {
                    let buffer = &mut self.buffer[..];
                    let (received, _) = recv(socket, &mut *buffer, RecvFlags::empty()).unwrap();
                    sent += send(socket, &buffer[..received], SendFlags::NOSIGNAL).unwrap();
                    if received < buffer.len() {
                        break;
                    }
                }
            }
            sent / MESSAGE.len()
        }
    }
}

/// Echoes one message on each connection, so many times.
fn echo<E: Echoing>(server: &mut E, times: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    let ready = server.clients().len();
    for _ in 0..times {
        for mut client in server.clients() {
            client.write_all(&MESSAGE).unwrap();
        }
        let mut echoed = 0;
        let start = Instant::now();
        // One turn is enough, unless the kernel delivers late.
        while echoed < ready {
            echoed += server.turn();
        }
        elapsed += start.elapsed();
        assert_eq!(echoed, ready);
        for mut client in server.clients() {
            let mut answer = [0; 2 * MESSAGE.len()];
            let count = client.read(&mut answer).unwrap();
            assert_eq!(&answer[..count], MESSAGE);
        }
    }
    elapsed
}

fn contend<E: Echoing>(group: &mut BenchmarkGroup<'_, WallTime>, ready: usize) {
    let mut server = E::new(ready);
    group.bench_function(E::NAME, |b| b.iter_custom(|times| echo(&mut server, times)));
}

fn turn(criterion: &mut Criterion) {
    // Two descriptors for each connection are more than many systems allow at first.
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).unwrap();
    for ready in READY {
        let mut group = criterion.benchmark_group(format!("turn/{ready} ready"));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        group.throughput(Throughput::Elements(ready as u64));
        contend::<common::Server>(&mut group, ready);
        #[cfg(target_os = "linux")]
        contend::<bare::Bare>(&mut group, ready);
        group.finish();
    }
}

/// How many events a wait takes, with 1024 connections ready.
#[cfg(target_os = "linux")]
fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn/events");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(1024));
    for count in [16, 64, 256, 1024] {
        let mut server = bare::Bare::new(1024).with_events(count);
        group.bench_function(count.to_string(), |b| {
            b.iter_custom(|times| echo(&mut server, times));
        });
    }
}

criterion_group!(benches, turn);
#[cfg(target_os = "linux")]
criterion_group!(waits, events);
#[cfg(not(target_os = "linux"))]
fn waits() {}
criterion_main!(benches, waits);
