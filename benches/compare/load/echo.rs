//! Messages that come back.

use std::io;
use std::rc::Rc;

use super::{Client, Crowd, Stream, Work};

/// Connections that send a batch of bytes, and the next one when `back` bytes have come back.
pub(crate) fn load<S: Stream>(
    connect: impl Fn() -> io::Result<S>,
    connections: usize,
    batch: Vec<u8>,
    back: usize,
) -> io::Result<Crowd<S, Echo>> {
    let batch: Rc<[u8]> = batch.into();
    Crowd::new(connect, connections, || Echo {
        batch: Rc::clone(&batch),
        back,
        sent: 0,
        received: 0,
    })
}

/// A client that sends messages.
pub(crate) struct Echo {
    batch: Rc<[u8]>,
    back: usize,
    sent: usize,
    received: usize,
}

impl Client for Echo {
    fn drive(
        &mut self,
        stream: &mut impl Stream,
        nowhere: &mut [u8],
        work: &mut Work,
    ) -> io::Result<()> {
        while self.sent > 0 && self.received < self.back {
            let left = self.back - self.received;
            let Some(got) = stream.discard(nowhere, left as u64)? else { break };
            self.received += got;
            work.bytes += got as u64;
        }
        if self.received == self.back {
            self.received = 0;
            self.sent = 0;
        }
        while self.sent < self.batch.len() {
            let Some(sent) = stream.send(&self.batch[self.sent..])? else { break };
            self.sent += sent;
        }
        Ok(())
    }
}
