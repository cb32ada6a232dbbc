//! The bare calls, in a loop that knows nothing but where it stopped.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::{HEADER, MOST_ROUNDS, Sender};

/// The calls that send one answer.
pub(crate) enum Calls {
    /// `send` of bytes that lie ready.
    Send,
    /// A read of the file behind the header, and `send` of both.
    ReadSend(File),
    /// A read of so many bytes of the file, and `send` of those; what is refused is read again.
    Copy(File, usize),
    /// `send` of the header with `MSG_MORE`, then `sendfile` in calls of 1 MiB.
    #[cfg(target_os = "linux")]
    Sendfile(File),
}

/// The bare calls on a socket.
pub(crate) struct Bare {
    calls: Calls,
    socket: TcpStream,
    client: TcpStream,
    bytes: Vec<u8>,
    len: usize,
    /// How much of the present round is sent.
    at: usize,
    left: usize,
    asked: [u8; MOST_ROUNDS],
}

impl Bare {
    /// Sends rounds of `len` bytes, of which those of a header lie ready if there is a file.
    pub(crate) fn new((client, socket): (TcpStream, TcpStream), calls: Calls, len: usize) -> Bare {
        client.set_nonblocking(true).unwrap();
        Bare {
            calls,
            socket,
            client,
            bytes: vec![b'.'; len],
            len,
            at: 0,
            left: 0,
            asked: [0; MOST_ROUNDS],
        }
    }

    fn step(&mut self) -> Result<usize, Errno> {
        match &self.calls {
            Calls::Send => {}
            Calls::ReadSend(file) if self.at == 0 => {
                file.read_exact_at(&mut self.bytes[HEADER..], 0).unwrap();
            }
            Calls::ReadSend(_) => {}
            Calls::Copy(file, chunk) => {
                let chunk = &mut self.bytes[..(self.len - self.at).min(*chunk)];
                file.read_exact_at(chunk, self.at as u64).unwrap();
                return send(&self.socket, chunk, SendFlags::NOSIGNAL);
            }
            #[cfg(target_os = "linux")]
            Calls::Sendfile(_) if self.at < HEADER => {
                let header = &self.bytes[self.at..HEADER];
                return send(&self.socket, header, SendFlags::NOSIGNAL | SendFlags::MORE);
            }
            #[cfg(target_os = "linux")]
            Calls::Sendfile(file) => {
                let mut offset = (self.at - HEADER) as u64;
                let count = (self.len - self.at).min(1 << 20);
                return rustix::fs::sendfile(&self.socket, file, Some(&mut offset), count);
            }
        }
        send(&self.socket, &self.bytes[self.at..], SendFlags::NOSIGNAL)
    }
}

impl Sender for Bare {
    fn clients(&self) -> &[TcpStream] {
        std::slice::from_ref(&self.client)
    }

    fn go(&mut self, wait: Duration) {
        let next = if self.left > 0 { PollFlags::OUT } else { PollFlags::IN };
        let mut wanted = [PollFd::new(&self.socket, next)];
        poll(&mut wanted, Some(&Timespec::try_from(wait).unwrap())).unwrap();
        if wanted[0].revents().contains(PollFlags::IN) {
            self.left += recv(&self.socket, &mut self.asked[..], RecvFlags::empty()).unwrap().1;
        }
        while self.left > 0 {
            match self.step() {
                Ok(count) => self.at += count,
                Err(Errno::AGAIN) => return,
                Err(error) => panic!("a bare call: {error}"),
            }
            if self.at == self.len {
                (self.at, self.left) = (0, self.left - 1);
            }
        }
    }
}
