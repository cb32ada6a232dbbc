//! As many bytes in one direction as the server takes.

use std::io;
use std::net::{SocketAddr, TcpStream};

use rustix::net::{SendFlags, send};

use super::{Client, Crowd, Work};
use crate::poll::done;

/// Bytes of one send.
const BLOCK: usize = 256 << 10;

/// Connections that send without an end.
pub(crate) fn load(to: SocketAddr, connections: usize) -> io::Result<Crowd<Bulk>> {
    Crowd::new(to, connections, || Bulk { block: vec![b'x'; BLOCK] })
}

/// A client that sends.
pub(crate) struct Bulk {
    block: Vec<u8>,
}

impl Client for Bulk {
    fn drive(&mut self, socket: &TcpStream, _: &mut [u8], work: &mut Work) -> io::Result<()> {
        while let Some(sent) = done(send(socket, &self.block, SendFlags::NOSIGNAL))? {
            work.bytes += sent as u64;
        }
        Ok(())
    }
}
