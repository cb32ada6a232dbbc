//! Receiving messages of a known length beside a bare loop. Run with
//! `cargo bench --bench receive_exact`, best on one core that nothing else uses
//! (`taskset -c 1 cargo bench ...`); `-- 30` repeats each pair of rounds thirty times.
//!
//! Clients send messages, in pieces of up to 256 KiB, and the receiver is called after each round
//! of pieces; it answers each message, or the last of many that were sent at once, with one byte.
//! The reactor asks for each message with `receive_exact`. The bare loop waits with epoll, receives
//! messages of up to 64 KiB into one buffer of 512 KiB, as many as are there, and a longer one into
//! a new buffer, which doubles until all is there; a short count is the end of what there is.
//!
//! Printed is the CPU time of receiving and answering for each message, the least of all rounds,
//! and the median of the ratios of the two in each pair of rounds. Many messages of one byte at
//! once show what a callback costs beside a look at a byte.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sluicegate_reactor::{Context, Handler, Input, Limits, Payload};

mod common;
#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/pair.rs"]
mod pair;

/// What is sent.
#[derive(Clone, Copy)]
struct Row {
    /// Bytes of a message.
    size: usize,
    /// Messages sent at once on each connection.
    at_once: usize,
    connections: usize,
    /// How often that is repeated.
    repeats: usize,
}

impl Row {
    fn messages(self) -> usize {
        self.at_once * self.connections * self.repeats
    }
}

const ROWS: [Row; 7] = [
    Row { size: 1, at_once: 1, connections: 64, repeats: 300 },
    Row { size: 4 << 10, at_once: 1, connections: 64, repeats: 200 },
    Row { size: 64 << 10, at_once: 1, connections: 1, repeats: 1000 },
    Row { size: 1 << 20, at_once: 1, connections: 1, repeats: 100 },
    Row { size: 256 << 20, at_once: 1, connections: 1, repeats: 2 },
    Row { size: 1, at_once: 16 << 10, connections: 1, repeats: 50 },
    Row { size: 4 << 10, at_once: 64, connections: 1, repeats: 100 },
];

/// Rounds of each row, unless an argument says otherwise.
const ROUNDS: usize = 15;
/// Longer messages have a buffer of their own.
const DIRECT: usize = 64 << 10;
/// As large as the reactor's.
const SHARED: usize = 512 << 10;
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

fn main() {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    // So glibc keeps what is freed up to this size, and memory is not cleared anew for some rounds
    // and not for others (`M_MMAP_THRESHOLD` of mallopt(3)).
    drop(black_box(Vec::<u8>::with_capacity(31 << 20)));
    println!("     bytes at once connections   reactor ns      bare ns   ratio");
    for row in ROWS {
        let mut pairs: Vec<(f64, f64)> = Vec::new();
        for round in 0..=rounds {
            // Who is first takes turns; the round before the first warms up.
            let pair = if round % 2 == 0 {
                let ours = time::<Ours>(row);
                (ours, time::<Bare>(row))
            } else {
                let bare = time::<Bare>(row);
                (time::<Ours>(row), bare)
            };
            pairs.extend((round > 0).then_some(pair));
        }
        let mut ratios: Vec<_> = pairs.iter().map(|(ours, bare)| ours / bare).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ratios.len() / 2];
        let least = |of: fn(&(f64, f64)) -> f64| {
            pairs.iter().map(of).fold(f64::MAX, f64::min) / row.messages() as f64
        };
        let Row { size, at_once, connections, .. } = row;
        print!("{size:>10} {at_once:>7} {connections:>11} {:>12.1}", least(|pair| pair.0));
        println!(" {:>12.1} {ratio:>7.3}", least(|pair| pair.1));
    }
}

/// One of the two.
trait Contender {
    fn new(row: Row) -> Self;
    fn clients(&mut self) -> &mut [TcpStream];
    /// Receives what is there and answers it.
    fn turn(&mut self);
    /// How many messages have been received.
    fn messages(&self) -> usize;
}

/// The CPU time for the messages of a row, in nanoseconds.
fn time<C: Contender>(row: Row) -> f64 {
    let mut contender = C::new(row);
    for client in contender.clients() {
        client.set_nonblocking(true).unwrap();
    }
    let length = row.size * row.at_once;
    let block = vec![b'm'; length.min(256 << 10)];
    let mut taken = Duration::ZERO;
    for round in 1..=row.repeats {
        let mut left = vec![length; row.connections];
        while contender.messages() < round * row.at_once * row.connections {
            for (client, left) in contender.clients().iter_mut().zip(&mut left) {
                if *left > 0
                    && let Ok(count) = client.write(&block[..(*left).min(block.len())])
                {
                    *left -= count;
                }
            }
            let before = cpu::time();
            contender.turn();
            taken += cpu::time() - before;
        }
        for client in contender.clients() {
            assert_eq!(client.read(&mut [0; 2]).unwrap(), 1);
        }
    }
    taken.as_secs_f64() * 1e9
}

