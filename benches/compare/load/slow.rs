//! Many clients that each read a large answer slowly.
//!
//! They are like clients behind an access line: small segments, as on Ethernet, and a small window,
//! so that the pace of the client is the pace of the server. The kernel still holds hundreds of
//! kilobytes for each of them, and the server fills that up now and then. What is counted is
//! therefore what the server has handed to the kernel, not what the clients have read.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::http::{check_head, request};
use super::{Load, Stream, Work, nowhere};

/// Bytes of a client's receive buffer (the kernel doubles it, for its own overhead).
const RECEIVE_BUFFER: usize = 16 << 10;
/// Longest head of an answer, in bytes.
const HEAD: usize = 1024;
/// Bytes of a segment: Ethernet's frame without the heads of IP and TCP.
const SEGMENT: u32 = 1448;
/// Time between two reads of a client.
const PERIOD: Duration = Duration::from_millis(20);
/// Time over which the clients begin to read, so that the server does not have to fill up for all
/// of them at once ever after.
pub(crate) const SPREAD: Duration = Duration::from_secs(2);

/// Clients that each read `rate` bytes a second of an answer with `length` bytes.
pub(crate) struct Slow {
    server: SocketAddr,
    clients: Vec<Client>,
    nowhere: Box<[u8]>,
    length: u64,
    /// Bytes of one read.
    read: u64,
}

struct Client {
    socket: TcpStream,
    /// When the next read is due.
    due: Instant,
    /// The answer's head, as far as it is known.
    head: Vec<u8>,
    /// What is left of the body, once the head is complete.
    body: Option<u64>,
}

impl Slow {
    pub(crate) fn new(
        server: SocketAddr,
        clients: u32,
        rate: u64,
        target: &str,
        length: u64,
    ) -> io::Result<Slow> {
        let request = request(target);
        let start = Instant::now();
        let connect = |client| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
            socket.set_tcp_mss(SEGMENT)?;
            socket.connect(&server.into())?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from(socket);
            socket.send(&request)?;
            let due = start + SPREAD * client / clients;
            Ok(Client { socket, due, head: Vec::with_capacity(HEAD), body: None })
        };
        Ok(Slow {
            server,
            clients: (0..clients).map(connect).collect::<io::Result<_>>()?,
            nowhere: nowhere(),
            length,
            read: rate * PERIOD.as_millis() as u64 / 1000,
        })
    }
}

impl Load for Slow {
    fn run(&mut self, time: Duration) -> io::Result<Work> {
        let before = queued(self.server.port())?;
        let end = Instant::now() + time;
        let mut bytes = 0;
        loop {
            let now = Instant::now();
            if now >= end {
                break;
            }
            for client in &mut self.clients {
                while client.due <= now {
                    bytes += client.read(self.read, self.length, &mut self.nowhere)?;
                    client.due += PERIOD;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bytes = (bytes + queued(self.server.port())?).saturating_sub(before);
        Ok(Work { bytes, ..Work::default() })
    }
}

impl Client {
    /// Reads up to `most` bytes; answers how many of the body were there.
    fn read(&mut self, most: u64, length: u64, nowhere: &mut [u8]) -> io::Result<u64> {
        if let Some(left) = &mut self.body {
            let got = self.socket.discard(nowhere, most.min(*left))?.unwrap_or(0) as u64;
            *left -= got;
            return Ok(got);
        }
        self.socket.receive(&mut self.head)?;
        let Some(head) = check_head(&self.head, length)? else { return Ok(0) };
        let body = (self.head.len() - head) as u64;
        self.body = Some(length - body);
        Ok(body)
    }
}

/// Bytes that the kernel holds between the server on a port and its clients. In a line of
/// /proc/net/tcp, the second word is the local and the third the remote address, and the fifth
/// what waits to be acknowledged and to be read, all hexadecimal. See proc_net_tcp in the kernel's
/// documentation.
fn queued(port: u16) -> io::Result<u64> {
    const LISTENING: &str = "0A";
    let port = format!("{port:04X}");
    let mut bytes = 0;
    for line in fs::read_to_string("/proc/net/tcp")?.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().take(5).collect();
        let &[_, local, remote, state, queues] = &words[..] else { continue };
        let Some((to_send, to_read)) = queues.split_once(':') else { continue };
        let queue = match (local.ends_with(&port), remote.ends_with(&port)) {
            (true, _) if state != LISTENING => to_send,
            (_, true) => to_read,
            _ => continue,
        };
        bytes += u64::from_str_radix(queue, 16).map_err(io::Error::other)?;
    }
    Ok(bytes)
}
