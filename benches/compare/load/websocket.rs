//! WebSockets: messages that come back, and messages that go to all.
//!
//! The servers send a text back to its sender, and binary data to everybody.

use std::io;
use std::time::{Duration, Instant};

use super::http::head_end;
use super::{Load, Stream, Work, nowhere};
use crate::poll::Poll;

/// A handshake with the key of RFC 6455, section 1.3.
const OPEN: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const KEY: [u8; 4] = [0x9b, 0x52, 0xe7, 0x31];

/// What a frame carries, as its first byte says it.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text = 0x81,
    Binary = 0x82,
}

/// A frame with `length` bytes, fewer than 64 KiB, as a client sends it.
pub(crate) fn masked(kind: Kind, length: usize) -> Vec<u8> {
    let mut frame = header(kind, length);
    frame[1] |= 0x80;
    frame.extend(KEY);
    frame.extend(KEY.iter().cycle().take(length).map(|key| b'x' ^ key));
    frame
}

/// The same as a server sends it.
pub(crate) fn unmasked(kind: Kind, length: usize) -> Vec<u8> {
    let mut frame = header(kind, length);
    frame.resize(frame.len() + length, b'x');
    frame
}

fn header(kind: Kind, length: usize) -> Vec<u8> {
    match length {
        0..126 => vec![kind as u8, length as u8],
        _ => [&[kind as u8, 126], &(length as u16).to_be_bytes()[..]].concat(),
    }
}

/// Opens a WebSocket, and checks that a message comes back as it was.
pub(crate) fn open<S: Stream>(mut stream: S) -> io::Result<S> {
    let mut answer = Vec::with_capacity(1024);
    send_whole(&mut stream, OPEN)?;
    while head_end(&answer).is_none() {
        stream.receive(&mut answer)?;
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") || head_end(&answer) != Some(answer.len()) {
        let answer = String::from_utf8_lossy(&answer);
        return Err(io::Error::other(format!("expected 101, not this:\n{answer}")));
    }
    let (message, expected) = (masked(Kind::Text, 64), unmasked(Kind::Text, 64));
    answer.clear();
    send_whole(&mut stream, &message)?;
    while answer.len() < expected.len() {
        stream.receive(&mut answer)?;
    }
    if answer == expected {
        Ok(stream)
    } else {
        Err(io::Error::other(format!("a message comes back as {answer:x?}")))
    }
}

fn send_whole(stream: &mut impl Stream, bytes: &[u8]) -> io::Result<()> {
    if stream.send(bytes)? == Some(bytes.len()) {
        Ok(())
    } else {
        Err(io::Error::other("a message has been sent in part"))
    }
}

/// Members of whom one sends a message to all, and the next one when everybody has it.
pub(crate) struct FanOut<S> {
    poll: Poll,
    members: Vec<S>,
    message: Vec<u8>,
    /// Bytes of the message as each member gets it.
    length: usize,
    /// Bytes that members have not got yet.
    missing: usize,
    nowhere: Box<[u8]>,
}

impl<S: Stream> FanOut<S> {
    pub(crate) fn new(
        connect: impl Fn() -> io::Result<S>,
        size: usize,
        length: usize,
    ) -> io::Result<FanOut<S>> {
        let poll = Poll::new()?;
        let mut members = Vec::with_capacity(size);
        for token in 0..size {
            let stream = open(connect()?)?;
            stream.socket().set_nonblocking(true)?;
            poll.add(stream.socket(), token)?;
            members.push(stream);
        }
        Ok(FanOut {
            poll,
            members,
            message: masked(Kind::Binary, length),
            length: unmasked(Kind::Binary, length).len(),
            missing: 0,
            nowhere: nowhere(),
        })
    }

    /// Discards what a member has got.
    fn receive(&mut self, member: usize) -> io::Result<u64> {
        let mut received = 0;
        // Nothing else arrives until all have it.
        while received < self.length
            && let Some(got) =
                self.members[member].discard(&mut self.nowhere, self.length as u64)?
        {
            received += got;
        }
        let left = self.missing.checked_sub(received);
        self.missing = left.ok_or_else(|| io::Error::other("more arrives than was sent"))?;
        Ok(received as u64)
    }
}

impl<S: Stream> Load for FanOut<S> {
    fn run(&mut self, time: Duration) -> io::Result<Work> {
        let end = Instant::now() + time;
        let mut work = Work::default();
        loop {
            if self.missing == 0 {
                send_whole(&mut self.members[0], &self.message)?;
                self.missing = self.length * self.members.len();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(work);
            }
            for event in 0..self.poll.wait(Some(left))? {
                work.bytes += self.receive(self.poll.ready(event).token)?;
            }
        }
    }
}
