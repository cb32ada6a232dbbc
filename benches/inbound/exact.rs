//! Messages of a known length.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sluicegate_reactor::{Context, Handler, Input, Limits, Payload};

use crate::common::Server;
use crate::pair::pair;
use crate::{Group, Side, Step, cpu, group, size};

/// Answers each message of `len` bytes with one.
struct Receiver {
    len: usize,
}

impl Handler for Receiver {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.receive_exact(self.len).unwrap();
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}

    fn on_received(&mut self, cx: &mut Context<'_>, (): &mut (), bytes: Payload<'_>) {
        assert_eq!(bytes.last(), Some(&b'p'));
        cx.receive_exact(self.len).unwrap();
        cx.send("a");
    }
}

/// `receive_direct`: lent from the buffer for all, or in one of its own.
pub(crate) fn receive_direct(criterion: &mut Criterion) {
    keep_what_is_freed();
    for len in [8 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10] {
        let name = format!("receive_direct/{}", size(len));
        let mut group = Group::new(criterion, &name, vec![Step::new(len, 1)]);
        for (name, receive_direct) in [("lent", usize::MAX), ("of its own", 0)] {
            let limits = Limits { receive_direct, ..Limits::default() };
            group.side(name, Server::new(Receiver { len }, limits, 1));
        }
    }
}

/// Answers each message of `len` bytes, behind a head of four, with one byte. A head of dots has no
/// message behind it.
struct Framed {
    len: usize,
}

impl Handler for Framed {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.receive_exact(4).unwrap();
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}

    fn on_received(&mut self, cx: &mut Context<'_>, (): &mut (), bytes: Payload<'_>) {
        if bytes.len() == self.len {
            cx.send("a");
        }
        let is_head = bytes[..] == *b"pppp";
        cx.receive_exact(if is_head { self.len } else { 4 }).unwrap();
    }
}

/// The short receive for a head behind a long message. A head without a message between two, which
/// is not measured, makes it a receive of all that there is.
pub(crate) fn brief(criterion: &mut Criterion) {
    keep_what_is_freed();
    for len in [128 << 10, 1 << 20] {
        let message = Step::new(4 + len, 1);
        let between = Step { bytes: b"....".into(), back: 0 };
        let server = || Server::new(Framed { len }, Limits::default(), 1);
        Group::new(criterion, &format!("brief/message of {}", size(len)), vec![message.clone()])
            .side("brief", server())
            .side_of("all there is", server(), &[message, between]);
    }
}

/// Most callbacks of a turn: messages of one byte, as many at once or one more.
pub(crate) fn most_pieces(criterion: &mut Criterion) {
    for count in [1024, 1025, 2048] {
        let name = format!("most_pieces/{count} messages");
        Group::new(criterion, &name, vec![Step::new(count, count)])
            .side("of 1 B", Server::new(Receiver { len: 1 }, Limits::default(), 1));
    }
}

/// How a buffer of its own grows: the bare calls, for messages of `len` bytes.
struct Growing {
    client: TcpStream,
    socket: TcpStream,
    len: usize,
    first: usize,
    growth: usize,
    buffer: Vec<u8>,
}

impl Growing {
    fn new(len: usize, first: usize, growth: usize) -> Growing {
        let (client, socket) = pair();
        Growing { client, socket, len, first, growth, buffer: Vec::new() }
    }
}

impl Side for Growing {
    fn ends(&self) -> (&TcpStream, &TcpStream) {
        (&self.client, &self.client)
    }

    fn go(&mut self, _: Duration) {
        loop {
            let filled = self.buffer.len();
            if filled == self.buffer.capacity() {
                let more = ((self.growth - 1) * filled).max(self.first);
                self.buffer.reserve_exact(more.min(self.len - filled));
            }
            match recv(&self.socket, spare_capacity(&mut self.buffer), RecvFlags::empty()) {
                Ok(_) if self.buffer.len() == self.len => break,
                Ok(_) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => panic!("a bare call: {error}"),
            }
        }
        drop(std::mem::take(&mut self.buffer));
        send(&self.socket, b"a", SendFlags::NOSIGNAL).unwrap();
    }
}

/// The first size of that buffer, and how many times as large it becomes when it is full.
pub(crate) fn growth(criterion: &mut Criterion) {
    keep_what_is_freed();
    for len in [128 << 10, 1 << 20, 16 << 20] {
        let name = format!("growth/{}", size(len));
        let mut group = Group::new(criterion, &name, vec![Step::new(len, 1)]);
        for (first, growth) in [
            (16 << 10, 16),
            (64 << 10, 16),
            (256 << 10, 16),
            (1 << 20, 16),
            (1 << 20, 4),
            (1 << 20, 2),
        ] {
            let name = format!("{} x {growth}", size(first));
            group.side(&name, Growing::new(len, first, growth));
        }
    }
}

/// So glibc keeps what is freed up to this size, and memory is not cleared anew for some rounds and
/// not for others (`M_MMAP_THRESHOLD` of mallopt(3)).
pub(crate) fn keep_what_is_freed() {
    drop(black_box(Vec::<u8>::with_capacity(31 << 20)));
}

/// `receive_low_water`: messages of 256 KiB from slow clients, a segment at a time.
pub(crate) fn receive_low_water(criterion: &mut Criterion) {
    const CLIENTS: usize = 16;
    const LEN: usize = 256 << 10;
    keep_what_is_freed();
    let mut group = group(criterion, "receive_low_water");
    group.throughput(Throughput::Bytes((CLIENTS * LEN) as u64));
    for receive_low_water in [0, 8 << 10, 32 << 10, 64 << 10] {
        let limits = Limits { receive_low_water, ..Limits::default() };
        let mut server = Server::new(Receiver { len: LEN }, limits, CLIENTS);
        group.bench_function(size(receive_low_water), |b| {
            b.iter_custom(|times| (0..times).map(|_| trickle(&mut server, LEN)).sum());
        });
    }
}

/// Each client sends a message, a segment in each turn.
fn trickle(server: &mut Server, len: usize) -> Duration {
    let segment = [b'p'; 1448];
    let mut spent = Duration::ZERO;
    for at in (0..len).step_by(segment.len()) {
        for client in &mut server.clients {
            client.write_all(&segment[..segment.len().min(len - at)]).unwrap();
        }
        let start = cpu::time();
        server.turn();
        spent += cpu::time() - start;
    }
    for client in &mut server.clients {
        client.read_exact(&mut [0]).unwrap();
    }
    spent
}
