//! Pipes that relays borrow while they hold bytes.

use std::io;

use crate::sys::{Fd, Kernel};

/// The requested size. Smaller pipes make bulk dearer; with larger ones the user's quota has room
/// for fewer (benches/README.md).
const SIZE: usize = 512 << 10;

/// Most pipes of a reactor, empty or not. Stalled readers pin at most 128 MiB and 512 descriptors.
const MOST: usize = 256;

/// Most unused pipes that are kept.
const SPARE: usize = 16;

/// A pipe, closed when it is dropped.
pub(crate) struct Pipe {
    kernel: Kernel,
    pub(crate) read: Fd,
    pub(crate) write: Fd,
    /// How many bytes fit at most; fewer if they come in small pieces.
    pub(crate) size: usize,
}

impl Pipe {
    /// Opens a pipe of about `bytes` bytes, or of as many as the kernel grants.
    pub(crate) fn open(kernel: &Kernel, bytes: usize) -> io::Result<Pipe> {
        let (read, write, size) = kernel.open_pipe(bytes)?;
        Ok(Pipe { kernel: kernel.clone(), read, write, size })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.kernel.close(self.read);
        self.kernel.close(self.write);
    }
}

/// The pipes of a reactor.
#[derive(Default)]
pub(crate) struct Pipes {
    /// Empty pipes.
    free: Vec<Pipe>,
    /// How many pipes are open, including those in use.
    open: usize,
}

impl Pipes {
    /// Takes an empty pipe.
    pub(crate) fn take(&mut self, kernel: &Kernel) -> io::Result<Pipe> {
        if let Some(pipe) = self.free.pop() {
            return Ok(pipe);
        }
        if self.open >= MOST {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let pipe = Pipe::open(kernel, SIZE)?;
        self.open += 1;
        Ok(pipe)
    }

    /// Closes the unused pipes.
    pub(crate) fn close_unused(&mut self) {
        self.open -= self.free.len();
        self.free.clear();
    }

    /// Takes a pipe back with `left` bytes in it. A pipe that is not empty is closed: the next
    /// relay would pass on bytes that belong to another.
    pub(crate) fn give(&mut self, pipe: Pipe, left: usize) {
        if left == 0 && self.free.len() < SPARE {
            self.free.push(pipe);
        } else {
            self.open -= 1;
        }
    }
}
