//! The crate `tungstenite` on edge-triggered epoll, as one would use it with mio.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Bytes, Error, Message, WebSocket, accept_with_config};

use crate::poll::{Poll, Ready};

const LISTENER: usize = usize::MAX;
/// It clears the free part of its buffer before each read, and takes two reads for a batch that
/// reaches the end of the buffer.
const READ_BUFFER: usize = 16 << 10;

/// Serves until a signal ends the process.
pub(in crate::baselines) fn run(listener: &TcpListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    let mut members: Vec<Option<WebSocket<Socket>>> = Vec::new();
    let mut news = Vec::new();
    loop {
        for event in 0..poll.wait(None)? {
            let ready = poll.ready(event);
            if ready.token == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    open(&mut members, stream, &poll)?;
                }
                continue;
            }
            let Some(member) = &mut members[ready.token] else { continue };
            if drive(member, ready, &mut news).is_err() {
                members[ready.token] = None;
            }
            for bytes in news.drain(..) {
                for member in members.iter_mut().flatten() {
                    // A member that is gone has an event of its own.
                    let _ = member.send(Message::Binary(Bytes::clone(&bytes)));
                }
            }
        }
    }
}

/// Waits for the handshake, which the client sends at once.
fn open(
    members: &mut Vec<Option<WebSocket<Socket>>>,
    stream: TcpStream,
    poll: &Poll,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let socket = Socket { stream, is_empty: false, has_ended: false };
    // A connection that only shows that the server listens has none.
    let Ok(member) = accept_with_config(socket, Some(config)) else { return Ok(()) };
    let stream = &member.get_ref().stream;
    stream.set_nonblocking(true)?;
    let token = stream.as_raw_fd() as usize;
    poll.add(stream, token)?;
    members.resize_with(members.len().max(token + 1), || None);
    members[token] = Some(member);
    Ok(())
}

/// Takes what has arrived, and sends all that goes back at once.
fn drive(
    member: &mut WebSocket<Socket>,
    ready: Ready,
    news: &mut Vec<Bytes>,
) -> tungstenite::Result<()> {
    let socket = member.get_mut();
    (socket.is_empty, socket.has_ended) = (false, ready.ended);
    loop {
        match member.read() {
            Ok(Message::Binary(bytes)) => news.push(bytes),
            Ok(message) => member.write(message)?,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    member.flush()
}

/// A socket that is not asked again once it has given less than was asked for, until its next
/// event. The other servers know that, too.
struct Socket {
    stream: TcpStream,
    is_empty: bool,
    has_ended: bool,
}

impl Read for Socket {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.is_empty {
            return Err(ErrorKind::WouldBlock.into());
        }
        let got = self.stream.read(to)?;
        self.is_empty = got < to.len() && !self.has_ended;
        Ok(got)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
