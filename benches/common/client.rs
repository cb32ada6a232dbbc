//! Clients in a thread of their own, which send and take while the server works: what many bytes
//! cost depends on who runs when, and on what is in the processor's cache then.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::cpu;

/// The longest that `go` is to wait.
const WAIT: Duration = Duration::from_millis(2);

/// Where a client sends, and where it takes what comes back.
pub(crate) type Ends<'a> = (&'a TcpStream, &'a TcpStream);

/// Each client sends `bytes`, and when `back` have come back to all of them again, so many times.
/// Meanwhile `go` is called, which waits for so long at most until something is to be done, and
/// does it. Says how much CPU time of this thread that takes.
pub(crate) fn beside(
    clients: &[Ends<'_>],
    (bytes, back): (&[u8], usize),
    times: u64,
    mut go: impl FnMut(Duration),
) -> Duration {
    thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut into = vec![0; 256 << 10];
            (0..times).for_each(|_| exchange(clients, (bytes, back), &mut into));
        });
        let start = cpu::time();
        while !clients.is_finished() {
            go(WAIT);
        }
        cpu::time() - start
    })
}

/// Sends and takes at the same time.
fn exchange(clients: &[Ends<'_>], (bytes, back): (&[u8], usize), into: &mut [u8]) {
    let mut left: Vec<_> = clients.iter().map(|&ends| (ends, bytes, back)).collect();
    while !left.is_empty() {
        let mut wanted: Vec<_> = left
            .iter()
            .flat_map(|&((from, to), bytes, _)| {
                let out = if bytes.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
                [PollFd::new(from, out), PollFd::new(to, PollFlags::IN)]
            })
            .collect();
        poll(&mut wanted, None).unwrap();
        let ready: Vec<_> = wanted.iter().map(|end| !end.revents().is_empty()).collect();
        for ((ends, bytes, back), ready) in left.iter_mut().zip(ready.chunks(2)) {
            let (mut from, mut to) = *ends;
            if ready[0] {
                *bytes = &bytes[moved(from.write(bytes))..];
            }
            if ready[1] {
                *back -= moved(to.read(into));
            }
        }
        left.retain(|(_, bytes, back)| !bytes.is_empty() || *back > 0);
    }
}

/// How many bytes a call on a socket that does not block has moved.
pub(crate) fn moved(result: std::io::Result<usize>) -> usize {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        other => other.unwrap(),
    }
}
