//! A client in a thread of its own, which sends and takes while the server works: what moves many
//! bytes depends on who runs when, and on what is in the processor's cache then.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::cpu;

/// The longest that `go` is to wait.
const WAIT: Duration = Duration::from_millis(2);

/// Sends `bytes`, and when `back` have come back for them again, so many times. Says how much CPU
/// time of this thread `go` takes meanwhile, which waits for so long at most until something is to
/// be done, and does it.
pub(crate) fn beside(
    (from, to): (&TcpStream, &TcpStream),
    (bytes, back): (&[u8], usize),
    times: u64,
    mut go: impl FnMut(Duration),
) -> Duration {
    let [from, to] = [from, to].map(|client| client.try_clone().unwrap());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..times).for_each(|_| exchange(&from, &to, bytes, back));
            done.store(true, Ordering::Relaxed);
        });
        let start = cpu::time();
        while !done.load(Ordering::Relaxed) {
            go(WAIT);
        }
        cpu::time() - start
    })
}

/// Sends and takes at the same time.
fn exchange(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8], back: usize) {
    let mut into = vec![0; 256 << 10];
    let (mut sent, mut got) = (0, 0);
    while sent < bytes.len() || got < back {
        let out = if sent < bytes.len() { PollFlags::OUT } else { PollFlags::empty() };
        let mut ends = [PollFd::new(from, out), PollFd::new(to, PollFlags::IN)];
        poll(&mut ends, None).unwrap();
        sent += moved(from.write(&bytes[sent..]));
        got += moved(to.read(&mut into));
    }
}

/// How many bytes a call on a socket that does not block has moved.
pub(crate) fn moved(result: std::io::Result<usize>) -> usize {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        other => other.unwrap(),
    }
}
