//! Carries out what [`plan`](super::plan) says, against a socket.

use std::io::{self, ErrorKind, IoSlice};

use super::{Action, Front, MAX_PIECES, Pool, Queue, plan};
use crate::ledger::Ledger;
use crate::limits::{FileTransfer, Limits, Quantum};
use crate::sys::{self, Fd, Kernel, More};

/// Size of the buffer that file bytes pass through where sendfile is not used.
pub(crate) const SCRATCH: usize = 64 << 10;

/// How a flush ended.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// Everything is with the kernel.
    Empty,
    /// The socket has no room; an edge follows when it has.
    Blocked,
    /// The quantum is used up; go on in the next turn.
    Budget,
    /// A region is longer than its file.
    Truncated,
    /// The socket has failed.
    Failed(io::Error),
}

/// What a flush works with.
pub(crate) struct Wire<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) socket: Fd,
    pub(crate) limits: &'a Limits,
    pub(crate) pool: &'a mut Pool,
    pub(crate) scratch: &'a mut Box<[u8]>,
    pub(crate) ledger: &'a mut Ledger,
}

impl Wire<'_> {
    /// Sends from the queue until it is empty, the socket is full or the quantum is used up. Adds
    /// what the kernel took to `sent` and takes it from the quantum.
    ///
    /// A short count does not end it: sendfile may stop early while there is room, and only a
    /// refusal promises an edge.
    pub(crate) fn flush(
        &mut self,
        queue: &mut Queue,
        sent: &mut u64,
        quantum: &mut Quantum,
    ) -> Flushed {
        loop {
            let front = queue.front(self.limits);
            let action = plan(&front, self.limits);
            if action == Action::Rest {
                return Flushed::Empty;
            }
            if quantum.is_used_up() {
                self.ledger.send_budget_stops += 1;
                return Flushed::Budget;
            }
            quantum.calls -= 1;
            match self.act(queue, &front, action) {
                Ok(0) => return Flushed::Truncated,
                Ok(count) => {
                    queue.advance(count, self.pool);
                    *sent += count as u64;
                    quantum.bytes = quantum.bytes.saturating_sub(count);
                    self.ledger.sent += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.ledger.send_would_block += 1;
                    return Flushed::Blocked;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Flushed::Failed(error),
            }
        }
    }

    /// One action; how many bytes the kernel took. 0 means a region without bytes behind it.
    fn act(&mut self, queue: &Queue, front: &Front, action: Action) -> io::Result<usize> {
        let asked;
        let count = match action {
            Action::Rest => return Ok(0),
            Action::Memory { region_follows } => {
                asked = front.memory;
                self.send_memory(queue, front, region_follows)?
            }
            Action::Read { bytes } => match self.read_and_send(queue, front, bytes)? {
                None => return Ok(0),
                Some((count, of)) => {
                    asked = of;
                    count
                }
            },
            Action::Sendfile { bytes } => {
                asked = bytes;
                let (file, offset) = region(queue, 0)?;
                self.ledger.sendfile_calls += 1;
                let count = self.kernel.sendfile(self.socket, file, offset, bytes)?;
                self.ledger.sendfile_bytes += count as u64;
                count
            }
            Action::Splice { bytes } => {
                asked = bytes;
                self.splice(queue, bytes)?
            }
        };
        if count < asked {
            self.ledger.short_writes += 1;
        }
        Ok(count)
    }

    fn splice(&mut self, queue: &Queue, bytes: usize) -> io::Result<usize> {
        let pipe = queue.pipe().ok_or_else(|| io::Error::other("no pipe where one was planned"))?;
        self.ledger.splice_calls += 1;
        match self.kernel.splice(pipe, self.socket, bytes)? {
            0 => Err(io::Error::other("a pipe has lost what was in it")),
            count => {
                self.ledger.splice_bytes += count as u64;
                Ok(count)
            }
        }
    }

    fn send_memory(&mut self, queue: &Queue, front: &Front, more: bool) -> io::Result<usize> {
        // A header held back by MSG_MORE leaves with the sendfile that follows: in the next call,
        // or first thing in the next turn. If that call fails the connection ends, which pushes it
        // out too; if it is refused for lack of room, the full buffer does.
        let more = if more { More::Yes } else { More::No };
        if front.pieces == 1 {
            self.ledger.send_calls += 1;
            let count = self.kernel.send(self.socket, queue.first(), more)?;
            self.ledger.send_bytes += count as u64;
            return Ok(count);
        }
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        queue.pieces(front.pieces, &mut pieces);
        self.ledger.gather_calls += 1;
        let count = self.kernel.send_gather(self.socket, &pieces[..front.pieces], more)?;
        self.ledger.gather_bytes += count as u64;
        Ok(count)
    }

    /// Reads from the region into the scratch buffer and sends it behind the memory before it. What
    /// the socket refuses is read again later: the offset is the truth, a copy is never kept.
    fn read_and_send(
        &mut self,
        queue: &Queue,
        front: &Front,
        bytes: usize,
    ) -> io::Result<Option<(usize, usize)>> {
        if self.scratch.is_empty() {
            *self.scratch = vec![0; SCRATCH].into_boxed_slice();
        }
        let (file, offset) = region(queue, front.pieces)?;
        let buffer = &mut self.scratch[..bytes];
        self.ledger.file_reads += 1;
        if !sys::HAS_SENDFILE
            && self.limits.files == FileTransfer::Sendfile
            && front.file_left > self.limits.small_file
        {
            self.ledger.no_sendfile += 1;
        }
        let read = self.kernel.read_at(file, buffer, offset)?;
        self.ledger.file_read_bytes += read as u64;
        if read == 0 {
            return Ok(None);
        }
        let body = &self.scratch[..read];
        if front.pieces == 0 {
            self.ledger.send_calls += 1;
            let count = self.kernel.send(self.socket, body, More::No)?;
            self.ledger.send_bytes += count as u64;
            return Ok(Some((count, read)));
        }
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        queue.pieces(front.pieces, &mut pieces);
        pieces[front.pieces] = IoSlice::new(body);
        self.ledger.gather_calls += 1;
        let count = self.kernel.send_gather(self.socket, &pieces[..=front.pieces], More::No)?;
        self.ledger.gather_bytes += count as u64;
        Ok(Some((count, front.memory + read)))
    }
}

fn region(queue: &Queue, pieces: usize) -> io::Result<(Fd, u64)> {
    queue.region(pieces).ok_or_else(|| io::Error::other("no file region where one was planned"))
}