struct Receiver(Row);

impl Handler for Receiver {
    /// Messages since the last answer.
    type Session = usize;

    fn on_open(&mut self, cx: &mut Context<'_>) -> usize {
        cx.receive_exact(self.0.size).unwrap();
        0
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut usize, _: &mut Input<'_>) {}

    fn on_received(&mut self, cx: &mut Context<'_>, seen: &mut usize, bytes: Payload<'_>) {
        assert!(bytes.len() == self.0.size && bytes.last() == Some(&b'm'));
        cx.receive_exact(self.0.size).unwrap();
        *seen += 1;
        if *seen == self.0.at_once {
            *seen = 0;
            cx.send("a");
        }
    }
}

/// A reactor that asks for messages.
struct Ours {
    server: common::Server,
}

impl Contender for Ours {
    fn new(row: Row) -> Ours {
        let limits = Limits { max_exact: usize::MAX, ..Limits::default() };
        Ours { server: common::Server::new(Receiver(row), limits, row.connections) }
    }

    fn clients(&mut self) -> &mut [TcpStream] {
        &mut self.server.clients
    }

    fn turn(&mut self) {
        self.server.turn();
    }

    fn messages(&self) -> usize {
        self.server.reactor.ledger().exact_receives as usize
    }
}

/// A connection of the bare loop.
struct Connection {
    socket: TcpStream,
    /// The beginning of a message.
    part: Vec<u8>,
    /// Messages since the last answer.
    seen: usize,
}

impl Connection {
    /// Receives until there is no more. Says how many messages that was.
    fn receive(&mut self, row: Row, shared: &mut [u8]) -> usize {
        let mut messages = 0;
        loop {
            let filled = self.part.len();
            let (asked, result) = if row.size > DIRECT {
                if filled == self.part.capacity() {
                    self.part.reserve_exact(filled.max(DIRECT).min(row.size - filled));
                }
                let asked = self.part.capacity() - filled;
                let into = spare_capacity(&mut self.part);
                (asked, recv(&self.socket, into, RecvFlags::empty()).map(|(_, count)| count))
            } else {
                let into = &mut shared[filled..];
                (into.len(), recv(&self.socket, into, RecvFlags::empty()).map(|(_, count)| count))
            };
            let count = match result {
                Ok(count) => count,
                Err(Errno::AGAIN) => return messages,
                Err(error) => panic!("{error}"),
            };
            if row.size <= DIRECT {
                shared[..filled].copy_from_slice(&self.part);
                let whole = shared[..filled + count].chunks_exact(row.size);
                self.part.clear();
                self.part.extend_from_slice(whole.remainder());
                whole.for_each(|message| messages += self.take(row, message));
            } else if self.part.len() == row.size {
                let message = std::mem::take(&mut self.part);
                messages += self.take(row, &message);
            }
            if count < asked {
                return messages;
            }
        }
    }

    /// Looks at a message and answers it if that is due.
    fn take(&mut self, row: Row, message: &[u8]) -> usize {
        assert!(message.last() == Some(&b'm'));
        self.seen += 1;
        if self.seen == row.at_once {
            self.seen = 0;
            send(&self.socket, b"a", SendFlags::NOSIGNAL).unwrap();
        }
        1
    }
}

/// A loop that does nothing else.
struct Bare {
    row: Row,
    epoll: OwnedFd,
    events: Vec<Event>,
    connections: Vec<Connection>,
    clients: Vec<TcpStream>,
    shared: Vec<u8>,
    messages: usize,
}

impl Contender for Bare {
    fn new(row: Row) -> Bare {
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        let (mut clients, mut connections) = (Vec::new(), Vec::new());
        for index in 0..row.connections {
            let (client, socket) = pair::pair();
            clients.push(client);
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&epoll, &socket, EventData::new_u64(index as u64), flags).unwrap();
            connections.push(Connection { socket, part: Vec::new(), seen: 0 });
        }
        let events = Vec::with_capacity(1024);
        Bare { row, epoll, events, connections, clients, shared: vec![0; SHARED], messages: 0 }
    }

    fn clients(&mut self) -> &mut [TcpStream] {
        &mut self.clients
    }

    fn turn(&mut self) {
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&NOW)).unwrap();
        for event in &self.events {
            let connection = &mut self.connections[event.data.u64() as usize];
            self.messages += connection.receive(self.row, &mut self.shared);
        }
    }

    fn messages(&self) -> usize {
        self.messages
    }
}
