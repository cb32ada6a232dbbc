//! A relay between pairs of connections.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};
use socket2::{Domain, Socket, Type};

use crate::poll::{Poll, Ready, done};

/// Bytes of a pipe.
const PIPE: usize = 512 << 10;
const SPLICE: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
const LISTENER: usize = usize::MAX;

/// Passes on what comes from accepted connections and back, until a signal ends the process.
pub(super) fn run(listener: &TcpListener, to: SocketAddr, by_pipe: bool) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    let mut relay = Relay { sources: Vec::new(), buffer: vec![0; 64 << 10] };
    loop {
        for event in 0..poll.wait(None)? {
            let ready = poll.ready(event);
            if ready.token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    let onward = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                    onward.connect(&to.into())?;
                    relay.open(socket, onward.into(), by_pipe, &poll)?;
                }
            } else if !relay.drive(ready).unwrap_or(false) {
                relay.close(ready.token);
            }
        }
    }
}

/// What one connection sends, on its way to the other.
struct Source {
    socket: TcpStream,
    /// The descriptor of the other connection.
    to: usize,
    pipe: Option<(OwnedFd, OwnedFd)>,
    /// Bytes in the pipe.
    held: usize,
}

struct Relay {
    /// By descriptor.
    sources: Vec<Option<Source>>,
    buffer: Vec<u8>,
}

impl Relay {
    fn open(
        &mut self,
        one: TcpStream,
        other: TcpStream,
        by_pipe: bool,
        poll: &Poll,
    ) -> io::Result<()> {
        let tokens = [&one, &other].map(|socket| socket.as_raw_fd() as usize);
        self.sources.resize_with(self.sources.len().max(tokens[0].max(tokens[1]) + 1), || None);
        for (socket, to) in [(one, tokens[1]), (other, tokens[0])] {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let pipe = by_pipe.then(pipe).transpose()?;
            if let Some((_, write)) = &pipe {
                fcntl_setpipe_size(write, PIPE)?;
            }
            let token = socket.as_raw_fd() as usize;
            poll.add(&socket, token)?;
            self.sources[token] = Some(Source { socket, to, pipe, held: 0 });
        }
        Ok(())
    }

    /// Goes on as far as both sockets allow. False: one of them has ended.
    fn drive(&mut self, ready: Ready) -> io::Result<bool> {
        let Some(source) = &self.sources[ready.token] else { return Ok(true) };
        let to = source.to;
        let more = self.pass(ready.token, ready.ended)?;
        let waits = self.sources[to].as_ref().is_some_and(|back| back.held > 0);
        Ok(more && (!waits || self.pass(to, false)?))
    }

    fn pass(&mut self, from: usize, ended: bool) -> io::Result<bool> {
        let Some(mut source) = self.sources[from].take() else { return Ok(true) };
        let to = self.sources[source.to].as_ref().map(|to| &to.socket);
        let more = match (&source.pipe, to) {
            (_, None) => Ok(false),
            (None, Some(to)) => copy(&source.socket, to, &mut self.buffer, ended),
            (Some((read, write)), Some(to)) => {
                splice_on(&source.socket, to, read, write, &mut source.held)
            }
        };
        self.sources[from] = Some(source);
        more
    }

    fn close(&mut self, token: usize) {
        if let Some(source) = self.sources[token].take() {
            self.sources[source.to] = None;
        }
    }
}

/// Messages are so short that there is always room for them.
fn copy(from: &TcpStream, to: &TcpStream, buffer: &mut [u8], ended: bool) -> io::Result<bool> {
    loop {
        let Some((got, _)) = done(recv(from, &mut *buffer, RecvFlags::empty()))? else {
            return Ok(true);
        };
        if got == 0 || send(to, &buffer[..got], SendFlags::NOSIGNAL)? < got {
            return Ok(false);
        }
        if got < buffer.len() && !ended {
            return Ok(true);
        }
    }
}

fn splice_on(
    from: &TcpStream,
    to: &TcpStream,
    read: &OwnedFd,
    write: &OwnedFd,
    held: &mut usize,
) -> io::Result<bool> {
    loop {
        if *held == 0 {
            match done(splice(from, None, write, None, PIPE, SPLICE))? {
                Some(0) => return Ok(false),
                Some(got) => *held = got,
                None => return Ok(true),
            }
        }
        match done(splice(read, None, to, None, *held, SPLICE))? {
            Some(sent) => *held -= sent,
            None => return Ok(true),
        }
    }
}
