//! A client in a thread of its own, which sends and takes while the server works: what many bytes
//! cost depends on who runs when, and on what is in the processor's cache then.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::cpu;

/// The longest that `go` is to wait.
const WAIT: Duration = Duration::from_millis(2);

/// Sends `bytes`, and when `back` have come back for them again, so many times. Meanwhile `go` is
/// called, which waits for so long at most until something is to be done, and does it. Says how
/// much CPU time of this thread that takes.
pub(crate) fn beside(
    (from, to): (&TcpStream, &TcpStream),
    (bytes, back): (&[u8], usize),
    times: u64,
    mut go: impl FnMut(Duration),
) -> Duration {
    let [from, to] = [from, to].map(|client| client.try_clone().unwrap());
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut into = vec![0; 256 << 10];
            (0..times).for_each(|_| exchange(&from, &to, (bytes, back), &mut into));
        });
        let start = cpu::time();
        while !client.is_finished() {
            go(WAIT);
        }
        cpu::time() - start
    })
}

/// Sends and takes at the same time.
fn exchange(
    mut from: &TcpStream,
    mut to: &TcpStream,
    (bytes, back): (&[u8], usize),
    into: &mut [u8],
) {
    let (mut sent, mut got) = (0, 0);
    while sent < bytes.len() || got < back {
        let out = if sent < bytes.len() { PollFlags::OUT } else { PollFlags::empty() };
        let mut ends = [PollFd::new(from, out), PollFd::new(to, PollFlags::IN)];
        poll(&mut ends, None).unwrap();
        sent += moved(from.write(&bytes[sent..]));
        got += moved(to.read(into));
    }
}

/// How many bytes a call on a socket that does not block has moved.
pub(crate) fn moved(result: std::io::Result<usize>) -> usize {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        other => other.unwrap(),
    }
}
