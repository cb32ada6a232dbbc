//! The client: one thread that keeps a server busy and counts what it gets.
//!
//! It discards what it does not have to look at inside the kernel (`MSG_TRUNC`, see tcp(7)), so
//! that most of the core is left to the server.

pub(crate) mod bulk;
pub(crate) mod echo;
pub(crate) mod http;
pub(crate) mod slow;
pub(crate) mod upload;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::Buffer;
use rustix::net::{RecvFlags, recv};

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

/// One connection of a crowd.
pub(crate) trait Client {
    /// Goes on as far as the socket allows.
    fn drive(&mut self, socket: &TcpStream, nowhere: &mut [u8], work: &mut Work) -> io::Result<()>;
}

/// Connections that all do the same, each as fast as the server lets it.
pub(crate) struct Crowd<C> {
    poll: Poll,
    clients: Vec<(TcpStream, C)>,
    nowhere: Box<[u8]>,
}

impl<C: Client> Crowd<C> {
    pub(crate) fn new(to: SocketAddr, size: usize, client: impl Fn() -> C) -> io::Result<Crowd<C>> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(size);
        for token in 0..size {
            let socket = TcpStream::connect(to)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            // It is writable at once: the first event starts the client.
            poll.add(&socket, token)?;
            clients.push((socket, client()));
        }
        Ok(Crowd { poll, clients, nowhere: nowhere() })
    }
}

impl<C: Client> Load for Crowd<C> {
    fn run(&mut self, time: Duration) -> io::Result<Work> {
        let end = Instant::now() + time;
        let mut work = Work::default();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(work);
            }
            for event in 0..self.poll.wait(Some(left))? {
                let (socket, client) = &mut self.clients[self.poll.ready(event).token];
                client.drive(socket, &mut self.nowhere, &mut work)?;
            }
        }
    }
}

/// Most bytes that are discarded in one call.
const DISCARDED: usize = 1 << 20;

/// Where discarded bytes would go. The kernel does not write to it, and so it costs no memory.
fn nowhere() -> Box<[u8]> {
    vec![0; DISCARDED].into_boxed_slice()
}

/// Discards up to `most` bytes; `None` if there are none yet.
fn discard(socket: &TcpStream, nowhere: &mut [u8], most: u64) -> io::Result<Option<usize>> {
    let most = most.min(nowhere.len() as u64) as usize;
    receive(socket, &mut nowhere[..most], RecvFlags::TRUNC)
}

/// Receives; `None` if there is nothing yet. The end is an error: no load ends by itself.
fn receive(socket: &TcpStream, to: impl Buffer<u8>, flags: RecvFlags) -> io::Result<Option<usize>> {
    match done(recv(socket, to, flags))? {
        Some((_, 0)) => Err(io::Error::other("the server has closed a connection")),
        Some((_, got)) => Ok(Some(got)),
        None => Ok(None),
    }
}
