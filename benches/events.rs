//! Server-sent events to many subscribers. Run with `cargo bench --bench events`.
//!
//! One event of 200 bytes goes to 5,000 subscribers. Two contenders send the same bytes:
//!
//! - `Http`: a service sends one `Bytes` to each [`ResponseStream`];
//! - `bare`: a loop that calls `send` on each socket with a chunk that is ready.
//!
//! The subscribers read after each event, outside the measured time. The bench needs 10,000
//! descriptors (`ulimit -n`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::net::{SendFlags, send};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, ResponseStream, Service};
use sluicegate_reactor::{Bytes, Limits, Sent};

mod common;
#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/pair.rs"]
mod pair;

const SUBSCRIBERS: usize = 5000;
const EVENT: usize = 200;

/// Streams to `/events`; `/publish` sends an event to all streams.
struct Events {
    streams: Vec<ResponseStream>,
    event: Bytes,
}

impl Service for Events {
    type State = ();

    fn call(&mut self, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Answered {
        if request.path() == "/publish" {
            let cx = reply.turn();
            self.streams.retain_mut(|stream| stream.send(cx, &self.event) == Sent::Accepted);
            return reply.send("");
        }
        let reply = reply.header("Content-Type", "text/event-stream");
        reply.stream(|stream, _| self.streams.push(stream))
    }
}

/// A server and its subscribers. Its last client publishes.
struct Streams(common::Server);

impl Streams {
    fn new() -> Streams {
        let events = Events { streams: Vec::new(), event: event().into() };
        let mut server = common::Server::new(Http::new(events), Limits::default(), SUBSCRIBERS + 1);
        for client in &mut server.clients[..SUBSCRIBERS] {
            client.write_all(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            let before = server.reactor.ledger().sent;
            while server.reactor.ledger().sent == before {
                server.reactor.turn(None).unwrap();
            }
            let mut head = [0; 512];
            assert!(client.read(&mut head).unwrap() < head.len());
        }
        Streams(server)
    }

    /// Sends an event, and returns the CPU time that this takes.
    fn publish(&mut self, expected: &[u8]) -> Duration {
        let common::Server { reactor, clients } = &mut self.0;
        let (publisher, subscribers) = clients.split_last_mut().unwrap();
        publisher.write_all(b"GET /publish HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let sent = reactor.ledger().sent + (SUBSCRIBERS * expected.len()) as u64;
        let start = cpu::time();
        // The response to the publisher is longer than nothing.
        while reactor.ledger().sent <= sent {
            reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        let time = cpu::time() - start;
        assert!(publisher.read(&mut [0; 512]).unwrap() < 512);
        read_all(subscribers, expected);
        time
    }
}

fn event() -> Vec<u8> {
    let mut event = b"data: ".to_vec();
    event.resize(EVENT - 2, b'x');
    event.extend_from_slice(b"\n\n");
    event
}

fn read_all(clients: &mut [TcpStream], expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    for client in clients {
        client.read_exact(&mut bytes).unwrap();
        assert!(bytes == expected);
    }
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("events/{EVENT} bytes to {SUBSCRIBERS}"));
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    group.sample_size(30).throughput(Throughput::Elements(SUBSCRIBERS as u64));
    let chunk = [format!("{EVENT:x}\r\n").as_bytes(), &event(), b"\r\n"].concat();

    let mut streams = Streams::new();
    group.bench_function("Http", |b| {
        b.iter_custom(|times| (0..times).map(|_| streams.publish(&chunk)).sum());
    });
    drop(streams);

    let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..SUBSCRIBERS).map(|_| pair::pair()).unzip();
    group.bench_function("bare", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                let start = cpu::time();
                for socket in &sockets {
                    assert_eq!(send(socket, &chunk, SendFlags::NOSIGNAL), Ok(chunk.len()));
                }
                total += cpu::time() - start;
                read_all(&mut clients, &chunk);
            }
            total
        });
    });
    group.finish();
}

criterion_group!(benches, events);
criterion_main!(benches);
