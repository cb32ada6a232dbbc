//! Where in a page a buffer begins: 0 and 64 bytes behind are what an allocation with an alignment
//! has, 16 bytes behind is where the allocator of glibc puts a large one without.

use std::net::TcpStream;
use std::time::Duration;

use criterion::Criterion;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::pair::pair;
use crate::{Group, Side, Step, size};

/// Size of the buffer, as that of a reactor.
const BUFFER: usize = 512 << 10;

const PAGE: usize = 4096;

/// Receives messages, and answers each when it is whole.
struct Receiver {
    client: TcpStream,
    near: TcpStream,
    memory: Vec<u8>,
    /// Where in the memory the buffer begins.
    start: usize,
    message: usize,
    received: usize,
}

impl Receiver {
    fn new(message: usize, offset: usize) -> Receiver {
        let (client, near) = pair();
        let memory = vec![0; BUFFER + 2 * PAGE];
        let start = memory.as_ptr().align_offset(PAGE) + offset;
        Receiver { client, near, memory, start, message, received: 0 }
    }

    fn receive(&mut self) -> Result<(), Errno> {
        loop {
            let buffer = &mut self.memory[self.start..self.start + BUFFER];
            self.received += recv(&self.near, buffer, RecvFlags::empty())?.1;
            if self.received == self.message {
                self.received = 0;
                send(&self.near, b"a", SendFlags::NOSIGNAL)?;
            }
        }
    }
}

impl Side for Receiver {
    fn ends(&self) -> (&TcpStream, &TcpStream) {
        (&self.client, &self.client)
    }

    fn go(&mut self, _: Duration) {
        assert_eq!(self.receive(), Err(Errno::AGAIN));
    }
}

/// Receives into buffers that begin at different offsets in a page.
pub(crate) fn alignment(criterion: &mut Criterion) {
    for message in [16 << 10, 1 << 20] {
        let steps = vec![Step::new(message, 1)];
        let mut group = Group::new(criterion, &format!("alignment/{}", size(message)), steps);
        for offset in [0, 16, 64, 2048] {
            group.side(&format!("{offset} bytes behind a page"), Receiver::new(message, offset));
        }
    }
}
