//! The wire: makes the calls on a socket that [`plan`](super::plan) decides on.

use std::io::{self, ErrorKind, IoSlice};

use super::{Action, Front, MAX_PIECES, plan};
use crate::core::transport::{Error, Layer, SEALED};
use crate::core::{ColdFiles, Ledger, Limits, Pool, Quantum, Queue, QueuedRegion};
use crate::sys::{AlignedBuffer, Direction, Fd, Kernel, More, retry};

/// How a flush ended.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// The kernel has taken everything.
    Empty,
    /// The socket has no room. An event follows when it has.
    Blocked,
    /// The quantum is used up. The flush continues in the next turn.
    Budget,
    /// The next bytes of a file are not in memory: a worker has to read this many.
    Cold(usize),
    /// A region is longer than its file.
    Truncated,
    /// The transport has failed, and can seal nothing more.
    Unsealed(Error),
    /// The socket has failed.
    Failed(io::Error),
}

/// Everything that a flush works with.
pub(crate) struct Wire<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) socket: Fd,
    pub(crate) limits: &'a Limits,
    pub(crate) pool: &'a mut Pool,
    pub(crate) scratch: &'a mut AlignedBuffer,
    /// The transport that seals what is sent, if there is one.
    pub(crate) layer: Option<&'a mut Layer>,
    pub(crate) ledger: &'a mut Ledger,
    /// The maximum number of bytes to send in the whole flush.
    pub(crate) most: usize,
    /// Bytes of the queue that the kernel, or a transport that keeps some back, has taken.
    pub(crate) taken: u64,
    /// Whether the kernel has taken anything.
    pub(crate) moved: bool,
}

