//! The client: one thread that keeps a server busy and counts what it gets.
//!
//! It discards what it does not have to look at inside the kernel (`MSG_TRUNC`, see tcp(7)), so
//! that most of the core is left to the server. Over TLS it has to decrypt everything.

pub(crate) mod bulk;
pub(crate) mod echo;
pub(crate) mod http;
pub(crate) mod slow;
pub(crate) mod tls;
pub(crate) mod upload;
pub(crate) mod websocket;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::{Buffer, spare_capacity};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::poll::{Poll, done};

/// Work that a server has done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Work {
    /// Complete answers of HTTP.
    pub(crate) answers: u64,
    /// Bytes of messages or of bodies.
    pub(crate) bytes: u64,
}

/// A load that can be driven for a while, and then for another while.
pub(crate) trait Load {
    fn run(&mut self, time: Duration) -> io::Result<Work>;
}

/// A connection over TCP or TLS. Its calls return `None` if they would have to wait. The end is an
/// error: no load ends by itself.
pub(crate) trait Stream {
    fn socket(&self) -> &TcpStream;

    /// Receives into the spare capacity of a vector.
    fn receive(&mut self, to: &mut Vec<u8>) -> io::Result<Option<usize>>;

    /// Discards up to `most` bytes.
    fn discard(&mut self, nowhere: &mut [u8], most: u64) -> io::Result<Option<usize>>;

    fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>>;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn receive(&mut self, to: &mut Vec<u8>) -> io::Result<Option<usize>> {
        receive(self, spare_capacity(to), RecvFlags::empty())
    }

    fn discard(&mut self, nowhere: &mut [u8], most: u64) -> io::Result<Option<usize>> {
        receive(self, up_to(nowhere, most), RecvFlags::TRUNC)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        done(send(self, bytes, SendFlags::NOSIGNAL))
    }
}

/// Connects over TCP.
pub(crate) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(to)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// What is sent and received on one connection of a crowd.
pub(crate) trait Client {
    /// Goes on as far as the connection allows.
    fn drive(
        &mut self,
        stream: &mut impl Stream,
        nowhere: &mut [u8],
        work: &mut Work,
    ) -> io::Result<()>;
}

/// Connections that all do the same, each as fast as the server lets it.
pub(crate) struct Crowd<S, C> {
    poll: Poll,
    clients: Vec<(S, C)>,
    nowhere: Box<[u8]>,
}

impl<S: Stream, C: Client> Crowd<S, C> {
    pub(crate) fn new(
        connect: impl Fn() -> io::Result<S>,
        size: usize,
        client: impl Fn() -> C,
    ) -> io::Result<Crowd<S, C>> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(size);
        for token in 0..size {
            let stream = connect()?;
            stream.socket().set_nonblocking(true)?;
            // It is writable at once: the first event starts the client.
            poll.add(stream.socket(), token)?;
            clients.push((stream, client()));
        }
        Ok(Crowd { poll, clients, nowhere: nowhere() })
    }
}

impl<S: Stream, C: Client> Load for Crowd<S, C> {
    fn run(&mut self, time: Duration) -> io::Result<Work> {
        let end = Instant::now() + time;
        let mut work = Work::default();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(work);
            }
            for event in 0..self.poll.wait(Some(left))? {
                let (stream, client) = &mut self.clients[self.poll.ready(event).token];
                client.drive(stream, &mut self.nowhere, &mut work)?;
            }
        }
    }
}

/// Most bytes that are discarded in one call.
const DISCARDED: usize = 1 << 20;

/// Where discarded bytes would go. Only TLS writes to it; for TCP it costs no memory.
fn nowhere() -> Box<[u8]> {
    vec![0; DISCARDED].into_boxed_slice()
}

/// The first `most` bytes, or all if there are fewer.
fn up_to(nowhere: &mut [u8], most: u64) -> &mut [u8] {
    let most = most.min(nowhere.len() as u64) as usize;
    &mut nowhere[..most]
}

/// The error if a server ends a connection.
const CLOSED: &str = "the server has closed a connection";

fn receive(socket: &TcpStream, to: impl Buffer<u8>, flags: RecvFlags) -> io::Result<Option<usize>> {
    match done(recv(socket, to, flags))? {
        Some((_, 0)) => Err(io::Error::other(CLOSED)),
        Some((_, got)) => Ok(Some(got)),
        None => Ok(None),
    }
}
