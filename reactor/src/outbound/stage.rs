//! What the callbacks of one connection send, as long as it is little, or shared and fills no
//! queue.
//!
//! Most callbacks send little, with nothing queued before it. That is joined in one buffer of the
//! reactor's, which leaves when they have returned, and no queue is needed. Shared bytes may follow
//! in the same call, such as a body its header. What the socket refuses, or what something else
//! follows, begins the connection's queue, in that same buffer.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use super::send::note_refusal;
use super::{Chunk, Pool, Queue};
use crate::core::Core;
use crate::core::ledger::Ledger;
use crate::core::limits::Limits;
use crate::sys::{Fd, Kernel, More};

#[cfg(all(test, feature = "testing"))]
mod tests;

/// Size of the buffer. Answers of 64 bytes to 3 KiB cost 1 to 1.02 times as much queued as staged,
/// the calls included (bench `outbound`; Linux 6.18, loopback).
const FEW: usize = 4 << 10;

/// That buffer. There is something in it only between a callback and the sending behind it.
#[derive(Default)]
pub(crate) struct Stage {
    /// The connection whose callback is running, if what it sends may come here.
    index: Option<u32>,
    chunk: Chunk,
    /// What follows that.
    shared: Bytes,
}

impl Stage {
    /// Lets what a connection sends come here until [`Core::end_stage`], unless so few bytes could
    /// fill its queue.
    #[inline]
    pub(crate) fn begin(&mut self, index: u32, limits: &Limits) {
        let fits = limits.send_high > FEW && limits.send_segments > 1;
        self.index = fits.then_some(index);
    }

    fn is_empty(&self) -> bool {
        self.chunk.len() == 0 && self.shared.is_empty()
    }

    /// How many bytes of a connection are here.
    pub(crate) fn len(&self, index: u32) -> usize {
        if self.index == Some(index) { self.chunk.len() + self.shared.len() } else { 0 }
    }

    /// How many bytes fit behind what a connection has here, if there is something.
    pub(super) fn room(&self, index: u32) -> usize {
        if self.len(index) > 0 && self.shared.is_empty() { self.chunk.room() } else { 0 }
    }

    /// Copies bytes of a connection that has nothing queued, if they fit. Says whether it did.
    pub(super) fn join(&mut self, index: u32, bytes: &[u8], pool: &mut Pool) -> bool {
        let joins = self.index == Some(index)
            && self.shared.is_empty()
            && bytes.len() <= FEW - self.chunk.len();
        if joins {
            if self.chunk.size() == 0 {
                self.chunk = pool.take(FEW);
            }
            self.chunk.fill(bytes);
        }
        joins
    }

    /// Whether so many shared bytes of a connection that has nothing queued may
    /// [come last](Stage::refer): if they are the first, and a queue of them were not full.
    pub(super) fn may_refer(&self, index: u32, count: usize, limits: &Limits) -> bool {
        self.index == Some(index)
            && self.shared.is_empty()
            && count < limits.send_high - self.chunk.len()
            && limits.send_segments > 2
            && limits.gather_pieces > 1
    }

    pub(super) fn refer(&mut self, bytes: Bytes) {
        self.shared = bytes;
    }

    /// Begins the queue of a connection with what is here.
    pub(super) fn begin_queue(&mut self, index: u32, queue: &mut Queue) {
        if self.index != Some(index) {
            return;
        }
        if self.chunk.len() > 0 {
            queue.push_chunk(std::mem::take(&mut self.chunk));
        }
        if !self.shared.is_empty() {
            queue.push_shared(std::mem::take(&mut self.shared));
        }
    }

    /// Sends what is here, in one call, and forgets what was sent.
    #[inline]
    fn send(&mut self, kernel: &Kernel, socket: Fd, ledger: &mut Ledger) -> io::Result<usize> {
        if !self.shared.is_empty() {
            return self.send_shared(kernel, socket, ledger);
        }
        ledger.send_calls += 1;
        let count = kernel.send(socket, self.chunk.bytes(), More::No)?;
        self.chunk.advance(count);
        ledger.send_bytes += count as u64;
        Ok(count)
    }

    /// The same if there are shared bytes.
    #[inline(never)]
    fn send_shared(
        &mut self,
        kernel: &Kernel,
        socket: Fd,
        ledger: &mut Ledger,
    ) -> io::Result<usize> {
        let count = if self.chunk.len() == 0 {
            ledger.send_calls += 1;
            let count = kernel.send(socket, &self.shared, More::No)?;
            ledger.send_bytes += count as u64;
            count
        } else {
            let pieces = [IoSlice::new(self.chunk.bytes()), IoSlice::new(&self.shared)];
            ledger.gather_calls += 1;
            let count = kernel.send_gather(socket, &pieces, More::No)?;
            ledger.gather_bytes += count as u64;
            count
        };
        self.advance(count);
        Ok(count)
    }

    /// Forgets so many bytes.
    fn advance(&mut self, count: usize) {
        let few = count.min(self.chunk.len());
        self.chunk.advance(few);
        if count - few < self.shared.len() {
            self.shared.advance(count - few);
        } else if !self.shared.is_empty() {
            self.shared = Bytes::new();
        }
    }
}

impl Core {
    /// Sends what is staged. From now on what the connection sends is queued.
    #[inline]
    pub(crate) fn end_stage(&mut self, index: u32) {
        if self.stage.len(index) > 0 {
            self.send_staged(index);
        }
        self.stage.index = None;
    }

    /// Sends what is staged, in one call, and queues what the socket refuses of it.
    #[inline(always)]
    fn send_staged(&mut self, index: u32) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let group = &mut self.groups[c.group as usize];
        if !c.is_flushed() {
            return self.drop_staged(index);
        }
        if group.is_rated(c) {
            // A rate that the callback has set says when.
            return self.append(index, |_, _| 0);
        }
        let ledger = &mut group.ledger;
        match self.stage.send(&self.kernel, c.socket, ledger) {
            Ok(count) => {
                c.sent += count as u64;
                c.active = self.tick;
                ledger.sent += count as u64;
                if self.stage.is_empty() {
                    return;
                }
                ledger.short_writes += 1;
            }
            Err(error) => {
                if let Some(error) = note_refusal(c, ledger, error) {
                    self.drop_staged(index);
                    return self.fail_with(index, &error);
                }
            }
        }
        // A new queue begins with what is left.
        self.append(index, |_, _| 0);
    }

    #[cold]
    fn drop_staged(&mut self, index: u32) {
        let dropped = self.stage.len(index);
        self.stage.advance(dropped);
        if let Some(ledger) = self.ledger_of(index) {
            ledger.dropped += dropped as u64;
        }
    }
}
