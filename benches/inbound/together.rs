//! What several connections pass on in one turn: each before the next receives, or all at its end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::pair::pair;
use crate::{cpu, group, size};

/// As many connections have something at the same time.
const COUNT: usize = 64;
const BUFFER: usize = 64 << 10;

/// The bare calls on sockets that pass on to others what they receive.
struct Pairs {
    sockets: Vec<(TcpStream, TcpStream)>,
    buffer: Vec<u8>,
    /// What was received last, and for which of them.
    parts: Vec<(usize, usize)>,
    together: bool,
}

impl Pairs {
    fn go(&mut self, wait: Duration) {
        let mut ends: Vec<_> =
            self.sockets.iter().map(|(from, _)| PollFd::new(from, PollFlags::IN)).collect();
        poll(&mut ends, Some(&Timespec::try_from(wait).unwrap())).unwrap();
        let ready: Vec<_> = ends.iter().map(|end| !end.revents().is_empty()).collect();
        let mut used = 0;
        for index in (0..self.sockets.len()).filter(|&index| ready[index]) {
            let spare = &mut self.buffer[used..];
            let count = recv(&self.sockets[index].0, spare, RecvFlags::empty()).unwrap().1;
            self.parts.push((index, count));
            used += count;
            if !self.together || used > BUFFER / 2 {
                self.send();
                used = 0;
            }
        }
        self.send();
    }

    fn send(&mut self) {
        let mut at = 0;
        for (index, count) in self.parts.drain(..) {
            let bytes = &self.buffer[at..at + count];
            assert_eq!(send(&self.sockets[index].1, bytes, SendFlags::NOSIGNAL), Ok(count));
            at += count;
        }
    }
}

/// Each client sends the next piece when the one before has come back.
fn exchange(clients: &[(TcpStream, TcpStream)], bytes: &[u8], times: u64) {
    let (mut into, mut left) = (vec![0; bytes.len()], vec![times; clients.len()]);
    clients.iter().for_each(|(from, _)| {
        let mut from = from;
        from.write_all(bytes).unwrap();
    });
    while left.iter().any(|&left| left > 0) {
        let mut ends: Vec<_> =
            clients.iter().map(|(_, to)| PollFd::new(to, PollFlags::IN)).collect();
        poll(&mut ends, None).unwrap();
        let ready: Vec<_> = ends.iter().map(|end| !end.revents().is_empty()).collect();
        for index in (0..clients.len()).filter(|&index| ready[index]) {
            let (mut from, mut to) = (&clients[index].0, &clients[index].1);
            to.read_exact(&mut into).unwrap();
            left[index] -= 1;
            if left[index] > 0 {
                from.write_all(bytes).unwrap();
            }
        }
    }
}

/// Pieces of some size for as many others.
pub(crate) fn together(criterion: &mut Criterion) {
    for len in [64, 1 << 10, 4 << 10, 8 << 10, 16 << 10] {
        let mut group = group(criterion, &format!("together/{COUNT} x {}", size(len)));
        group.throughput(Throughput::Elements(COUNT as u64));
        for (name, together) in [("one by one", false), ("together", true)] {
            let (clients, sockets): (Vec<_>, Vec<_>) = (0..COUNT)
                .map(|_| {
                    let ((from, near), (to, far)) = (pair(), pair());
                    ((from, to), (near, far))
                })
                .unzip();
            let (buffer, bytes) = (vec![0; BUFFER], vec![b'p'; len]);
            let mut pairs = Pairs { sockets, buffer, parts: Vec::new(), together };
            group.bench_function(name, |b| {
                b.iter_custom(|times| {
                    thread::scope(|scope| {
                        let clients = scope.spawn(|| exchange(&clients, &bytes, times));
                        let start = cpu::time();
                        while !clients.is_finished() {
                            pairs.go(Duration::from_millis(2));
                        }
                        cpu::time() - start
                    })
                });
            });
        }
    }
}
