//! Bodies that are put into files.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::http::head_end;
use super::{Client, Crowd, Stream, Work};

/// Bytes of one send.
const BLOCK: usize = 256 << 10;

/// Connections that put a body of `length` bytes, each into a file of its own, and again when it
/// is there.
pub(crate) fn load<S: Stream>(
    connect: impl Fn() -> io::Result<S>,
    connections: usize,
    length: u64,
) -> io::Result<Crowd<S, Upload>> {
    let block: Rc<[u8]> = vec![b'x'; BLOCK].into();
    let names = Cell::new(0);
    Crowd::new(connect, connections, || {
        let name = names.replace(names.get() + 1);
        let host = "Host: 127.0.0.1";
        let head =
            format!("PUT /{name}.bin HTTP/1.1\r\n{host}\r\nContent-Length: {length}\r\n\r\n");
        Upload { head: head.into_bytes(), block: Rc::clone(&block), length, sent: None }
    })
}

/// A client that sends bodies.
pub(crate) struct Upload {
    head: Vec<u8>,
    block: Rc<[u8]>,
    length: u64,
    /// How much of the body has been sent, once its head has.
    sent: Option<u64>,
}

impl Upload {
    /// Takes the answer. False: it has not come yet.
    fn is_answered(stream: &mut impl Stream) -> io::Result<bool> {
        let mut answer = Vec::with_capacity(1024);
        let Some(got) = stream.receive(&mut answer)? else { return Ok(false) };
        let saved = [&b"HTTP/1.1 201 "[..], b"HTTP/1.1 204 "];
        if saved.iter().any(|start| answer.starts_with(start)) && head_end(&answer) == Some(got) {
            return Ok(true);
        }
        let answer = String::from_utf8_lossy(&answer);
        Err(io::Error::other(format!("expected 201 or 204 without a body, not this:\n{answer}")))
    }
}

impl Client for Upload {
    fn drive(&mut self, stream: &mut impl Stream, _: &mut [u8], work: &mut Work) -> io::Result<()> {
        loop {
            let Some(sent) = self.sent else {
                if stream.send(&self.head)? != Some(self.head.len()) {
                    return Err(io::Error::other("a head has been sent in part"));
                }
                self.sent = Some(0);
                continue;
            };
            let left = self.length - sent;
            if left > 0 {
                let block = &self.block[..left.min(BLOCK as u64) as usize];
                let Some(count) = stream.send(block)? else { return Ok(()) };
                self.sent = Some(sent + count as u64);
                work.bytes += count as u64;
            } else if Upload::is_answered(stream)? {
                work.answers += 1;
                self.sent = None;
            } else {
                return Ok(());
            }
        }
    }
}
