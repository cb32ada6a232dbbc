//! As many bytes in one direction as the server takes.

use std::io;

use super::{Client, Crowd, Stream, Work};

/// Bytes of one send.
const BLOCK: usize = 256 << 10;

/// Connections that send without an end.
pub(crate) fn load<S: Stream>(
    connect: impl Fn() -> io::Result<S>,
    connections: usize,
) -> io::Result<Crowd<S, Bulk>> {
    Crowd::new(connect, connections, || Bulk { block: vec![b'x'; BLOCK] })
}

/// A client that sends.
pub(crate) struct Bulk {
    block: Vec<u8>,
}

impl Client for Bulk {
    fn drive(&mut self, stream: &mut impl Stream, _: &mut [u8], work: &mut Work) -> io::Result<()> {
        while let Some(sent) = stream.send(&self.block)? {
            work.bytes += sent as u64;
        }
        Ok(())
    }
}
