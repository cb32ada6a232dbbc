//! WebSockets. Run with `cargo bench --bench websocket`.
//!
//! - `echo`: a client sends a masked message of 64 bytes, or of 64 KiB, and gets it back;
//! - `fan-out`: a message of 200 bytes, encoded once, goes to 5,000 members.
//!
//! Each is compared with `bare`, a loop of the same calls: `recv`, unmask in place and `send`, or
//! one `send` to each member. The clients read outside the measured time. The bench needs 10,000
//! descriptors (`ulimit -n`).

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::websocket::{
    Frame, Handshake, Message, WebSocket, WebSocketHandler, WebSockets,
};
use sluicegate_reactor::{Context, HandlerId, Limits, Receive, Sessions};

mod common;
#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/pair.rs"]
mod pair;

const MEMBERS: usize = 5000;
const MESSAGE: usize = 200;

/// Sends messages back to their sender, and news to all.
struct Room;

impl WebSocketHandler for Room {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        socket.send(cx, m);
    }
}

struct News(Vec<u8>);

impl Receive<News, WebSocket<()>> for Room {
    fn on_message(&mut self, cx: &mut Sessions<'_, WebSocket<()>>, News(bytes): News) {
        let frame = Frame::new(bytes);
        cx.for_each(|cx, socket| _ = socket.send_frame(cx, &frame));
    }
}

type RoomId = HandlerId<WebSockets<Room>>;

struct Site(Rc<Cell<Option<RoomId>>>);

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let handshake = Handshake::new(request).unwrap();
        handshake.accept(reply, self.0.get().unwrap(), ())
    }
}

const OPEN: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server whose clients have opened WebSockets.
struct Server {
    server: common::Server,
    room: RoomId,
}

impl Server {
    fn new(clients: usize) -> Server {
        let id = Rc::new(Cell::new(None));
        let mut server =
            common::Server::new(Http::new(Site(id.clone())), Limits::default(), clients);
        let room = server.reactor.register(WebSockets::new(Room));
        id.set(Some(room));
        for client in &mut server.clients {
            client.write_all(OPEN).unwrap();
            let before = server.reactor.ledger().sent;
            while server.reactor.ledger().sent == before {
                server.reactor.turn(None).unwrap();
            }
            let mut head = [0; 512];
            assert!(client.read(&mut head).unwrap() < head.len());
        }
        Server { server, room }
    }

    /// Turns until this many bytes were sent, and returns the CPU time that this takes.
    fn send(&mut self, bytes: usize) -> Duration {
        let reactor = &mut self.server.reactor;
        let sent = reactor.ledger().sent + bytes as u64;
        let start = cpu::time();
        while reactor.ledger().sent < sent {
            reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        cpu::time() - start
    }
}

/// A binary message, as a client or as a server sends it.
fn frame(len: usize, is_masked: bool) -> Vec<u8> {
    let masked = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![0x82];
    match len {
        0..126 => bytes.push(masked | len as u8),
        126..0x10000 => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(masked | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    let key = if is_masked { &[1, 2, 3, 4][..] } else { &[] };
    bytes.extend(key);
    bytes.extend((0..len).map(|at| b'x' ^ key.get(at % 4).copied().unwrap_or(0)));
    bytes
}

fn read_all<'c>(clients: impl IntoIterator<Item = &'c mut TcpStream>, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    for client in clients {
        client.read_exact(&mut bytes).unwrap();
        assert!(bytes == expected);
    }
}

fn echo(criterion: &mut Criterion, len: usize) {
    let mut group = criterion.benchmark_group(format!("echo/{len} bytes"));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let (request, response) = (frame(len, true), frame(len, false));

    let mut server = Server::new(1);
    group.bench_function("WebSockets", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                server.server.clients[0].write_all(&request).unwrap();
                total += server.send(response.len());
                read_all(&mut server.server.clients, &response);
            }
            total
        });
    });

    let (mut client, near) = pair::pair();
    let mut buffer = vec![0; request.len()];
    let header = request.len() - len;
    group.bench_function("bare", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                client.write_all(&request).unwrap();
                let start = cpu::time();
                let mut at = 0;
                while at < request.len() {
                    at += recv(&near, &mut buffer[at..], RecvFlags::empty()).map_or(0, |n| n.0);
                }
                let (words, rest) = buffer[header..].as_chunks_mut::<4>();
                words.iter_mut().for_each(|word| {
                    *word = (u32::from_ne_bytes(*word) ^ 0x0403_0201_u32.to_le()).to_ne_bytes();
                });
                assert!(rest.is_empty());
                // In front of the payload, where the masking key was.
                let first = header - (response.len() - len);
                buffer[first..header].copy_from_slice(&response[..header - first]);
                let sent = send(&near, &buffer[first..], SendFlags::NOSIGNAL).unwrap();
                total += cpu::time() - start;
                assert_eq!(sent, response.len());
                read_all([&mut client], &response);
            }
            total
        });
    });
    group.finish();
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("fan-out/{MESSAGE} bytes to {MEMBERS}"));
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    group.sample_size(30).throughput(Throughput::Elements(MEMBERS as u64));
    let expected = frame(MESSAGE, false);

    let mut server = Server::new(MEMBERS);
    let handle = server.server.reactor.handle(server.room);
    group.bench_function("WebSockets", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                assert!(handle.post(News(vec![b'x'; MESSAGE])).is_ok());
                total += server.send(MEMBERS * expected.len());
                read_all(&mut server.server.clients, &expected);
            }
            total
        });
    });
    drop(server);

    let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..MEMBERS).map(|_| pair::pair()).unzip();
    group.bench_function("bare", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                let start = cpu::time();
                for socket in &sockets {
                    let sent = send(socket, &expected, SendFlags::NOSIGNAL);
                    assert_eq!(sent, Ok(expected.len()));
                }
                total += cpu::time() - start;
                read_all(&mut clients, &expected);
            }
            total
        });
    });
    group.finish();
}

fn all(criterion: &mut Criterion) {
    for len in [64, 64 << 10] {
        echo(criterion, len);
    }
    fan_out(criterion);
}

criterion_group!(benches, all);
criterion_main!(benches);
