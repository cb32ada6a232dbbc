//! A stream: one buffer for all, a quantum for each, and what is kept of it.

use std::net::TcpStream;
use std::time::Duration;

use criterion::Criterion;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sluicegate_reactor::{Context, Handler, Input, Limits};

use crate::bare::{Bare, By};
use crate::common::Server;
use crate::pair::pair;
use crate::{Group, Side, Step, size};

struct Echo;

impl Handler for Echo {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

/// Takes messages of so many bytes when they are whole, and answers each with one.
struct Whole(usize);

impl Handler for Whole {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        while input.len() >= self.0 {
            input.consume(self.0);
            cx.send("a");
        }
    }
}

/// What was kept: few bytes are moved to the front of the buffer for all, what follows more than
/// 4 KiB is received behind them. A message, of which so much had come before.
pub(crate) fn kept(criterion: &mut Criterion) {
    for len in [8 << 10, 60 << 10] {
        let mut group = Group::new(criterion, &format!("kept/{}", size(len)), Vec::new());
        for (name, before) in [("moved", 4 << 10), ("received behind", (4 << 10) + 1)] {
            let first = Step { bytes: vec![b'p'; before], back: 0 };
            let steps = [first, Step::new(len - before, 1)];
            group.side_of(name, Server::new(Whole(len), Limits::default(), 1), &steps);
        }
    }
}

/// A buffer that is full but for so much.
const ROOM: usize = 1 << 10;

/// The bare calls on a socket, whose bytes follow what was kept.
struct Behind {
    client: TcpStream,
    near: TcpStream,
    kept: Vec<u8>,
    larger: Vec<u8>,
    /// Before the first receive, not when it has filled the buffer.
    moves: bool,
}

impl Behind {
    fn new(moves: bool) -> Behind {
        let (client, near) = pair();
        Behind { client, near, kept: vec![0; 16 << 10], larger: vec![0; 64 << 10], moves }
    }

    fn receive(&mut self) -> Result<(), Errno> {
        let mut len = self.kept.len() - ROOM;
        if !self.moves {
            len += recv(&self.near, &mut self.kept[len..], RecvFlags::empty())?.1;
        }
        if self.moves || len == self.kept.len() {
            self.larger[..len].copy_from_slice(&self.kept[..len]);
            recv(&self.near, &mut self.larger[len..], RecvFlags::empty())?;
        }
        send(&self.near, b"a", SendFlags::NOSIGNAL).map(drop)
    }
}

impl Side for Behind {
    fn ends(&self) -> (&TcpStream, &TcpStream) {
        (&self.client, &self.client)
    }

    fn go(&mut self, _: Duration) {
        if let Err(error) = self.receive() {
            assert_eq!(error, Errno::AGAIN);
        }
    }
}

/// What follows more than a few kept bytes, and fits into their buffer or does not: received behind
/// them, or in a larger buffer that they were moved to.
pub(crate) fn room(criterion: &mut Criterion) {
    for len in [ROOM / 2, 4 * ROOM] {
        let name = format!("kept and {} in {}", size(len), size(ROOM));
        let mut group = Group::new(criterion, &name, vec![Step::new(len, 1)]);
        group.side("received behind", Behind::new(false));
        group.side("moved", Behind::new(true));
    }
}

/// `receive_quantum`: one receive of a message of 1 MiB in a turn, or two.
pub(crate) fn receive_quantum(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "receive_quantum", vec![Step::new(1 << 20, 1 << 20)]);
    for receive_quantum in [256 << 10, 1 << 20] {
        let limits = Limits { receive_quantum, ..Limits::default() };
        group.beside(&size(receive_quantum), Server::new(Echo, limits, 1));
    }
}

/// The size of the buffer: an echo of messages of 1 MiB with smaller and larger ones.
pub(crate) fn receive_buffer(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "receive_buffer", vec![Step::new(1 << 20, 1 << 20)]);
    for bytes in [64 << 10, 256 << 10, 512 << 10, 1 << 20] {
        group.beside(&size(bytes), Bare::echo(By::memory(bytes)));
    }
}
