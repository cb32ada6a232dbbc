//! The bare calls that pass on what is received.

use std::fs::File;
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::slice;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
#[cfg(target_os = "linux")]
use rustix::pipe::{SpliceFlags, splice};

use crate::Side;
use crate::pair::pair;

/// As much is received before the clients have their turn.
const QUANTUM: usize = 256 << 10;

#[cfg(target_os = "linux")]
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// What the bytes go through.
pub(crate) enum By {
    Memory(Vec<u8>),
    #[cfg(target_os = "linux")]
    Pipe {
        read: OwnedFd,
        write: OwnedFd,
        size: usize,
    },
}

impl By {
    pub(crate) fn memory(size: usize) -> By {
        By::Memory(vec![0; size])
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn pipe(size: usize) -> By {
        use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        assert_eq!(fcntl_setpipe_size(&write, size).unwrap(), size, "the user's quota of pipes");
        By::Pipe { read, write, size }
    }
}

/// Where they go.
enum To {
    Socket(TcpStream),
    /// A file that is written anew for every `len` bytes, each of which are answered with one.
    File {
        file: File,
        offset: u64,
        len: u64,
    },
}

/// The bare calls on a socket.
pub(crate) struct Bare {
    by: By,
    from: TcpStream,
    to: To,
    clients: [TcpStream; 2],
    /// Where in the buffer is what waits to be passed on, or how much of it is in the pipe.
    held: Range<usize>,
}

impl Bare {
    /// Sends back what it receives.
    pub(crate) fn echo(by: By) -> Bare {
        Bare::new(by, |from| To::Socket(from.try_clone().unwrap()))
    }

    /// Writes it to files of `len` bytes.
    pub(crate) fn save(by: By, path: &Path, len: u64) -> Bare {
        Bare::new(by, |_| To::File { file: File::create(path).unwrap(), offset: 0, len })
    }

    /// Sends it to another client.
    pub(crate) fn relay(by: By) -> Bare {
        let (other, to) = pair();
        let mut bare = Bare::new(by, |_| To::Socket(to));
        bare.clients[1] = other;
        bare
    }

    fn new(by: By, to: impl FnOnce(&TcpStream) -> To) -> Bare {
        let (client, from) = pair();
        let clients = [client.try_clone().unwrap(), client];
        Bare { by, to: to(&from), from, clients, held: 0..0 }
    }

    fn receive(&mut self) -> Result<usize, Errno> {
        match &mut self.by {
            By::Memory(buffer) => {
                recv(&self.from, &mut buffer[..], RecvFlags::empty()).map(|(_, count)| count)
            }
            #[cfg(target_os = "linux")]
            By::Pipe { write, size, .. } => splice(&self.from, None, write, None, *size, FLAGS),
        }
    }

    fn pass_on(&mut self) -> Result<usize, Errno> {
        match (&self.by, &mut self.to) {
            (By::Memory(buffer), To::Socket(to)) => {
                send(to, &buffer[self.held.clone()], SendFlags::NOSIGNAL)
            }
            (By::Memory(buffer), To::File { file, offset, .. }) => {
                let bytes = &buffer[self.held.clone()];
                file.write_all_at(bytes, *offset).unwrap();
                *offset += bytes.len() as u64;
                Ok(bytes.len())
            }
            #[cfg(target_os = "linux")]
            (By::Pipe { read, .. }, To::Socket(to)) => {
                splice(read, None, to, None, self.held.len(), FLAGS)
            }
            #[cfg(target_os = "linux")]
            (By::Pipe { read, .. }, To::File { file, offset, .. }) => {
                splice(read, None, file, Some(offset), self.held.len(), SpliceFlags::MOVE)
            }
        }
    }

    /// What it waits for.
    fn wanted(&self) -> PollFd<'_> {
        match (&self.to, self.held.is_empty()) {
            (To::Socket(to), false) => PollFd::new(to, PollFlags::OUT),
            _ => PollFd::new(&self.from, PollFlags::IN),
        }
    }

    /// Receives and passes on what there is, within the quantum.
    fn step(&mut self) {
        let mut received = 0;
        while received < QUANTUM || !self.held.is_empty() {
            let result = if self.held.is_empty() {
                self.receive().map(|count| {
                    received += count;
                    self.held = 0..count;
                })
            } else {
                self.pass_on().map(|count| self.held.start += count)
            };
            match result {
                Ok(()) => self.answer(),
                Err(Errno::AGAIN) => return,
                Err(error) => panic!("a bare call: {error}"),
            }
        }
    }

    /// Answers a file that is whole, and begins the next.
    fn answer(&mut self) {
        if let To::File { file, offset, len } = &mut self.to
            && offset == len
        {
            file.set_len(0).unwrap();
            *offset = 0;
            send(&self.from, b"a", SendFlags::NOSIGNAL).unwrap();
        }
    }
}

/// Lets those go on that can, or waits so long at most for one to.
pub(crate) fn go(all: &mut [Bare], wait: Duration) {
    let mut ends: Vec<_> = all.iter().map(Bare::wanted).collect();
    poll(&mut ends, Some(&Timespec::try_from(wait).unwrap())).unwrap();
    let ready: Vec<_> = ends.iter().map(|end| !end.revents().is_empty()).collect();
    for (bare, _) in all.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
        bare.step();
    }
}

impl Side for Bare {
    fn ends(&self) -> (&TcpStream, &TcpStream) {
        (&self.clients[0], &self.clients[1])
    }

    fn go(&mut self, wait: Duration) {
        if wait.is_zero() { self.step() } else { go(slice::from_mut(self), wait) }
    }
}
