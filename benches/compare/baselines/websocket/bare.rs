//! The least work on frames. The handshake and each frame arrive in one piece, and there is always
//! room for what is sent.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::load::websocket::Kind;
use crate::poll::{Poll, Ready, done};

const LISTENER: usize = usize::MAX;
/// The answer to the one key that the client sends.
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Serves until a signal ends the process.
pub(in crate::baselines) fn run(listener: &TcpListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    let mut server = Server {
        members: Vec::new(),
        input: vec![0; 64 << 10],
        back: Vec::new(),
        news: Vec::new(),
    };
    loop {
        for event in 0..poll.wait(None)? {
            let ready = poll.ready(event);
            if ready.token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    server.open(socket, &poll)?;
                }
            } else if !server.drive(ready).unwrap_or(false) {
                server.members[ready.token] = None;
            }
        }
    }
}

struct Member {
    socket: TcpStream,
    /// Whether the handshake is over.
    is_open: bool,
}

struct Server {
    /// By descriptor.
    members: Vec<Option<Member>>,
    input: Vec<u8>,
    /// The frames that go back to a sender, and a frame that goes to everybody.
    back: Vec<u8>,
    news: Vec<u8>,
}

impl Server {
    fn open(&mut self, socket: TcpStream, poll: &Poll) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let token = socket.as_raw_fd() as usize;
        poll.add(&socket, token)?;
        self.members.resize_with(self.members.len().max(token + 1), || None);
        self.members[token] = Some(Member { socket, is_open: false });
        Ok(())
    }

    /// Goes on as far as the socket allows. False: the connection has ended.
    fn drive(&mut self, ready: Ready) -> io::Result<bool> {
        while let Some(member) = &mut self.members[ready.token] {
            let got = done(recv(&member.socket, &mut self.input[..], RecvFlags::empty()))?;
            let got = match got {
                Some((_, 0)) => return Ok(false),
                Some((_, got)) => got,
                None => return Ok(true),
            };
            if member.is_open {
                self.answer(ready.token, got)?;
            } else {
                member.is_open = true;
                send(&member.socket, SWITCH, SendFlags::NOSIGNAL)?;
            }
            if got < self.input.len() && !ready.ended {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Answers the frames in the first bytes of the input.
    fn answer(&mut self, sender: usize, got: usize) -> io::Result<()> {
        let mut at = 0;
        self.back.clear();
        while at < got {
            let frame = &self.input[at..got];
            // A server's header is that of the client, without the key.
            let header = if frame[1] & 0x7f == 126 { 4 } else { 2 };
            let length = match header {
                4 => usize::from(u16::from_be_bytes([frame[2], frame[3]])),
                _ => usize::from(frame[1] & 0x7f),
            };
            let (key, payload) = frame[header..header + 4 + length].split_at(4);
            let is_text = frame[0] == Kind::Text as u8;
            let to = if is_text { &mut self.back } else { &mut self.news };
            to.extend_from_slice(&[frame[0], frame[1] & 0x7f]);
            to.extend_from_slice(&frame[2..header]);
            let start = to.len();
            to.extend_from_slice(payload);
            unmask(&mut to[start..], [key[0], key[1], key[2], key[3]]);
            at += header + 4 + length;
            if !is_text {
                for member in self.members.iter().flatten() {
                    send(&member.socket, &self.news, SendFlags::NOSIGNAL)?;
                }
                self.news.clear();
            }
        }
        if let Some(member) = &self.members[sender]
            && !self.back.is_empty()
        {
            send(&member.socket, &self.back, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
}
