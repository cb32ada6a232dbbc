//! The pipes of a simulated kernel, and the bytes in them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use super::trace::Said;
use super::{Fd, Machine, More, Object, World};

/// The size of a page. A pipe has a slot for each page of its size.
const PAGE: usize = 4096;
/// The maximum number of bytes in one slot: the payload of an Ethernet segment, as TCP does not
/// join segments.
const SLOT: usize = 1448;

/// The bytes in a pipe, slot by slot.
pub(super) struct Pipe {
    slots: VecDeque<Vec<u8>>,
    most: usize,
}

/// Which end a descriptor is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Read,
    Write,
}

/// Pipes: the calls of [`Kernel`](super::Kernel), each documented there.
impl World {
    /// Sets the largest size of new pipes; below a page there are none. At first a pipe has the
    /// size that is asked for.
    pub(crate) fn set_pipe_size(&self, bytes: usize) {
        self.0.borrow_mut().pipe_size = bytes;
    }

    pub(crate) fn open_pipe(&self, bytes: usize) -> io::Result<(Fd, Fd, usize)> {
        let state = &mut *self.0.borrow_mut();
        let opened = state.open_pipe(bytes);
        match &opened {
            Ok((read, write, size)) => state.note(format_args!("pipe({size}) = {read}, {write}")),
            Err(error) => state.note(format_args!("pipe({bytes}) = {error}")),
        }
        opened
    }

    /// # Panics
    /// If the destination is a pipe that is not empty.
    pub(crate) fn splice(&self, from: Fd, to: Fd, bytes: usize) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        state.calls.splice += 1;
        let moved = match state.table.object(from) {
            Some(Object::Pipe(..)) => state.splice_out(from, to, bytes),
            _ => state.splice_in(from, to, bytes),
        };
        state.note(format_args!("splice({from}, {to}, {bytes}) = {}", Said(&moved)));
        moved
    }
}

/// Moves bytes from a pipe to a file.
impl World {
    pub(crate) fn splice_to_file(
        &self,
        from: Fd,
        file: Fd,
        offset: u64,
        bytes: usize,
    ) -> io::Result<usize> {
        let data = {
            let state = &mut *self.0.borrow_mut();
            state.calls.splice += 1;
            let pipe = state.pipe(from, End::Read);
            state.pipes[pipe].first(bytes)
        };
        let moved = self.write_at(file, &data, offset)?;
        let state = &mut *self.0.borrow_mut();
        let pipe = state.pipe(from, End::Read);
        state.pipes[pipe].remove(moved);
        Ok(moved)
    }
}

impl Machine {
    fn open_pipe(&mut self, bytes: usize) -> io::Result<(Fd, Fd, usize)> {
        self.fault_in_pipe()?;
        let size = bytes.min(self.pipe_size) / PAGE * PAGE;
        if size == 0 {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        let pipe = self.pipes.len();
        let read = self.table.insert(Object::Pipe(pipe, End::Read))?;
        let write = self.table.insert(Object::Pipe(pipe, End::Write)).inspect_err(|_| {
            self.table.remove(read);
        })?;
        self.pipes.push(Pipe { slots: VecDeque::new(), most: size / PAGE });
        Ok((read, write, size))
    }

    fn pipe(&mut self, fd: Fd, end: End) -> usize {
        match self.table.object(fd) {
            Some(&Object::Pipe(pipe, is)) if is == end => pipe,
            _ => self.misused(fd, "that end of a pipe"),
        }
    }

    /// Like a receive, except that it does not get past an urgent byte.
    fn splice_in(&mut self, socket: Fd, to: Fd, bytes: usize) -> io::Result<usize> {
        let (pipe, stream) = (self.pipe(to, End::Write), self.stream_index(socket));
        if !self.pipes[pipe].slots.is_empty() {
            self.misused(to, "an empty pipe, so that EAGAIN could mean that it is full");
        }
        if self.streams[stream].is_at_urgent() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut buffer = vec![0; bytes.min(self.pipes[pipe].most * SLOT)];
        self.fault_in_recv(stream, buffer.len());
        let count = self.streams[stream].recv(&mut buffer);
        self.settle(stream);
        // A splice has another error for a record that is not data.
        let count = count.map_err(|error| match error.raw_os_error() {
            Some(libc::EIO) => io::Error::from_raw_os_error(libc::EINVAL),
            _ => error,
        })?;
        self.pipes[pipe].slots.extend(buffer[..count].chunks(SLOT).map(<[u8]>::to_vec));
        Ok(count)
    }

    fn splice_out(&mut self, from: Fd, socket: Fd, bytes: usize) -> io::Result<usize> {
        let (pipe, stream) = (self.pipe(from, End::Read), self.stream_index(socket));
        if self.pipes[pipe].slots.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let data = self.pipes[pipe].first(bytes);
        self.fault_in_send(stream, data.len());
        let sent = self.streams[stream].send(&[IoSlice::new(&data)], More::No);
        self.settle(stream);
        self.pipes[pipe].remove(*sent.as_ref().unwrap_or(&0));
        sent
    }
}

impl Pipe {
    /// The first bytes in it, at most `most`.
    fn first(&self, most: usize) -> Vec<u8> {
        let mut first = Vec::new();
        for slot in &self.slots {
            let taken = slot.len().min(most - first.len());
            first.extend_from_slice(&slot[..taken]);
        }
        first
    }

    fn remove(&mut self, mut count: usize) {
        while let Some(slot) = self.slots.front_mut().filter(|_| count > 0) {
            let taken = count.min(slot.len());
            slot.drain(..taken);
            count -= taken;
            if slot.is_empty() {
                self.slots.pop_front();
            }
        }
    }
}
