//! Receiving messages of a known length beside a bare loop. Run with
//! `cargo bench --bench receive_exact`, best on one core that nothing else uses
//! (`taskset -c 1 cargo bench ...`); `-- 30` repeats each pair of rounds thirty times.
//!
//! A client sends a message, waits for an answer of one byte, and sends the next. The reactor asks
//! for the message with `receive_exact`. The bare loop waits with epoll and receives, up to 64 KiB
//! into the same buffer again, and what is longer into a new one, which doubles until all is there.
//! In the rows of many messages they come at once and have one answer; there the bare loop receives
//! 512 KiB at a time and looks at each message.
//!
//! Printed is the CPU time of the receiving thread for each message, the least of all rounds, and
//! the median of the ratios of the two in each pair of rounds.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::{ClockId, clock_gettime};
use sluicegate_reactor::{Context, Handler, Input, Limits, Listen, Reactor};

/// Rows: bytes of a message, messages sent at once, messages of a round.
const ROWS: [(usize, usize, usize); 7] = [
    (1, 1, 20_000),
    (4 << 10, 1, 10_000),
    (64 << 10, 1, 2_000),
    (1 << 20, 1, 100),
    (256 << 20, 1, 2),
    (1, 16 << 10, 50 * (16 << 10)),
    (4 << 10, 64, 100 * 64),
];

/// Rounds of each row, unless an argument says otherwise.
const ROUNDS: usize = 15;
/// Longer messages have a buffer of their own.
const DIRECT: usize = 64 << 10;
/// As large as the reactor's.
const SHARED: usize = 512 << 10;

fn main() {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    println!(
        "{:>10} {:>7} {:>12} {:>12} {:>7}",
        "bytes", "at once", "reactor ns", "bare ns", "ratio"
    );
    for (size, at_once, count) in ROWS {
        let mut pairs: Vec<(f64, f64)> = Vec::new();
        for round in 0..=rounds {
            let (ours, bare) = (|| reactor(size, at_once, count), || bare(size, at_once, count));
            // Who is first takes turns; the round before the first warms up.
            let pair = if round % 2 == 0 {
                let ours = ours();
                (ours, bare())
            } else {
                let bare = bare();
                (ours(), bare)
            };
            pairs.extend((round > 0).then_some(pair));
        }
        let mut ratios: Vec<_> = pairs.iter().map(|(ours, bare)| ours / bare).collect();
        ratios.sort_by(f64::total_cmp);
        let least = |times: &mut dyn Iterator<Item = f64>| times.fold(f64::MAX, f64::min);
        let ours = least(&mut pairs.iter().map(|pair| pair.0)) / count as f64;
        let bare = least(&mut pairs.iter().map(|pair| pair.1)) / count as f64;
        let ratio = ratios[ratios.len() / 2];
        println!("{size:>10} {at_once:>7} {ours:>12.1} {bare:>12.1} {ratio:>7.3}");
    }
}

/// CPU time of this thread in nanoseconds.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Sends `count` messages, so many at once, each time when the answer to those before has come.
fn client(to: std::net::SocketAddr, size: usize, at_once: usize, count: usize) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    let block = vec![b'm'; (size * at_once).min(256 << 10)];
    for _ in 0..count / at_once {
        let mut left = size * at_once;
        while left > 0 {
            left -= stream.write(&block[..left.min(block.len())]).unwrap();
        }
        stream.read_exact(&mut [0]).unwrap();
    }
}

struct Receiver {
    size: usize,
    at_once: usize,
    left: usize,
}

impl Handler for Receiver {
    type Session = usize;

    fn on_open(&mut self, cx: &mut Context<'_>) -> usize {
        cx.receive_exact(self.size).unwrap();
        0
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut usize, _: &mut Input<'_>) {}

    fn on_received(&mut self, cx: &mut Context<'_>, seen: &mut usize, bytes: Cow<'_, [u8]>) {
        assert!(bytes.len() == self.size && bytes.last() == Some(&b'm'));
        cx.receive_exact(self.size).unwrap();
        self.left -= 1;
        *seen += 1;
        if *seen == self.at_once {
            *seen = 0;
            cx.send("a");
        }
        if self.left == 0 {
            cx.stop();
        }
    }
}

/// The CPU time of a reactor that receives the messages.
fn reactor(size: usize, at_once: usize, count: usize) -> f64 {
    let mut reactor = Reactor::new().unwrap();
    let handler = reactor.register(Receiver { size, at_once, left: count });
    let limits = Limits { receive_exact: usize::MAX, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let listener = reactor.listen("127.0.0.1:0", &listen, handler).unwrap();
    let address = reactor.local_address(listener).ip_and_port().unwrap();
    let sender = thread::spawn(move || client(address, size, at_once, count));
    while reactor.ledger().accepted == 0 {
        reactor.turn(None).unwrap();
    }
    let before = cpu_time();
    while reactor.handler(handler).left > 0 {
        reactor.turn(Some(Duration::from_secs(10))).unwrap();
    }
    let taken = cpu_time() - before;
    sender.join().unwrap();
    taken
}

/// The CPU time of a loop that does nothing else.
fn bare(size: usize, at_once: usize, count: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sender = thread::spawn(move || client(address, size, at_once, count));
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.set_nodelay(true).unwrap();
    let before = cpu_time();
    let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(&epoll, &socket, EventData::new_u64(0), flags).unwrap();
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    let mut shared = vec![0; SHARED];
    let (mut left, mut seen, mut filled) = (count, 0, 0);
    let mut message: Vec<u8> = Vec::new();
    while left > 0 {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        while left > 0 {
            let (asked, result) = if size > DIRECT {
                if message.len() == message.capacity() {
                    let more = message.len().max(DIRECT).min(size - message.len());
                    message.reserve_exact(more);
                }
                let room = message.capacity() - message.len();
                let spare = rustix::buffer::spare_capacity(&mut message);
                (room, recv(&socket, spare, RecvFlags::empty()).map(|(_, count)| count))
            } else if at_once > 1 {
                (
                    SHARED - filled,
                    recv(&socket, &mut shared[filled..], RecvFlags::empty()).map(|r| r.1),
                )
            } else {
                let into = &mut shared[filled..size];
                (into.len(), recv(&socket, into, RecvFlags::empty()).map(|r| r.1))
            };
            let count = match result {
                Ok(count) => count,
                Err(Errno::AGAIN) => break,
                Err(error) => panic!("{error}"),
            };
            filled += count;
            let mut answers = 0;
            if size > DIRECT {
                if filled == size {
                    assert!(message.last() == Some(&b'm'));
                    message = Vec::new();
                    (filled, left, answers) = (0, left - 1, 1);
                }
            } else {
                let rest = filled % size;
                for message in shared[..filled].chunks_exact(size) {
                    assert!(message.last() == Some(&b'm'));
                    left -= 1;
                    seen += 1;
                    if seen == at_once {
                        (seen, answers) = (0, answers + 1);
                    }
                }
                shared.copy_within(filled - rest..filled, 0);
                filled = rest;
            }
            for _ in 0..answers {
                send(&socket, b"a", SendFlags::NOSIGNAL).unwrap();
            }
            if count < asked {
                break;
            }
        }
    }
    let taken = cpu_time() - before;
    sender.join().unwrap();
    taken
}