impl Wire<'_> {
    /// Sends from the queue until it is empty, the socket is full or the quantum is used up.
    /// Deducts the bytes that the kernel took from the quantum.
    ///
    /// A short count does not end the flush: sendfile may stop early while there is room, and only
    /// after `EAGAIN` is an event certain to follow.
    pub(crate) fn flush(&mut self, queue: &mut Queue, quantum: &mut Quantum) -> Flushed {
        loop {
            if queue.is_empty() {
                return Flushed::Empty;
            }
            if quantum.is_used_up() || self.most == 0 {
                self.ledger.send_budget_stops += u64::from(quantum.is_used_up());
                return Flushed::Budget;
            }
            quantum.calls -= 1;
            let result = if self.layer.as_ref().is_some_and(|layer| layer.is_sending()) {
                self.send_sealed()
            } else {
                queue.owes_wire = false;
                if let Some(error) = self.layer.as_mut().and_then(|layer| layer.take_failure()) {
                    return Flushed::Unsealed(error);
                }
                let front = Front::of(queue, self.limits, self.most(), self.layer.is_some());
                match plan(&front, self.limits) {
                    Action::Warm { bytes } => return Flushed::Cold(bytes),
                    action => self.act(queue, &front, action),
                }
            };
            match result {
                Ok(None) => {}
                Ok(Some(0)) => return Flushed::Truncated,
                Ok(Some(count)) => {
                    queue.advance(count, self.pool);
                    self.most -= count;
                    self.taken += count as u64;
                    quantum.use_bytes(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.ledger.send_would_block += 1;
                    return Flushed::Blocked;
                }
                Err(error) => return Flushed::Failed(error),
            }
        }
    }

    /// Carries out one action. Returns how many bytes the kernel took; 0 means that the file ended
    /// before the region. `None` means that nothing was sent, but more is known about the region.
    fn act(
        &mut self,
        queue: &mut Queue,
        front: &Front,
        action: Action,
    ) -> io::Result<Option<usize>> {
        let (count, asked) = match action {
            Action::Rest | Action::Warm { .. } => return Ok(None),
            Action::Memory { region_follows } => {
                let more = if region_follows { More::Yes } else { More::No };
                return self.send_pieces(queue, front, 0, more);
            }
            Action::Read { bytes, nowait } => {
                let bytes = bytes.min(self.most() - front.memory);
                return match self.read(queue, front, bytes, nowait)? {
                    Some(read @ 1..) => self.send_pieces(queue, front, read, More::No),
                    nothing => Ok(nothing),
                };
            }
            Action::Probe { bytes } => {
                self.probe(region(queue, front.pieces)?, bytes);
                return Ok(None);
            }
            Action::Sendfile { bytes } => {
                let (region, bytes) = (region(queue, 0)?, bytes.min(self.most));
                self.ledger.sendfile_calls += 1;
                let count =
                    self.kernel.sendfile(self.socket, region.file.fd(), region.offset, bytes)?;
                self.ledger.sendfile_bytes += count as u64;
                (count, bytes)
            }
            Action::Splice { bytes } => {
                let pipe = queue.pipe();
                let pipe = pipe.ok_or_else(|| io::Error::other("no pipe where one was planned"))?;
                let bytes = bytes.min(self.most);
                self.ledger.splice_calls += 1;
                let count = self.kernel.splice(pipe, self.socket, bytes)?;
                if count == 0 {
                    return Err(io::Error::other("a pipe has lost its contents"));
                }
                self.ledger.splice_bytes += count as u64;
                (count, bytes)
            }
        };
        self.ledger.short_writes += u64::from(count < asked);
        Ok(Some(count))
    }

    /// Sends the pieces of memory at the front, and `read` bytes of the scratch buffer after them,
    /// in one call. What the socket refuses of the scratch buffer is read again later: no copy is
    /// kept.
    ///
    /// A header held back by `MSG_MORE` leaves with the sendfile that follows, in the next call or
    /// at the start of the next turn. If that call fails, the connection ends, which pushes the
    /// header out too. If it is refused for lack of room, the full socket buffer does.
    fn send_pieces(
        &mut self,
        queue: &Queue,
        front: &Front,
        read: usize,
        more: More,
    ) -> io::Result<Option<usize>> {
        let count = front.pieces + usize::from(read > 0);
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let pieces = &mut pieces[..count];
        queue.pieces(self.most(), &mut pieces[..front.pieces]);
        if read > 0 {
            pieces[front.pieces] = IoSlice::new(&self.scratch[..read]);
        }
        if let Some(layer) = &mut self.layer {
            layer.seal(pieces, self.pool);
            return Ok(None);
        }
        transmit(self.kernel, self.socket, pieces, more, self.ledger).map(Some)
    }

    /// The maximum number of bytes to send in one call. What is sealed together leaves together.
    fn most(&self) -> usize {
        if self.layer.is_some() { self.most.min(SEALED) } else { self.most }
    }

    /// Sends what a transport has put out, if anything. Once all of it is sent, returns how many
    /// bytes of the queue were sealed in it.
    #[inline(never)]
    fn send_sealed(&mut self) -> io::Result<Option<usize>> {
        let Some(layer) = &mut self.layer else { return Ok(None) };
        if layer.outgoing.len() > 0 {
            transmit_sealed(self.kernel, self.socket, layer, self.pool, self.ledger)?;
            self.moved = true;
            if layer.outgoing.len() > 0 {
                return Ok(None);
            }
        }
        let sealed = std::mem::take(&mut layer.sealed);
        if layer.in_kernel {
            // The kernel seals what follows.
            self.layer = None;
        }
        self.ledger.sealed_bytes += sealed as u64;
        // They were sealed when more might be sent.
        self.most = self.most.max(sealed);
        Ok((sealed > 0).then_some(sealed))
    }

    /// Reads from the region into the scratch buffer. `None` if that would block on a disk.
    fn read(
        &mut self,
        queue: &mut Queue,
        front: &Front,
        bytes: usize,
        nowait: bool,
    ) -> io::Result<Option<usize>> {
        let region = region(queue, front.pieces)?;
        let (file, buffer) = (region.file.fd(), &mut self.scratch[..bytes]);
        self.ledger.file_reads += 1;
        if !nowait {
            return self.kernel.read_at(file, buffer, region.offset).map(Some);
        }
        match self.kernel.read_nowait(file, buffer, region.offset) {
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Unsupported) =>
            {
                self.judge(region, bytes, &error);
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// Checks whether the next bytes of a region are in memory, by their last byte and, unless the
    /// bytes before them were in memory, by their first. Both are needed: pages enter and leave
    /// memory in any order.
    fn probe(&mut self, region: &mut QueuedRegion, bytes: usize) {
        let file = region.file.fd();
        let mut look = |at: u64| {
            retry(|| {
                self.ledger.probes += 1;
                self.kernel.read_nowait(file, &mut [0], at)
            })
        };
        let begins = if region.continues() { Ok(1) } else { look(region.offset) };
        match begins.and_then(|_| look(region.offset.saturating_add(bytes as u64 - 1))) {
            Ok(_) => region.note_resident(bytes),
            Err(error) => self.judge(region, bytes, &error),
        }
    }

    /// Records what an error says about the next bytes of a region, which could not be read without
    /// blocking.
    fn judge(&self, region: &mut QueuedRegion, bytes: usize, error: &io::Error) {
        let may_wait = self.limits.cold_files == ColdFiles::WarmIfReported;
        match error.kind() {
            ErrorKind::WouldBlock => region.note_cold(),
            ErrorKind::Unsupported if !region.file.find_out() && !may_wait => {
                region.note_unreported(bytes);
            }
            // After another error, the call that needs these bytes will fail in the same way.
            _ => region.note_resident(bytes),
        }
    }
}

/// Sends pieces of memory in one call, and counts the call and its bytes. This is the only place
/// that does.
#[inline]
pub(super) fn transmit(
    kernel: &Kernel,
    socket: Fd,
    pieces: &[IoSlice<'_>],
    more: More,
    ledger: &mut Ledger,
) -> io::Result<usize> {
    let (count, bytes) = match pieces {
        [piece] => {
            ledger.send_calls += 1;
            (kernel.send(socket, piece, more)?, &mut ledger.send_bytes)
        }
        _ => {
            ledger.gather_calls += 1;
            (kernel.send_gather(socket, pieces, more)?, &mut ledger.gather_bytes)
        }
    };
    *bytes += count as u64;
    let asked: usize = pieces.iter().map(|piece| piece.len()).sum();
    ledger.short_writes += u64::from(count < asked);
    Ok(count)
}

/// Sends what a transport has put out in one call, or the next record of it if the kernel seals the
/// records. Counts the call and its bytes. This is the only place that does.
pub(crate) fn transmit_sealed(
    kernel: &Kernel,
    socket: Fd,
    layer: &mut Layer,
    pool: &mut Pool,
    ledger: &mut Ledger,
) -> io::Result<()> {
    let bytes = layer.outgoing.bytes();
    ledger.send_calls += 1;
    if layer.in_kernel {
        return transmit_record(kernel, socket, layer, pool);
    }
    let count = kernel.send(socket, bytes, More::No)?;
    ledger.short_writes += u64::from(count < bytes.len());
    ledger.wire_sent += count as u64;
    layer.outgoing.consume(count, pool);
    Ok(())
}

/// Sends a record that the kernel seals, and passes it the key for what follows.
#[cold]
fn transmit_record(
    kernel: &Kernel,
    socket: Fd,
    layer: &mut Layer,
    pool: &mut Pool,
) -> io::Result<()> {
    let record = |bytes: &[u8]| {
        let (&[kind, _, _, high, low], rest) = bytes.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let payload = rest.get(..len)?;
        Some(kernel.send_record(socket, kind, payload).map(|()| bytes.len() - rest.len() + len))
    };
    let count = record(layer.outgoing.bytes())
        .unwrap_or_else(|| Err(io::Error::other("the transport has put out half a record")))?;
    layer.outgoing.consume(count, pool);
    match layer.next_key.take() {
        Some(key) => kernel.set_tls_key(socket, Direction::Send, &key),
        None => Ok(()),
    }
}

fn region(queue: &mut Queue, pieces: usize) -> io::Result<&mut QueuedRegion> {
    queue.region(pieces).ok_or_else(|| io::Error::other("no file region where one was planned"))
}
