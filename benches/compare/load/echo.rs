//! Messages that come back.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;

use rustix::net::{SendFlags, send};

use super::{Client, Crowd, Work, discard};
use crate::poll::done;

/// Connections that send a batch of bytes, and the next one when it has come back.
pub(crate) fn load(to: SocketAddr, connections: usize, batch: usize) -> io::Result<Crowd<Echo>> {
    let batch: Rc<[u8]> = vec![b'x'; batch].into();
    Crowd::new(to, connections, || Echo { batch: Rc::clone(&batch), sent: 0, received: 0 })
}

/// A client that sends messages.
pub(crate) struct Echo {
    batch: Rc<[u8]>,
    sent: usize,
    received: usize,
}

impl Client for Echo {
    fn drive(&mut self, socket: &TcpStream, nowhere: &mut [u8], work: &mut Work) -> io::Result<()> {
        while self.received < self.sent {
            let left = self.batch.len() - self.received;
            let Some(got) = discard(socket, nowhere, left as u64)? else { break };
            self.received += got;
            work.bytes += got as u64;
        }
        if self.received > self.sent {
            return Err(io::Error::other("more has come back than was sent"));
        }
        if self.received == self.batch.len() {
            self.received = 0;
            self.sent = 0;
        }
        while self.sent < self.batch.len() {
            let rest = &self.batch[self.sent..];
            let Some(sent) = done(send(socket, rest, SendFlags::NOSIGNAL))? else { break };
            self.sent += sent;
        }
        Ok(())
    }
}
