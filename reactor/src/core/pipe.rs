//! Pipes that relays borrow while there is something in them.

use std::io;

use crate::sys::{Fd, Kernel};

/// The size that is asked for. To relay bulk for four clients that are processes of their own costs
/// a bare loop 1.15 times as much with 256 KiB, 1.9 times with the 64 KiB of a new pipe and 0.93
/// times with 1 MiB, of which the user's quota has room for half as many. Where one thread is all
/// clients, one or four, sizes differ by no more than runs do: 0.8 to 1.15 times (bench `inbound`;
/// Linux 6.18, loopback).
const SIZE: usize = 512 << 10;

/// Most pipes of a reactor, empty or not: readers that stall pin no more than 128 MiB and 512
/// descriptors in them.
const MOST: usize = 256;

/// Most pipes kept while nobody uses them.
const SPARE: usize = 16;

/// A pipe, closed when it is dropped.
pub(crate) struct Pipe {
    kernel: Kernel,
    pub(crate) read: Fd,
    pub(crate) write: Fd,
    /// How many bytes it takes at most; less if they are in little pieces.
    pub(crate) size: usize,
}

impl Pipe {
    /// A pipe of about so many bytes, or of as many as there are.
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
    /// Empty ones.
    free: Vec<Pipe>,
    /// How many there are, those in use included.
    open: usize,
}

impl Pipes {
    /// An empty pipe.
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

    /// Takes a pipe back with `left` bytes in it. One that is not empty is never used again: the
    /// next relay would pass on what belongs to another.
    pub(crate) fn give(&mut self, pipe: Pipe, left: usize) {
        if left == 0 && self.free.len() < SPARE {
            self.free.push(pipe);
        } else {
            self.open -= 1;
        }
    }
}
