//! Requests for one target, and answers whose status and length are checked.

use std::io;
use std::rc::Rc;

use super::{Client, Crowd, Stream, Work};

/// Connections that send a batch of requests, and the next one when all answers are there.
pub(crate) fn load<S: Stream>(
    connect: impl Fn() -> io::Result<S>,
    connections: usize,
    pipelined: usize,
    target: &str,
    length: u64,
) -> io::Result<Crowd<S, Http>> {
    let requests: Rc<[u8]> = request(target).repeat(pipelined).into();
    Crowd::new(connect, connections, || Http {
        requests: Rc::clone(&requests),
        pipelined,
        length,
        buffer: Vec::with_capacity(Http::BUFFER),
        owed: 0,
        body: 0,
    })
}

/// A request that keeps the connection.
pub(crate) fn request(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// Where the first head ends.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4)
}

/// The number of complete heads in requests that have no body.
pub(crate) fn heads(mut bytes: &[u8]) -> usize {
    let mut heads = 0;
    while let Some(end) = head_end(bytes) {
        bytes = &bytes[end..];
        heads += 1;
    }
    heads
}

/// The length of the first answer's head, `None` if it is not complete. An answer other than 200
/// with a body of `length` bytes is an error.
pub(crate) fn check_head(bytes: &[u8], length: u64) -> io::Result<Option<usize>> {
    let Some(end) = head_end(bytes) else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let has_length = head.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("content-length") && value.trim().parse() == Ok(length)
    });
    if head.starts_with("HTTP/1.1 200 ") && has_length {
        Ok(Some(end))
    } else {
        Err(io::Error::other(format!("expected 200 with {length} bytes, not this:\n{head}")))
    }
}

/// A client that sends requests.
pub(crate) struct Http {
    requests: Rc<[u8]>,
    pipelined: usize,
    length: u64,
    /// Received bytes that have not been looked at: at most a part of a head between two calls.
    buffer: Vec<u8>,
    /// Answers that have not come yet, and how much of the current one's body has not.
    owed: usize,
    body: u64,
}

impl Http {
    /// Bytes that are received to be looked at. What follows of a body is discarded.
    const BUFFER: usize = 4 << 10;

    /// Takes what the buffer holds.
    fn take(&mut self, work: &mut Work) -> io::Result<()> {
        let mut taken = 0;
        while taken < self.buffer.len() {
            if self.owed == 0 {
                return Err(io::Error::other("more answers than requests"));
            }
            let Some(head) = check_head(&self.buffer[taken..], self.length)? else { break };
            taken += head;
            let body = self.length.min((self.buffer.len() - taken) as u64);
            taken += body as usize;
            self.body = self.length;
            self.take_body(body, work);
        }
        self.buffer.drain(..taken);
        Ok(())
    }

    fn take_body(&mut self, bytes: u64, work: &mut Work) {
        work.bytes += bytes;
        self.body -= bytes;
        if self.body == 0 {
            work.answers += 1;
            self.owed -= 1;
        }
    }
}

impl Client for Http {
    fn drive(
        &mut self,
        stream: &mut impl Stream,
        nowhere: &mut [u8],
        work: &mut Work,
    ) -> io::Result<()> {
        while self.owed > 0 {
            if self.body > 0 {
                let Some(got) = stream.discard(nowhere, self.body)? else { break };
                self.take_body(got as u64, work);
            } else {
                if stream.receive(&mut self.buffer)?.is_none() {
                    break;
                }
                self.take(work)?;
            }
        }
        if self.owed == 0 {
            if stream.send(&self.requests)? != Some(self.requests.len()) {
                return Err(io::Error::other("requests have been sent in part"));
            }
            self.owed = self.pipelined;
        }
        Ok(())
    }
}
